//! What a hub's lock guards, and what a step makes of it.

use super::effects::{Ask, Effects};
use super::monitor::Feeds;
use super::tempo::{Pace, Tempo};
use super::waiters::{Drive, Waiters};
use super::watchers::Watchers;
use super::{Closed, Link};
use crate::routing::{Awaited, Dropped, Pattern, PeerId, Peers, Turn, Want};
use crate::stats::{CloseReport, DropReason};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

pub(super) struct State<P> {
    pub(super) pattern: P,
    pub(super) peers: Peers,
    /// By the index of the peer.
    pub(super) links: Vec<Option<(PeerId, Arc<dyn Link>)>>,
    /// Stands for all who were turned away over inproc, and wait for a place. Over other transports they come back.
    pub(super) turned_away: Option<Arc<dyn Link>>,
    pub(super) waiters: Waiters,
    pub(super) watchers: Watchers,
    /// Peers that have something for this socket, and leave it to whoever looks for it to fetch it.
    pub(super) offered: Turn,
    pub(super) tempo: Tempo,
    /// The monitors.
    pub(super) feeds: Arc<Feeds>,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    Open,
    /// Verbs end with `Closed`; what is queued is still sent.
    Closing {
        report: CloseReport,
        /// The engine has no dialer, listener or session of this socket any more.
        is_engine_done: bool,
    },
    Closed(CloseReport),
}

impl<P: Pattern> State<P> {
    /// Takes what a step gives, unless the socket is closed.
    #[inline(always)]
    pub(super) fn attempt<R>(&mut self, step: impl FnOnce(&mut P, &mut Peers) -> Option<R>) -> Poll<Result<R, Closed>> {
        if !matches!(self.phase, Phase::Open) {
            return Poll::Ready(Err(Closed));
        }
        step(&mut self.pattern, &mut self.peers).map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
    }

    /// Whether anybody is to be told of a step: most concern nobody else.
    #[inline(always)]
    pub(super) fn has_calls<R>(&self, awaited: Awaited, result: &Poll<R>) -> bool {
        result.is_pending()
            || !self.peers.wants.is_empty()
            || !self.watchers.is_empty()
            || !self.waiters.is_empty(awaited)
    }

    /// Somebody has taken what it awaited, or found nothing. What is left is for the next in line. Gives whether what was
    /// offered is fetched: there may be something now.
    pub(super) fn passed(&mut self, awaited: Awaited, has_taken: bool, effects: &mut Effects) -> bool {
        if has_taken {
            self.pass_on(awaited, effects);
            return false;
        }
        if matches!(awaited, Awaited::Writable | Awaited::WritablePeer(_)) {
            return false;
        }
        self.tempo.awaits();
        self.fetch(effects)
    }

    /// Fetches what was offered. `false`: there was nothing.
    pub(super) fn fetch(&mut self, effects: &mut Effects) -> bool {
        let is_offered = !self.offered.is_empty();
        while let Some(id) = self.offered.front() {
            self.offered.rest();
            self.ask(id, Ask::Resume, effects);
        }
        is_offered
    }

    /// Does what routing wants, and tells those who watch.
    #[inline]
    pub(super) fn settle_all(&mut self, drive: &dyn Drive, effects: &mut Effects) {
        if !self.peers.wants.is_empty() {
            self.settle(drive, effects);
        }
        if !self.watchers.is_empty() {
            self.tell_watchers(effects);
        }
    }

    /// Wakes the next in line if it would find what it waits for.
    #[inline]
    pub(super) fn pass_on(&mut self, awaited: Awaited, effects: &mut Effects) {
        if !self.waiters.is_empty(awaited) && self.pattern.is_ready(awaited) {
            self.waiters.wake_first(awaited, effects);
        }
    }

