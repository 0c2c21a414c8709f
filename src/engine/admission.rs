//! Who asks to come in and is to be asked about, and who is refused: what is done with the answer, and when.

use super::notes::Note;
use super::session::Session;
use super::timers::Timer;
use super::{Engine, Phase, Slot};
use crate::failure::Failure;
use crate::hub::Effects;
use crate::security::{Answer, Asked, Claim, Credentials, Verdict};
use crate::transport::Net;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

impl<N: Net> Engine<N> {
    /// Asks, elsewhere, whether a peer may come in.
    pub(super) fn ask(&mut self, token: usize, authoriser: Arc<Asked>, credentials: Credentials) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let address = Arc::clone(&entry.remote);
        let (seat, session) = (Arc::downgrade(&self.seat), Arc::downgrade(&entry.session));
        let asking = Weak::clone(&session);
        let answer = Answer::new(move |verdict| {
            if let (Some(seat), Some(session)) = (seat.upgrade(), session.upgrade()) {
                let _is_live = seat.note(Note::Judged(session, verdict));
            }
        });
        // If too much waits, or a panic ends it, dropping the answer turns the peer away.
        let _is_taken = self.net.run_aside(Box::new(move || {
            // Of who has gone meanwhile, with its context perhaps, nobody is asked.
            if asking.strong_count() > 0 {
                authoriser.authorise(Claim { credentials, address }, answer);
            }
        }));
    }

    /// It was decided.
    pub(super) fn judged(&mut self, session: &Arc<Session<N>>, verdict: Verdict, now: Instant, effects: &mut Effects) {
        let token = session.token;
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if !Arc::ptr_eq(&entry.session, session) {
            return;
        }
        match verdict {
            Verdict::Deny(why) if entry.station.local().role.has_passwords() => self.deny(token, why, now),
            verdict => match session.judged(verdict) {
                Ok(()) => {
                    entry.wants_read = true;
                    entry.wants_write = true;
                    self.serve(token, now, effects);
                }
                Err(failure) => self.read_ended(token, failure, now, effects),
            },
        }
    }

    /// It has shown a wrong password. It is not told so before a while has passed, in which it counts as one that is in its
    /// handshake, and holds nobody up.
    pub(super) fn deny(&mut self, token: usize, why: String, now: Instant) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if entry.phase == Phase::Handshake {
            entry.phase = Phase::Denied;
            // However it ends now, that is why.
            entry.failure = Some(Box::new(Failure::NotAdmitted { why }));
            self.timers.clear(token, Timer::Handshake);
            self.timers.set(token, Timer::Denial, now.checked_add(DENIAL));
        }
    }

    /// It is told.
    pub(super) fn tell_denied(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        match entry.failure.take().map(|failure| *failure) {
            Some(Failure::NotAdmitted { why }) if entry.phase == Phase::Denied => {
                entry.phase = Phase::Handshake;
                if let Err(failure) = entry.session.judged(Verdict::Deny(why)) {
                    self.read_ended(token, failure, now, effects);
                }
            }
            other => self.end(token, other.unwrap_or(Failure::ClosedByPeer), now, effects),
        }
    }
}

/// How long who has shown a wrong password waits to be told so.
const DENIAL: Duration = Duration::from_millis(100);
