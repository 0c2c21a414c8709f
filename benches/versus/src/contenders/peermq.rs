//! peermq. As it comes, and its variants: how context and options are made is a parameter, and `Many` streams by the verbs
//! that take many messages at a time.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, CLIENT, Cannot, Kind, Place, SERVER, SERVER_PUBLIC, prefixes, seen};
use crate::roles::blocking::Role;
use peermq::{
    AtMark, Context, ContextOptions, Curve, Dealer, Event, Message, Options, Pair, Pub, PublicKey, Pull, Push, Rep,
    Req, Router, SecretKey, Security, Sub,
};
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;

pub struct Peermq<V>(PhantomData<V>);

pub trait Variant: 'static {
    const SETTINGS: &'static str;
    fn context() -> Context;
    fn options() -> Options;
}

pub struct Defaults;

impl Variant for Defaults {
    const SETTINGS: &'static str = if cfg!(feature = "dryoc") {
        "defaults, CURVE with its feature dryoc; PUB waits at the mark"
    } else {
        "defaults, CURVE without its feature dryoc; PUB waits at the mark"
    };

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
        open_with(V::options(), context, kind, place, role)
    }

    fn open_sealed(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let security = match &place {
            Place::Bind { .. } => Curve::server(SecretKey::from_bytes(SERVER)).allow_any(),
            Place::Connect { .. } => client(),
        };
        open_with(V::options().security(security), context, kind, place, role)
    }

    fn greet(context: &Context, endpoint: &str, clients: usize) -> Result<(), Cannot> {
        let options = || V::options().security(client()).linger(Duration::ZERO);
        let connecting = |_| {
            let push = Push::with_options(context, options()).expect("options");
            let monitor = push.monitor();
            push.connect(endpoint).expect("connect");
            (push, monitor)
        };
        let all: Vec<_> = (0..clients).map(connecting).collect();
        for (_, monitor) in &all {
            while !matches!(monitor.recv().expect("an event"), Event::Connected { .. }) {}
        }
        Ok(())
    }
}

/// One for all sockets, with the keys that it computes of those it is given.
fn client() -> Security {
    static SECURITY: LazyLock<Security> = LazyLock::new(|| {
        let server = PublicKey::from_bytes(*SERVER_PUBLIC);
        Curve::client(SecretKey::from_bytes(CLIENT), server)
    });
    SECURITY.clone()
}

fn open_with(options: Options, context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
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

pub struct Many;

impl Contender for Many {
    type Context = Context;

    fn about() -> About {
        let settings = "send_many and recv_many, of 256 at most; PUB waits at the mark";
        About::new("peermq", env!("VERSION_PEERMQ"), settings)
    }

    fn context() -> Context {
        Defaults::context()
    }

    fn open(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let options = Defaults::options();
        match kind {
            Kind::Push => role.run(SendsMany(open!(Push, context, options, place))),
            Kind::Pull => role.run(Taken::new(open!(Pull, context, options, place))),
            Kind::Pub => {
                let publisher = open!(Pub, context, options.at_mark(AtMark::Block), place);
                role.run(SendsMany(publisher));
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

/// As many are received at once. (Those sent at once are as many as the role gives.)
const MOST_TAKEN: usize = 256;

/// Sends many at once where it is given many.
struct SendsMany<S>(S);

/// Hands out one by one what came together.
struct Taken<S> {
    socket: S,
    messages: Vec<Message>,
    next: usize,
}

impl<S> Taken<S> {
    fn new(socket: S) -> Self {
        Taken {
            socket,
            messages: Vec::with_capacity(MOST_TAKEN),
            next: 0,
        }
    }
}

macro_rules! sends_many {
    ($Socket:ident) => {
        impl Socket for SendsMany<$Socket> {
            fn send(&mut self, message: &[u8]) {
                self.0.send(message).expect("send");
            }

            fn send_all<'m>(&mut self, messages: impl Iterator<Item = &'m [u8]>) {
                self.0.send_many(messages).expect("send");
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
                    let taken = self.socket.recv_many(&mut self.messages, MOST_TAKEN);
                    taken.expect("messages");
                }
                self.next += 1;
                seen(self.messages[self.next - 1].first())
            }
        }
    };
}

sends_many!(Push);
sends_many!(Pub);
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
