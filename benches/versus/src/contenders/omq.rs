//! omq-tokio, twice: its blocking sockets, driven by a thread of its context, and its sockets in the caller's runtime.

use crate::contender::{About, Cannot, Kind, Place, awaiting, blocking, prefixes, seen};
use crate::roles;
use omq_tokio::options::WorkloadProfile;
use omq_tokio::{Context, Message, Options, Socket, SocketType};

pub struct Blocking;
pub struct Current;

fn socket_type(kind: Kind) -> SocketType {
    match kind {
        Kind::Push => SocketType::Push,
        Kind::Pull => SocketType::Pull,
        Kind::Pub => SocketType::Pub,
        Kind::Sub(_) => SocketType::Sub,
        Kind::Req => SocketType::Req,
        Kind::Rep => SocketType::Rep,
        Kind::Dealer => SocketType::Dealer,
        Kind::Router => SocketType::Router,
        Kind::Pair => SocketType::Pair,
    }
}

fn options(kind: Kind) -> Options {
    let profile = if kind.is_stream() {
        WorkloadProfile::Throughput
    } else {
        WorkloadProfile::Latency
    };
    let mut options = Options::default()
        .send_hwm(1000)
        .recv_hwm(1000)
        .workload_profile(profile);
    options.xpub_nodrop = true;
    options
}

fn seen_first(message: &Message) -> (usize, u8) {
    seen(message.part_slice(0).expect("a frame"))
}

macro_rules! contender {
    ($Contender:ident, $module:ident, $Socket:ty, $context:expr, $socket:path, $settings:literal,
     [$($async:tt)?], [$($await:tt)*]) => {
        impl $module::Contender for $Contender {
            type Context = Context;

            fn about() -> About {
                About::new("omq-tokio", env!("VERSION_OMQ_TOKIO"), $settings)
            }

            fn context() -> Context {
                $context
            }

            $($async)? fn open(
                context: Context,
                kind: Kind,
                place: Place,
                role: roles::$module::Role,
            ) -> Result<(), Cannot> {
                let socket = $socket(&context, socket_type(kind), options(kind));
                if let Kind::Sub(count) = kind {
                    for prefix in prefixes(count) {
                        socket.subscribe(prefix)$($await)*.expect("subscribe");
                    }
                }
                match &place {
                    Place::Bind { endpoint, .. } => {
                        socket.bind(endpoint.as_str())$($await)*.expect("bind");
                    }
                    Place::Connect { endpoint } => socket.connect(endpoint.as_str())$($await)*.expect("connect"),
                }
                role.run(socket)$($await)*;
                Ok(())
            }
        }

        impl $module::Socket for $Socket {
            $($async)? fn send(&mut self, message: &[u8]) {
                <$Socket>::send(self, Message::from_slice(message))$($await)*.expect("send");
            }

            $($async)? fn recv(&mut self) -> (usize, u8) {
                seen_first(&<$Socket>::recv(self)$($await)*.expect("a message"))
            }

            $($async)? fn echo(&mut self) {
                let message = <$Socket>::recv(self)$($await)*.expect("a message");
                <$Socket>::send(self, message)$($await)*.expect("send");
            }
        }
    };
}

contender!(
    Blocking,
    blocking,
    omq_tokio::blocking::Socket,
    Context::new(),
    Context::blocking_socket,
    "blocking sockets, one I/O thread; marks 1,000, its profile for the workload, xpub_nodrop",
    [],
    []
);

contender!(
    Current,
    awaiting,
    Socket,
    Context::new(),
    in_this_runtime,
    "in the caller's current-thread tokio runtime; marks 1,000, its profile for the workload, xpub_nodrop",
    [async],
    [.await]
);

/// The context only names inproc endpoints elsewhere; here all that this process opens share one space of names.
fn in_this_runtime(_: &Context, kind: SocketType, options: Options) -> Socket {
    Socket::new(kind, options)
}
