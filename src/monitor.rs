//! What happened to a socket's peers, and why.
//!
//! Events are facts that came about; they ask for nothing. The receiving end is [`Monitor`](crate::Monitor).

use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage, printable};
use std::fmt;
use std::time::Duration;

/// What happened to a peer, a dialer or a listener. Told to every [`Monitor`](crate::Monitor) of its socket, in order.
///
/// Shown, it is one line for people; what a peer sent is escaped in it.
///
/// ```
/// use peermq::{Context, Event, Pull, Push};
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// let monitor = push.monitor();
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// while !matches!(monitor.recv()?, Event::Connected { .. }) {}
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A listener takes connections.
    Listening {
        /// The endpoint really bound.
        endpoint: Endpoint,
    },
    /// A listener is gone; its endpoint is free.
    Unbound {
        /// Its endpoint.
        endpoint: Endpoint,
    },
    /// A listener could not take a connection: the system has no descriptor or memory to spare. It pauses, 100 ms
    /// doubling up to 1 s, and tries again; those who connect wait in the system meanwhile.
    AcceptFailed {
        /// Its endpoint.
        endpoint: Endpoint,
        /// The system's words.
        error: String,
        /// How long it pauses.
        pause: Duration,
    },
    /// A connection is ready for messages: both sides have said READY
    /// ([RFC 37](https://rfc.zeromq.org/spec/37/)).
    Connected {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
    },
    /// An attempt did not reach the address, or found none for the name. The next address or attempt follows.
    ConnectFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: Failure,
    },
    /// A connection ended before it was ready. A dialer tries again, unless `GaveUp` follows.
    ///
    /// Of those that come and fail, not all may be told: anybody can make as many as he likes. For each listener and each
    /// kind of failure (the variant, and of limits which) the first 50 are told, and then one each second, which says how
    /// many before it were not. All are counted in
    /// [`SocketStats::failed_handshakes`](crate::SocketStats::failed_handshakes).
    HandshakeFailed {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
        /// How far it had come.
        stage: Stage,
        /// Why; [`Failure::fault`] says by whose fault.
        failure: Failure,
        /// How many before it that had come by the same listener, and failed for a reason of the same kind, were not told.
        suppressed: u64,
    },
    /// A connection that was ready ended. A dialer tries again, unless this side ended it.
    Disconnected {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
        /// Why; [`Failure::fault`] says by whose fault.
        failure: Failure,
        /// How many messages this connection had written since the last PING that was answered: the most that can be
        /// lost on their way. All of them, where the peer was not PINGed
        /// ([`Options::heartbeat`](crate::Options::heartbeat)); none over inproc, where what is written is there.
        unanswered: u64,
    },
    /// A dialer tries again after a wait.
    RetryingIn {
        /// The endpoint.
        endpoint: Endpoint,
        /// The wait.
        delay: Duration,
    },
    /// A dialer stopped: trying again cannot help as long as both sides are set up as they are. What waits for its peer
    /// goes on waiting (over inproc for another socket that binds the name).
    /// [`Options::retry_refused`](crate::Options::retry_refused) makes it try again.
    ///
    /// Or the options let it stop, [`no_reconnect`](crate::Options::no_reconnect) among them: then its peer has gone, and
    /// what waited for it was dropped and counted.
    GaveUp {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: Failure,
    },
    /// A subscriber is at its mark, and from now on misses messages
    /// ([`DropReason::SubscriberFull`](crate::DropReason::SubscriberFull)).
    SubscriberFull {
        /// Its address.
        peer: String,
    },
    /// A subscriber that has missed messages is at half of its mark, and misses none until it is full again.
    SubscriberRecovered {
        /// Its address.
        peer: String,
        /// How many it has missed.
        missed: u64,
    },
    /// A peer subscribed to a topic, or joined a group, that it may not have
    /// ([`User::limit_topics`](crate::User::limit_topics)). That was not taken; the connection goes on.
    ///
    /// Of each peer the first is told, the second, the fourth, the eighth, and so on. All are counted in
    /// [`PeerStats::refused_subscriptions`](crate::PeerStats::refused_subscriptions).
    SubscriptionRefused {
        /// Its address.
        peer: String,
        /// What it asked for: of a longer one the first 128 bytes.
        topic: Vec<u8>,
        /// How many of its subscriptions were refused, with this one.
        refused: u64,
    },
    /// A `send` begins to wait, and there is no peer at all.
    NoPeer,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { endpoint } => write!(f, "{endpoint}: listening"),
            Event::Unbound { endpoint } => write!(f, "{endpoint}: not listening any more"),
            Event::AcceptFailed { endpoint, error, pause } => {
                write!(f, "{endpoint}: cannot accept, pauses for {pause:?}: {error}")
            }
            Event::Connected { endpoint, peer } => write!(f, "{endpoint}: connected with {peer}"),
            Event::ConnectFailed { endpoint, failure } => write!(f, "{endpoint}: not connected: {failure}"),
            Event::HandshakeFailed {
                endpoint,
                peer,
                stage,
                failure,
                suppressed,
            } => {
                write!(f, "{endpoint}: no handshake with {peer} ({stage}): {failure}")?;
                match suppressed {
                    0 => Ok(()),
                    more => write!(f, " (and {more} before it that were not told)"),
                }
            }
            Event::Disconnected {
                endpoint,
                peer,
                failure,
                unanswered,
            } => write!(
                f,
                "{endpoint}: disconnected from {peer}, {unanswered} unanswered: {failure}"
            ),
            Event::RetryingIn { endpoint, delay } => write!(f, "{endpoint}: tries again in {delay:?}"),
            Event::GaveUp { endpoint, failure } => write!(f, "{endpoint}: gave up: {failure}"),
            Event::SubscriberFull { peer } => write!(f, "{peer}: misses messages, it is at its mark"),
            Event::SubscriberRecovered { peer, missed } => {
                write!(f, "{peer}: misses no more messages, {missed} so far")
            }
            Event::SubscriptionRefused { peer, topic, refused } => {
                let topic = printable(topic);
                write!(f, "{peer}: may not subscribe to \"{topic}\" ({refused} refused so far)")
            }
            Event::NoPeer => write!(f, "a call to send waits, and there is no peer"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::limit::Limit;

    #[test]
    fn an_event_is_one_line_for_people() {
        let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse().unwrap();
        let lost = Event::Disconnected {
            endpoint: endpoint.clone(),
            peer: String::from("127.0.0.1:40000"),
            failure: Failure::ClosedByPeer,
            unanswered: 3,
        };
        assert_eq!(
            lost.to_string(),
            "tcp://127.0.0.1:5555: disconnected from 127.0.0.1:40000, 3 unanswered: the peer closed the connection"
        );
        let refused = Event::HandshakeFailed {
            endpoint: endpoint.clone(),
            peer: String::from("127.0.0.1:40000"),
            stage: Stage::Greeting,
            failure: Failure::OldVersion { major: 2 },
            suppressed: 0,
        };
        assert_eq!(
            refused.to_string(),
            "tcp://127.0.0.1:5555: no handshake with 127.0.0.1:40000 (greeting): \
             the peer speaks ZMTP 2, which is older than 3.0"
        );
        let turned_away = Event::HandshakeFailed {
            endpoint: endpoint.clone(),
            peer: String::from("127.0.0.1:40000"),
            stage: Stage::Greeting,
            failure: Failure::TurnedAway {
                limit: Limit::Peers,
                value: 10,
                observed: 11,
            },
            suppressed: 7,
        };
        assert_eq!(
            turned_away.to_string(),
            "tcp://127.0.0.1:5555: no handshake with 127.0.0.1:40000 (greeting): \
             turned away: 11 peers, max_peers is 10 (and 7 before it that were not told)"
        );
        let waits = Event::RetryingIn {
            endpoint,
            delay: Duration::from_millis(250),
        };
        assert_eq!(waits.to_string(), "tcp://127.0.0.1:5555: tries again in 250ms");
    }
}
