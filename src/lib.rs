#![doc = include_str!("../README.md")]
//! ## How it is built
//!
//! Floors: a module uses those below it, and `tests/layers.rs` keeps it so.
//!
//! | floor | modules | what is there |
//! |--:|---|---|
//! | 7 | `confirmed`, `poller`, `proxy`, `zap` | what is made of several sockets; they watch them, and sleep like any other waiter |
//! | 6 | `socket` | what users hold: one file for each socket type, with its verbs and the policies it is made of |
//! | 5 | `context` | starts the loop, knows all sockets, ends them with a report |
//! | 4 | `engine` | sessions, dialers, listeners, timers, inproc, and the seat: joins what is below |
//! | 3 | `hub`, `transport` | where application and engine meet; bytes to and from the world |
//! | 2 | `routing`, `wire` | who gets which message; ZMTP. Neither knows the other, a socket, a clock or a lock |
//! | 1 | `batch` | whole messages packed back to back: the unit that travels |
//! | 0 | `message`, `endpoint`, `options`, `notice`, `stats`, `explain`, ... | words |
//!
//! The walk of one message, from a `Push` over TCP to a `Pull`:
//!
//! | who | where | what |
//! |---|---|---|
//! | sender | `Push::send`, `Hub::attempt` | takes the hub's lock; without room: stands in line and waits |
//! | | `LoadBalance::send`, `Peers::enqueue` | chooses the peer; header and payload go to the end of its batch; unlocks |
//! | | `Link::flush` | only who made the queue not empty: writes itself if it was quiet, else asks for a flush |
//! | any | `Session::flush`, `Station::collect` | under the write side's lock: takes the next batch, gives it to the kernel |
//! | driver | `Session::fill`, `Connection::handle_received` | under the read side's lock: reads, and cuts at the last whole message |
//! | | `Station::deliver` | takes the hub's lock: the run of whole messages goes in, who waits for one is woken |
//! | receiver | `Pull::recv`, `FairQueue::recv` | takes the hub's lock: the next peer's oldest message; with room again, reading resumes |
//! | driver | `Station::lost` | the connection ended: what was not wholly written goes back to its peer, or is dropped and counted |
//!
//! What is no message, a subscription or a group, walks the same floors as a `Notice`: the pattern owes it to a peer, the
//! session takes it in front of the next batch, `wire` makes a command of it, and the other side's `Station::notice` hands
//! it to the pattern behind all messages that came before. PING and PONG are between the two `wire`s.
//!
//! Over inproc a link moves batches from one hub to the other. A stream is only offered, if nobody waits for it: whoever looks
//! for a message fetches all of it, or the sender moves it just before its queue is full.
//!
//! A message is in one place at a time. Back-pressure is the same table read upward: a queue that is full is not added
//! to, so the step above it stops, and in the end `send` waits.
//!
//! **Who waits, drives.** Who sits in *the seat* runs the loop: one thread at a time. A thread that would sleep takes the
//! seat if it is free, and reads what it waits for itself; if it is taken, or less than a millisecond is left, it parks.
//! The loop's own thread, the *keeper*, sits while nobody else does. It steps back once it has woken a thread, and comes
//! back when the seat has been empty for a lease: 200 us while others wait who cannot take it; else 1 ms, and up to 8 where
//! those who left it were back in time whenever the keeper looked. While several peers send more than a turn takes, it
//! stays, and reads while the application's threads work. An application's thread in the seat looks again for some
//! microseconds (`ContextOptions::spin`) before it sleeps, as long as that pays; so does one of those that are parked beside
//! it, and the keeper while peers introduce themselves. A note to the loop wakes only a sleeper.
//! Writing needs no seat: senders write, and the keeper flushes while another sits, but leaves a stream to a sender who comes
//! to the seat himself whenever his peer is full. On a thread that sits, a call that would wait fails with `WouldDeadlock`.
//!
//! Locks, in their order: who holds one takes only those that its row names.
//!
//! | lock | guards | taken inside it |
//! |---|---|---|
//! | reins, one a context | poll, engine, read chunk; held by who sits, so nobody waits for it | all |
//! | names, one a context | inproc: who has bound a name, who waits for it | link, hub, buffers |
//! | link, one an inproc pair | that batches move in order | one hub at a time, its buffers |
//! | a session's read side | wire state, partial frame; held over its own read | write side, hub |
//! | a session's write side | the batch being written; held over its own write | hub |
//! | hub, one a socket | pattern, peers, who waits | buffers of inproc links |
//! | buffers, two an inproc pair | those that wait to be packed into | none |
//! | seat state, one a context | who sits, who sleeps, notes | none |
//!
//! Hub, buffers and seat state are held for a breath: who waits for one of them spins, and sleeps only if its holder does not
//! run.
//!
//! What a step wants done outside (wakers, flushes, drops of what users gave) comes out of it as one value, `Effects`,
//! and is done once none of these is held but the reins.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(
    not(any(test, fuzzing)),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::todo
    )
)]

