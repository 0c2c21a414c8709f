//! What is likely to keep messages from arriving: rules, each about one thing that people run into.
//!
//! In the order in which they would be asked: is it open, is anybody there, do we understand each other, does anybody want
//! it, has anybody room, what was dropped.

use super::{Doing, EndpointState, Facts, Life};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use crate::socket_type::SocketType;
use crate::stats::{DropReason, PeerStats};
use std::fmt;

/// A likely cause when nothing arrives. Shown, it is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The socket is closed, or closes.
    Closed,
    /// It is neither bound nor connected to anything.
    NoEndpoint,
    /// It stopped trying to connect: that cannot help as long as both sides are set up as they are.
    GaveUp {
        /// To what.
        endpoint: Endpoint,
        /// Why.
        failure: Failure,
    },
    /// The address is reached, but the two do not come to an understanding.
    HandshakeFails {
        /// The endpoint that was connected to.
        endpoint: Endpoint,
        /// What was awaited.
        stage: Stage,
        /// Why not.
        failure: Failure,
    },
    /// The address is not reached.
    NotReached {
        /// The endpoint that was connected to.
        endpoint: Endpoint,
        /// Attempts so far.
        attempts: u32,
        /// What came of the last.
        failure: Failure,
    },
    /// A connection that was ready has ended, and has not come back.
    Lost {
        /// The endpoint that was connected to.
        endpoint: Endpoint,
        /// Why it ended.
        failure: Failure,
    },
    /// A connection is not ready yet: the address, the resolver or the peer has not answered so far.
    Awaited {
        /// The endpoint that is connected to.
        endpoint: Endpoint,
        /// What is awaited; [`Stage::Connect`] for the address and for the resolver.
        stage: Stage,
    },
    /// Nobody in this context has bound the inproc name.
    NotBound {
        /// The name.
        endpoint: Endpoint,
    },
    /// Somebody came to an endpoint that is bound, and did not become a peer; nobody else is there.
    Stranger {
        /// The endpoint that is bound.
        endpoint: Endpoint,
        /// Why it did not become a peer.
        failure: Failure,
    },
    /// Nobody has come to the endpoints that are bound, and nothing else is connected.
    NobodyCame,
    /// This socket has subscribed to nothing, and so is sent nothing.
    NotSubscribed,
    /// Peers are connected, and have subscribed to nothing.
    NoSubscription {
        /// How many are connected.
        peers: usize,
    },
    /// Peers have subscribed, and not to what was published last.
    NoneMatches {
        /// How many are connected.
        peers: usize,
        /// What was published last.
        topic: Vec<u8>,
    },
    /// A connected peer is at its mark: it does not read, or not as fast as this side sends.
    PeerFull {
        /// Where it is.
        endpoint: String,
        /// Messages that wait for it.
        queued: u64,
    },
    /// Reading from a peer is paused: this side's application does not receive, or not as fast as the peer sends.
    NotReceiving {
        /// Where it is.
        endpoint: String,
        /// Messages of it that wait to be received.
        queued: u64,
    },
    /// Messages wait for a peer that is not connected.
    WaitsForPeer {
        /// Where it is.
        endpoint: String,
        /// How many.
        queued: u64,
    },
    /// Messages were dropped.
    Dropped {
        /// Whether they were to go out; else they had come in.
        out: bool,
        /// Why.
        reason: DropReason,
        /// How many.
        messages: u64,
    },
}

/// What is likely, the likeliest first.
pub(super) fn of(facts: &Facts) -> Vec<Cause> {
    if facts.life != Life::Open {
        let mut causes = vec![Cause::Closed];
        causes.extend(drops(facts));
        return causes;
    }
    let rules: &[fn(&Facts) -> Vec<Cause>] = &[
        no_endpoint,
        dialers,
        nobody_came,
        subscriptions,
        full_peers,
        not_receiving,
        waits_for_peers,
        drops,
    ];
    rules.iter().flat_map(|rule| rule(facts)).collect()
}

// -- is anybody there, and do we understand each other

