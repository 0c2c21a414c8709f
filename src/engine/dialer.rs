//! The active side of an endpoint: reaches it, and reaches it again.
//!
//! A value that says what is to be done next; the engine does it. The wait between two attempts doubles from the shortest to
//! the longest, each varied by a quarter so that many peers do not come back in step, and starts over once a
//! connection has been ready for as long as the longest. A peer that takes every connection and cuts it (what it is told
//! is over a limit of its own) is so reached about once in the longest wait, whether a connection to it lasts or not.
//! A dialer that is to go, and has something left for its peer, waits a moment only: who comes within the linger time is met.

use crate::endpoint::{Endpoint, Host, Kind};
use crate::failure::{Failure, PROXY_REFUSED, Stage};
use crate::hub::Station;
use crate::options::{Reconnect, StopDialing};
use crate::routing::PeerId;
use crate::transport::Address;
use crate::transport::socks5::Socks5;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One endpoint that a socket is to be connected to.
pub(crate) struct Dialer {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) station: Arc<dyn Station>,
    pub(crate) peer: PeerId,
    pub(crate) state: Dialing,
    /// It is to go once nothing is queued for its peer, or at this time.
    pub(crate) ending: Option<Ending>,
    /// Addresses of this attempt that were not tried yet.
    addresses: VecDeque<Address>,
    /// Waits since a connection was last ready for long.
    waits: u32,
    /// Since when the last connection was ready, until it ends.
    ready_since: Option<Instant>,
    /// Attempts since a connection was last ready.
    pub(crate) attempts: u32,
    /// When the next one begins, while that is waited for.
    pub(crate) next_attempt: Option<Instant>,
    /// How far the last connection or attempt that failed had come, and why it failed.
    pub(crate) last_failure: Option<(Stage, Failure)>,
}

/// What a dialer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialing {
    /// Its turn to begin.
    Idle,
    /// The resolver.
    Resolving,
    /// This session: to come about, or to end.
    Connected { session: usize },
    /// Its timer.
    Waiting,
    /// Nothing: trying again cannot help.
    Stopped,
}

/// Until when what ends may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// `None`: for ever.
    pub(crate) deadline: Option<Instant>,
}

/// How an attempt begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The addresses are known.
    Connect,
    /// This name is to be looked up.
    Resolve { host: String, port: u16 },
}

impl Dialer {
    pub(crate) fn new(station: Arc<dyn Station>, peer: PeerId, endpoint: Endpoint) -> Self {
        Dialer {
            endpoint: Arc::new(endpoint),
            station,
            peer,
            state: Dialing::Idle,
            ending: None,
            addresses: VecDeque::new(),
            waits: 0,
            ready_since: None,
            attempts: 0,
            next_attempt: None,
            last_failure: None,
        }
    }

    /// Where connections are made to: the endpoint, or the proxy on the way to it.
    pub(crate) fn first_stop(&self) -> Endpoint {
        match (self.endpoint.kind(), &self.station.options().transport.socks5) {
            (Kind::Tcp(_), Some(proxy)) => proxy
                .endpoint
                .clone()
                .unwrap_or_else(|_| Endpoint::clone(&self.endpoint)),
            _ => Endpoint::clone(&self.endpoint),
        }
    }

    /// What is to be said to the proxy on the way to the endpoint.
    pub(crate) fn through(&self) -> Option<Socks5> {
        match (self.endpoint.kind(), &self.station.options().transport.socks5) {
            (Kind::Tcp(tcp), Some(proxy)) => Some(Socks5::new(tcp.clone(), proxy.credentials.clone())),
            _ => None,
        }
    }

    fn source(&self) -> Option<SocketAddr> {
        match self.endpoint.kind() {
            Kind::Tcp(at) | Kind::Udp(at) => at.source,
            _ => None,
        }
    }