// Floor 0: words.
mod chance;
mod cipher;
mod endpoint;
mod error;
mod explain;
mod failure;
mod identity;
mod keys;
mod limit;
mod message;
mod monitor;
mod notice;
mod options;
mod peer_info;
mod routing_id;
mod security;
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

// Floor 7: what is made of several sockets.
pub mod confirmed;
mod poller;
mod proxy;
mod zap;

#[cfg(any(all(test, not(loom)), fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(test, fuzzing))]
mod sim;

#[doc = include_str!("spec.md")]
pub mod conformance {}

pub use context::{Context, ShutdownReport};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{
    BindError, CloseError, ConnectError, ContextError, EndpointError, NotSent, RecvError, RequestError, SendError,
    SendManyError, SubscribeError, WaitError,
};
pub use explain::{Cause, ConnectionState, Doing, EndpointState, Explanation, Life, Topics};
pub use failure::{Failure, Fault, Stage};
pub use hub::{Events, Monitor, Pollable};
pub use identity::{Identity, InvalidIdentity};
pub use keys::{
    Certificate, CertificateError, IfExists, InvalidKey, InvalidMetadata, KeyError, PublicKey, SecretKey, SecretText,
};
pub use limit::Limit;
pub use message::{Frame, Message, NoFrames, Outgoing};
pub use monitor::Event;
pub use options::{AtMark, ContextOptions, InvalidOptions, Options, Verbosity};
pub use peer_info::{PeerCredentials, PeerInfo};
pub use poller::{Interest, Key, PollError, Poller, Ready};
pub use proxy::{
    Passage, Proxy, ProxyEnd, ProxyError, ProxyHandle, ProxyReport, ProxyStats, forwarder, proxy, queue, streamer,
};
pub use routing_id::RoutingId;
pub use security::{
    Answer, Authoriser, Claim, Curve, CurveServer, InvalidSubnet, Null, Plain, PlainServer, Security, Subnet, User,
    Verdict,
};
pub use socket::AnySocket;
pub use socket::channel::Channel;
pub use socket::client::Client;
pub use socket::dealer::Dealer;
pub use socket::dish::Dish;
pub use socket::gather::Gather;
pub use socket::pair::Pair;
pub use socket::peer::Peer;
pub use socket::publish::Pub;
pub use socket::pull::Pull;
pub use socket::push::Push;
pub use socket::radio::Radio;
pub use socket::raw::Relay;
pub use socket::reply::{Rep, Request};
pub use socket::request::Req;
pub use socket::router::{PeerState, Router};
pub use socket::scatter::Scatter;
pub use socket::server::Server;
pub use socket::stream::Stream;
pub use socket::subscribe::Sub;
pub use socket::xpublish::{Subscriber, Upstream, XPub};
pub use socket::xsubscribe::XSub;
pub use socket_type::SocketType;
pub use stats::{
    CloseReport, Connections, ContextStats, DropReason, Drops, Flow, Histogram, LoopStats, PeerReport, PeerStats, Rate,
    SocketEntry, SocketStats, Throughput, TurnedAway,
};
pub use transport::OpenListener;
pub use zap::{Zap, ZapBuilder, ZapError};
