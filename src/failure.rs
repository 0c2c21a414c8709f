//! Why a connection ended, and by whose fault.
//!
//! A failed connection *is* its failure: nothing else of it is kept. A peer's failure is told to the monitor; it is
//! never the application's error.

use crate::limit::Limit;
use crate::socket_type::SocketType;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a connection ended, or never came about. Shown, it is a sentence for people; what a peer sent is escaped in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The first bytes are not those of ZMTP.
    #[error("the peer does not speak ZMTP: it sent {looks_like}")]
    NotZmtp {
        /// What those bytes look like.
        looks_like: &'static str,
    },
    /// The peer speaks a version of ZMTP before 3.0.
    #[error("the peer speaks ZMTP {major}, which is older than 3.0")]
    OldVersion {
        /// The major version that it announced.
        major: u8,
    },
    /// The two sides are set up with different security mechanisms.
    #[error("security mechanisms differ: ours is {ours}, the peer's is {theirs}")]
    MechanismMismatch {
        /// Ours.
        ours: &'static str,
        /// Theirs, escaped.
        theirs: String,
    },
    /// A command came where it has no place.
    #[error("unexpected {name} while waiting for {awaited}")]
    Unexpected {
        /// What came, escaped.
        name: String,
        /// What had been awaited.
        awaited: &'static str,
    },
    /// A command, frame or property is not formed as the RFC says.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// What is malformed.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something is larger than its limit. Nothing was reserved for it.
    #[error("{observed} {what} are over the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What was announced or seen.
        observed: u64,
    },
    /// The two socket types do not speak with each other.
    #[error("a {ours} socket does not speak with {theirs}")]
    IncompatibleSocketType {
        /// Ours.
        ours: SocketType,
        /// Theirs, escaped.
        theirs: String,
    },
    /// The peer refused us with an ERROR command.
    #[error("the peer refused: {reason}{}", meaning(reason))]
    RefusedByPeer {
        /// The reason that it gave, escaped. Of who was not let in it is a status of
        /// [RFC 27](https://rfc.zeromq.org/spec/27/), often: 300, 400 or 500.
        reason: String,
    },
    /// What was sealed cannot be opened: it was sealed with another key, or changed on its way.
    #[error("cannot open {what}")]
    Unopened {
        /// What, and what that says of the peer.
        what: &'static str,
    },
    /// The peer was not let in: [`Security`](crate::Security) says whom this socket admits.
    #[error("not admitted: {why}")]
    NotAdmitted {
        /// Who it said it was, escaped, and why that will not do.
        why: String,
    },
    /// Our socket has no place for this peer now; that may change.
    #[error("refused: {why}")]
    Refused {
        /// Why.
        why: &'static str,
    },
    /// There are as many as a limit of ours allows, or fewer descriptors are left than it asks for: this one is closed
    /// without a word. It may try again.
    #[error("turned away: {observed} {}, {limit} is {value}", .limit.what())]
    TurnedAway {
        /// Which limit.
        limit: Limit,
        /// How many it allows.
        value: u64,
        /// How many there would be, this one included.
        observed: u64,
    },
    /// The peer ended the connection between two messages.
    #[error("the peer closed the connection")]
    ClosedByPeer,
    /// The connection ended in the middle of a message or of the handshake.
    #[error("the connection ended in the middle of {what}")]
    CutShort {
        /// What was cut.
        what: &'static str,
    },
    /// Something took longer than its limit.
    #[error("{what} took longer than {limit:?}")]
    TimedOut {
        /// What took too long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The operating system reported an error.
    #[error("{error}")]
    Io {
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        error: String,
    },
    /// The host's name has no address.
    #[error("cannot resolve {host}: {error}")]
    Unresolved {
        /// The endpoint that has the name.
        host: String,
        /// The resolver's words.
        error: String,
    },
    /// The subscriber was at its mark, and the socket does not wait for one
    /// ([`AtMark::Disconnect`](crate::AtMark::Disconnect)).
    #[error("the subscriber reads too slowly")]
    SlowSubscriber,
    /// The SOCKS5 proxy did not connect us to the peer.
    #[error("the SOCKS5 proxy refused: {why}")]
    Proxy {
        /// Why.
        why: &'static str,
    },
    /// Another connection of the same identity took its place
    /// ([`Options::handover`](crate::Options::handover)).
    #[error("another connection of the same identity took its place")]
    Replaced,
    /// The connection reached its own socket.
    #[error("the connection reached its own socket")]
    ConnectedToItself,
    /// Our side ended it: `close`, `disconnect`, `unbind_and_close`, or the end of the context.
    #[error("closed by this side")]
    ClosedHere,
}

