//! peermq. As it comes, and its variants: how context and options are made is a parameter, and `Many` streams by the verbs
//! that take many messages at a time.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::blocking::Role;
use peermq::{AtMark, Context, ContextOptions, Dealer, Message, Options, Pair, Pub, Pull, Push, Rep, Req, Router, Sub};
use std::marker::PhantomData;
use std::time::Duration;

pub struct Peermq<V>(PhantomData<V>);

pub trait Variant: 'static {
    const SETTINGS: &'static str;
    fn context() -> Context;
    fn options() -> Options;
}

pub struct Defaults;

impl Variant for Defaults {
    const SETTINGS: &'static str = "defaults; PUB waits at the mark";

    fn context() -> Context {
        Context::new().expect("a context")
    }

    fn options() -> Options {
        Options::default()
    }
}

pub struct NoSpin;

impl Variant for NoSpin {
    const SETTINGS: &'static str = "who waits sleeps at once; PUB waits at the mark";

    fn context() -> Context {
        Context::with_options(ContextOptions::default().spin(Duration::ZERO)).expect("a context")
    }

    fn options() -> Options {
        Options::default()
    }
}

/// A socket of this type, with these options, bound or connected.
macro_rules! open {
    ($Socket:ident, $context:expr, $options:expr, $place:expr) => {{
        let socket = $Socket::with_options(&$context, $options).expect("options");
        match &$place {
            Place::Bind { endpoint, .. } => drop(socket.bind(endpoint.as_str()).expect("bind")),
            Place::Connect { endpoint } => socket.connect(endpoint.as_str()).expect("connect"),
        }
        socket
    }};
}

impl<V: Variant> Contender for Peermq<V> {
    type Context = Context;

    fn about() -> About {
        About::new("peermq", env!("VERSION_PEERMQ"), V::SETTINGS)
    }

    fn context() -> Context {
        V::context()
    }

    fn open(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let options = V::options();
        match kind {
            Kind::Push => role.run(open!(Push, context, options, place)),
            Kind::Pull => role.run(open!(Pull, context, options, place)),
            Kind::Pub => role.run(open!(Pub, context, options.at_mark(AtMark::Block), place)),
            Kind::Sub(count) => {
                let sub = open!(Sub, context, options, place);
                for prefix in prefixes(count) {
                    sub.subscribe(prefix).expect("subscribe");
                }
                role.run(sub);
            }
            Kind::Req => role.run(open!(Req, context, options, place)),
            Kind::Rep => role.run(open!(Rep, context, options, place)),
            Kind::Dealer => role.run(open!(Dealer, context, options, place)),
            Kind::Router => role.run(open!(Router, context, options, place)),
            Kind::Pair => role.run(open!(Pair, context, options, place)),
        }
        Ok(())
    }
}

pub struct Many;

impl Contender for Many {
    type Context = Context;

    fn about() -> About {
        let settings = "send_many, of copies put together up to 64 KiB; recv_many; PUB waits at the mark";
        About::new("peermq", env!("VERSION_PEERMQ"), settings)
    }

    fn context() -> Context {
        Defaults::context()
    }

    fn open(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let options = Defaults::options();
        match kind {
            Kind::Push => role.run(Gather::new(open!(Push, context, options, place))),
            Kind::Pull => role.run(Taken::new(open!(Pull, context, options, place))),
            Kind::Pub => {
                let publisher = open!(Pub, context, options.at_mark(AtMark::Block), place);
                role.run(Gather::new(publisher));
            }
            Kind::Sub(count) => {
                let sub = open!(Sub, context, options, place);
                for prefix in prefixes(count) {
                    sub.subscribe(prefix).expect("subscribe");
                }
                role.run(Taken::new(sub));
            }
            _ => return Err(Cannot),
        }
        Ok(())
    }
}

/// So much is put together before it is sent. A message of as much goes alone, and is not copied.
const GROUP_BYTES: usize = 64 << 10;
const GROUP_MESSAGES: usize = 256;

/// Sends groups. The messages are lent for a call each, so they are copied, one behind the other.
struct Gather<S> {
    socket: S,
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

/// Hands out one by one what came together.
struct Taken<S> {
    socket: S,
    messages: Vec<Message>,
    next: usize,
}

impl<S> Gather<S> {
    fn new(socket: S) -> Self {
        Gather {
            socket,
            bytes: Vec::with_capacity(GROUP_BYTES),
            ends: Vec::with_capacity(GROUP_MESSAGES),
        }
    }
}

impl<S> Taken<S> {
    fn new(socket: S) -> Self {
        Taken {
            socket,
            messages: Vec::with_capacity(GROUP_MESSAGES),
            next: 0,
        }
    }
}

macro_rules! gather {
    ($Socket:ident) => {
        impl Socket for Gather<$Socket> {
            fn send(&mut self, message: &[u8]) {
                if self.ends.len() == GROUP_MESSAGES || self.bytes.len() + message.len() > GROUP_BYTES {
                    self.flush();
                }
                if message.len() >= GROUP_BYTES {
                    self.socket.send(message).expect("send");
                } else {
                    self.bytes.extend_from_slice(message);
                    self.ends.push(self.bytes.len());
                }
            }

            fn flush(&mut self) {
                let begins = std::iter::once(&0).chain(&self.ends);
                let messages = begins
                    .zip(&self.ends)
                    .map(|(&begin, &end)| &self.bytes[begin..end]);
                self.socket.send_many(messages).expect("send");
                self.bytes.clear();
                self.ends.clear();
            }
        }
    };
}

macro_rules! taken {
    ($Socket:ident) => {
        impl Socket for Taken<$Socket> {
            fn recv(&mut self) -> (usize, u8) {
                if self.next == self.messages.len() {
                    self.messages.clear();
                    self.next = 0;
                    let taken = self.socket.recv_many(&mut self.messages, GROUP_MESSAGES);
                    taken.expect("messages");
                }
                self.next += 1;
                seen(self.messages[self.next - 1].first())
            }
        }
    };
}

gather!(Push);
gather!(Pub);
taken!(Pull);
taken!(Sub);

macro_rules! send {
    () => {
        fn send(&mut self, message: &[u8]) {
            Self::send(self, message).expect("send");
        }
    };
}

macro_rules! recv {
    () => {
        fn recv(&mut self) -> (usize, u8) {
            seen(Self::recv(self).expect("a message").first())
        }
    };
}

impl Socket for Push {
    send!();
}

impl Socket for Pull {
    recv!();
}

impl Socket for Pub {
    send!();
}

impl Socket for Sub {
    recv!();
}

impl Socket for Req {
    fn ask(&mut self, message: &[u8]) -> (usize, u8) {
        seen(self.request(message).expect("a reply").first())
    }
}

impl Socket for Rep {
    fn echo(&mut self) {
        let request = Rep::recv(self).expect("a request");
        let message = request.message().clone();
        request.reply(message).expect("reply");
    }
}

impl Socket for Dealer {
    send!();
    recv!();
}

impl Socket for Router {
    fn echo(&mut self) {
        let (peer, message) = Router::recv(self).expect("a message");
        self.send_to(&peer, message).expect("send");
    }
}

impl Socket for Pair {
    send!();
    recv!();

    fn echo(&mut self) {
        let message = Pair::recv(self).expect("a message");
        Pair::send(self, message).expect("send");
    }
}
