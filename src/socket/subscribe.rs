//! SUB: messages that begin with what it has subscribed to ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::Socket;
use super::subscribing::{Subscribing, Wish};
use super::verbs::{constructors, recv_message_verbs, socket_verbs, subscriber_verbs};
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Interests, Words};
use crate::socket_type::SocketType;
use crate::stats::DropReason;

/// Receives messages of [`Pub`](crate::Pub) and [`XPub`](crate::XPub) sockets whose first frame begins with one of its
/// subscriptions ([RFC 29](https://rfc.zeromq.org/spec/29/)).
///
/// Without a subscription it receives nothing. Subscriptions are counted, never lost, and told in full to each publisher
/// whenever a connection to it is ready, before anything else. What comes and matches none of them (any more) is dropped
/// and counted as `NotSubscribed` when its turn to be received comes.
///
/// ```
/// use peermq::{Context, Pub, Sub};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
/// sub.connect(publisher.bind("inproc://news")?)?;
/// sub.subscribe_confirmed("sports", Duration::from_secs(5))?; // the publisher knows
/// publisher.send(["sports", "a goal"])?;
/// assert_eq!(sub.recv()?.frame(1), Some(&b"a goal"[..]));
///
/// assert!(sub.unsubscribe("sports")?);
/// assert!(!sub.unsubscribe("sports")?); // it was not subscribed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sub {
    socket: Socket<SubPattern>,
}

constructors!(Sub, SubPattern::new);
socket_verbs!(Sub);
recv_message_verbs!(Sub);
subscriber_verbs!(Sub);

pub(crate) type SubPattern = Subscribing<Prefixes>;

/// What SUB wants: messages that begin with one of its subscriptions.
pub(crate) struct Prefixes {
    /// Those that begin with none of them instead.
    is_inverted: bool,
}

impl Wish for Prefixes {
    const TYPE: SocketType = SocketType::Sub;
    const WORDS: Words = Words::Subscribe;

    fn new(options: &Options) -> Self {
        Prefixes {
            is_inverted: options.publishing.invert_matching,
        }
    }

    #[inline(always)]
    fn refusal(&self, interests: &Interests, message: &Message) -> Option<DropReason> {
        let is_wanted = interests.has_prefix_of(message.first()) != self.is_inverted;
        (!is_wanted).then_some(DropReason::NotSubscribed)
    }
}
