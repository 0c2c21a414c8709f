//! Many messages by one call: under one lock as many as fit, or as are there.
//!
//! An iterator of the application's is its own code, and so is the end of what it gave away: both run where no lock is held.
//! So messages are gathered first, some ahead of what is sent; what was gathered and not sent comes back in the error.

use super::{Patience, Socket};
use crate::error::{NotSent, RecvError, SendManyError};
use crate::hub::{Closed, deadline};
use crate::message::{Message, Outgoing};
use crate::routing::{Awaited, Lot, MOST_OTHERS, Pattern, Peers, Receives, Sends};

impl<P: Sends> Socket<P> {
    pub(crate) fn send_many<'m>(
        &self,
        messages: impl Iterator<Item = Outgoing<'m>>,
        patience: Patience,
    ) -> Result<usize, SendManyError> {
        self.send_many_by(messages, patience, refusal::<P>, P::send_many)
    }

    pub(crate) async fn send_many_async<'m>(
        &self,
        messages: impl Iterator<Item = Outgoing<'m>>,
    ) -> Result<usize, SendManyError> {
        self.send_many_by_async(messages, refusal::<P>, P::send_many).await
    }
}

impl<P: Pattern> Socket<P> {
    /// Sends them all by this step, which packs some of them and says how many; waits as patiently as asked, in all.
    pub(crate) fn send_many_by<'m>(
        &self,
        messages: impl Iterator<Item = Outgoing<'m>>,
        patience: Patience,
        refusal: impl Fn(&Outgoing<'m>) -> Option<NotSent>,
        mut pack: impl FnMut(&mut P, &mut Peers, &mut Lot<'m>) -> usize,
    ) -> Result<usize, SendManyError> {
        let waits = !matches!(patience, Patience::None);
        // As for a single message: who does not wait may be refused, and has then copied nothing.
        let may_copy = || waits || self.has_room();
        let (mut messages, mut stock) = (messages.fuse(), Stock::default());
        let mut until = None;
        loop {
            let lend = |message: &Outgoing<'_>| self.lend(message, patience);
            stock.fill(&mut messages, &refusal, lend, |message| {
                if message.is_large_lent() && may_copy() {
                    message.copy_large_lent(|frame| self.core.copies.copy(frame));
                }
            });
            if stock.is_empty() {
                return stock.end();
            }
            let step = |pattern: &mut P, peers: &mut Peers| stock.pack(|lot| pack(pattern, peers, lot));
            let until = |limit| *until.get_or_insert_with(|| deadline(&**self.hub.drive(), limit));
            let packed = self.attempt_until(Awaited::Writable, patience, until, step);
            if let Err(stop) = packed {
                return Err(stock.stopped(stop.into()));
            }
            let copies = stock.let_go();
            if waits {
                (0..copies).for_each(|_| self.core.copies.keep_near());
            }
        }
    }

    pub(crate) async fn send_many_by_async<'m>(
        &self,
        messages: impl Iterator<Item = Outgoing<'m>>,
        refusal: impl Fn(&Outgoing<'m>) -> Option<NotSent>,
        mut pack: impl FnMut(&mut P, &mut Peers, &mut Lot<'m>) -> usize,
    ) -> Result<usize, SendManyError> {
        let (mut messages, mut stock) = (messages.fuse(), Stock::default());
        loop {
            let lend = |message: &Outgoing<'_>| self.lend(message, Patience::None);
            stock.fill(&mut messages, &refusal, lend, |message| {
                message.copy_large_lent(|frame| self.core.copies.copy(frame));
            });
            if stock.is_empty() {
                return stock.end();
            }
            let step = |pattern: &mut P, peers: &mut Peers| stock.pack(|lot| pack(pattern, peers, lot));
            match self.hub.pending(Awaited::Writable, step).await {
                Ok(()) => stock.let_go(),
                Err(Closed) => return Err(stock.stopped(NotSent::Closed)),
            };
        }
    }
}

impl<P: Receives> Socket<P> {
    pub(crate) fn recv_many(
        &self,
        into: &mut Vec<Message>,
        limit: usize,
        patience: Patience,
    ) -> Result<usize, RecvError> {
        if limit == 0 {
            return Ok(0);
        }
        into.reserve(limit.min(RESERVED));
        self.take(patience, |pattern, peers| {
            at_least_one(pattern.recv_many(peers, into, limit))
        })
    }

    pub(crate) async fn recv_many_async(&self, into: &mut Vec<Message>, limit: usize) -> Result<usize, RecvError> {
        if limit == 0 {
            return Ok(0);
        }
        into.reserve(limit.min(RESERVED));
        self.take_async(|pattern, peers| at_least_one(pattern.recv_many(peers, into, limit)))
            .await
    }
}

/// What was taken from an iterator and is not sent.
#[derive(Default)]
struct Stock<'m> {
    lot: Lot<'m>,
    /// It came behind them, and cannot be sent at all: this is why.
    refused: Option<(Outgoing<'m>, NotSent)>,
    /// How many of the lot were sent in this step, and how many before.
    packed: usize,
    sent: usize,
}

impl<'m> Stock<'m> {
    /// Takes more, once all is sent that was taken: up to a number, up to a number of bytes, and up to one that is refused.
    /// What stands in front may be sent at once.
    #[inline(always)]
    fn fill(
        &mut self,
        messages: &mut impl Iterator<Item = Outgoing<'m>>,
        refusal: impl Fn(&Outgoing<'m>) -> Option<NotSent>,
        lend: impl Fn(&Outgoing<'m>) -> bool,
        prepare: impl Fn(&mut Outgoing<'m>),
    ) {
        if !self.is_empty() || self.refused.is_some() {
            return;
        }
        let mut bytes = 0_usize;
        while !self.lot.is_full() && bytes < MOST_BYTES && self.lot.packed().wire_len() < PACKED_BYTES {
            let Some(mut message) = messages.next() else { return };
            if let Some(why) = refusal(&message) {
                self.refused = Some((message, why));
                return;
            }
            if self.lot.pack(&message) {
                continue;
            }
            if self.is_empty() && lend(&message) {
                self.sent += 1;
                continue;
            }
            prepare(&mut message);
            bytes = bytes.saturating_add(message.byte_count());
            self.lot.push(message, messages.size_hint().0.min(MOST_OTHERS - 1));
        }
    }

    /// Whether there is nothing that can be sent.
    fn is_empty(&self) -> bool {
        self.lot.len() == 0
    }

    /// Under the lock: packs what this can of them. `None`: nothing.
    fn pack(&mut self, pack: impl FnOnce(&mut Lot<'m>) -> usize) -> Option<()> {
        self.packed = pack(&mut self.lot);
        (self.packed > 0).then_some(())
    }

    /// Drops what is sent, and says how many of these were copies of ours.
    fn let_go(&mut self) -> usize {
        self.sent += std::mem::take(&mut self.packed);
        self.lot.let_go()
    }

    /// Nothing more comes.
    fn end(self) -> Result<usize, SendManyError> {
        match self.refused {
            None => Ok(self.sent),
            Some((_, reason)) => Err(self.stopped(reason)),
        }
    }

    fn stopped(self, reason: NotSent) -> SendManyError {
        let refused = self.refused.map(|(message, _)| message);
        let left = self.lot.into_others().into_iter().chain(refused);
        SendManyError {
            reason,
            sent: self.sent,
            messages: left.filter_map(Outgoing::give_back).collect(),
        }
    }
}

/// Why this cannot be sent at all.
fn refusal<P: Pattern>(message: &Outgoing<'_>) -> Option<NotSent> {
    (P::ONE_FRAME && message.frame_count() > 1).then_some(NotSent::SeveralFrames)
}

fn at_least_one(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

/// Their bytes, about: the next is the last. Large frames that were lent are copied meanwhile, and what was gathered lies
/// beside the marks.
const MOST_BYTES: usize = 256 * 1024;
/// Bytes of those that are packed before, about: so many and one more lie in 16 KiB, and are copied again while the processor
/// has them near.
const PACKED_BYTES: usize = 14 * 1024;
/// Messages for which there is a place before a lock is taken.
const RESERVED: usize = 256;
