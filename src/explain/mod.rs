//! Why a socket does what it does, for people: what each endpoint is about, and the likely cause when nothing arrives.
//!
//! Values only. Who has the facts (the hub its peers, the engine its endpoints) puts them together; [`causes`] concludes.

mod causes;

pub use causes::Cause;

use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use crate::socket_type::SocketType;
use crate::stats::{Flow, PeerStats, SocketStats};
use std::fmt;
use std::time::Duration;

/// What a socket is about, and what is likely to keep messages from arriving. Shown, it is text for people; what peers sent
/// is escaped in it.
///
/// ```
/// use peermq::{Cause, Context, Push};
///
/// let context = Context::new()?;
/// let push = Push::new(&context);
/// assert!(matches!(push.explain().causes[..], [Cause::NoEndpoint]));
///
/// push.connect("inproc://nobody")?;
/// push.send("waits")?;
/// println!("{}", push.explain()); // ... nobody in this context has bound inproc://nobody ...
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Which type the socket is.
    pub socket_type: SocketType,
    /// Whether it is open.
    pub life: Life,
    /// What it is bound and connected to. `None`: the loop is gone, or it was asked on its own thread (from a `Waker`), or
    /// in a forked child.
    pub endpoints: Option<Vec<EndpointState>>,
    /// What it has counted, with its peers.
    pub stats: SocketStats,
    /// What was subscribed to; `None` for a type that has no subscriptions.
    pub topics: Option<Topics>,
    /// What is likely to keep messages from arriving, the likeliest first. Empty: nothing looks wrong from here.
    pub causes: Vec<Cause>,
}

/// How far a socket's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// It sends and receives.
    Open,
    /// Its calls end with `Closed`; what is queued is still sent.
    Closing,
    /// Nothing of it is left.
    Closed,
}

/// An endpoint that a socket is bound or connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointState {
    /// Which.
    pub endpoint: Endpoint,
    /// What it does there.
    pub doing: Doing,
    /// Attempts to connect since a connection was last ready; 0 for what is bound.
    pub attempts: u32,
    /// How far the last connection or attempt that failed had come, and why it failed. Of what is bound: of strangers that
    /// never became peers, and of peers that were disconnected for their own fault; over inproc of strangers only.
    pub last_failure: Option<(Stage, Failure)>,
    /// From where connections have come that are not ready yet or are; of what was connected to, where it is.
    pub connections: Vec<ConnectionState>,
}

/// What a socket does at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It takes connections.
    Listening,
    /// It waits for the resolver to look the name up.
    Resolving,
    /// It has a connection, or is about to; `connections` says how far that is.
    Connecting,
    /// It tries again after so much more time.
    Waiting(Duration),
    /// It waits until somebody in this context binds the inproc name.
    AwaitingBinder,
    /// It stopped: trying again cannot help as long as both sides are set up as they are.
    GaveUp,
}

/// A connection, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionState {
    /// The peer's address.
    pub peer: String,
    /// What it waits for.
    pub stage: Stage,
}

/// What was subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Topics {
    /// Different topics (or groups): of a socket that receives, its own; of one that publishes, those of all its peers.
    pub count: usize,
    /// The topic of the last message that was published, if nobody has subscribed to it.
    pub unmatched: Option<Vec<u8>>,
}

/// What is known of a socket, before conclusions are drawn.
pub(crate) struct Facts {
    pub(crate) socket_type: SocketType,
    pub(crate) life: Life,
    pub(crate) endpoints: Option<Vec<EndpointState>>,
    pub(crate) stats: SocketStats,
    pub(crate) topics: Option<Topics>,
}

impl Explanation {
    pub(crate) fn new(facts: Facts) -> Self {
        let causes = causes::of(&facts);
        let Facts {
            socket_type,
            life,
            endpoints,
            stats,
            topics,
        } = facts;
        Explanation {
            socket_type,
            life,
            endpoints,
            stats,
            topics,
            causes,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let life = match self.life {
            Life::Open => "open",
            Life::Closing => "closing",
            Life::Closed => "closed",
        };
        writeln!(f, "{} socket, {life}", self.socket_type)?;
        match &self.endpoints {
            None => writeln!(f, "endpoints: not known here")?,
            Some(endpoints) => {
                for endpoint in endpoints {
                    write!(f, "{endpoint}")?;
                }
            }
        }
        if let Some(topics) = &self.topics {
            writeln!(f, "subscriptions: {}", counted(topics.count as u64, "topic"))?;
        }
        for peer in self.stats.peers.iter().take(SHOWN) {
            show_peer(f, peer)?;
        }
        if let Some(more) = self.stats.peers.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(f, "and {}", counted(more as u64, "more peer"))?;
        }
        show_flow(f, "out, in all", &self.stats.out)?;
        show_flow(f, "in, in all", &self.stats.incoming)?;
        match self.causes.is_empty() {
            true => f.write_str("nothing looks wrong from here\n"),
            false => {
                f.write_str("likely causes when nothing arrives:\n")?;
                self.causes.iter().try_for_each(|cause| writeln!(f, "- {cause}"))
            }
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.endpoint)?;
        match &self.doing {
            Doing::Listening => f.write_str("bound")?,
            Doing::Resolving => f.write_str("looks up the name")?,
            Doing::Connecting => f.write_str("connected to, or about to be")?,
            Doing::Waiting(wait) => write!(f, "tries again in {wait:.1?}")?,
            Doing::AwaitingBinder => f.write_str("waits for somebody to bind it")?,
            Doing::GaveUp => f.write_str("gave up")?,
        }
        if self.attempts > 0 {
            write!(f, ", {}", counted(self.attempts.into(), "attempt"))?;
        }
        if let Some((stage, failure)) = &self.last_failure {
            write!(f, ", last failed at {stage}: {failure}")?;
        }
        writeln!(f)?;
        for connection in self.connections.iter().take(SHOWN) {
            writeln!(f, "  {}: at {}", connection.peer, connection.stage)?;
        }
        match self.connections.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(f, "  and {more} more"),
            _ => Ok(()),
        }
    }
}

fn show_peer(f: &mut fmt::Formatter<'_>, peer: &PeerStats) -> fmt::Result {
    write!(f, "peer {} at {}", peer.number, peer.endpoint)?;
    if let Some(socket_type) = peer.socket_type {
        write!(f, ", {socket_type}")?;
    }
    if let Some(identity) = &peer.identity {
        write!(f, " {identity}")?;
    }
    f.write_str(if peer.is_connected {
        ", connected"
    } else {
        ", not connected"
    })?;
    if peer.reconnects > 0 {
        write!(f, ", {}", counted(peer.reconnects, "reconnect"))?;
    }
    writeln!(f)?;
    show_flow(f, "  out", &peer.out)?;
    show_flow(f, "  in", &peer.incoming)
}

/// Nothing of a direction in which nothing went.
fn show_flow(f: &mut fmt::Formatter<'_>, name: &str, flow: &Flow) -> fmt::Result {
    if flow.taken == 0 {
        return Ok(());
    }
    write!(
        f,
        "{name}: {} taken on, {} passed on, {} queued",
        flow.taken, flow.passed, flow.queued
    )?;
    write!(f, " (at most {}), full for {:.1?}", flow.queued_peak, flow.full_for)?;
    for (reason, count) in flow.dropped.iter() {
        write!(f, ", {count} dropped as {reason}")?;
    }
    writeln!(f)
}

/// A number of something that has a regular plural.
fn counted(number: u64, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        _ => format!("{number} {of}s"),
    }
}

/// Peers, and connections of an endpoint, that are shown.
const SHOWN: usize = 20;
