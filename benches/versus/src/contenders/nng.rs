//! NNG: the C library, which its crate bundles. Another protocol, but the same patterns.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::blocking::Role;
use nng::options::protocol::pubsub::Subscribe;
use nng::options::{Options, RecvBufferSize, SendBufferSize};
use nng::{Message, Protocol};

pub struct Nng;

impl Contender for Nng {
    type Context = ();

    fn about() -> About {
        let settings = "its C library, bundled; buffers of 1,000 messages; PUB drops";
        About::new("NNG", env!("VERSION_NNG_SYS"), settings)
    }

    fn context() {}

    fn open(_: (), kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let socket = nng::Socket::new(match kind {
            Kind::Push => Protocol::Push0,
            Kind::Pull => Protocol::Pull0,
            Kind::Pub => Protocol::Pub0,
            Kind::Sub(_) => Protocol::Sub0,
            Kind::Req => Protocol::Req0,
            Kind::Rep => Protocol::Rep0,
            Kind::Pair => Protocol::Pair0,
            Kind::Dealer | Kind::Router => return Err(Cannot),
        })
        .expect("a socket");
        // Some protocols have no buffer in one direction.
        let _ = socket.set_opt::<SendBufferSize>(1000);
        let _ = socket.set_opt::<RecvBufferSize>(1000);
        if let Kind::Sub(count) = kind {
            for prefix in prefixes(count) {
                socket.set_opt::<Subscribe>(prefix.into_bytes()).expect("subscribe");
            }
        }
        match &place {
            Place::Bind { endpoint, .. } => socket.listen(endpoint).expect("listen"),
            Place::Connect { endpoint } => socket.dial(endpoint).expect("dial"),
        }
        role.run(socket);
        Ok(())
    }
}

impl Socket for nng::Socket {
    fn send(&mut self, message: &[u8]) {
        nng::Socket::send(self, Message::from(message)).expect("send");
    }

    fn recv(&mut self) -> (usize, u8) {
        seen(&nng::Socket::recv(self).expect("a message"))
    }

    fn echo(&mut self) {
        let message = nng::Socket::recv(self).expect("a message");
        nng::Socket::send(self, message).expect("send");
    }
}
