//! peermq.
#![forbid(unsafe_code)]
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

mod batch;
mod endpoint;
mod failure;
mod identity;
mod message;
mod options;
mod socket_type;
mod sync;
mod transport;
mod wire;

pub use endpoint::{Endpoint, InvalidEndpoint};
pub use failure::{Failure, Fault, Stage};
pub use identity::{Identity, InvalidIdentity};
pub use message::{Frame, Message, NoFrames, Outgoing};
pub use options::{InvalidOptions, Options};
pub use socket_type::SocketType;
