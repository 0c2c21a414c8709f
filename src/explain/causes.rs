//! What is likely to keep messages from arriving: rules, each about one thing that people run into.
//!
//! In the order in which they would be asked: is it open, is anybody there, do we understand each other, does anybody want
//! it, has anybody room, what was dropped.

use super::{Doing, EndpointState, Facts, Life, counted};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Fault, Stage};
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
    /// A peer was disconnected for its own fault, for a message over our limit or a broken frame: what it had sent with that
    /// is lost. It may be back since.
    Disconnected {
        /// The endpoint of this side by which it came, or that was connected to.
        endpoint: Endpoint,
        /// What it has done.
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
        disconnected,
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
    let has_come = bound.clone().any(|it| it.last_failure.is_some());
    let has_dialers = facts.stats.peers.iter().any(|peer| peer.is_dialed);
    if !has_come && !has_dialers {
        return vec![Cause::NobodyCame];
    }
    bound.filter_map(stranger).collect()
}

/// Told also once the peer is back: what it was disconnected for has not arrived, and it may do so again.
fn disconnected(facts: &Facts) -> Vec<Cause> {
    let all = facts.endpoints.iter().flatten();
    let causes = all.filter_map(|it| match &it.last_failure {
        // Of a dialer that is not back, it is told why.
        Some((Stage::Traffic, failure)) if failure.fault() == Fault::Peer && dialer(it).is_none() => {
            Some(Cause::Disconnected {
                endpoint: it.endpoint.clone(),
                failure: failure.clone(),
            })
        }
        _ => None,
    });
    causes.collect()
}

fn stranger(it: &EndpointState) -> Option<Cause> {
    let (_, failure) = it.last_failure.clone().filter(|(stage, _)| *stage < Stage::Traffic)?;
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
            } => {
                let attempts = counted((*attempts).into(), "attempt");
                write!(f, "{endpoint}: not reached in {attempts}: {failure}")
            }
            Cause::Lost { endpoint, failure } => write!(f, "{endpoint}: the connection is lost: {failure}"),
            Cause::Awaited { endpoint, stage } => match stage {
                Stage::Connect => write!(f, "{endpoint}: the address or its name has not answered yet"),
                _ => write!(f, "{endpoint}: connected, but the peer has not sent its {stage} yet"),
            },
            Cause::NotBound { endpoint } => write!(f, "nobody in this context has bound {endpoint}"),
            Cause::Stranger { endpoint, failure } => {
                write!(f, "{endpoint}: somebody came, and is no peer: {}", Plain(failure))
            }
            Cause::Disconnected { endpoint, failure } => {
                write!(f, "{endpoint}: a peer was disconnected for what it did: {failure}")
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
                write!(
                    f,
                    "{}, none matches {}",
                    counted(*peers as u64, "subscriber"),
                    topic.escape_ascii()
                )
            }
            Cause::PeerFull { endpoint, queued } => {
                let messages = wait(*queued);
                write!(
                    f,
                    "{endpoint} does not read fast enough: {messages} for it, its mark is reached"
                )
            }
            Cause::NotReceiving { endpoint, queued } => {
                let messages = wait(*queued);
                write!(f, "{messages} to be received here from {endpoint}, the mark is reached")
            }
            Cause::WaitsForPeer { endpoint, queued } => {
                write!(f, "{} for {endpoint}, which is not connected", wait(*queued))
            }
            Cause::Dropped { out, reason, messages } => {
                let way = if *out { "outgoing" } else { "incoming" };
                let were = if *messages == 1 { "was" } else { "were" };
                let messages = counted(*messages, &format!("{way} message"));
                write!(f, "{messages} {were} dropped as {reason}")
            }
        }
    }
}

fn are_connected(peers: usize) -> String {
    let are = if peers == 1 { "is" } else { "are" };
    format!("{} {are} connected", counted(peers as u64, "peer"))
}

fn wait(messages: u64) -> String {
    let wait = if messages == 1 { "waits" } else { "wait" };
    format!("{} {wait}", counted(messages, "message"))
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

#[cfg(all(test, not(loom)))]
mod tests;
