#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::todo
    )
)]

// Floor 0: words.
mod endpoint;
mod error;
mod failure;
mod identity;
mod message;
mod monitor;
mod options;
mod socket_type;
mod stats;
mod sync;

// Floor 1: the unit that travels.
mod batch;

// Floor 2: ZMTP; who gets which message.
mod routing;
mod wire;

// Floor 3: where application and engine meet; bytes to and from the world.
mod hub;
mod transport;

// Floor 4: joins hub, wire and transport.
mod engine;

// Floor 5 and 6: what users hold.
mod context;
mod socket;

#[cfg(test)]
mod sim;

pub use context::{Context, ShutdownReport};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{
    BindError, CloseError, ConnectError, ContextError, EndpointError, NotSent, RecvError, RequestError, SendError,
};
pub use failure::{Failure, Fault, Stage};
pub use hub::Monitor;
pub use identity::{Identity, InvalidIdentity};
pub use message::{Frame, Message, NoFrames, Outgoing};
pub use monitor::Event;
pub use options::{InvalidOptions, Options};
pub use socket::pair::Pair;
pub use socket::pull::Pull;
pub use socket::push::Push;
pub use socket::reply::{Rep, Request};
pub use socket::request::Req;
pub use socket_type::SocketType;
pub use stats::{CloseReport, DropReason, Drops, Flow, PeerReport, PeerStats, SocketStats};