fn no_endpoint(facts: &Facts) -> Vec<Cause> {
    let has_none = facts.endpoints.as_ref().is_some_and(Vec::is_empty) && facts.stats.peers.is_empty();
    has_none.then_some(Cause::NoEndpoint).into_iter().collect()
}

fn dialers(facts: &Facts) -> Vec<Cause> {
    facts.endpoints.iter().flatten().filter_map(dialer).collect()
}

fn dialer(it: &EndpointState) -> Option<Cause> {
    let endpoint = it.endpoint.clone();
    let stage = it.connections.iter().map(|connection| connection.stage).max();
    if it.doing == Doing::Listening || stage == Some(Stage::Traffic) {
        return None;
    }
    if let Some((stage, failure)) = it.last_failure.clone() {
        return Some(match stage {
            _ if it.doing == Doing::GaveUp => Cause::GaveUp { endpoint, failure },
            Stage::Traffic => Cause::Lost { endpoint, failure },
            Stage::Connect => Cause::NotReached {
                endpoint,
                attempts: it.attempts,
                failure,
            },
            _ => Cause::HandshakeFails {
                endpoint,
                stage,
                failure,
            },
        });
    }
    Some(match it.doing {
        Doing::AwaitingBinder => Cause::NotBound { endpoint },
        _ => Cause::Awaited {
            endpoint,
            stage: stage.unwrap_or(Stage::Connect),
        },
    })
}

fn nobody_came(facts: &Facts) -> Vec<Cause> {
    let mut bound = facts
        .endpoints
        .iter()
        .flatten()
        .filter(|it| it.doing == Doing::Listening)
        .peekable();
    if connected(facts) > 0 || bound.peek().is_none() {
        return Vec::new();
    }
    let strangers: Vec<_> = bound.filter_map(stranger).collect();
    let has_dialers = facts.stats.peers.iter().any(|peer| peer.is_dialed);
    if strangers.is_empty() && !has_dialers {
        return vec![Cause::NobodyCame];
    }
    strangers
}

fn stranger(it: &EndpointState) -> Option<Cause> {
    let (_, failure) = it.last_failure.clone()?;
    Some(Cause::Stranger {
        endpoint: it.endpoint.clone(),
        failure,
    })
}

// -- does anybody want it

fn subscriptions(facts: &Facts) -> Vec<Cause> {
    let Some(topics) = &facts.topics else { return Vec::new() };
    let peers = connected(facts);
    let cause = match &topics.unmatched {
        _ if is_subscriber(facts.socket_type) => (topics.count == 0).then_some(Cause::NotSubscribed),
        _ if peers == 0 => None,
        _ if topics.count == 0 => Some(Cause::NoSubscription { peers }),
        Some(topic) => Some(Cause::NoneMatches {
            peers,
            topic: topic.clone(),
        }),
        None => None,
    };
    cause.into_iter().collect()
}

fn is_subscriber(socket_type: SocketType) -> bool {
    matches!(socket_type, SocketType::Sub | SocketType::XSub | SocketType::Dish)
}

// -- has anybody room

fn full_peers(facts: &Facts) -> Vec<Cause> {
    by_peer(facts, |peer| {
        let queued = peer.out.queued;
        (peer.is_connected && peer.out.full_now > 0).then(|| Cause::PeerFull {
            endpoint: peer.endpoint.clone(),
            queued,
        })
    })
}

fn not_receiving(facts: &Facts) -> Vec<Cause> {
    by_peer(facts, |peer| {
        let queued = peer.incoming.queued;
        (peer.incoming.full_now > 0).then(|| Cause::NotReceiving {
            endpoint: peer.endpoint.clone(),
            queued,
        })
    })
}

fn waits_for_peers(facts: &Facts) -> Vec<Cause> {
    by_peer(facts, |peer| {
        let queued = peer.out.queued;
        (!peer.is_connected && queued > 0).then(|| Cause::WaitsForPeer {
            endpoint: peer.endpoint.clone(),
            queued,
        })
    })
}

