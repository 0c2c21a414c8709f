//! How a peer that vanished without a word is noticed, beside what TCP does.

use super::{InvalidOptions, Options};
use std::time::Duration;

/// When peers are PINGed, and how long they may take to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Interval,
    timeout: Option<Duration>,
    time_to_live: Duration,
}

/// How often peers are PINGed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    /// [`INTERVAL`], but only those that say they beat while they do not read.
    WhoBeats,
    Every(Duration),
    Never,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat {
            interval: Interval::WhoBeats,
            timeout: None,
            time_to_live: Duration::ZERO,
        }
    }
}

impl Heartbeat {
    /// How often a peer is PINGed; `None`: never.
    pub(crate) fn interval(&self, beats: bool) -> Option<Duration> {
        match self.interval {
            Interval::Every(interval) => Some(interval),
            Interval::WhoBeats if beats => Some(INTERVAL),
            Interval::WhoBeats | Interval::Never => None,
        }
    }

    /// How long a peer that was PINGed may say nothing; `None`: as long as it likes, for it is not PINGed.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let interval = match self.interval {
            Interval::Never => return None,
            Interval::WhoBeats => INTERVAL,
            Interval::Every(interval) => interval,
        };
        Some(self.timeout.unwrap_or_else(|| interval.saturating_mul(2)))
    }

    /// How long a peer may hear nothing of us, in tenths of a second, as a PING has it; 0: as long as it likes.
    pub(crate) fn deciseconds(&self) -> u16 {
        deciseconds(self.time_to_live).unwrap_or(u16::MAX)
    }

    pub(super) fn check(&self) -> Result<(), InvalidOptions> {
        let too_short = |option| InvalidOptions::TooShort { option, least: LEAST };
        if matches!(self.interval, Interval::Every(interval) if interval < LEAST) {
            return Err(too_short("heartbeat"));
        }
        if self.timeout.is_some_and(|timeout| timeout < LEAST) {
            return Err(too_short("heartbeat_timeout"));
        }
        match deciseconds(self.time_to_live) {
            Some(_) => Ok(()),
            None => Err(InvalidOptions::TooLong {
                option: "heartbeat_ttl",
                most: Duration::from_millis(100 * u64::from(u16::MAX)),
            }),
        }
    }
}

impl Options {
    /// Sets how often every connected peer is asked for a sign of life (PING,
    /// [RFC 37](https://rfc.zeromq.org/spec/37/)). At least 1 ms. Default: every 5 s, and only peers of this library,
    /// for they give signs of life also while they do not read; the others are left to
    /// [`keepalive`](Options::keepalive).
    ///
    /// A peer that says nothing within [`heartbeat_timeout`](Options::heartbeat_timeout) of a PING is disconnected
    /// ([`Failure::TimedOut`](crate::Failure::TimedOut)); any byte counts. While this socket does not read, because it
    /// is at its own [`recv_mark`](Options::recv_mark), it does not judge, and PINGs all the same. Peers that speak
    /// ZMTP 3.0, which has no PING, are not asked. Over inproc there is nothing to ask: nothing is lost in between. All types
    /// but STREAM.
    ///
    /// Set, it is for all peers, also those of libzmq. **libzmq does not answer while it is at its receive mark**: a
    /// slow peer is then disconnected although it lives, and what was on its way to it is lost.
    ///
    /// A PING that was answered also tells how long that took
    /// ([`PeerStats::round_trip`](crate::PeerStats::round_trip)), and that all that was written before it has arrived
    /// ([`Event::Disconnected`](crate::Event::Disconnected)).
    ///
    /// Longer: a peer that is gone is noticed later. Shorter: more packets on idle connections, and a network that is
    /// down for a moment, or a peer that is busy or stopped for one, ends them.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat.interval = Interval::Every(interval);
        self.note("heartbeat")
    }

    /// Switches PINGs off, also to peers of this library. Those of peers are answered all the same.
    ///
    /// A peer that vanished without a word is then noticed by [`keepalive`](Options::keepalive) alone, which proves
    /// only that its system is there: a peer that hangs, or is behind a proxy that lives, keeps its connection.
    pub fn no_heartbeat(mut self) -> Self {
        self.heartbeat.interval = Interval::Never;
        self
    }

    /// Sets how long a peer that was PINGed may say nothing before it is disconnected. At least 1 ms. Default: two
    /// intervals, so that one lost packet and its repetition are not an end.
    ///
    /// Runs from a PING on, until any byte comes: a peer that vanishes is noticed after this and one interval at the
    /// latest.
    ///
    /// Longer: a peer that is gone is noticed later. Shorter: a slow or busy peer is taken for one that is gone.
    pub fn heartbeat_timeout(mut self, limit: Duration) -> Self {
        self.heartbeat.timeout = Some(limit);
        self.note("heartbeat_timeout")
    }

    /// Tells peers, in each PING, to disconnect this socket if they hear nothing more from it for so long. Rounded up
    /// to tenths of a second; 6,553.5 s at most. Default zero: they are told nothing. What peers tell is always done.
    ///
    /// For peers that do not PING by themselves. Longer: they keep a connection to a socket that is gone. Shorter than
    /// the interval of [`heartbeat`](Options::heartbeat): they disconnect a socket that lives.
    pub fn heartbeat_ttl(mut self, time: Duration) -> Self {
        self.heartbeat.time_to_live = time;
        self.note("heartbeat_ttl")
    }
}

