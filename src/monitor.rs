//! What happened to a socket's peers, and why.
//!
//! Events are facts that came about; they ask for nothing. The receiving end is [`Monitor`](crate::Monitor).

use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use std::time::Duration;

/// What happened to a peer, a dialer or a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A listener takes connections.
    Listening {
        /// The endpoint really bound.
        endpoint: Endpoint,
    },
    /// A listener is gone; its endpoint is free.
    Unbound {
        /// Its endpoint.
        endpoint: Endpoint,
    },
    /// A listener could not take a connection, and pauses.
    AcceptFailed {
        /// Its endpoint.
        endpoint: Endpoint,
        /// The system's words.
        error: String,
        /// How long it pauses.
        pause: Duration,
    },
    /// A connection is ready for messages.
    Connected {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
    },
    /// An attempt did not reach the address.
    ConnectFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: Failure,
    },
    /// A connection ended before it was ready.
    HandshakeFailed {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
        /// How far it had come.
        stage: Stage,
        /// Why; [`Failure::fault`] says by whose fault.
        failure: Failure,
    },
    /// A connection that was ready ended.
    Disconnected {
        /// The endpoint that was connected to, or that it came in by.
        endpoint: Endpoint,
        /// The peer's address.
        peer: String,
        /// Why; [`Failure::fault`] says by whose fault.
        failure: Failure,
        /// How many messages this connection had written: the most that can be lost on their way.
        written: u64,
    },
    /// A dialer tries again after a wait.
    RetryingIn {
        /// The endpoint.
        endpoint: Endpoint,
        /// The wait.
        delay: Duration,
    },
    /// A dialer stopped: trying again cannot help as long as both sides are set up as they are.
    GaveUp {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: Failure,
    },
    /// A `send` waits, and there is no peer at all.
    NoPeer,
}