/// Of the first peers that have it: a thousand lines of the same say no more.
fn by_peer(facts: &Facts, cause: impl Fn(&PeerStats) -> Option<Cause>) -> Vec<Cause> {
    facts.stats.peers.iter().filter_map(cause).take(TOLD).collect()
}

// -- what was dropped

fn drops(facts: &Facts) -> Vec<Cause> {
    let stats = &facts.stats;
    let ways = [(true, &stats.out), (false, &stats.incoming)];
    let causes = ways.into_iter().flat_map(|(out, flow)| {
        flow.dropped
            .iter()
            .map(move |(reason, messages)| Cause::Dropped { out, reason, messages })
    });
    causes.collect()
}

fn connected(facts: &Facts) -> usize {
    facts.stats.peers.iter().filter(|peer| peer.is_connected).count()
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Closed => f.write_str("the socket is closed"),
            Cause::NoEndpoint => f.write_str("the socket is neither bound nor connected to anything"),
            Cause::GaveUp { endpoint, failure } => {
                write!(f, "{endpoint}: gave up, and tries no more: {}", Plain(failure))
            }
            Cause::HandshakeFails {
                endpoint,
                stage,
                failure,
            } => write!(f, "{endpoint}: somebody is there, but at {stage}: {}", Plain(failure)),
            Cause::NotReached {
                endpoint,
                attempts,
                failure,
            } => write!(f, "{endpoint}: not reached in {attempts} attempts: {failure}"),
            Cause::Lost { endpoint, failure } => write!(f, "{endpoint}: the connection is lost: {failure}"),
            Cause::Awaited { endpoint, stage } => match stage {
                Stage::Connect => write!(f, "{endpoint}: the address or its name has not answered yet"),
                _ => write!(f, "{endpoint}: connected, but the peer has not sent its {stage} yet"),
            },
            Cause::NotBound { endpoint } => write!(f, "nobody in this context has bound {endpoint}"),
            Cause::Stranger { endpoint, failure } => {
                write!(f, "{endpoint}: somebody came, and is no peer: {}", Plain(failure))
            }
            Cause::NobodyCame => f.write_str("nobody has connected to what the socket is bound to"),
            Cause::NotSubscribed => f.write_str("no subscription: the socket has subscribed to nothing"),
            Cause::NoSubscription { peers } => {
                write!(
                    f,
                    "no subscription: {}, and none has subscribed to anything",
                    are_connected(*peers)
                )
            }
            Cause::NoneMatches { peers, topic } => {
                write!(f, "{}, none matches {}", subscribers(*peers), topic.escape_ascii())
            }
            Cause::PeerFull { endpoint, queued } => {
                write!(
                    f,
                    "{endpoint} does not read fast enough: {queued} messages wait for it, its mark is reached"
                )
            }
            Cause::NotReceiving { endpoint, queued } => {
                write!(
                    f,
                    "{queued} messages of {endpoint} wait to be received here, the mark is reached"
                )
            }
            Cause::WaitsForPeer { endpoint, queued } => {
                write!(f, "{queued} messages wait for {endpoint}, which is not connected")
            }
            Cause::Dropped { out, reason, messages } => {
                let way = if *out { "outgoing" } else { "incoming" };
                write!(f, "{messages} {way} messages were dropped as {reason}")
            }
        }
    }
}

fn are_connected(peers: usize) -> String {
    match peers {
        1 => String::from("1 peer is connected"),
        _ => format!("{peers} peers are connected"),
    }
}

fn subscribers(peers: usize) -> String {
    match peers {
        1 => String::from("1 subscriber"),
        _ => format!("{peers} subscribers"),
    }
}

/// A failure as somebody would say it who looks for its cause.
struct Plain<'a>(&'a Failure);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Failure::NotZmtp {
                looks_like: looks_like @ ("zeros" | "something else"),
            } => write!(f, "the peer does not speak ZMTP: it sent {looks_like}"),
            Failure::NotZmtp { looks_like } => write!(f, "the peer speaks {looks_like}, not ZMTP"),
            Failure::MechanismMismatch { ours, theirs } => write!(f, "we speak {ours}, the peer {theirs}"),
            other => other.fmt(f),
        }
    }
}

