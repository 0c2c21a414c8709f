//! Errors, by who can act on them: the caller.
//!
//! What a peer does wrong is never one of these; it ends that peer's connection and is told to the monitor.

use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::message::Message;
use std::io;

/// Not sent. What was given away is the caller's again.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {reason}")]
#[non_exhaustive]
pub struct SendError {
    /// Why.
    pub reason: NotSent,
    /// What was given away; `None` if it was lent, and the caller still has it.
    pub message: Option<Message>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// There is no peer with room, and the call was not to wait.
    #[error("no peer has room")]
    WouldBlock,
    /// No peer had room in time.
    #[error("no peer had room in time")]
    TimedOut,
    /// The socket or its context is closed.
    #[error("the socket is closed")]
    Closed,
    /// The peer that it was for is gone.
    #[error("the peer is gone")]
    PeerGone,
    /// The peer that it was for is at its mark.
    #[error("the peer is at its mark")]
    PeerFull,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Nothing was received.
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
    #[error("the socket is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// A request got no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent. What was given away is in the error.
    #[error(transparent)]
    NotSent(#[from] SendError),
    /// It was sent, and no reply came in time. A reply that comes later is dropped and counted.
    #[error("no reply in time")]
    TimedOut,
    /// It was written to a peer, and that peer was lost. It may have been served.
    #[error("the peer was lost before it replied")]
    PeerLost,
    /// The socket or its context was closed before a reply came.
    #[error("the socket is closed")]
    Closed,
}

/// The endpoint is not bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint is not one that can be bound.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The system refused.
    #[error("bind {endpoint}: {error}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why it is not.
        error: io::Error,
    },
    /// The socket or its context is closed.
    #[error("the socket is closed")]
    Closed,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// The endpoint is not dialed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is not one that can be connected to.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The socket or its context is closed.
    #[error("the socket is closed")]
    Closed,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// The endpoint is not unbound or disconnected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// This socket has not bound or connected to it.
    #[error("{0} is not an endpoint of this socket")]
    Unknown(Endpoint),
    /// The socket or its context is closed.
    #[error("the socket is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop.
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// A context could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the event loop: {0}")]
pub struct ContextError(#[from] pub(crate) io::Error);

/// A call to close did not wait for the end. The socket closes all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Something was left after the linger time: the loop is gone.
    #[error("the event loop is gone")]
    Unfinished,
    /// The call would wait on the thread that runs the event loop.
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}
