//! Whether a peer is still there: how long it may say nothing once it was asked.
//!
//! A value: told what time it is and how many signs of life there were, it says whether the wait is over. Any byte is
//! a sign. While we do not read we cannot know, and do not judge.

use super::timers::Timer;
use super::{Engine, Phase, Slot};
use crate::failure::Failure;
use crate::hub::Effects;
use crate::transport::Net;
use crate::wire::Ping;
use std::time::{Duration, Instant};

/// What is asked of a peer that is to prove that it lives.
#[derive(Debug, Default)]
pub(super) struct Life {
    challenge: Option<Wait>,
}

/// What was heard of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signs {
    /// Reads that brought something, and ends of pauses; only grows.
    pub(crate) count: u64,
    /// We do not read: there is no room for what it sends.
    pub(crate) is_paused: bool,
}

/// A wait for a sign of life.
#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    limit: Duration,
    /// Signs until then.
    count: u64,
}

impl Life {
    /// From now on it has a second to say something. `false`: it has less, for it was asked before.
    fn challenge(&mut self, now: Instant, signs: Signs) -> bool {
        if self.challenge.is_some_and(|wait| wait.count == signs.count) {
            return false;
        }
        self.challenge = Some(Wait {
            since: now,
            limit: CHALLENGE,
            count: signs.count,
        });
        true
    }

    /// When to look again.
    fn deadline(&self) -> Option<Instant> {
        self.challenge.and_then(|wait| wait.since.checked_add(wait.limit))
    }

    /// Ends waits that are over; tells how long the peer was silent, if it was for too long.
    fn look(&mut self, now: Instant, signs: Signs) -> Result<(), Duration> {
        match &mut self.challenge {
            Some(wait) if wait.count != signs.count => self.challenge = None,
            Some(wait) if signs.is_paused => wait.since = now,
            Some(wait) if now.saturating_duration_since(wait.since) >= wait.limit => return Err(wait.limit),
            _ => {}
        }
        Ok(())
    }
}

impl<N: Net> Engine<N> {
    /// A session is to end unless its peer says something soon.
    pub(super) fn challenge(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let session = &entry.session;
        if entry.phase != Phase::Traffic || !session.is_pingable() || !entry.life.challenge(now, session.signs()) {
            return;
        }
        session.ping(Ping {
            time_to_live: 0,
            number: 0,
        });
        entry.wants_write = true;
        self.timers.set(token, Timer::Life, entry.life.deadline());
        self.serve(token, now, effects);
    }

    /// A peer may have been silent for too long.
    pub(super) fn look_for_life(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        // What lies in the kernel unread is a sign of life too: this process may have been stopped for a while.
        entry.wants_read = true;
        self.serve(token, now, effects);
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if entry.phase != Phase::Traffic {
            return;
        }
        match entry.life.look(now, entry.session.signs()) {
            Ok(()) => self.timers.set(token, Timer::Life, entry.life.deadline()),
            Err(limit) => {
                let what = "a sign of life";
                self.end(token, Failure::TimedOut { what, limit }, now, effects);
            }
        }
    }
}

/// How long a peer that is challenged has.
const CHALLENGE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn heard(count: u64) -> Signs {
        Signs {
            count,
            is_paused: false,
        }
    }

    #[test]
    fn a_challenged_peer_has_a_second_and_any_sign_is_enough() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut life = Life::default();
        assert!(life.challenge(start, heard(3)));
        assert!(!life.challenge(at(900), heard(3)), "it gets no second second");
        assert_eq!(life.deadline(), Some(at(1_000)));
        assert_eq!(life.look(at(999), heard(3)), Ok(()));
        assert_eq!(life.look(at(1_000), heard(3)), Err(CHALLENGE));

        assert_eq!(life.look(at(1_000), heard(4)), Ok(()));
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn while_we_do_not_read_the_second_does_not_run() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let paused = Signs {
            count: 3,
            is_paused: true,
        };
        let mut life = Life::default();
        life.challenge(start, paused);
        assert_eq!(life.look(at(60_000), paused), Ok(()));
        assert_eq!(life.deadline(), Some(at(61_000)));
        assert_eq!(life.look(at(61_000), heard(3)), Err(CHALLENGE));
    }
}
