//! A preset for sockets that strangers can reach.

use super::{AcceptRate, InsecureBind, Options, Strangers};
use std::time::Duration;

impl Options {
    /// Returns options for a socket that is bound where strangers come by: the same limits as always, narrower, and none of
    /// them absent. All setters can follow, and win.
    ///
    /// | what | else | with this |
    /// |---|---|---|
    /// | [`max_message_size`](Options::max_message_size) | 1 GiB | 16 MiB |
    /// | [`max_frames`](Options::max_frames) | 65,536 | 1,024 |
    /// | [`send_mark_bytes`](Options::send_mark_bytes), [`recv_mark_bytes`](Options::recv_mark_bytes) | 256 MiB | 32 MiB |
    /// | [`handshake_timeout`](Options::handshake_timeout) | 30 s | 5 s |
    /// | [`max_handshake_bytes`](Options::max_handshake_bytes) | 16 KiB | 8 KiB |
    /// | [`max_metadata_bytes`](Options::max_metadata_bytes), [`max_properties`](Options::max_properties) | 9 KiB, 64 | 2 KiB, 16 |
    /// | [`max_pending_handshakes`](Options::max_pending_handshakes) | 1,024 | 256 |
    /// | [`max_peers`](Options::max_peers) | no limit | 10,000 |
    /// | [`max_peers_per_address`](Options::max_peers_per_address) | no limit | 100 |
    /// | [`accept_rate`](Options::accept_rate) | no limit | 200 a second, 400 at once |
    /// | [`max_topic_len`](Options::max_topic_len) | 64 KiB | 256 B |
    /// | [`max_subscription_bytes`](Options::max_subscription_bytes) | 16 MiB | 256 KiB |
    /// | [`allow_insecure_bind`](Options::allow_insecure_bind) | yes, with a warning | no |
    ///
    /// It does not make a socket secure: that is [`security`](Options::security), without which such a socket binds `tcp`
    /// to loopback only. Marks are for each peer: all of them together hold up to [`max_peers`](Options::max_peers) times as
    /// much, unless the context has a limit for that, as that of
    /// [`ContextOptions::hardened`](crate::ContextOptions::hardened).
    ///
    /// ```
    /// use peermq::{BindError, Context, Curve, Options, Pull, SecretKey};
    ///
    /// let context = Context::new()?;
    /// let pull = Pull::with_options(&context, Options::hardened())?;
    /// assert!(matches!(pull.bind("tcp://*:0"), Err(BindError::Insecure { .. })));
    ///
    /// let security = Curve::server(SecretKey::generate()?).allow_any();
    /// let options = Options::hardened().max_peers(50).security(security);
    /// Pull::with_options(&context, options)?.bind("tcp://*:0")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hardened() -> Self {
        let mut options = Options::default();
        // No setters: what only some types can use would be refused for the others.
        for mark in [&mut options.send_mark, &mut options.recv_mark] {
            mark.bytes = 32 << 20;
        }
        options.limits.message_bytes = 16 << 20;
        options.limits.frames = 1_024;
        options.limits.handshake_bytes = 8 << 10;
        options.limits.metadata_bytes = 2 << 10;
        options.limits.properties = 16;
        options.handshake_timeout = Duration::from_secs(5);
        options.publishing.longest_topic = 256;
        options.publishing.most_asked = 256 << 10;
        options.strangers = Strangers {
            pending_handshakes: 256,
            peers: 10_000,
            peers_per_address: 100,
            fd_reserve: 32,
            accept_rate: Some(AcceptRate {
                per_second: 200,
                burst: 400,
            }),
        };
        options.insecure_bind = InsecureBind::Refuse;
        options
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket_type::SocketType::*;

    #[test]
    fn every_type_takes_them() {
        for socket_type in [
            Req, Rep, Dealer, Router, Pub, XPub, Sub, XSub, Push, Pull, Pair, Stream, Server, Client, Radio, Dish,
            Scatter, Gather, Peer, Channel,
        ] {
            assert_eq!(Options::hardened().check(socket_type), Ok(()), "{socket_type}");
        }
    }

    #[test]
    fn setters_that_follow_win() {
        let options = Options::hardened().max_peers(7).allow_insecure_bind(true);
        assert_eq!(options.strangers.peers, 7);
        assert_eq!(options.insecure_bind, InsecureBind::Allow);
        assert_eq!(options.strangers.peers_per_address, 100);
    }
}
