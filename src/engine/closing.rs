//! An orderly end: flush, shut our side, read to the peer's end or the deadline, then close.

use super::timers::Timer;
use super::{Engine, Member, Owner, Phase, Slot};
use crate::failure::Failure;
use crate::hub::{Effects, Link, Station};
use crate::transport::Net;
use std::sync::Arc;
use std::time::Instant;

impl<N: Net> Engine<N> {
    /// A socket closes: nothing new comes in, what is queued goes out until the deadline.
    pub(super) fn close(
        &mut self,
        station: &Arc<dyn Station>,
        lingering: Option<usize>,
        deadline: Option<Instant>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let key = station.key();
        let member = self.members.entry(key).or_insert_with(|| Member::new(station));
        member.is_closing = true;
        member.lingering = lingering;
        let tokens: Vec<usize> = member.tokens.iter().copied().collect();
        for token in tokens {
            match self.slots.get_mut(token) {
                Some(Slot::Listener(_)) => self.drop_listener(token, effects),
                Some(Slot::Alarm(_)) => self.drop_alarm(token, effects),
                Some(Slot::Dialer(_)) => self.end_dialer(token, deadline, now, effects),
                Some(Slot::Session(entry)) if matches!(entry.owner, Owner::Listener(_)) => {
                    self.end_orderly(token, deadline, now, effects);
                }
                _ => {}
            }
        }
        self.forget_if_empty(key, effects);
    }

    /// Severs these at the deadline, unless they are over by then. Gives the slot in which they wait for it.
    pub(super) fn linger(&mut self, links: Vec<Arc<dyn Link>>, deadline: Option<Instant>) -> Option<usize> {
        if links.is_empty() || deadline.is_none() {
            return None;
        }
        let token = self.slots.insert(Slot::Lingering(links));
        self.timers.set(token, Timer::Linger, deadline);
        Some(token)
    }

    /// The loop goes: ends everything at once.
    pub(crate) fn close_all(&mut self, now: Instant, effects: &mut Effects) {
        let stations: Vec<_> = self
            .members
            .values()
            .map(|member| Arc::clone(&member.station))
            .collect();
        for station in stations {
            station.begin_close(effects);
            self.close(&station, None, Some(now), now, effects);
            station.expire(effects);
        }
    }

    /// The application has ended a raw stream, and all that was before that is written: the rest goes in good order, and a
    /// dialer does not connect again.
    pub(super) fn end_as_asked(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let deadline = now.checked_add(entry.station.options().linger);
        match entry.owner {
            Owner::Dialer(dialer) => self.end_dialer(dialer, deadline, now, effects),
            Owner::Listener(_) => self.end_orderly(token, deadline, now, effects),
        }
    }

    /// Ends a session in good order.
    pub(super) fn end_orderly(&mut self, token: usize, deadline: Option<Instant>, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if let Some(peer) = entry.session.peer() {
            entry.station.retire(peer, effects);
        }
        let is_late = deadline.is_some_and(|deadline| deadline <= now);
        let is_idle = match entry.owner {
            Owner::Listener(_) => entry.session.peer().is_none(),
            Owner::Dialer(_) => false,
        };
        match entry.phase {
            _ if is_late || is_idle => self.end(token, Failure::ClosedHere, now, effects),
            Phase::Connecting | Phase::Proxy | Phase::Handshake | Phase::Denied => {
                // It goes on while something waits for the peer, which the owner knows.
                if let Owner::Dialer(dialer) = entry.owner {
                    let has_queue = matches!(self.slots.get_mut(dialer), Some(Slot::Dialer(it)) if it.station.outgoing(it.peer) > 0);
                    if has_queue {
                        self.timers.set(token, Timer::Linger, deadline);
                    } else {
                        self.end(token, Failure::ClosedHere, now, effects);
                    }
                }
            }
            Phase::Traffic => {
                entry.phase = Phase::Ending;
                entry.session.end_when_flushed();
                entry.wants_write = true;
                self.timers.set(token, Timer::Linger, deadline);
                self.serve(token, now, effects);
            }
            Phase::Ending => {}
        }
    }
}
