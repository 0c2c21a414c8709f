//! What options cannot be: alone, together, and for a socket of some type.

use super::heartbeat::LEAST;
use super::{AtMark, Conflate, Options};
use crate::identity::Identity;
use crate::socket_type::SocketType;
use crate::socket_type::SocketType::*;
use std::time::Duration;

impl Options {
    /// Notes that an option of [`SPECIAL`] was set.
    pub(super) fn note(mut self, option: &'static str) -> Self {
        debug_assert!(
            SPECIAL.iter().any(|(name, _)| *name == option),
            "{option} stands in the table"
        );
        self.set.push(option);
        self
    }

    /// What is wrong with these options for a socket of this type, if anything is.
    pub(crate) fn check(&self, socket_type: SocketType) -> Result<(), InvalidOptions> {
        for (option, types) in SPECIAL {
            if self.set.contains(option) && !types.contains(&socket_type) {
                return Err(InvalidOptions::NotForType { option, socket_type });
            }
        }
        let numbers = [
            ("send_mark", self.send_mark.messages),
            ("send_mark_bytes", self.send_mark.bytes),
            ("recv_mark", self.recv_mark.messages),
            ("recv_mark_bytes", self.recv_mark.bytes),
            ("max_frames", self.limits.frames),
            ("monitor_events", self.monitor_events),
            ("max_topic_len", self.publishing.longest_topic),
            ("max_subscription_bytes", self.publishing.most_asked),
            ("last_values", self.publishing.last_values.unwrap_or(1)),
            ("conflate_by_topic", self.conflate.map_or(1, Conflate::limit)),
        ];
        for (option, value) in numbers {
            if value == 0 {
                return Err(InvalidOptions::Zero { option });
            }
        }
        self.heartbeat.check()?;
        if self.identity.as_ref().is_some_and(Identity::is_made_up) {
            return Err(InvalidOptions::Reserved { option: "identity" });
        }
        if self.retry.is_some_and(|retry| retry.after < LEAST) {
            return Err(InvalidOptions::TooShort {
                option: "retry",
                least: LEAST,
            });
        }
        if self.retry.is_some() && !self.correlate {
            return Err(InvalidOptions::Contradicting {
                option: "retry",
                other: "correlate(false)",
            });
        }
        if self.conflate.is_some() && self.publishing.at_mark == AtMark::Block {
            return Err(InvalidOptions::Contradicting {
                option: "conflate",
                other: "at_mark(AtMark::Block)",
            });
        }
        self.check_metadata()?;
        self.check_security()?;
        self.check_strangers()?;
        let least = [
            ("max_handshake_bytes", self.limits.handshake_bytes, SMALLEST_HANDSHAKE),
            ("max_metadata_bytes", self.limits.metadata_bytes, SMALLEST_HANDSHAKE),
            ("max_properties", self.limits.properties, FEWEST_PROPERTIES),
        ];
        for (option, value, least) in least {
            if value < least {
                return Err(InvalidOptions::TooSmall { option, least });
            }
        }
        self.transport.check()?;
        Ok(())
    }
}

/// Why a socket cannot be made with these [`Options`], or a context with these
/// [`ContextOptions`](crate::ContextOptions). Nothing was made; the numbers are the caller's to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// An option that must be at least 1 is 0.
    #[error("{option} must be at least 1")]
    Zero {
        /// Which.
        option: &'static str,
    },
    /// An option is too small to work with.
    #[error("{option} must be at least {least}")]
    TooSmall {
        /// Which.
        option: &'static str,
        /// The least that works.
        least: usize,
    },
    /// An option is larger than can be said to a peer.
    #[error("{option} must be at most {most} bytes")]
    TooLarge {
        /// Which.
        option: &'static str,
        /// The most that can be said.
        most: usize,
    },
    /// An option is set to what cannot be.
    #[error("{option}: {why}")]
    Malformed {
        /// Which.
        option: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A time is too short to work with.
    #[error("{option} must be at least {least:?}")]
    TooShort {
        /// Which.
        option: &'static str,
        /// The least that works.
        least: Duration,
    },
    /// A time is longer than can be said to a peer.
    #[error("{option} must be at most {most:?}")]
    TooLong {
        /// Which.
        option: &'static str,
        /// The most that can be said.
        most: Duration,
    },
    /// A time is longer than is good for anything.
    #[error("{option} must be at most {most:?}, and is {value:?}")]
    OverLimit {
        /// Which.
        option: &'static str,
        /// The most that may be set.
        most: Duration,
        /// What was set.
        value: Duration,
    },
    /// An option names what only others may give: an identity that a ROUTER made up.
    #[error("{option} must not be one that a ROUTER made up")]
    Reserved {
        /// Which.
        option: &'static str,
    },
    /// Two options do not go together.
    #[error("{option} does not go with {other}")]
    Contradicting {
        /// One.
        option: &'static str,
        /// The other, as it was set.
        other: &'static str,
    },
    /// An option was set that sockets of this type cannot use.
    #[error("{option} means nothing to a {socket_type} socket")]
    NotForType {
        /// Which.
        option: &'static str,
        /// The type of the socket that was to be made.
        socket_type: SocketType,
    },
}

