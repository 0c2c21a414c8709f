//! rzmq in a current-thread tokio runtime.

use crate::contender::awaiting::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::awaiting::Role;
use rzmq::socket::{ADAPTIVE_THROTTLE, MAX_CONNECTIONS, RCVHWM, SNDHWM, SUBSCRIBE, XPUB_NODROP};
use rzmq::{Context, Msg, SocketType};

pub struct Rzmq;

pub struct Opened {
    socket: rzmq::Socket,
    kind: Kind,
}

impl Contender for Rzmq {
    type Context = Context;

    fn about() -> About {
        let settings = "current-thread tokio runtime; marks 1,000, XPUB_NODROP, adaptive throttle off";
        About::new("rzmq", env!("VERSION_RZMQ"), settings)
    }

    fn context() -> Context {
        Context::new().expect("a context")
    }

    async fn open(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let socket_type = match kind {
            Kind::Push => SocketType::Push,
            Kind::Pull => SocketType::Pull,
            Kind::Pub => SocketType::Pub,
            Kind::Sub(_) => SocketType::Sub,
            Kind::Req => SocketType::Req,
            Kind::Rep => SocketType::Rep,
            Kind::Dealer => SocketType::Dealer,
            Kind::Router => SocketType::Router,
            Kind::Pair => return Err(Cannot),
        };
        let socket = context.socket(socket_type).expect("a socket");
        for (option, value) in [(SNDHWM, 1000), (RCVHWM, 1000), (ADAPTIVE_THROTTLE, 0)] {
            socket.set_option(option, value).await.expect("an option");
        }
        if kind == Kind::Pub {
            socket.set_option(XPUB_NODROP, 1).await.expect("an option");
        }
        match &place {
            Place::Bind { endpoint, peers } => {
                if *peers > 1 {
                    socket
                        .set_option(MAX_CONNECTIONS, 2 * *peers as i32)
                        .await
                        .expect("an option");
                }
                socket.bind(endpoint).await.expect("bind");
            }
            Place::Connect { endpoint } => socket.connect(endpoint).await.expect("connect"),
        }
        if let Kind::Sub(count) = kind {
            for prefix in prefixes(count) {
                socket.set_option(SUBSCRIBE, prefix.as_str()).await.expect("subscribe");
            }
        }
        role.run(Opened { socket, kind }).await;
        Ok(())
    }
}

impl Socket for Opened {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send(Msg::from_vec(message.to_vec())).await.expect("send");
    }

    async fn recv(&mut self) -> (usize, u8) {
        let message = self.socket.recv().await.expect("a message");
        seen(message.data().expect("data"))
    }

    async fn echo(&mut self) {
        if self.kind == Kind::Router {
            let frames = self.socket.recv_multipart().await.expect("a message");
            self.socket.send_multipart(frames).await.expect("send");
        } else {
            let message = self.socket.recv().await.expect("a message");
            self.socket.send(message).await.expect("send");
        }
    }
}
