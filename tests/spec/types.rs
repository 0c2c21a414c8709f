//! Socket types as the rules see them: what sends, what receives, and what does both, with the same few verbs.
#![allow(dead_code, unused_macros, reason = "each test file uses its part")]

use crate::common::{LONG, wait_connected};
use peermq::{Context, Endpoint, Message, Monitor, NotSent, Options, RecvError, SocketStats};
use std::time::Duration;

/// Any socket: made, bound, connected, looked at and closed.
pub trait Node: Sized + Send + Sync {
    /// Whether a message may have several frames.
    const SEVERAL_FRAMES: bool = true;

    fn make(context: &Context, options: Options) -> Self;
    fn bind(&self, endpoint: &str) -> Endpoint;
    fn connect(&self, endpoint: &str);
    fn unbind(&self, endpoint: &str);
    fn monitor(&self) -> Monitor;
    fn stats(&self) -> SocketStats;
    fn close(&self);
}

/// A socket that sends to whom it chooses.
pub trait Sends: Node {
    fn try_send(&self, message: Message) -> Result<(), NotSent>;
    fn send_timeout(&self, message: Message, limit: Duration) -> Result<(), NotSent>;

    fn send(&self, message: impl Into<Message>) {
        self.send_timeout(message.into(), LONG).unwrap();
    }
}

/// A socket that receives of everybody.
pub trait Receives: Node {
    fn recv_timeout(&self, limit: Duration) -> Result<Message, RecvError>;

    fn recv(&self) -> Message {
        self.recv_timeout(LONG).unwrap()
    }

    fn has_nothing(&self) -> bool {
        self.recv_timeout(Duration::ZERO).is_err()
    }
}

macro_rules! node {
    ($Type:ident $(, $frames:literal)?) => {
        impl crate::types::Node for peermq::$Type {
            $(const SEVERAL_FRAMES: bool = $frames;)?

            fn make(context: &peermq::Context, options: peermq::Options) -> Self {
                peermq::$Type::with_options(context, options).unwrap()
            }
            fn bind(&self, endpoint: &str) -> peermq::Endpoint {
                peermq::$Type::bind(self, endpoint).unwrap()
            }
            fn connect(&self, endpoint: &str) {
                peermq::$Type::connect(self, endpoint).unwrap();
            }
            fn unbind(&self, endpoint: &str) {
                peermq::$Type::unbind(self, endpoint).unwrap();
            }
            fn monitor(&self) -> peermq::Monitor {
                peermq::$Type::monitor(self)
            }
            fn stats(&self) -> peermq::SocketStats {
                peermq::$Type::stats(self)
            }
            fn close(&self) {
                let _report = peermq::$Type::close(self);
            }
        }
    };
}

macro_rules! sends {
    ($Type:ident) => {
        impl crate::types::Sends for peermq::$Type {
            fn try_send(&self, message: peermq::Message) -> Result<(), peermq::NotSent> {
                peermq::$Type::try_send(self, message).map_err(|error| error.reason)
            }
            fn send_timeout(
                &self,
                message: peermq::Message,
                limit: std::time::Duration,
            ) -> Result<(), peermq::NotSent> {
                peermq::$Type::send_timeout(self, message, limit).map_err(|error| error.reason)
            }
        }
    };
}

macro_rules! receives {
    ($Type:ident) => {
        crate::types::receives!($Type, |message: peermq::Message| message);
    };
    ($Type:ident, $message:expr) => {
        impl crate::types::Receives for peermq::$Type {
            fn recv_timeout(&self, limit: std::time::Duration) -> Result<peermq::Message, peermq::RecvError> {
                peermq::$Type::recv_timeout(self, limit).map($message)
            }
        }
    };
}

/// That a type has no such verb: one of its own would be called instead, and give something else.
macro_rules! assert_has_no {
    ($socket:expr, $verb:ident) => {{
        struct Absent;
        trait Without: Sized {
            fn $verb(&self) -> Absent {
                Absent
            }
        }
        impl<T> Without for T {}
        let _proof: Absent = $socket.$verb();
    }};
}

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use {assert_has_no, node, receives, sends};

/// Options with which a lost peer is found again soon.
pub fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20))
}

/// The same, and the kernel holds little of what is not read: it would go on taking for a while.
pub fn tight() -> Options {
    quick().send_buffer(128 << 10).recv_buffer(128 << 10)
}

/// Connects this to that, and waits until both know each other.
pub fn join<A: Node, B: Node>(dialer: &A, listener: &B, here: &str) {
    let (ours, theirs) = (dialer.monitor(), listener.monitor());
    dialer.connect(here);
    wait_connected(&ours);
    wait_connected(&theirs);
}

/// A message with a number in it, that no XPUB takes for a subscription.
pub fn numbered(number: u32) -> Message {
    Message::from([&b"#"[..], &number.to_be_bytes()].concat())
}

pub fn number(message: &Message) -> u32 {
    let digits = &message.frame(message.frame_count() - 1).unwrap()[1..];
    u32::from_be_bytes(digits.try_into().unwrap())
}
