//! Whether a peer is still there: when it is asked, and how long it may say nothing.
//!
//! A value: told what time it is and how many signs of life there were, it says what to do. Any byte is a sign. While we
//! do not read we cannot know, and do not judge; but the peer then hears from us oftener than it has patience.

use super::timers::Timer;
use super::{Engine, Phase, Slot};
use crate::failure::Failure;
use crate::hub::Effects;
use crate::options::Heartbeat;
use crate::transport::Net;
use crate::wire::{Heard, Ping, Pulse};
use std::time::{Duration, Instant};

/// What is asked of a peer that is to prove that it lives.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// How often it is asked.
    interval: Option<Duration>,
    /// How often it is to hear from us while we do not read.
    interval_paused: Option<Duration>,
    timeout: Duration,
    time_to_live: u16,
    next_beat: Option<Instant>,
    /// Of the PING that is out, or will be next.
    number: u32,
    /// The PING that is out. It is repeated with each beat, so that an answer that takes longer than that is known too.
    asked: Option<Asked>,
    /// It was PINGed.
    beat: Option<Wait>,
    /// It is doubted.
    challenge: Option<Wait>,
    /// It wants to be given up.
    time_to_live_left: Option<Wait>,
}

/// A PING of which no answer has come.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    /// We have not read all the time since: how long the answer took is not known.
    was_paused: bool,
}

/// What was heard of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signs {
    /// Reads that brought something, and ends of pauses; only grows.
    pub(crate) count: u64,
    /// We do not read: there is no room for what it sends.
    pub(crate) is_paused: bool,
}

/// What a peer is to hear from us now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    Ask(Ping),
    /// It is not asked, and wants to hear something.
    Tell,
}

/// A wait for a sign of life.
#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    limit: Duration,
    /// Signs until then.
    count: u64,
}

impl Wait {
    /// Ends or puts off a wait; tells how long the peer was silent, if it was for too long.
    fn look(wait: &mut Option<Wait>, now: Instant, signs: Signs) -> Result<(), Duration> {
        match wait {
            Some(it) if it.count != signs.count => *wait = None,
            Some(it) if signs.is_paused => it.since = now,
            Some(it) if now.saturating_duration_since(it.since) >= it.limit => return Err(it.limit),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.since.checked_add(self.limit)
    }
}

impl Life {
    /// Its connection is ready.
    fn begin(&mut self, now: Instant, ours: &Heartbeat, theirs: Pulse) {
        self.interval = ours.interval(theirs.beats);
        self.timeout = ours.timeout().unwrap_or(Duration::MAX);
        self.time_to_live = ours.deciseconds();
        self.interval_paused = theirs.patience.map(|patience| (patience / 3).max(SHORTEST));
        self.next_beat = self.interval.and_then(|interval| now.checked_add(interval));
    }

    /// We do not read for now: it may ask, and get no answer. `false`: it hears from us early enough as it is.
    fn pause(&mut self, now: Instant) -> bool {
        if let Some(asked) = &mut self.asked {
            asked.was_paused = true;
        }
        let soon = self.interval_paused.and_then(|interval| now.checked_add(interval));
        let is_sooner = soon.is_some_and(|soon| self.next_beat.is_none_or(|next| soon < next));
        if is_sooner {
            self.next_beat = soon;
        }
        is_sooner
    }

    /// From now on it has a second to say something. `false`: it has less, for it was asked before.
    fn challenge(&mut self, now: Instant, signs: Signs) -> bool {
        let is_new = self.challenge.is_none_or(|wait| wait.count != signs.count);
        if is_new {
            self.challenge = Some(Wait {
                since: now,
                limit: CHALLENGE,
                count: signs.count,
            });
        }
        is_new
    }

    /// It wants to be given up if nothing more is heard for so long.
    fn limit(&mut self, now: Instant, limit: Duration, signs: Signs) {
        self.time_to_live_left = Some(Wait {
            since: now,
            limit,
            count: signs.count,
        });
    }

    /// The PING that it is asked with now.
    fn ask(&mut self, now: Instant, signs: Signs) -> Ping {
        let asked = self.asked.get_or_insert(Asked {
            at: now,
            was_paused: false,
        });
        asked.was_paused |= signs.is_paused;
        Ping {
            time_to_live: self.time_to_live,
            number: self.number,
        }
    }