/// Peers that are named for one cause.
const TOLD: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::{ConnectionState, Topics};
    use super::*;
    use crate::stats::{Flow, SocketStats};
    use std::time::Duration;

    fn facts() -> Facts {
        Facts {
            socket_type: SocketType::Push,
            life: Life::Open,
            endpoints: Some(vec![state(Doing::Listening, None)]),
            stats: SocketStats::default(),
            topics: None,
        }
    }

    fn state(doing: Doing, last_failure: Option<(Stage, Failure)>) -> EndpointState {
        EndpointState {
            endpoint: "tcp://127.0.0.1:5".parse().unwrap(),
            doing,
            attempts: 3,
            last_failure,
            connections: Vec::new(),
        }
    }

    fn dialing(doing: Doing, last_failure: Option<(Stage, Failure)>) -> Facts {
        Facts {
            endpoints: Some(vec![state(doing, last_failure)]),
            ..facts()
        }
    }

    fn with_peer(peer: PeerStats) -> Facts {
        let mut facts = facts();
        facts.stats.peers = vec![PeerStats {
            endpoint: String::from("tcp://10.0.0.1:7"),
            ..peer
        }];
        facts
    }

    fn said(facts: &Facts) -> Vec<String> {
        of(facts).iter().map(ToString::to_string).collect()
    }

    fn io() -> Failure {
        Failure::Io {
            kind: std::io::ErrorKind::ConnectionRefused,
            error: String::from("connection refused"),
        }
    }

    #[test]
    fn a_closed_socket_says_so_and_what_it_dropped() {
        let mut facts = dialing(Doing::GaveUp, Some((Stage::Ready, io())));
        facts.life = Life::Closed;
        facts.stats.out.dropped.add(DropReason::Linger, 2);

        assert_eq!(
            said(&facts),
            ["the socket is closed", "2 outgoing messages were dropped as Linger"]
        );
    }

    #[test]
    fn without_an_endpoint_there_is_nobody() {
        let mut facts = facts();
        facts.endpoints = Some(Vec::new());
        assert_eq!(said(&facts), ["the socket is neither bound nor connected to anything"]);
        facts.endpoints = None;
        assert!(of(&facts).is_empty(), "that is not known");
    }

    #[test]
    fn a_dialer_says_how_far_it_comes() {
        let wait = || Doing::Waiting(Duration::from_secs(1));
        let http = Failure::NotZmtp { looks_like: "HTTP" };
        let mismatch = Failure::MechanismMismatch {
            ours: "CURVE",
            theirs: String::from("NULL"),
        };
        let refused = Failure::RefusedByPeer {
            reason: String::from("go away"),
        };
        for (doing, stage, failure, expected) in [
            (
                wait(),
                Stage::Connect,
                io(),
                "not reached in 3 attempts: connection refused",
            ),
            (
                wait(),
                Stage::Greeting,
                http,
                "somebody is there, but at greeting: the peer speaks HTTP, not ZMTP",
            ),
            (
                Doing::GaveUp,
                Stage::Greeting,
                mismatch,
                "gave up, and tries no more: we speak CURVE, the peer NULL",
            ),
            (
                Doing::GaveUp,
                Stage::Ready,
                refused,
                "gave up, and tries no more: the peer refused: go away",
            ),
            (
                wait(),
                Stage::Traffic,
                Failure::ClosedByPeer,
                "the connection is lost: the peer closed the connection",
            ),
        ] {
            let facts = dialing(doing, Some((stage, failure)));
            assert_eq!(said(&facts), [format!("tcp://127.0.0.1:5: {expected}")]);
        }
    }

    #[test]
    fn a_dialer_without_a_failure_says_what_it_awaits() {
        let mut facts = dialing(Doing::Connecting, None);
        for (stage, expected) in [
            (Stage::Connect, "the address or its name has not answered yet"),
            (Stage::Ready, "connected, but the peer has not sent its READY yet"),
        ] {
            facts.endpoints.as_mut().unwrap()[0].connections = vec![ConnectionState {
                peer: String::new(),
                stage,
            }];
            assert_eq!(said(&facts), [format!("tcp://127.0.0.1:5: {expected}")]);
        }
        let facts = dialing(Doing::AwaitingBinder, None);
        assert_eq!(said(&facts), ["nobody in this context has bound tcp://127.0.0.1:5"]);
    }

    /// What failed before is over once a connection is ready.
    #[test]
    fn a_dialer_that_is_connected_has_no_cause() {
        let mut facts = dialing(Doing::Connecting, Some((Stage::Connect, io())));
        facts.endpoints.as_mut().unwrap()[0].connections = vec![ConnectionState {
            peer: String::new(),
            stage: Stage::Traffic,
        }];
        assert!(of(&facts).is_empty());
    }

    #[test]
    fn a_listener_says_whether_somebody_came_who_is_no_peer() {
        assert_eq!(of(&facts()), [Cause::NobodyCame]);
        let tls = Failure::NotZmtp { looks_like: "TLS" };
        let facts = dialing(Doing::Listening, Some((Stage::Greeting, tls)));
        assert_eq!(
            said(&facts),
            ["tcp://127.0.0.1:5: somebody came, and is no peer: the peer speaks TLS, not ZMTP"]
        );

        let mut with_a_peer = facts;
        with_a_peer.stats.peers = vec![PeerStats {
            is_connected: true,
            ..PeerStats::default()
        }];
        assert!(of(&with_a_peer).is_empty(), "a stranger beside a peer is no cause");
    }

    #[test]
    fn subscriptions_are_looked_at_from_both_sides() {
        let mut facts = with_peer(PeerStats {
            is_connected: true,
            ..PeerStats::default()
        });
        facts.stats.peers.push(facts.stats.peers[0].clone());
        facts.socket_type = SocketType::Pub;
        facts.topics = Some(Topics::default());
        assert_eq!(
            said(&facts),
            ["no subscription: 2 peers are connected, and none has subscribed to anything"]
        );
        facts.topics = Some(Topics {
            count: 3,
            unmatched: Some(b"a.b".to_vec()),
        });
        assert_eq!(said(&facts), ["2 subscribers, none matches a.b"]);
        facts.socket_type = SocketType::Sub;
        assert!(of(&facts).is_empty());
        facts.topics = Some(Topics::default());
        assert_eq!(of(&facts), [Cause::NotSubscribed]);
    }

    #[test]
    fn queues_say_who_does_not_keep_up() {
        let full = Flow {
            queued: 1_000,
            full_now: 1,
            ..Flow::default()
        };
        let up = PeerStats {
            is_connected: true,
            ..PeerStats::default()
        };
        let out = with_peer(PeerStats {
            out: full,
            ..up.clone()
        });
        let incoming = with_peer(PeerStats { incoming: full, ..up });
        let down = with_peer(PeerStats {
            out: full,
            is_dialed: true,
            ..PeerStats::default()
        });

        let one = |facts: &Facts| said(facts).join("; ");
        assert_eq!(
            one(&out),
            "tcp://10.0.0.1:7 does not read fast enough: 1000 messages wait for it, its mark is reached"
        );
        assert_eq!(
            one(&incoming),
            "1000 messages of tcp://10.0.0.1:7 wait to be received here, the mark is reached"
        );
        assert_eq!(
            one(&down),
            "1000 messages wait for tcp://10.0.0.1:7, which is not connected"
        );
    }

    #[test]
    fn a_thousand_peers_make_no_thousand_causes() {
        let mut facts = with_peer(PeerStats {
            out: Flow {
                queued: 1,
                ..Flow::default()
            },
            is_dialed: true,
            ..PeerStats::default()
        });
        facts.stats.peers = vec![facts.stats.peers[0].clone(); 1_000];
        assert_eq!(of(&facts).len(), TOLD);
    }
}
