//! What can be set about a context, once, before it exists.

use super::InvalidOptions;
use std::time::Duration;

/// The settings of a [`Context`](crate::Context); fixed once it exists.
///
/// They are checked when the context is made.
///
/// ```
/// use peermq::{Context, ContextOptions};
/// use std::time::Duration;
///
/// let quiet = Context::with_options(ContextOptions::default().spin(Duration::ZERO))?;
/// # drop(quiet);
///
/// let greedy = ContextOptions::default().spin(Duration::from_secs(1));
/// let refused = Context::with_options(greedy).unwrap_err();
/// assert_eq!(refused.to_string(), "spin must be at most 1ms, and is 1s");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ContextOptions {
    pub(crate) spin: Duration,
    pub(crate) max_queued_bytes: usize,
}

impl ContextOptions {
    /// Sets for how long a thread that waits, and runs the event loop meanwhile, looks again and again before it sleeps. One
    /// of those that wait beside it looks as well, for what another thread of the context may send it. Default 50 us; at
    /// most 1 ms.
    ///
    /// It does so only as long as that pays, that is, what it waits for comes while it looks. Where it does not, it soon
    /// stops, and tries again ever more rarely, once in up to 1,024 waits, with a look three times as long. Nobody looks
    /// before a sleep that follows one of much more than that: an idle program sleeps. Futures, and a
    /// [`Poller`](crate::Poller) that has descriptors, never look. The loop's own thread, which runs it while nobody waits,
    /// looks while peers introduce themselves. And a `send` or `send_many` without a time limit, of a slice of 32 KiB to
    /// 8 MiB, looks as long whether the kernel takes more of it before it copies the rest; up to a millisecond, while that
    /// is so again and again.
    ///
    /// Longer: answers that take longer are met by a thread that is awake, and for them and for what comes in vain a core is
    /// busy as much longer. Others of the same core do not get that time, the peer among them if there is no core for it.
    /// Shorter: fewer answers are met, and those that are not take a wake-up more, or two if both ends sleep: 40 to 60 us
    /// each on virtual machines.
    ///
    /// [`Duration::ZERO`]: a thread looks once, and sleeps. Waiting costs next to no processor time, and every answer that
    /// is not there yet costs its wake-ups. For machines whose cores are all busy, or are paid for by the second.
    ///
    /// Measured, the median round trip of a request over TCP between two processes on two virtual cores, and of a core's time
    /// what the one who asks takes:
    ///
    /// | the other works for | zero | 50 us | 200 us | 1 ms |
    /// |---|--:|--:|--:|--:|
    /// | 0 us | 64 us, 43 % | 13 us, 98 % | 13 us, 98 % | 13 us, 99 % |
    /// | 100 us | 164 us, 15 % | 138 us, 27 % | 116 us, 98 % | 114 us, 99 % |
    /// | 300 us | 388 us, 11 % | 342 us, 7 % | 338 us, 23 % | 315 us, 99 % |
    pub fn spin(mut self, limit: Duration) -> Self {
        self.spin = limit;
        self
    }

    /// Sets how much all queues of all sockets may hold together, in bytes: those of messages, and 64 for each. Default
    /// [`usize::MAX`], which is no limit; at least 1.
    ///
    /// A queue counts as at its mark once it holds as much as all of them leave. So one alone gets half of this, two full
    /// ones a third each, and so on: a part is always left for others, and who fills his queue does not fill theirs. What
    /// happens then is what happens at any mark: senders wait, subscribers miss messages or are disconnected
    /// ([`Options::at_mark`](crate::Options::at_mark)), reading from a peer pauses. An empty queue takes one message whatever
    /// there is, so all together may hold more by one message for each.
    ///
    /// What knows no mark knows none here: queues that keep the newest messages only
    /// ([`Options::conflate`](crate::Options::conflate),
    /// [`conflate_by_topic`](crate::Options::conflate_by_topic)), and what a subscriber that comes late is sent
    /// ([`Options::last_values`](crate::Options::last_values)). They are counted, and leave less to others.
    ///
    /// Not counted is what is in no queue: what a connection has read beyond the mark (256 KiB at most, or a message that is
    /// larger) and of a message that is not whole yet
    /// ([`Options::max_message_size`](crate::Options::max_message_size) bounds it), subscriptions
    /// ([`Options::max_subscription_bytes`](crate::Options::max_subscription_bytes)), the values that are kept for late
    /// subscribers, replies that wait for who asked, and messages that lost their peer and wait for another.
    /// [`ContextStats::queued_weight`](crate::ContextStats::queued_weight) says how much it is now, the last of these
    /// included.
    ///
    /// More: the process may take as much more memory. Less: with many peers the marks of each are hardly ever reached, and
    /// streams go in shorter runs. With any limit each message is counted where all threads see it, which costs up to some
    /// tens of nanoseconds; of a published one as much for each subscriber, and short ones are not packed once for many.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Returns options for a context whose sockets strangers can reach: at most 1 GiB in all queues together. The sockets have
    /// theirs ([`Options::hardened`](crate::Options::hardened)).
    pub fn hardened() -> Self {
        ContextOptions::default().max_queued_bytes(1 << 30)
    }

    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        if self.spin > MOST_SPIN {
            return Err(InvalidOptions::OverLimit {
                option: "spin",
                most: MOST_SPIN,
                value: self.spin,
            });
        }
        if self.max_queued_bytes == 0 {
            let option = "max_queued_bytes";
            return Err(InvalidOptions::Zero { option });
        }
        Ok(())
    }
}

impl Default for ContextOptions {
    fn default() -> Self {
        ContextOptions {
            spin: SPIN,
            max_queued_bytes: usize::MAX,
        }
    }
}

/// About what it takes to wake a core that sleeps. Measured: 50 us cost no more processor time than sleeping.
const SPIN: Duration = Duration::from_micros(50);
/// To sleep for longer, and be woken, takes a twentieth more.
const MOST_SPIN: Duration = Duration::from_millis(1);
