//! zeromq (zmq.rs) in a current-thread tokio runtime.

use crate::contender::awaiting::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::awaiting::Role;
use std::time::Duration;
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket as _, SocketRecv,
    SocketSend, SubSocket, ZmqError, ZmqMessage,
};

pub struct Zeromq;

async fn at<S: zeromq::Socket>(mut socket: S, place: &Place) -> S {
    match place {
        Place::Bind { endpoint, .. } => drop(socket.bind(endpoint).await.expect("bind")),
        Place::Connect { endpoint } => socket.connect(endpoint).await.expect("connect"),
    }
    socket
}

impl Contender for Zeromq {
    type Context = ();

    fn about() -> About {
        let settings = "current-thread tokio runtime; has no marks: its queues hold 100,000; PUB drops at that";
        About::new("zeromq", env!("VERSION_ZEROMQ"), settings)
    }

    fn context() {}

    async fn open(_: (), kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        if place.is_inproc() {
            return Err(Cannot);
        }
        match kind {
            Kind::Push => role.run(Sender(at(PushSocket::new(), &place).await)).await,
            Kind::Pull => role.run(Receiver(at(PullSocket::new(), &place).await)).await,
            Kind::Pub => {
                let socket = at(PubSocket::new(), &place).await;
                role.run(Publisher { socket, sent: 0 }).await;
            }
            Kind::Sub(count) => {
                let mut sub = SubSocket::new();
                for prefix in prefixes(count) {
                    sub.subscribe(&prefix).await.expect("subscribe");
                }
                role.run(Receiver(at(sub, &place).await)).await;
            }
            Kind::Req => role.run(Both(at(ReqSocket::new(), &place).await)).await,
            Kind::Rep => role.run(Both(at(RepSocket::new(), &place).await)).await,
            Kind::Dealer => role.run(Both(at(DealerSocket::new(), &place).await)).await,
            Kind::Router => role.run(Both(at(RouterSocket::new(), &place).await)).await,
            Kind::Pair => return Err(Cannot),
        }
        Ok(())
    }
}

struct Sender(PushSocket);
struct Receiver<S>(S);
struct Both<S>(S);

/// Its sends never wait, so it lets its own tasks run at times.
struct Publisher {
    socket: PubSocket,
    sent: usize,
}

fn owned(message: &[u8]) -> ZmqMessage {
    message.to_vec().into()
}

async fn look(socket: &mut impl SocketRecv) -> (usize, u8) {
    let message = socket.recv().await.expect("a message");
    seen(message.get(0).expect("a frame"))
}

impl Socket for Sender {
    async fn send(&mut self, message: &[u8]) {
        let mut message = owned(message);
        // Without a peer it does not wait.
        while let Err(error) = self.0.send(message).await {
            let ZmqError::ReturnToSender { message: back, .. } = error else {
                panic!("{error}");
            };
            message = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Socket for Publisher {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send(owned(message)).await.expect("send");
        self.sent += 1;
        if self.sent.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
}

impl<S: SocketRecv> Socket for Receiver<S> {
    async fn recv(&mut self) -> (usize, u8) {
        look(&mut self.0).await
    }
}

impl<S: SocketSend + SocketRecv> Socket for Both<S> {
    async fn send(&mut self, message: &[u8]) {
        self.0.send(owned(message)).await.expect("send");
    }

    async fn recv(&mut self) -> (usize, u8) {
        look(&mut self.0).await
    }

    async fn echo(&mut self) {
        let message = self.0.recv().await.expect("a message");
        self.0.send(message).await.expect("send");
    }
}
