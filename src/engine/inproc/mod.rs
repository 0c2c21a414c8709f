//! Sockets of one context that meet by name, without the loop.
//!
//! The calling thread moves the batch: whoever makes a queue not empty moves it into the other socket, whoever makes room
//! resumes; each call moves one way, under the link's lock, one pass. Lock order: names, link, hub.

mod names;
mod pairing;

pub(crate) use names::{Names, NotBound};
