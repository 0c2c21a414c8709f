//! Which peer is received from next.
//!
//! Round robin over the peers that have messages, one whole message a turn: a peer that floods us delays the others by
//! one message each ([RFC 30](https://rfc.zeromq.org/spec/30/), "fair-queuing").

use super::incoming::Popped;
use super::peer::PeerId;
use super::peers::Peers;
use super::turn::Turn;
use super::wants::{Awaited, Want};
use super::{Pattern, push_next};
use crate::batch::{Batch, Run};
use crate::message::Message;
use crate::stats::DropReason;

/// Incoming messages of all peers, in turn.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    turn: Turn,
}

impl FairQueue {
    /// Whole messages came to a socket of this pattern. Where messages have one frame, those that have several are dropped
    /// and counted, before anybody is told that there is something.
    #[inline]
    pub(crate) fn deliver<P: Pattern>(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        if P::ONE_FRAME && run.has_several_frames() {
            keep_single_frames(peers, id, run);
            if run.is_empty() {
                return;
            }
        }
        peers.deliver(id, run);
        self.enter(id);
        peers.wants.push(Want::Ready(Awaited::Readable));
    }

    /// A peer has messages.
    pub(crate) fn enter(&mut self, id: PeerId) {
        self.turn.enter(id);
    }

    /// A peer is gone, and what it left unread with it.
    pub(crate) fn remove(&mut self, id: PeerId) {
        self.turn.remove(id);
    }

    /// Takes the oldest message of the next peer that has one, and says whose it is.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> Option<PeerId> {
        while let Some(id) = self.turn.front() {
            match peers.pop(id, into) {
                Some(Popped::More) => self.turn.pass(),
                Some(Popped::Last) => {
                    self.turn.rest();
                    peers.forget_if_over(id);
                }
                None => {
                    self.turn.rest();
                    continue;
                }
            }
            return Some(id);
        }
        None
    }

    /// Takes as many messages as so many calls of [`FairQueue::recv`] would, and says how many.
    pub(crate) fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        let mut count = 0;
        while count < limit {
            // Whose turn it is alone gives as many in a row.
            let alone = self.turn.alone();
            let in_a_row = alone.map_or(0, |id| peers.pop_many(id, into, limit - count));
            count += in_a_row;
            if in_a_row == 0 {
                if !push_next(into, |place| self.recv(peers, place).is_some()) {
                    break;
                }
                count += 1;
            }
        }
        count
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.turn.is_empty()
    }
}

fn keep_single_frames(peers: &mut Peers, id: PeerId, run: &mut Run) {
    let mut kept = Batch::default();
    while let Some(message) = run.pop() {
        if message.frame_count() == 1 {
            kept.push(&[], &mut message.into());
        } else {
            peers.discard(id, 1, message.byte_count(), DropReason::Malformed);
            peers.wants.push(Want::Drop(message));
        }
    }
    *run = kept.into_run();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Mark;
    use crate::routing::PeerKind;
    use crate::socket::gather::GatherPattern as OneFrame;
    use crate::socket::pull::PullPattern as AnyFrames;

    fn run_of(messages: &[&[&[u8]]]) -> Run {
        let mut batch = Batch::default();
        for frames in messages {
            batch.push(&[], &mut (*frames).into());
        }
        batch.into_run()
    }

    /// Large bodies lie in parts of their own: the walk over the headers meets all kinds of borders.
    #[test]
    fn where_messages_have_one_frame_others_are_dropped_and_counted_before_anybody_is_told() {
        let mark = Mark {
            messages: 100,
            bytes: 1 << 30,
        };
        let large = vec![7; 100_000];
        let two: &[&[u8]] = &[b"two", &large];
        let one: &[&[u8]] = &[b"one"];
        let big: &[&[u8]] = &[&large];
        let empty: &[&[u8]] = &[b"", b""];
        for (came, kept) in [
            (vec![two], vec![]),
            (vec![empty], vec![]),
            (vec![one, big, one], vec![one, big, one]),
            (vec![one, two, big, empty, one], vec![one, big, one]),
            (vec![big, big, two], vec![big, big]),
        ] {
            let mut peers = Peers::new(mark, mark);
            let id = peers.attach(PeerKind::Accepted, "peer");
            let mut queue = FairQueue::default();

            queue.deliver::<OneFrame>(&mut peers, id, &mut run_of(&came));

            assert_eq!(queue.has_messages(), !kept.is_empty());
            assert_eq!(
                peers.wants.contains(&Want::Ready(Awaited::Readable)),
                !kept.is_empty(),
                "nobody is woken in vain"
            );
            let mut message = Message::empty();
            let received: Vec<Message> = std::iter::from_fn(|| {
                queue.recv(&mut peers, &mut message)?;
                Some(message.clone())
            })
            .collect();
            let kept: Vec<Message> = kept.iter().map(|frames| Message::from(frames[0].to_vec())).collect();
            assert_eq!(received, kept);
            let incoming = peers.stats().incoming;
            assert_eq!(incoming.taken as usize, came.len());
            assert_eq!(
                incoming.dropped.of(DropReason::Malformed) as usize,
                came.len() - kept.len()
            );
            assert!(incoming.is_conserved());
        }
    }

    #[test]
    fn where_messages_have_any_number_of_frames_all_are_kept() {
        let mark = Mark {
            messages: 100,
            bytes: 1 << 30,
        };
        let mut peers = Peers::new(mark, mark);
        let id = peers.attach(PeerKind::Accepted, "peer");
        let mut queue = FairQueue::default();
        queue.deliver::<AnyFrames>(&mut peers, id, &mut run_of(&[&[b"a", b"b"]]));
        let mut message = Message::empty();
        assert_eq!(queue.recv(&mut peers, &mut message), Some(id));
        assert_eq!(message, Message::from(["a", "b"]));
    }
}