/// Whose fault the end of a connection is: who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke the protocol, sent more than a limit of ours allows, refused us, or is set up differently.
    Peer,
    /// The network, the system, or the time that something took.
    Network,
    /// Nobody's: one of the two sides ended it in good order.
    Nobody,
    /// Ours: this side has no place for the peer, or has reached itself.
    Ours,
}

/// How far a connection had come, in the order of [RFC 37](https://rfc.zeromq.org/spec/37/).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Reaching the address.
    Connect,
    /// Waiting for the peer's greeting.
    Greeting,
    /// Finding out who the peer is, by PLAIN or CURVE, and whether it may come in.
    Security,
    /// Waiting for what the peer says of itself: its READY, or with PLAIN and CURVE a client's INITIATE.
    Ready,
    /// Messages.
    Traffic,
}

impl Failure {
    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Failure::NotZmtp { .. }
            | Failure::OldVersion { .. }
            | Failure::MechanismMismatch { .. }
            | Failure::Unexpected { .. }
            | Failure::Malformed { .. }
            | Failure::TooLarge { .. }
            | Failure::IncompatibleSocketType { .. }
            | Failure::RefusedByPeer { .. }
            | Failure::Unopened { .. }
            | Failure::NotAdmitted { .. }
            | Failure::SlowSubscriber => Fault::Peer,
            Failure::CutShort { .. }
            | Failure::TimedOut { .. }
            | Failure::Io { .. }
            | Failure::Unresolved { .. }
            | Failure::Proxy { .. } => Fault::Network,
            Failure::ClosedByPeer | Failure::ClosedHere | Failure::Replaced => Fault::Nobody,
            Failure::Refused { .. } | Failure::TurnedAway { .. } | Failure::ConnectedToItself => Fault::Ours,
        }
    }

    /// Returns the limit that was exceeded, if it is that.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Failure::TooLarge { what, .. } => Limit::ALL.into_iter().find(|limit| limit.what() == *what),
            Failure::TurnedAway { limit, .. } => Some(*limit),
            _ => None,
        }
    }

    /// More than a limit allows.
    pub(crate) fn too_large(what: Limit, limit: u64, observed: u64) -> Self {
        let what = what.what();
        Failure::TooLarge { what, limit, observed }
    }

    /// Whether trying again cannot help as long as both sides are set up as they are.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Failure::RefusedByPeer { .. }
                | Failure::IncompatibleSocketType { .. }
                // Under CURVE it is not the server's word: whoever answers once would end it for good.
                | Failure::MechanismMismatch { ours: "NULL" | "PLAIN", .. }
                | Failure::OldVersion { .. }
                | Failure::Malformed { what: METADATA, .. }
        )
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        Failure::Io {
            kind: error.kind(),
            error: error.to_string(),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connect => "connect",
            Stage::Greeting => "greeting",
            Stage::Security => "security",
            Stage::Ready => "READY",
            Stage::Traffic => "traffic",
        })
    }
}

/// What a status of RFC 27 says, which is all that most servers say.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "300" => " (it cannot decide now whether to let us in)",
        "400" => " (it does not let us in: our credentials, or our address)",
        "500" => " (it has failed to find out whether to let us in)",
        _ => "",
    }
}

/// What a peer sent, for people: escaped, so that it cannot write into logs, and cut at 128 characters.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = bytes
        .get(..bytes.len().min(128))
        .unwrap_or_default()
        .escape_ascii()
        .to_string();
    text.truncate(128);
    text
}

/// The `what` of a malformed READY property.
pub(crate) const METADATA: &str = "metadata";

/// Of a [`Failure::Proxy`]: nobody is there.
pub(crate) const PROXY_REFUSED: &str = "connection refused";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_said_in_words() {
        let shown = |reason: &str| {
            Failure::RefusedByPeer {
                reason: reason.to_owned(),
            }
            .to_string()
        };
        assert_eq!(
            shown("400"),
            "the peer refused: 400 (it does not let us in: our credentials, or our address)"
        );
        assert_eq!(shown("404"), "the peer refused: 404");
    }

    /// T26: whatever a peer sends, nothing of it writes into a terminal or begins a line.
    #[test]
    fn threat_26_what_a_peer_sent_is_shown_in_at_most_128_printable_characters() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in all.chunks(1).chain(all.chunks(32)).chain([&all[..]]) {
            let shown = printable(bytes);
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown:?}");
            assert!(!shown.is_empty() && shown.len() <= 128, "{shown}");
        }
        assert_eq!(printable(b"a\x1b[2J\n"), "a\\x1b[2J\\n");
    }
}
