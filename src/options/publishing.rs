//! What only sockets that publish or subscribe have.

use super::{AtMark, Conflate, Options, Verbosity};
use crate::message::Message;

impl Options {
    /// Sets what becomes of a message whose subscriber is at its mark. Default [`AtMark::DropNewest`]: nobody waits for
    /// it. PUB, XPUB, RADIO.
    pub fn at_mark(mut self, policy: AtMark) -> Self {
        self.publishing.at_mark = policy;
        self.note("at_mark")
    }

    /// Sets whether a message goes to those whose subscriptions do *not* match it. Default no. PUB, XPUB and SUB: both
    /// sides must be set, or the subscriber drops what it gets (`ZMQ_INVERT_MATCHING`).
    ///
    /// Yes: a peer that has subscribed to nothing gets everything.
    pub fn invert_matching(mut self, yes: bool) -> Self {
        self.publishing.invert_matching = yes;
        self.note("invert_matching")
    }

    /// Keeps the newest message of each topic, of so many topics at most, for subscribers that come later: each gets those
    /// that match its new subscription. Default: none are kept. PUB and XPUB; at least 1.
    ///
    /// A topic is the whole first frame of a message. At the limit the topic that was published least recently is
    /// forgotten, and counted in [`SocketStats::forgotten_topics`](crate::SocketStats::forgotten_topics). What a new
    /// subscriber gets waits until half of its mark is free, and then goes as a whole, also above its mark. A second
    /// subscription to the same topic by the same peer brings nothing.
    ///
    /// More: memory for each topic ever published. Fewer: subscribers that come later miss the rarely published ones.
    pub fn last_values(mut self, topics: usize) -> Self {
        self.publishing.last_values = Some(topics);
        self.note("last_values")
    }

    /// Sets how much a peer's subscriptions may weigh, in bytes: each topic or group with its length and 128 more. Default
    /// 16 MiB, which is more than a hundred thousand of short topics; at least 1. PUB, XPUB, RADIO.
    ///
    /// A peer that asks for more is disconnected with [`Failure::TooLarge`](crate::Failure::TooLarge), and all its
    /// subscriptions end; of what came too much a message (ZMTP 3.0) is counted as
    /// [`Oversubscribed`](crate::DropReason::Oversubscribed), a command in
    /// [`ignored_commands`](crate::SocketStats::ignored_commands). What the application itself subscribes a peer to is
    /// never refused. libzmq has no such limit.
    ///
    /// More: a stranger can take more memory with each connection. Less: an honest peer with many subscriptions never
    /// gets through, though it comes back again and again, after waits that grow.
    pub fn max_subscription_bytes(mut self, bytes: usize) -> Self {
        self.publishing.most_asked = bytes;
        self.note("max_subscription_bytes")
    }

    /// Sets how long a topic or group may be that a peer subscribes to, in bytes. Default 64 KiB, more than what a command
    /// can carry; at least 1. PUB, XPUB, RADIO.
    ///
    /// A peer that asks for a longer one is disconnected, as with
    /// [`max_subscription_bytes`](Options::max_subscription_bytes), and counted in the same way. What the application
    /// itself subscribes a peer to is never refused.
    ///
    /// Larger: what is published is compared with longer topics, which takes time for each message. Smaller: an honest
    /// peer with a long topic never gets through, though it comes back again and again, after waits that grow.
    pub fn max_topic_len(mut self, bytes: usize) -> Self {
        self.publishing.longest_topic = bytes;
        self.note("max_topic_len")
    }

    /// Sets which subscriptions an XPUB hands to its application. Default [`Verbosity::Changes`].
    ///
    /// More: as many messages as subscribers ask for, and a count of them that does not come out even. Fewer: the application
    /// hears that somebody wants a topic, not how many do, and nothing when another one comes.
    pub fn verbosity(mut self, verbosity: Verbosity) -> Self {
        self.publishing.verbosity = verbosity;
        self.note("verbosity")
    }

    /// Sets whether an XPUB leaves it to its application which subscriptions count. Default no. Yes: a subscription that
    /// comes is only told to the application, which calls [`Subscriber::subscribe`](crate::Subscriber::subscribe) with the
    /// topic of its choice, or does not (`ZMQ_XPUB_MANUAL`): as long as it does not receive, nobody new gets anything. The
    /// end of one that was not told is not told either. No: whoever connects gets what it asks for.
    pub fn manual(mut self, yes: bool) -> Self {
        self.publishing.manual = yes;
        self.note("manual")
    }

    /// Sets what each new subscriber of an XPUB is sent first, whatever it subscribes to. Default: nothing. A SUB drops it
    /// unless one of its own subscriptions matches it (`ZMQ_XPUB_WELCOME_MSG`). It costs each connection a message, and says
    /// only that this side is there: of the subscriptions it says nothing.
    pub fn welcome_message(mut self, message: impl Into<Message>) -> Self {
        self.publishing.welcome = Some(message.into());
        self.note("welcome_message")
    }

    /// Keeps only the newest message in each queue: a message that is not yet on its way is dropped for a newer one, whole,
    /// and counted as [`Conflated`](crate::DropReason::Conflated). Default no. PUSH, DEALER, PUB out; PULL, DEALER, SUB in.
    ///
    /// Marks mean nothing then, and nobody waits. What the kernel holds is not replaced any more.
    pub fn conflate(mut self) -> Self {
        self.conflate = Some(Conflate::All);
        self.note("conflate")
    }

    /// Keeps only the newest message of each topic in each queue, of so many topics at most. Default no. PUB and XPUB out,
    /// SUB and XSUB in; 65,536 is a good number, and at least 1.
    ///
    /// A topic is the whole first frame. At the limit the one that changed least recently is dropped; all that is dropped
    /// is counted as [`Conflated`](crate::DropReason::Conflated).
    ///
    /// More: a peer that names new topics without end takes more memory, in each queue as many messages of any size up to
    /// [`max_message_size`](Options::max_message_size). Fewer: a reader who is late misses topics altogether.
    pub fn conflate_by_topic(mut self, topics: usize) -> Self {
        self.conflate = Some(Conflate::ByTopic { topics });
        self.note("conflate_by_topic")
    }
}
