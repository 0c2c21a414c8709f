//! peermq. As it comes, and with room for variants: how context and options are made is a parameter.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::blocking::Role;
use peermq::{AtMark, Context, Dealer, Options, Pair, Pub, Pull, Push, Rep, Req, Router, Sub};
use std::marker::PhantomData;

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
