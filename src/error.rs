//! Errors, by who can act on them: the caller.
//!
//! What a peer does wrong is never one of these; it ends that peer's connection and is told to the monitor.

use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::identity::Identity;
use crate::message::Message;
use crate::options::InvalidOptions;
use std::io;

/// Says that a message was not sent, and gives it back.
///
/// Nothing of it is queued anywhere, and nothing is counted as dropped but what `reply` could not send.
///
/// ```
/// use peermq::{Context, Message, NotSent, Push};
///
/// let context = Context::new()?;
/// let push = Push::new(&context); // no peer yet
/// let given = push.try_send(Message::from("mine")).unwrap_err();
/// assert_eq!(given.reason, NotSent::WouldBlock);
/// assert_eq!(given.message, Some(Message::from("mine")));
///
/// let lent = push.try_send("still mine").unwrap_err();
/// assert_eq!(lent.message, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("not sent: {reason}")]
#[non_exhaustive]
pub struct SendError {
    /// Why.
    pub reason: NotSent,
    /// What was given away; `None` if it was lent, and the caller still has it.
    pub message: Option<Message>,
}

/// Says that not all of many messages were sent, how many were, and gives back those that are neither sent nor the caller's.
///
/// Messages are taken from the iterator some ahead of what is sent, 64 at most. So there are three kinds: the first `sent`
/// are queued; those behind were taken and come back here, if they were given away; and what was not taken is the iterator's
/// still, which is the caller's if it was lent.
///
/// ```
/// use peermq::{Context, Message, NotSent, Options, Push};
///
/// let context = Context::new()?;
/// let push = Push::with_options(&context, Options::default().send_mark(3))?;
/// push.connect("inproc://nobody-yet")?;
///
/// let mut given = (0..100).map(|number| Message::from(number.to_string()));
/// let error = push.try_send_many(&mut given).unwrap_err();
/// assert_eq!((error.reason, error.sent), (NotSent::WouldBlock, 3));
/// let rest: Vec<Message> = error.messages.into_iter().chain(given).collect();
/// assert_eq!(rest[0], "3");
/// assert_eq!(rest.len(), 97);
///
/// let lent = ["three", "are", "here"];
/// let error = push.try_send_many(lent).unwrap_err();
/// assert_eq!(lent[error.sent..], lent); // none was sent, and all are still here
/// assert!(error.messages.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{sent} sent, and then no more: {reason}")]
#[non_exhaustive]
pub struct SendManyError {
    /// Why the first that was not sent was not.
    pub reason: NotSent,
    /// How many were sent: all before it.
    pub sent: usize,
    /// What was given away, taken and not sent, in its order: what was refused, and what had been taken behind it. Nothing of
    /// what was lent.
    pub messages: Vec<Message>,
}

/// Why a message was not sent. `WouldBlock`, `TimedOut` and `PeerFull` may be tried again; the others stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// There is no peer with room, and the call was not to wait.
    #[error("there is no peer with room")]
    WouldBlock,
    /// There was no peer with room in time: those there are stay full, or there is none.
    #[error("there was no peer with room in time")]
    TimedOut,
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The peer that it was for is gone.
    #[error("the peer is gone")]
    PeerGone,
    /// No peer is known by what it was addressed to: there never was one, or it is gone.
    #[error("no such peer")]
    UnknownPeer,
    /// The peer that it was for is at its mark.
    #[error("the peer is at its mark")]
    PeerFull,
    /// A message of this socket type has one frame, and this one has several.
    #[error("a message of this socket type has one frame")]
    SeveralFrames,
    /// The group's name is longer than 255 bytes.
    #[error("a group's name has at most 255 bytes")]
    TooLong,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why nothing was received. `WouldBlock` and `TimedOut` may be tried again; the others stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing is here, and the call was not to wait.
    #[error("nothing to receive")]
    WouldBlock,
    /// Nothing came in time.
    #[error("nothing came in time")]
    TimedOut,
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why what was waited for did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// Not in time, or not as many.
    #[error("not as many have subscribed or joined in time")]
    TimedOut,
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why a socket is not subscribed, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The topic is longer than a subscription may be. Nothing has changed.
    #[error("a topic of {0} bytes is over the limit of {limit}", limit = crate::notice::MOST_TOPIC)]
    TooLong(usize),
    /// It is subscribed; that all its publishers know of it could not be waited for.
    #[error("subscribed, but not confirmed{}", unconfirmed(*.0))]
    Unconfirmed(#[from] WaitError),
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
}