    /// Turns what routing wants into effects on links and wakers.
    fn settle(&mut self, drive: &dyn Drive, effects: &mut Effects) {
        let (mut pace, mut looked) = (None, None);
        while !self.peers.wants.is_empty() {
            let mut wants = std::mem::take(&mut self.peers.wants);
            if wants.len() > FEW && wants.iter().filter(|want| matches!(want, Want::Flush(_))).count() > FEW {
                // As many system calls in a row are no direct write any more: the loop takes them beside this thread.
                self.tempo.next(look(&mut looked, drive, effects));
                pace = Some(Pace::Stream);
            }
            for want in wants.drain(..) {
                match want {
                    Want::Flush(id) => {
                        let now = look(&mut looked, drive, effects);
                        self.peers.clock(now);
                        let pace = *pace.get_or_insert_with(|| self.tempo.next(now));
                        self.ask(id, Ask::Flush(pace, effects.just_now(now)), effects);
                    }
                    Want::Full(id) => self.ask(id, Ask::Full, effects),
                    Want::Time(id) => self.peers.time(id, look(&mut looked, drive, effects)),
                    Want::Resume(id) => {
                        self.peers.time(id, look(&mut looked, drive, effects));
                        self.ask(id, Ask::Resume, effects);
                    }
                    Want::Room(id) => {
                        self.peers.time(id, look(&mut looked, drive, effects));
                        self.pattern.has_room(&mut self.peers, id);
                        self.waiters.wake_first(Awaited::Writable, effects);
                    }
                    Want::Forget(id) => self.unlink(id),
                    Want::Admit => {
                        if let Some(waiting) = self.turned_away.take() {
                            effects.ask(waiting, Ask::Resume);
                        }
                    }
                    Want::Drop(message) => effects.drop_later(Dropped::messages(vec![message])),
                    Want::Ready(awaited) => self.waiters.wake_first(awaited, effects),
                    Want::ReadyAll(awaited) => self.waiters.wake_line(awaited, effects),
                    Want::Sever(id, failure) => self.ask(id, Ask::Sever(failure), effects),
                    Want::Challenge(id) => self.ask(id, Ask::Challenge, effects),
                    Want::Tell(event) => effects.tell(&self.feeds, event),
                }
            }
            if self.peers.wants.is_empty() {
                // Kept for its memory.
                self.peers.wants = wants;
            }
        }
        // Also while nobody finds it empty: a peer that is never exhausted must not keep the others waiting. Something is
        // wanted at least once for as many messages as its mark.
        self.fetch(effects);
    }

    pub(super) fn ask(&self, id: PeerId, ask: Ask, effects: &mut Effects) {
        if let Some(link) = self.link_to(id) {
            effects.ask(Arc::clone(link), ask);
        }
    }

    pub(super) fn link_to(&self, id: PeerId) -> Option<&Arc<dyn Link>> {
        let (owner, link) = self.links.get(id.index())?.as_ref()?;
        (*owner == id).then_some(link)
    }

    pub(super) fn link(&mut self, id: PeerId, link: Arc<dyn Link>) {
        if self.links.len() <= id.index() {
            self.links.resize_with(id.index() + 1, || None);
        }
        if let Some(place) = self.links.get_mut(id.index()) {
            *place = Some((id, link));
        }
    }

    pub(super) fn unlink(&mut self, id: PeerId) {
        if let Some(place) = self.links.get_mut(id.index())
            && place.as_ref().is_some_and(|(owner, _)| *owner == id)
        {
            *place = None;
            self.offered.remove(id);
        }
    }

    /// Closes for good once the engine is done and no peer is left.
    pub(super) fn finish(&mut self, effects: &mut Effects) -> bool {
        let Phase::Closing {
            report,
            is_engine_done: true,
        } = &mut self.phase
        else {
            return false;
        };
        if self.peers.count() > 0 {
            return false;
        }
        effects.drop_later(self.pattern.abandon(&mut self.peers));
        let out = self.peers.stats().out;
        for (reason, count) in out.dropped.iter() {
            let of_peers: u64 = report.peers.iter().map(|peer| peer.dropped.of(reason)).sum();
            let without_peer = count.saturating_sub(report.gone_dropped.of(reason) + of_peers);
            report.without_peer.add(reason, without_peer);
        }
        debug_assert_eq!(
            report.written() + report.dropped(),
            out.taken,
            "a closed socket has written or dropped all that it took on"
        );
        self.phase = Phase::Closed(std::mem::take(report));
        self.waiters.wake_all(effects);
        true
    }

    /// Drops what is unread, of all peers.
    pub(super) fn drop_unread(&mut self) -> Dropped {
        let mut dropped = Dropped::default();
        for id in self.peers.ids() {
            dropped.merge(self.peers.drop_incoming(id, DropReason::Closed));
            self.peers.forget_if_over(id);
        }
        dropped
    }
}

/// What time it is, looked at once.
fn look(looked: &mut Option<Instant>, drive: &dyn Drive, effects: &mut Effects) -> Instant {
    *looked.get_or_insert_with(|| effects.now(|| drive.now()))
}

/// Peers that a message is written to directly, one after the other.
const FEW: usize = 4;
