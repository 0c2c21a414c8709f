//! libzmq: the system's library, through the few functions that its own perf tools use.

use crate::contender::blocking::{Contender, Socket};
use crate::contender::{About, CLIENT, CLIENT_PUBLIC, Cannot, Kind, Place, SERVER, SERVER_PUBLIC, prefixes};
use crate::roles::blocking::Role;
use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// As `zmq.h` has it: 64 bytes, aligned as a pointer.
#[repr(C, align(8))]
struct Msg([u8; 64]);

unsafe extern "C" {
    fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_close(socket: *mut c_void) -> c_int;
    fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, len: usize) -> c_int;
    fn zmq_send(socket: *mut c_void, bytes: *const c_void, len: usize, flags: c_int) -> c_int;
    fn zmq_msg_init(message: *mut Msg) -> c_int;
    fn zmq_msg_recv(message: *mut Msg, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_send(message: *mut Msg, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_data(message: *mut Msg) -> *mut c_void;
    fn zmq_errno() -> c_int;
    fn zmq_strerror(error: c_int) -> *const c_char;
}

const SUBSCRIBE: c_int = 6;
const LINGER: c_int = 17;
const IMMEDIATE: c_int = 39;
const CURVE_SERVER: c_int = 47;
const CURVE_PUBLICKEY: c_int = 48;
const CURVE_SECRETKEY: c_int = 49;
const CURVE_SERVERKEY: c_int = 50;
const XPUB_NODROP: c_int = 69;
const SNDHWM: c_int = 23;
const RCVHWM: c_int = 24;
const SNDMORE: c_int = 2;

fn number(kind: Kind) -> c_int {
    match kind {
        Kind::Pair => 0,
        Kind::Pub => 1,
        Kind::Sub(_) => 2,
        Kind::Req => 3,
        Kind::Rep => 4,
        Kind::Dealer => 5,
        Kind::Router => 6,
        Kind::Pull => 7,
        Kind::Push => 8,
    }
}

fn check(result: c_int) -> usize {
    usize::try_from(result).unwrap_or_else(|_| {
        // SAFETY: both take no pointers, and the text is static.
        let text = unsafe { CStr::from_ptr(zmq_strerror(zmq_errno())) };
        panic!("libzmq: {}", text.to_string_lossy())
    })
}

pub struct Libzmq;

/// A context, alive until the process ends.
#[derive(Clone, Copy)]
pub struct Context(*mut c_void);

// SAFETY: `zmq_ctx_new(3)`: "a ØMQ context is thread safe".
unsafe impl Send for Context {}

/// A socket, alive until the process ends.
pub struct Opened {
    socket: *mut c_void,
    kind: Kind,
    identity: Msg,
    message: Msg,
}

// SAFETY, in what follows: the pointers are those that libzmq gave, and each socket is used on one thread; the messages
// are initialised before their first use and stay so.
impl Opened {
    fn new(context: Context, kind: Kind) -> Self {
        let (mut identity, mut message) = (Msg([0; 64]), Msg([0; 64]));
        let socket = unsafe {
            check(zmq_msg_init(&mut identity));
            check(zmq_msg_init(&mut message));
            zmq_socket(context.0, number(kind))
        };
        assert!(!socket.is_null());
        let opened = Opened {
            socket,
            kind,
            identity,
            message,
        };
        opened.set(SNDHWM, 1000);
        opened.set(RCVHWM, 1000);
        opened
    }

    fn set(&self, option: c_int, value: c_int) {
        self.set_bytes(option, &value.to_ne_bytes());
    }

    fn set_bytes(&self, option: c_int, value: &[u8]) {
        check(unsafe { zmq_setsockopt(self.socket, option, value.as_ptr().cast(), value.len()) });
    }

    fn is_client(&self) {
        self.set_bytes(CURVE_PUBLICKEY, &*CLIENT_PUBLIC);
        self.set_bytes(CURVE_SECRETKEY, &CLIENT);
        self.set_bytes(CURVE_SERVERKEY, &*SERVER_PUBLIC);
    }

    fn connect(&self, endpoint: &str) {
        let endpoint = CString::new(endpoint).expect("no zero byte");
        check(unsafe { zmq_connect(self.socket, endpoint.as_ptr()) });
    }

    fn run(self, place: Place, role: Role) -> Result<(), Cannot> {
        match &place {
            Place::Bind { endpoint, .. } => {
                let endpoint = CString::new(endpoint.as_str()).expect("no zero byte");
                check(unsafe { zmq_bind(self.socket, endpoint.as_ptr()) });
            }
            Place::Connect { endpoint } => self.connect(endpoint),
        }
        role.run(self);
        Ok(())
    }

    fn recv_message(&mut self) -> usize {
        check(unsafe { zmq_msg_recv(&mut self.message, self.socket, 0) })
    }
}

impl Contender for Libzmq {
    type Context = Context;

    fn about() -> About {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        unsafe { zmq_version(&mut major, &mut minor, &mut patch) };
        let version = format!("{major}.{minor}.{patch}");
        About::new(
            "libzmq",
            &version,
            "the system's; marks 1,000 (SUB: none for what it subscribes to); XPUB_NODROP",
        )
    }

    fn context() -> Context {
        Context(unsafe { zmq_ctx_new() })
    }

    fn open(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let opened = Opened::new(context, kind);
        match kind {
            Kind::Pub => opened.set(XPUB_NODROP, 1),
            Kind::Sub(count) => {
                // What a SUB sends are subscriptions, and it drops those above the mark.
                opened.set(SNDHWM, 0);
                for prefix in prefixes(count) {
                    opened.set_bytes(SUBSCRIBE, prefix.as_bytes());
                }
            }
            _ => {}
        }
        opened.run(place, role)
    }

    /// Without an authenticator (ZAP) a server lets all in.
    fn open_sealed(context: Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot> {
        let opened = Opened::new(context, kind);
        match place {
            Place::Bind { .. } => {
                opened.set(CURVE_SERVER, 1);
                opened.set_bytes(CURVE_SECRETKEY, &SERVER);
            }
            Place::Connect { .. } => opened.is_client(),
        }
        opened.run(place, role)
    }

    /// With `ZMQ_IMMEDIATE` there is nobody to send to before the handshake is done: `zmq_send` returns just then.
    fn greet(context: &Context, endpoint: &str, clients: usize) -> Result<(), Cannot> {
        let connecting = |_| {
            let opened = Opened::new(*context, Kind::Push);
            opened.set(LINGER, 0);
            opened.set(IMMEDIATE, 1);
            opened.is_client();
            opened.connect(endpoint);
            opened
        };
        let mut all: Vec<_> = (0..clients).map(connecting).collect();
        all.iter_mut().for_each(|opened| opened.send(b"h"));
        for opened in all {
            check(unsafe { zmq_close(opened.socket) });
        }
        Ok(())
    }
}

impl Socket for Opened {
    fn send(&mut self, message: &[u8]) {
        check(unsafe { zmq_send(self.socket, message.as_ptr().cast(), message.len(), 0) });
    }

    fn recv(&mut self) -> (usize, u8) {
        let len = self.recv_message();
        let first = unsafe { *zmq_msg_data(&mut self.message).cast::<u8>() };
        (len, first)
    }

    fn echo(&mut self) {
        // A sent message is empty, and can be received into again.
        if self.kind == Kind::Router {
            check(unsafe { zmq_msg_recv(&mut self.identity, self.socket, 0) });
            self.recv_message();
            check(unsafe { zmq_msg_send(&mut self.identity, self.socket, SNDMORE) });
        } else {
            self.recv_message();
        }
        check(unsafe { zmq_msg_send(&mut self.message, self.socket, 0) });
    }
}
