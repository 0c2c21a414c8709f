//! peermq as a contender.

use crate::contender::{Contender, Pub, Pull, Push, Rep, Req};
use peermq::{AtMark, Context, Options};
use std::time::Duration;

pub struct Peermq;

/// A socket and the context that drives it.
pub struct Socket<S> {
    socket: S,
    _context: Context,
}

impl<S> Socket<S> {
    fn new(socket: S, context: Context) -> Self {
        Socket {
            socket,
            _context: context,
        }
    }
}

fn context() -> Context {
    Context::new().expect("a context")
}

impl Contender for Peermq {
    type Push = Socket<peermq::Push>;
    type Pull = Socket<peermq::Pull>;
    type Req = Socket<peermq::Req>;
    type Rep = Socket<peermq::Rep>;
    type Pub = Socket<peermq::Pub>;
    type Sub = Socket<peermq::Sub>;

    fn name() -> String {
        String::from("peermq")
    }

    fn push(to: &str) -> Self::Push {
        let context = context();
        let push = peermq::Push::new(&context);
        push.connect(to).expect("connect");
        Socket::new(push, context)
    }

    fn pull() -> (Self::Pull, String) {
        let context = context();
        let pull = peermq::Pull::new(&context);
        let endpoint = pull.bind("tcp://127.0.0.1:0").expect("bind");
        (Socket::new(pull, context), endpoint.to_string())
    }

    fn req(to: &str) -> Self::Req {
        let context = context();
        let req = peermq::Req::new(&context);
        req.connect(to).expect("connect");
        Socket::new(req, context)
    }

    fn rep() -> (Self::Rep, String) {
        let context = context();
        let rep = peermq::Rep::new(&context);
        let endpoint = rep.bind("tcp://127.0.0.1:0").expect("bind");
        (Socket::new(rep, context), endpoint.to_string())
    }

    fn publisher() -> (Self::Pub, String) {
        let context = context();
        let options = Options::default().at_mark(AtMark::Block);
        let publisher = peermq::Pub::with_options(&context, options).expect("options");
        let endpoint = publisher.bind("tcp://127.0.0.1:0").expect("bind");
        (Socket::new(publisher, context), endpoint.to_string())
    }

    fn sub(to: &str) -> Self::Sub {
        let context = context();
        let sub = peermq::Sub::new(&context);
        sub.subscribe("").expect("subscribe");
        sub.connect(to).expect("connect");
        Socket::new(sub, context)
    }
}

impl Push for Socket<peermq::Pub> {
    fn send(&mut self, message: &[u8]) {
        self.socket.send(message).expect("send");
    }

    fn close(self) {
        self.socket.close().expect("close");
    }
}

impl Pub for Socket<peermq::Pub> {
    fn wait_for_subscribers(&mut self, subscribers: usize) {
        let limit = Duration::from_secs(60);
        self.socket
            .wait_for_subscribers("", subscribers, limit)
            .expect("subscribers");
    }
}

impl Pull for Socket<peermq::Sub> {
    fn recv(&mut self) -> (usize, u8) {
        let message = self.socket.recv().expect("a message");
        let body = message.first();
        (body.len(), body[0])
    }
}

impl Push for Socket<peermq::Push> {
    fn send(&mut self, message: &[u8]) {
        self.socket.send(message).expect("send");
    }

    fn close(self) {
        self.socket.close().expect("close");
    }
}

impl Pull for Socket<peermq::Pull> {
    fn recv(&mut self) -> (usize, u8) {
        let message = self.socket.recv().expect("a message");
        let body = message.first();
        (body.len(), body[0])
    }
}

impl Req for Socket<peermq::Req> {
    fn request(&mut self, message: &[u8]) -> usize {
        self.socket.request(message).expect("a reply").first().len()
    }
}

impl Rep for Socket<peermq::Rep> {
    fn echo(&mut self) -> usize {
        let request = self.socket.recv().expect("a request");
        let message = request.message().clone();
        let len = message.first().len();
        request.reply(message).expect("reply");
        len
    }

    fn close(self) {
        self.socket.close().expect("close");
    }
}
