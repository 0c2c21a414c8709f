//! monocoque-rs on its tokio backend, in a current-thread runtime. One connection is one socket there: who binds accepts
//! as many as are announced, and several are a `PullFanIn` or a `PushFanOut`, which it has over TCP only.

use crate::contender::awaiting::{Contender, Socket};
use crate::contender::{About, Cannot, Kind, Place, prefixes, seen};
use crate::roles::awaiting::Role;
use monocoque::Bytes;
use monocoque::rt::{TcpListener, TcpStream, UnixListener, UnixStream};
use monocoque::zmq::{
    DealerSocket, PairSocket, PubSocket, PullFanIn, PullSocket, PushFanOut, PushSocket, RepSocket, ReqSocket,
    RouterSocket, SocketOptions, SubSocket,
};

pub struct Monocoque;

/// A socket, and room for what it receives, used again and again.
struct Opened<S> {
    socket: S,
    frames: Vec<Bytes>,
}

impl<S> Opened<S> {
    fn new(socket: std::io::Result<S>) -> Self {
        Opened {
            socket: socket.expect("a socket"),
            frames: Vec::new(),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The one stream of who connects, or whom who binds accepts.
async fn stream(place: &Place, role: &Role) -> Stream {
    let (scheme, address) = place.endpoint().split_once("://").expect("an endpoint");
    match (scheme, place) {
        ("tcp", Place::Bind { .. }) => {
            let listener = TcpListener::bind(address).await.expect("bind");
            role.opened();
            Stream::Tcp(listener.accept().await.expect("a peer").0)
        }
        ("tcp", Place::Connect { .. }) => Stream::Tcp(TcpStream::connect(address).await.expect("connect")),
        (_, Place::Bind { .. }) => {
            let listener = UnixListener::bind(address).await.expect("bind");
            role.opened();
            Stream::Unix(listener.accept().await.expect("a peer").0)
        }
        (_, Place::Connect { .. }) => Stream::Unix(UnixStream::connect(address).await.expect("connect")),
    }
}

/// Runs with a socket of this type over whichever stream.
macro_rules! run {
    ($Socket:ident, $place:expr, $options:expr, $role:expr) => {
        match stream(&$place, &$role).await {
            Stream::Tcp(stream) => {
                let socket = $Socket::from_tcp_with_options(stream, $options).await;
                $role.run(Opened::new(socket)).await
            }
            Stream::Unix(stream) => {
                let socket = $Socket::with_options(stream, $options).await;
                $role.run(Opened::new(socket)).await
            }
        }
    };
}

impl Contender for Monocoque {
    type Context = ();

    fn about() -> About {
        let settings = "tokio, current-thread; marks 1,000; PUSH and PUB coalesce, others write at once; PUB drops";
        About::new("monocoque", env!("VERSION_MONOCOQUE_RS"), settings)
    }

    fn context() {}

    async fn open(_: (), kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let local = tokio::task::LocalSet::new();
        local.run_until(open(kind, place, role)).await
    }
}

async fn open(kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
    let options = SocketOptions::new()
        .with_send_hwm(1000)
        .with_recv_hwm(1000)
        .with_write_coalescing(kind.is_stream());
    let tcp = place.endpoint().strip_prefix("tcp://");
    match (kind, &place) {
        // Only its PAIR has inproc, and the type of that stream cannot be named.
        _ if place.is_inproc() => return Err(Cannot),
        (Kind::Pub, Place::Bind { peers, .. }) => {
            let publisher = PubSocket::bind_with_options(tcp.ok_or(Cannot)?, options).await;
            let mut publisher = Opened::new(publisher);
            role.opened();
            for _ in 0..*peers {
                publisher.socket.accept_subscriber().await.expect("a subscriber");
            }
            role.run(publisher).await;
        }
        (Kind::Push | Kind::Pull, Place::Bind { peers, .. }) if *peers > 1 => {
            let listener = TcpListener::bind(tcp.ok_or(Cannot)?).await.expect("bind");
            role.opened();
            match kind {
                Kind::Push => {
                    let fan = PushFanOut::accept_workers(&listener, *peers, options).await;
                    role.run(Opened::new(fan)).await;
                }
                _ => {
                    let fan = PullFanIn::accept_workers(&listener, *peers, options).await;
                    role.run(Opened::new(fan)).await;
                }
            }
        }
        (Kind::Push, _) => run!(PushSocket, place, options, role),
        (Kind::Pull, _) => run!(PullSocket, place, options, role),
        (Kind::Sub(count), _) => {
            let filters = prefixes(count).into_iter().map(Bytes::from).collect();
            run!(SubSocket, place, options.with_subscriptions(filters), role)
        }
        (Kind::Req, _) => run!(ReqSocket, place, options, role),
        (Kind::Rep, _) => run!(RepSocket, place, options, role),
        (Kind::Dealer, _) => run!(DealerSocket, place, options, role),
        (Kind::Router, _) => run!(RouterSocket, place, options, role),
        (Kind::Pair, _) => run!(PairSocket, place, options, role),
        (Kind::Pub, Place::Connect { .. }) => return Err(Cannot),
    }
    Ok(())
}

macro_rules! verbs {
    ($($Socket:ty),+ => $verbs:tt) => {
        $(impl Socket for Opened<$Socket> $verbs)+
    };
}

verbs!(PushSocket<TcpStream>, PushSocket<UnixStream>, PushFanOut => {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send_one(Bytes::copy_from_slice(message)).await.expect("send");
    }

    async fn flush(&mut self) {
        self.socket.flush().await.expect("flush");
    }
});

verbs!(PullSocket<TcpStream>, PullSocket<UnixStream>, SubSocket<TcpStream>, SubSocket<UnixStream> => {
    async fn recv(&mut self) -> (usize, u8) {
        assert!(self.socket.recv_into(&mut self.frames).await.expect("a message"));
        seen(&self.frames[0])
    }
});

verbs!(PullFanIn => {
    async fn recv(&mut self) -> (usize, u8) {
        seen(&self.socket.recv().await.expect("a message").expect("peers")[0])
    }
});

verbs!(PubSocket => {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send_frames(&[Bytes::copy_from_slice(message)]).await.expect("send");
    }
});

verbs!(ReqSocket<TcpStream>, ReqSocket<UnixStream>, DealerSocket<TcpStream>, DealerSocket<UnixStream> => {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send(vec![Bytes::copy_from_slice(message)]).await.expect("send");
    }

    async fn recv(&mut self) -> (usize, u8) {
        assert!(self.socket.recv_into(&mut self.frames).await.expect("a message"));
        seen(&self.frames[0])
    }
});

verbs!(RepSocket<TcpStream>, RepSocket<UnixStream>, RouterSocket<TcpStream>, RouterSocket<UnixStream> => {
    async fn echo(&mut self) {
        assert!(self.socket.recv_into(&mut self.frames).await.expect("a message"));
        self.socket.send(std::mem::take(&mut self.frames)).await.expect("send");
    }
});

verbs!(PairSocket<TcpStream>, PairSocket<UnixStream> => {
    async fn send(&mut self, message: &[u8]) {
        self.socket.send(vec![Bytes::copy_from_slice(message)]).await.expect("send");
    }

    async fn recv(&mut self) -> (usize, u8) {
        assert!(self.socket.recv_into(&mut self.frames).await.expect("a message"));
        seen(&self.frames[0])
    }

    async fn echo(&mut self) {
        assert!(self.socket.recv_into(&mut self.frames).await.expect("a message"));
        self.socket.send(std::mem::take(&mut self.frames)).await.expect("send");
    }
});