/// The options that only some types can use, and which those are. For the others they are an error.
const SPECIAL: &[(&str, &[SocketType])] = &[
    ("send_mark", SENDING),
    ("send_mark_bytes", SENDING),
    ("recv_mark", RECEIVING),
    ("recv_mark_bytes", RECEIVING),
    ("identity", &[Req, Dealer, Router]),
    ("connected_first", &[Push, Req, Dealer, Pair, Client, Scatter, Channel]),
    ("requeue_unwritten", &[Push, Scatter]),
    ("correlate", &[Req]),
    ("stream_notify", &[Stream]),
    ("relaxed", &[Req]),
    ("retry", &[Req]),
    ("hello_message", &[Router, Server, Peer, Dealer, Client]),
    ("disconnect_message", &[Router, Server, Peer]),
    ("hiccup_message", &[Dealer, Client, Peer]),
    ("at_mark", &[Pub, XPub, Radio]),
    ("invert_matching", &[Pub, XPub, Sub]),
    ("max_topic_len", &[Pub, XPub, Radio]),
    ("max_subscription_bytes", &[Pub, XPub, Radio]),
    ("last_values", &[Pub, XPub]),
    ("multicast_hops", &[Radio]),
    ("multicast_loop", &[Radio]),
    ("verbosity", &[XPub]),
    ("manual", &[XPub]),
    ("welcome_message", &[XPub]),
    ("conflate", &[Push, Pull, Dealer, Pub, Sub]),
    ("conflate_by_topic", &[Pub, XPub, Sub, XSub]),
    ("drop_unroutable", &[Router]),
    ("handover", &[Router]),
    ("probe", &[Req, Dealer, Router]),
    ("router_notify", &[Router]),
    ("heartbeat", WITH_WORDS),
    ("heartbeat_timeout", WITH_WORDS),
    ("heartbeat_ttl", WITH_WORDS),
    ("metadata", WITH_WORDS),
    ("security", WITH_WORDS),
];

/// Types that say something of themselves, and are told something: all that speak ZMTP.
const WITH_WORDS: &[SocketType] = &[
    Req, Rep, Dealer, Router, Pub, Sub, XPub, XSub, Push, Pull, Pair, Server, Client, Radio, Dish, Scatter, Gather,
    Peer, Channel,
];

/// Types with a queue of messages to each peer.
const SENDING: &[SocketType] = &[
    Req, Rep, Dealer, Router, Pub, XPub, XSub, Push, Pair, Stream, Server, Client, Radio, Scatter, Peer, Channel,
];

/// Types with a queue of messages from each peer. REQ puts each reply where it is waited for.
const RECEIVING: &[SocketType] = &[
    Rep, Dealer, Router, XPub, Sub, XSub, Pull, Pair, Stream, Server, Client, Dish, Gather, Peer, Channel,
];

/// A greeting and a READY with an identity of 255 bytes.
const SMALLEST_HANDSHAKE: usize = 512;
/// Type, identity, and what this library says of itself.
const FEWEST_PROPERTIES: usize = 4;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_a_type_cannot_use_is_refused_by_name() {
        let options = Options::default().correlate(true);
        assert_eq!(options.check(Req), Ok(()));
        assert_eq!(
            options.check(Push).unwrap_err().to_string(),
            "correlate means nothing to a PUSH socket"
        );
        assert_eq!(Options::default().mark(3).check(Pull), Ok(()));
        assert!(Options::default().send_mark(3).check(Pull).is_err());
    }

    /// A queue that replaces is never full, so nobody could wait for its room.
    #[test]
    fn who_conflates_does_not_block() {
        let options = Options::default().at_mark(AtMark::Block);
        assert_eq!(options.check(Pub), Ok(()));
        assert_eq!(
            options.conflate().check(Pub).unwrap_err().to_string(),
            "conflate does not go with at_mark(AtMark::Block)"
        );
    }

    #[test]
    fn the_name_of_an_interface_has_a_length() {
        for (name, is_one) in [
            ("lo", true),
            ("abcdefghijklmno", true),
            ("", false),
            ("abcdefghijklmnop", false),
            ("a/b", false),
            ("a\0", false),
        ] {
            assert_eq!(
                Options::default().bind_to_device(name).check(Pull).is_ok(),
                is_one,
                "{name:?}"
            );
        }
    }
}