    /// Begins an attempt. Names are looked up anew each time.
    pub(crate) fn begin(&mut self) -> Begin {
        self.addresses.clear();
        self.attempts = self.attempts.saturating_add(1);
        match self.first_stop().kind() {
            Kind::Tcp(at) | Kind::Udp(at) => match &at.host {
                Host::Name(host) => {
                    self.state = Dialing::Resolving;
                    return Begin::Resolve {
                        host: host.clone(),
                        port: at.port,
                    };
                }
                _ => {
                    let address = at.address().map(|to| self.address(to));
                    self.addresses.extend(address);
                }
            },
            Kind::Ipc(path) => self.addresses.push_back(Address::Ipc(path.clone())),
            Kind::Inproc(_) => {}
        }
        Begin::Connect
    }

    /// A name was looked up: all its addresses are tried, in order.
    pub(crate) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses.into_iter().map(|to| self.address(to)).collect();
    }

    fn address(&self, to: SocketAddr) -> Address {
        let from = self.source();
        match self.endpoint.kind() {
            Kind::Udp(_) => Address::Udp { to, from },
            _ => Address::Tcp { to, from },
        }
    }

    /// The next address of this attempt.
    pub(crate) fn next_address(&mut self) -> Option<Address> {
        self.addresses.pop_front()
    }

    /// A connection is ready.
    pub(crate) fn was_ready(&mut self, now: Instant) {
        self.ready_since = Some(now);
        self.attempts = 0;
        self.addresses.clear();
    }

    /// The connection ended. If it was ready for long, the next wait is a short one.
    pub(crate) fn was_lost(&mut self, now: Instant) {
        let long = self.station.options().reconnect.max.min(LONG);
        if let Some(since) = self.ready_since.take()
            && now.saturating_duration_since(since) >= long
        {
            self.waits = 0;
        }
    }

    /// How long to wait now.
    pub(crate) fn next_wait(&mut self, chance: u64) -> Duration {
        let wait = self.wait(chance);
        self.waits = self.waits.saturating_add(1);
        wait
    }

    fn wait(&self, chance: u64) -> Duration {
        let reconnect = self.station.options().reconnect;
        match self.ending {
            Some(_) => wait_after(self.waits, reconnect.at_most(LONGEST_AT_END), chance),
            None => wait_after(self.waits, reconnect, chance),
        }
    }

    /// How long to wait instead of what was planned before the dialer was to go, if that is longer. Who has refused us is not
    /// asked sooner: that is no peer that is down.
    pub(crate) fn shorter_wait(&self, now: Instant, chance: u64) -> Option<Duration> {
        let has_refused = matches!(&self.last_failure, Some((_, failure)) if failure.is_final());
        if self.state != Dialing::Waiting || has_refused {
            return None;
        }
        let wait = self.wait(chance);
        // Without a time it is further away than the clock goes.
        let planned = self.next_attempt.map(|at| at.saturating_duration_since(now));
        planned.is_none_or(|planned| wait < planned).then_some(wait)
    }
}

/// Whether a connection that came so far, and failed so, is a dialer's last.
pub(crate) fn is_last(stop: StopDialing, stage: Stage, failure: &Failure) -> bool {
    // Over ipc, where nobody is there may be nothing.
    let nobody = matches!(
        failure,
        Failure::Io {
            kind: ErrorKind::ConnectionRefused | ErrorKind::NotFound,
            ..
        } | Failure::Proxy { why: PROXY_REFUSED }
    );
    match stage {
        _ if stop.always => true,
        Stage::Connect => stop.when_refused && nobody,
        Stage::Greeting | Stage::Security | Stage::Ready => stop.when_handshake_fails,
        Stage::Traffic => false,
    }
}

/// The wait after so many waits: doubled each time, up to the longest, and varied by a quarter either way.
fn wait_after(waits: u32, reconnect: Reconnect, chance: u64) -> Duration {
    let doubled = reconnect
        .min
        .saturating_mul(1u32.checked_shl(waits).unwrap_or(u32::MAX));
    let wait = doubled.min(reconnect.max);
    // 0 to 1/2 of the wait, from the upper bits of chance.
    let part = u32::try_from(chance >> 40).unwrap_or(0);
    let vary = wait.mul_f64(f64::from(part) / f64::from(1u32 << 24) / 2.0);
    (wait - wait / 4).saturating_add(vary)
}

