//! Libzmq's defaults, where ours differ on purpose.

use super::{Options, Reconnect};
use std::time::Duration;

impl Options {
    /// Returns options with libzmq's defaults (4.3) where those of this library differ on purpose: for programs that are
    /// moved over and rely on them. All setters can follow, and win.
    ///
    /// | what | here | with this | and so |
    /// |---|---|---|---|
    /// | [`linger`](Options::linger) | 5 s | for ever | `close` and the end of the context wait until all is sent: with a peer that never comes, for ever |
    /// | [`send_mark_bytes`](Options::send_mark_bytes), [`recv_mark_bytes`](Options::recv_mark_bytes) | 256 MiB | no limit | only messages are counted, 1,000 for each peer: of large ones, that is as much memory as they take |
    /// | a mark of 0 | an error | no limit | [`send_mark`](Options::send_mark), [`recv_mark`](Options::recv_mark), [`mark`](Options::mark) take it after this |
    /// | [`max_message_size`](Options::max_message_size), [`max_frames`](Options::max_frames) | 1 GiB, 65,536 | no limit | a peer may send one message that takes all memory, as it arrives; still nothing is reserved for what is only announced |
    /// | [`max_topic_len`](Options::max_topic_len) | 64 KiB | no limit | peers of ZMTP 3.0 may subscribe to what is as long as a message |
    /// | [`max_subscription_bytes`](Options::max_subscription_bytes) | 16 MiB | no limit | a peer that subscribes without end takes all memory |
    /// | [`correlate`](Options::correlate) (REQ) | yes | no | a ROUTER finds the empty frame first; one request at a time |
    /// | [`drop_unroutable`](Options::drop_unroutable) (ROUTER) | no | yes | what goes to nobody is dropped, and still counted |
    /// | [`handover`](Options::handover) (ROUTER) | no | no | as it was |
    /// | [`reconnect`](Options::reconnect) | 100 ms doubling to 5 s | 100 ms, no growth | ten attempts a second at a peer that is down, for as long as it is |
    /// | [`connect_timeout`](Options::connect_timeout) | 30 s | the system's | minutes, at an address that swallows what is sent to it |
    /// | [`keepalive`](Options::keepalive) | 10 s, 5 s, 4 probes | as the system has it | off, on most: a peer that vanished stays for ever if nothing is sent to it |
    /// | [`heartbeat`](Options::heartbeat) | towards peers of this library | none | the same |
    /// | [`backlog`](Options::backlog) | 4,096 | 100 | of many that come at once, some try again |
    /// | `unbind` | keeps the accepted connections | ends them (not over inproc) | like `unbind_and_close`, within the linger time |
    ///
    /// Not restored is what no program can want: replies that wait for ever when their peer is lost, an ipc path taken from
    /// whoever accepts there, a second peer of one identity that is connected and never heard, drops that nobody counts.
    ///
    /// ```
    /// use peermq::{Context, Options, Push};
    /// use std::time::Duration;
    ///
    /// let context = Context::new()?;
    /// let options = Options::libzmq_compat().send_mark(0).linger(Duration::ZERO);
    /// let push = Push::with_options(&context, options)?;
    /// push.connect("inproc://nobody")?;
    /// for _ in 0..10_000 {
    ///     push.try_send("libzmq's 0 is no limit")?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn libzmq_compat() -> Self {
        let mut options = Options::default();
        // No setters: what only some types can use would be refused for the others.
        for mark in [&mut options.send_mark, &mut options.recv_mark] {
            mark.messages = 1_000;
            mark.bytes = usize::MAX;
        }
        options.zero_is_no_limit = true;
        options.limits.message_bytes = u64::MAX;
        options.limits.frames = usize::MAX;
        options.publishing.longest_topic = usize::MAX;
        options.publishing.most_asked = usize::MAX;
        options.correlate = false;
        options.drop_unroutable = true;
        options.handover = false;
        options.reconnect = Reconnect {
            min: INTERVAL,
            max: INTERVAL,
        };
        options.unbind_ends_connections = true;
        options
            .linger(Duration::MAX)
            .connect_timeout(Duration::MAX)
            .no_keepalive()
            .no_heartbeat()
            .backlog(100)
    }

    /// The mark that is meant by this number.
    pub(super) fn mark_of(&self, messages: usize) -> usize {
        match messages {
            0 if self.zero_is_no_limit => usize::MAX,
            _ => messages,
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::InvalidOptions;
    use crate::options::heartbeat::Interval;
    use crate::socket_type::SocketType::*;

    #[test]
    fn every_type_takes_them() {
        for socket_type in [
            Req, Rep, Dealer, Router, Pub, XPub, Sub, XSub, Push, Pull, Pair, Stream, Server, Client, Radio, Dish,
            Scatter, Gather, Peer, Channel,
        ] {
            assert_eq!(Options::libzmq_compat().check(socket_type), Ok(()), "{socket_type}");
        }
    }

    #[test]
    fn they_are_those_of_libzmq() {
        let options = Options::libzmq_compat();
        assert_eq!(options.linger, Duration::MAX);
        assert_eq!((options.send_mark.messages, options.recv_mark.messages), (1_000, 1_000));
        assert_eq!(
            (options.send_mark.bytes, options.recv_mark.bytes),
            (usize::MAX, usize::MAX)
        );
        assert_eq!(
            (options.limits.message_bytes, options.limits.frames),
            (u64::MAX, usize::MAX)
        );
        assert_eq!((options.reconnect.min, options.reconnect.max), (INTERVAL, INTERVAL));
        assert!(!options.correlate && options.drop_unroutable && !options.handover);
        assert!(options.transport.keepalive.is_none());
        assert_eq!(options.heartbeat.interval, Interval::Never);
        assert_eq!(options.transport.backlog, 100);
    }

    #[test]
    fn a_mark_of_zero_is_no_limit_only_with_them() {
        let options = Options::libzmq_compat().mark(0);
        assert_eq!(
            (options.send_mark.messages, options.recv_mark.messages),
            (usize::MAX, usize::MAX)
        );
        assert_eq!(Options::libzmq_compat().send_mark(0).check(Push), Ok(()));
        assert_eq!(Options::libzmq_compat().recv_mark(0).check(Pull), Ok(()));
        let refused = Options::default().send_mark(0).check(Push);
        assert_eq!(refused, Err(InvalidOptions::Zero { option: "send_mark" }));
    }
}
