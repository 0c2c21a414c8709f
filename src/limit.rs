//! Which limits there are for what others may take of a socket.
//!
//! A limit's name is that of the option that sets it. How much it is, and what becomes of who exceeds it, is said there.

use std::fmt;

/// A limit for what peers, and those who would be peers, may take. Shown, it is the name of the option that sets it.
///
/// What was refused because of each is counted in [`SocketStats::turned_away`](crate::SocketStats::turned_away).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Limit {
    /// [`Options::max_message_size`](crate::Options::max_message_size).
    MessageSize,
    /// [`Options::max_frames`](crate::Options::max_frames).
    Frames,
    /// The longest command, which is 64 KiB and not to be set.
    Command,
    /// [`Options::max_handshake_bytes`](crate::Options::max_handshake_bytes).
    HandshakeBytes,
    /// [`Options::max_metadata_bytes`](crate::Options::max_metadata_bytes).
    MetadataBytes,
    /// [`Options::max_properties`](crate::Options::max_properties).
    Properties,
    /// [`Options::max_topic_len`](crate::Options::max_topic_len).
    TopicLen,
    /// [`Options::max_subscription_bytes`](crate::Options::max_subscription_bytes).
    SubscriptionBytes,
    /// [`Options::max_pending_handshakes`](crate::Options::max_pending_handshakes).
    PendingHandshakes,
    /// [`Options::max_peers`](crate::Options::max_peers).
    Peers,
    /// [`Options::max_peers_per_address`](crate::Options::max_peers_per_address).
    PeersPerAddress,
    /// [`Options::fd_reserve`](crate::Options::fd_reserve), which is undercut rather than exceeded.
    FdReserve,
}

impl Limit {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Limit; LIMITS] = [
        Limit::MessageSize,
        Limit::Frames,
        Limit::Command,
        Limit::HandshakeBytes,
        Limit::MetadataBytes,
        Limit::Properties,
        Limit::TopicLen,
        Limit::SubscriptionBytes,
        Limit::PendingHandshakes,
        Limit::Peers,
        Limit::PeersPerAddress,
        Limit::FdReserve,
    ];

    /// The name of its option.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Limit::MessageSize => "max_message_size",
            Limit::Frames => "max_frames",
            Limit::Command => "command",
            Limit::HandshakeBytes => "max_handshake_bytes",
            Limit::MetadataBytes => "max_metadata_bytes",
            Limit::Properties => "max_properties",
            Limit::TopicLen => "max_topic_len",
            Limit::SubscriptionBytes => "max_subscription_bytes",
            Limit::PendingHandshakes => "max_pending_handshakes",
            Limit::Peers => "max_peers",
            Limit::PeersPerAddress => "max_peers_per_address",
            Limit::FdReserve => "fd_reserve",
        }
    }

    /// What it counts, in words that follow a number.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Limit::MessageSize => "message bytes",
            Limit::Frames => "frames",
            Limit::Command => "command bytes",
            Limit::HandshakeBytes => "handshake bytes",
            Limit::MetadataBytes => "metadata bytes",
            Limit::Properties => "properties",
            Limit::TopicLen => "topic bytes",
            Limit::SubscriptionBytes => "subscription bytes",
            Limit::PendingHandshakes => "pending handshakes",
            Limit::Peers => "peers",
            Limit::PeersPerAddress => "peers of one address",
            Limit::FdReserve => "descriptors left",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub(crate) const LIMITS: usize = 12;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_stands_at_its_place_and_is_told_from_the_others() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place);
        }
        let names: BTreeSet<_> = Limit::ALL.map(Limit::name).into();
        let counted: BTreeSet<_> = Limit::ALL.map(Limit::what).into();
        assert_eq!((names.len(), counted.len()), (LIMITS, LIMITS));
    }
}