    /// It answered this PING. `None`: it is not the one that is out. Tells how long it took, if that is known.
    fn answered(&mut self, number: u32, now: Instant) -> Option<Option<Duration>> {
        let asked = self.asked.filter(|_| number == self.number)?;
        self.asked = None;
        self.number = self.number.wrapping_add(1);
        Some((!asked.was_paused).then(|| now.saturating_duration_since(asked.at)))
    }

    /// When to look again.
    fn deadline(&self) -> Option<Instant> {
        let waits = [&self.beat, &self.challenge, &self.time_to_live_left];
        let deadlines = waits.into_iter().flatten().filter_map(Wait::deadline);
        deadlines.chain(self.next_beat).min()
    }

    /// What is due: something that it is to hear, or the end, with how long it was silent.
    fn look(&mut self, now: Instant, signs: Signs) -> Result<Option<Beat>, Duration> {
        for wait in [&mut self.beat, &mut self.challenge, &mut self.time_to_live_left] {
            Wait::look(wait, now, signs)?;
        }
        if self.next_beat.is_none_or(|next| now < next) {
            return Ok(None);
        }
        let shorter = self.interval_paused.filter(|_| signs.is_paused);
        let interval = self.interval.into_iter().chain(shorter).min();
        self.next_beat = interval.and_then(|interval| now.checked_add(interval));
        if self.interval.is_none() {
            return Ok(signs.is_paused.then_some(Beat::Tell));
        }
        self.beat.get_or_insert(Wait {
            since: now,
            limit: self.timeout,
            count: signs.count,
        });
        Ok(Some(Beat::Ask(self.ask(now, signs))))
    }
}

impl<N: Net> Engine<N> {
    /// A session came to traffic.
    pub(super) fn begin_life(&mut self, token: usize, pulse: Pulse, now: Instant) {
        if let Some(Slot::Session(entry)) = self.slots.get_mut(token) {
            let ours = &entry.station.options().heartbeat;
            if entry.session.is_pingable() {
                let life = entry.life.get_or_insert_default();
                life.begin(now, ours, pulse);
                self.timers.set(token, Timer::Life, life.deadline());
            }
        }
    }

    /// What its last reads say of a peer's heart.
    pub(super) fn heard(&mut self, token: usize, heard: Heard, is_paused: bool, now: Instant) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if heard.time_to_live.is_some() {
            entry.life.get_or_insert_default();
        }
        let (session, Some(life)) = (&entry.session, &mut entry.life) else {
            return;
        };
        if let Some(number) = heard.answered
            && let Some(took) = life.answered(number, now)
        {
            session.was_answered();
            if let (Some(peer), Some(took)) = (session.peer(), took) {
                entry.station.round_trip(peer, took);
            }
        }
        let mut has_changed = is_paused && life.pause(now);
        if let Some(limit) = heard.time_to_live {
            life.limit(now, limit, session.signs());
            has_changed = true;
        }
        if has_changed && entry.phase == Phase::Traffic {
            self.timers.set(token, Timer::Life, life.deadline());
        }
    }

    /// A session is to end unless its peer says something soon.
    pub(super) fn challenge(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let session = &entry.session;
        let signs = session.signs();
        let Some(life) = entry.life.as_mut().filter(|_| session.is_pingable()) else {
            return;
        };
        if entry.phase != Phase::Traffic || !life.challenge(now, signs) {
            return;
        }
        session.ping(life.ask(now, signs));
        entry.wants_write = true;
        self.timers.set(token, Timer::Life, life.deadline());
        self.serve(token, now, effects);
    }

    /// A peer is to be asked, or may have been silent for too long.
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
        let session = &entry.session;
        if entry.phase != Phase::Traffic || session.is_hung_up() {
            // It says no more and waits for nothing. What it said before lies unread, and a PING to a stream that is closed
            // could have the system throw it away.
            return;
        }
        let Some(life) = &mut entry.life else { return };
        match life.look(now, session.signs()) {
            Ok(beat) => {
                match beat {
                    Some(Beat::Ask(ping)) => session.ping(ping),
                    Some(Beat::Tell) => session.tell(),
                    None => {}
                }
                self.timers.set(token, Timer::Life, life.deadline());
                if beat.is_some() {
                    entry.wants_write = true;
                    self.serve(token, now, effects);
                }
            }
            Err(limit) => {
                let what = "a sign of life";
                self.end(token, Failure::TimedOut { what, limit }, now, effects);
            }
        }
    }
}

