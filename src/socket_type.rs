//! The socket types by the RFCs' names, and who may speak with whom.

use std::fmt;

/// A ZeroMQ socket type, by the name that goes over the wire ([RFC 37](https://rfc.zeromq.org/spec/37/)).
///
/// All that there are, so that a peer's can be named; which of them this library has is seen by its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the RFC's name and nothing else")]
pub enum SocketType {
    Req,
    Rep,
    Dealer,
    Router,
    Pub,
    XPub,
    Sub,
    XSub,
    Push,
    Pull,
    Pair,
    /// Raw TCP: never goes over the wire.
    Stream,
    Server,
    Client,
    Radio,
    Dish,
    Scatter,
    Gather,
    Peer,
    Channel,
}

use SocketType::*;

impl SocketType {
    /// Returns the name as it stands in a READY command.
    pub fn as_str(self) -> &'static str {
        match self {
            Req => "REQ",
            Rep => "REP",
            Dealer => "DEALER",
            Router => "ROUTER",
            Pub => "PUB",
            XPub => "XPUB",
            Sub => "SUB",
            XSub => "XSUB",
            Push => "PUSH",
            Pull => "PULL",
            Pair => "PAIR",
            Stream => "STREAM",
            Server => "SERVER",
            Client => "CLIENT",
            Radio => "RADIO",
            Dish => "DISH",
            Scatter => "SCATTER",
            Gather => "GATHER",
            Peer => "PEER",
            Channel => "CHANNEL",
        }
    }

    /// Returns the type of that name; names are compared as they are written, in capitals.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        ALL.into_iter().find(|one| one.as_str().as_bytes() == name)
    }

    /// Returns whether sockets of these two types may be connected
    /// ([RFC 37](https://rfc.zeromq.org/spec/37/), "Socket Type Compatibility"; RFCs 47, 48, 49, 51, 52 and libzmq's
    /// drafts for the younger ones).
    pub fn speaks_with(self, other: SocketType) -> bool {
        match self {
            Req => matches!(other, Rep | Router),
            Rep => matches!(other, Req | Dealer),
            Dealer => matches!(other, Rep | Dealer | Router),
            Router => matches!(other, Req | Dealer | Router),
            Pub | XPub => matches!(other, Sub | XSub),
            Sub | XSub => matches!(other, Pub | XPub),
            Push => other == Pull,
            Pull => other == Push,
            Pair => other == Pair,
            Stream => false,
            Server => other == Client,
            Client => other == Server,
            Radio => other == Dish,
            Dish => other == Radio,
            Scatter => other == Gather,
            Gather => other == Scatter,
            Peer => other == Peer,
            Channel => other == Channel,
        }
    }

    /// Whether READY carries an Identity property for this type.
    pub(crate) fn has_identity(self) -> bool {
        matches!(self, Req | Dealer | Router)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const ALL: [SocketType; 20] = [
    Req, Rep, Dealer, Router, Pub, XPub, Sub, XSub, Push, Pull, Pair, Stream, Server, Client, Radio, Dish, Scatter,
    Gather, Peer, Channel,
];

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for one in ALL {
            assert_eq!(SocketType::from_name(one.as_str().as_bytes()), Some(one));
        }
        assert_eq!(SocketType::from_name(b"push"), None);
    }

    #[test]
    fn who_speaks_with_whom_is_symmetric() {
        for a in ALL {
            for b in ALL {
                assert_eq!(a.speaks_with(b), b.speaks_with(a), "{a} {b}");
            }
        }
    }
}