/// A time in tenths of a second, rounded up; `None`: it does not fit.
fn deciseconds(time: Duration) -> Option<u16> {
    u16::try_from(time.as_nanos().div_ceil(100_000_000)).ok()
}

/// A shorter time is no time that a loop can keep.
pub(super) const LEAST: Duration = Duration::from_millis(1);
/// A vanished peer is noticed after three of them, half the time that TCP keepalive takes by default, for a packet and its
/// answer in five seconds.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket_type::SocketType::Push;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_time_to_live_is_rounded_up_to_tenths_of_a_second_and_has_16_bits() {
        let of = |time| deciseconds(ms(time));
        assert_eq!([of(0), of(1), of(100), of(101)], [Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!([of(6_553_500), of(6_553_501)], [Some(u16::MAX), None]);
        assert_eq!(deciseconds(Duration::MAX), None);
    }

    /// T38: the range of the option.
    #[test]
    fn t38_what_does_not_fit_is_refused_by_its_name_and_limit() {
        let check = |options: Options| options.check(Push).map_err(|refused| refused.to_string());
        assert_eq!(check(Options::default().heartbeat_ttl(ms(6_553_500))), Ok(()));
        assert_eq!(
            check(Options::default().heartbeat_ttl(ms(6_553_501))).unwrap_err(),
            "heartbeat_ttl must be at most 6553.5s"
        );
        assert_eq!(
            check(Options::default().heartbeat(ms(0))).unwrap_err(),
            "heartbeat must be at least 1ms"
        );
        assert_eq!(
            check(Options::default().heartbeat_timeout(ms(0))).unwrap_err(),
            "heartbeat_timeout must be at least 1ms"
        );
    }

    #[test]
    fn who_does_not_say_that_it_beats_is_asked_only_if_that_was_set() {
        let default = Options::default().heartbeat;
        assert_eq!(
            [default.interval(true), default.interval(false)],
            [Some(ms(5_000)), None]
        );
        assert_eq!(default.timeout(), Some(ms(10_000)));
        let set = Options::default().heartbeat(ms(70)).heartbeat;
        assert_eq!([set.interval(true), set.interval(false)], [Some(ms(70)); 2]);
        assert_eq!(set.timeout(), Some(ms(140)));
        let off = Options::default().no_heartbeat().heartbeat;
        assert_eq!([off.interval(true), off.interval(false), off.timeout()], [None; 3]);
    }
}