/// How long a peer that is challenged has.
const CHALLENGE: Duration = Duration::from_secs(1);
/// However little patience a peer says to have, it does not hear from us oftener.
const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Options;

    const fn heard(count: u64) -> Signs {
        Signs {
            count,
            is_paused: false,
        }
    }

    const fn paused(count: u64) -> Signs {
        Signs { count, is_paused: true }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A peer of this library that has a second of patience.
    fn begun(start: Instant, options: Options) -> Life {
        let pulse = Pulse {
            beats: true,
            patience: Some(ms(1_200)),
        };
        let mut life = Life::default();
        life.begin(start, &options.heartbeat, pulse);
        life
    }

    fn ask(number: u32) -> Result<Option<Beat>, Duration> {
        let time_to_live = 0;
        Ok(Some(Beat::Ask(Ping { time_to_live, number })))
    }

    #[test]
    fn a_peer_is_asked_in_intervals_and_any_sign_is_enough() {
        let start = Instant::now();
        let mut life = begun(start, Options::default().heartbeat(ms(1_000)));
        assert_eq!(life.deadline(), Some(start + ms(1_000)));
        assert_eq!(life.look(start + ms(999), heard(3)), Ok(None));
        assert_eq!(life.look(start + ms(1_000), heard(3)), ask(0));
        assert_eq!(
            life.look(start + ms(2_000), heard(4)),
            ask(0),
            "the same, for nothing has answered it"
        );
        assert_eq!(life.answered(1, start + ms(2_100)), None);
        assert_eq!(life.answered(0, start + ms(2_100)), Some(Some(ms(1_100))));
        assert_eq!(life.answered(0, start + ms(2_100)), None, "once");
        assert_eq!(
            life.look(start + ms(3_000), heard(4)),
            ask(1),
            "silent for one interval"
        );
        assert_eq!(life.look(start + ms(3_999), heard(4)), Ok(None));
        assert_eq!(life.look(start + ms(4_000), heard(4)), Err(ms(2_000)));
    }

    #[test]
    fn while_we_do_not_read_we_beat_oftener_and_do_not_judge() {
        let start = Instant::now();
        let mut life = begun(start, Options::default().heartbeat(ms(1_000)));
        assert!(life.pause(start + ms(100)));
        assert!(!life.pause(start + ms(101)), "it is soon enough");
        for n in 0..50 {
            let now = start + ms(500 + n * 400);
            assert_eq!(life.deadline(), Some(now));
            assert_eq!(life.look(now, paused(3)), ask(0));
        }
        let last = start + ms(500 + 50 * 400);
        assert_eq!(life.answered(0, last), Some(None), "how long it took is not known");
        assert_eq!(life.look(last, heard(4)), ask(1));
        assert_eq!(
            life.look(last + ms(999), heard(4)),
            Ok(None),
            "the usual interval again"
        );
    }

    #[test]
    fn a_peer_that_is_not_asked_still_hears_that_we_live_while_we_do_not_read() {
        let start = Instant::now();
        let mut life = begun(start, Options::default().no_heartbeat());
        assert_eq!(life.deadline(), None);
        assert!(life.pause(start));
        assert_eq!(life.look(start + ms(400), paused(0)), Ok(Some(Beat::Tell)));
        assert_eq!(life.look(start + ms(800), heard(1)), Ok(None));
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn a_peer_that_wants_to_be_given_up_is() {
        let start = Instant::now();
        let mut life = Life::default();
        life.limit(start, ms(300), heard(1));
        assert_eq!(life.deadline(), Some(start + ms(300)));
        assert_eq!(life.look(start + ms(300), heard(1)), Err(ms(300)));
        assert_eq!(
            life.look(start + ms(300), heard(2)),
            Ok(None),
            "something more was heard"
        );
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn a_challenged_peer_has_a_second_and_any_sign_is_enough() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut life = Life::default();
        assert!(life.challenge(start, heard(3)));
        assert!(!life.challenge(at(900), heard(3)), "it gets no second second");
        assert_eq!(life.deadline(), Some(at(1_000)));
        assert_eq!(life.look(at(999), heard(3)), Ok(None));
        assert_eq!(life.look(at(1_000), heard(3)), Err(CHALLENGE));

        assert_eq!(life.look(at(1_000), heard(4)), Ok(None));
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn while_we_do_not_read_the_second_does_not_run() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut life = Life::default();
        life.challenge(start, paused(3));
        assert_eq!(life.look(at(60_000), paused(3)), Ok(None));
        assert_eq!(life.deadline(), Some(at(61_000)));
        assert_eq!(life.look(at(61_000), heard(3)), Err(CHALLENGE));
    }
}