impl Reconnect {
    /// The same, with no wait longer than this but for the variation.
    fn at_most(self, limit: Duration) -> Self {
        Reconnect {
            min: self.min.min(limit),
            max: self.max.min(limit),
        }
    }
}

/// The longest wait of a dialer that is to go; a quarter more, by the variation, is 500 ms. Ten attempts within the usual
/// linger time: the last of them near enough to its end, and few enough for a machine on which thousands close.
const LONGEST_AT_END: Duration = Duration::from_millis(400);
/// A connection that was ready for so long was no short one, however long the longest wait.
const LONG: Duration = Duration::from_secs(60);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const RECONNECT: Reconnect = Reconnect {
        min: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let middle = 1 << 63;
        let waits: Vec<_> = (0..8).map(|n| wait_after(n, RECONNECT, middle).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(wait_after(u32::MAX, RECONNECT, middle), RECONNECT.max);
    }

    #[test]
    fn who_is_to_go_waits_half_a_second_at_most() {
        for reconnect in [RECONNECT, RECONNECT.at_most(RECONNECT.min)] {
            let last = reconnect.at_most(LONGEST_AT_END);
            assert_eq!(last.min, reconnect.min);
            assert!(wait_after(9, last, u64::MAX) <= Duration::from_millis(500));
        }
        let max = Duration::MAX;
        let last = Reconnect { min: max, max }.at_most(LONGEST_AT_END);
        assert!(wait_after(0, last, u64::MAX) <= Duration::from_millis(500));
    }

    #[test]
    fn a_wait_for_ever_is_one() {
        let max = Duration::MAX;
        let for_ever = Reconnect { min: max, max };
        for chance in [0, 1 << 63, u64::MAX] {
            assert!(wait_after(3, for_ever, chance) > max / 2);
        }
    }

    #[test]
    fn a_dialer_stops_when_it_is_told_to() {
        let refused = Failure::io(&ErrorKind::ConnectionRefused.into());
        let (off, on) = (StopDialing::default(), true);
        let table = [
            (off, Stage::Connect, &refused, false),
            (off, Stage::Traffic, &Failure::ClosedByPeer, false),
            (StopDialing { always: on, ..off }, Stage::Connect, &refused, true),
            (
                StopDialing { always: on, ..off },
                Stage::Traffic,
                &Failure::ClosedByPeer,
                true,
            ),
            (
                StopDialing {
                    when_refused: on,
                    ..off
                },
                Stage::Connect,
                &refused,
                true,
            ),
            (
                StopDialing {
                    when_refused: on,
                    ..off
                },
                Stage::Connect,
                &Failure::ConnectedToItself,
                false,
            ),
            (
                StopDialing {
                    when_refused: on,
                    ..off
                },
                Stage::Ready,
                &refused,
                false,
            ),
            (
                StopDialing {
                    when_handshake_fails: on,
                    ..off
                },
                Stage::Greeting,
                &Failure::ClosedByPeer,
                true,
            ),
            (
                StopDialing {
                    when_handshake_fails: on,
                    ..off
                },
                Stage::Ready,
                &Failure::ClosedByPeer,
                true,
            ),
            (
                StopDialing {
                    when_handshake_fails: on,
                    ..off
                },
                Stage::Traffic,
                &Failure::ClosedByPeer,
                false,
            ),
            (
                StopDialing {
                    when_handshake_fails: on,
                    ..off
                },
                Stage::Connect,
                &refused,
                false,
            ),
        ];
        for (stop, stage, failure, is_it) in table {
            assert_eq!(is_last(stop, stage, failure), is_it, "{stop:?} {stage} {failure}");
        }
    }

    #[test]
    fn waits_vary_by_a_quarter() {
        assert_eq!(wait_after(0, RECONNECT, 0), Duration::from_millis(75));
        assert!(wait_after(0, RECONNECT, u64::MAX) <= Duration::from_millis(125));
    }
}