fn unconfirmed(why: WaitError) -> String {
    match why {
        WaitError::TimedOut => String::from(" in time by all publishers"),
        why => format!(": {why}"),
    }
}

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent. What was given away is in the error.
    #[error(transparent)]
    NotSent(#[from] SendError),
    /// It was queued for a peer, and no reply came in time. If it was not on its way yet, it is taken back, and counted as
    /// [`DropReason::Abandoned`](crate::DropReason::Abandoned); else it may have been served, and a reply that comes later
    /// is dropped and counted as [`DropReason::StaleReply`](crate::DropReason::StaleReply).
    #[error("no reply in time")]
    TimedOut,
    /// It was written to a peer, and that peer was lost. It may have been served: ask again only what may be done
    /// twice.
    #[error("the peer was lost before it replied")]
    PeerLost,
    /// Another request took its place ([`Options::relaxed`](crate::Options::relaxed)). It may have been served.
    #[error("another request took its place")]
    Abandoned,
    /// The socket or its context was closed before a reply came.
    #[error("the socket or its context was closed before a reply came")]
    Closed,
}

/// Why an endpoint is not bound. Nothing of the call is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint is not one that can be bound.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The listener that was handed over cannot be used.
    #[error("bind a listener: {0}")]
    Listener(io::Error),
    /// The system refused, or the name is taken (inproc: `AddrInUse`).
    #[error("bind {endpoint}: {error}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why it is not.
        error: io::Error,
    },
    /// Others than this machine could reach it, and its mechanism hides and protects nothing, which the options do not allow
    /// ([`Options::hardened`](crate::Options::hardened)).
    #[error(
        "bind {endpoint}: with {mechanism} everybody on the way reads and changes all that is sent; use CURVE \
         (Options::security), bind to loopback, or say allow_insecure_bind(true)"
    )]
    Insecure {
        /// What was to be bound, as it would have been.
        endpoint: Endpoint,
        /// NULL or PLAIN.
        mechanism: &'static str,
    },
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why an endpoint is not dialed. That nobody answers there is none of these: it is told to a
/// [`Monitor`](crate::Monitor), and tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is not one that can be connected to.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// A peer is known by this identity already.
    #[error("a peer is known as {0} already")]
    IdentityInUse(Identity),
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why an endpoint is not unbound, or not disconnected from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// This socket has not bound it or is not connected to it, or is ending it already.
    #[error("{0} is not an endpoint of this socket: it goes by what bind returned, or connect was given")]
    Unknown(Endpoint),
    /// The socket or its context is closed.
    #[error("the socket or its context is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop.
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Why a context could not be made. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The system has no descriptor or no thread to spare.
    #[error("cannot start the event loop: {0}")]
    Io(#[from] io::Error),
    /// One of its options makes no sense.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
}

/// Why a call to close did not wait for the end. The socket closes all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Something was left half a second after the linger time: the event loop is gone, or had no chance to run.
    #[error("something was left after the linger time")]
    Unfinished,
    /// The call would wait on the thread that runs the event loop.
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reached_in_time_is_said() {
        assert_eq!(
            WaitError::TimedOut.to_string(),
            "not as many have subscribed or joined in time"
        );
        assert_eq!(
            SubscribeError::Unconfirmed(WaitError::TimedOut).to_string(),
            "subscribed, but not confirmed in time by all publishers"
        );
        assert_eq!(
            SubscribeError::Unconfirmed(WaitError::Closed).to_string(),
            "subscribed, but not confirmed: the socket or its context is closed"
        );
        // Also where there is no peer at all.
        assert_eq!(NotSent::TimedOut.to_string(), "there was no peer with room in time");
    }
}
