//! libzmq as a contender: the system's library, through the few functions that its own perf tools use.

use crate::contender::{Contender, Pub, Pull, Push, Rep, Req};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// As `zmq.h` has it: 64 bytes, aligned as a pointer.
#[repr(C, align(8))]
struct Msg([u8; 64]);

unsafe extern "C" {
    fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_ctx_term(context: *mut c_void) -> c_int;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_close(socket: *mut c_void) -> c_int;
    fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, len: usize) -> c_int;
    fn zmq_getsockopt(socket: *mut c_void, option: c_int, value: *mut c_void, len: *mut usize) -> c_int;
    fn zmq_send(socket: *mut c_void, bytes: *const c_void, len: usize, flags: c_int) -> c_int;
    fn zmq_msg_init(message: *mut Msg) -> c_int;
    fn zmq_msg_recv(message: *mut Msg, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_send(message: *mut Msg, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_close(message: *mut Msg) -> c_int;
    fn zmq_msg_data(message: *mut Msg) -> *mut c_void;
    fn zmq_errno() -> c_int;
    fn zmq_strerror(error: c_int) -> *const c_char;
}

const SUB: c_int = 2;
const REQ: c_int = 3;
const REP: c_int = 4;
const PULL: c_int = 7;
const PUSH: c_int = 8;
const XPUB: c_int = 9;
const SUBSCRIBE: c_int = 6;
const XPUB_VERBOSE: c_int = 40;
const XPUB_NODROP: c_int = 69;
const SNDHWM: c_int = 23;
const RCVHWM: c_int = 24;
const LAST_ENDPOINT: c_int = 32;

fn check(result: c_int) -> usize {
    usize::try_from(result).unwrap_or_else(|_| {
        // SAFETY: both take no pointers, and the text is static.
        let text = unsafe { CStr::from_ptr(zmq_strerror(zmq_errno())) };
        panic!("libzmq: {}", text.to_string_lossy())
    })
}

pub struct Libzmq;

/// A socket and its context: both alive until `close`, or until the process ends.
pub struct Socket {
    context: *mut c_void,
    socket: *mut c_void,
    message: Msg,
}

impl Socket {
    // SAFETY, here and below: the pointers are those that libzmq gave, used on one thread, and not after `close`;
    // `message` is initialised before its first use and stays so.
    fn new(kind: c_int) -> Self {
        let mut message = Msg([0; 64]);
        unsafe {
            let context = zmq_ctx_new();
            let socket = zmq_socket(context, kind);
            assert!(!socket.is_null());
            check(zmq_msg_init(&mut message));
            let socket = Socket {
                context,
                socket,
                message,
            };
            socket.set(SNDHWM, 1000);
            socket.set(RCVHWM, 1000);
            socket
        }
    }

    fn set(&self, option: c_int, value: c_int) {
        let value: *const c_int = &value;
        check(unsafe { zmq_setsockopt(self.socket, option, value.cast(), size_of::<c_int>()) });
    }

    fn connected(kind: c_int, to: &str) -> Self {
        let socket = Socket::new(kind);
        let to = CString::new(to).expect("no zero byte");
        check(unsafe { zmq_connect(socket.socket, to.as_ptr()) });
        socket
    }

    fn bound(kind: c_int) -> (Self, String) {
        let socket = Socket::new(kind);
        let (mut text, mut len) = ([0_u8; 256], 256);
        unsafe {
            check(zmq_bind(socket.socket, c"tcp://127.0.0.1:*".as_ptr()));
            check(zmq_getsockopt(
                socket.socket,
                LAST_ENDPOINT,
                text.as_mut_ptr().cast(),
                &mut len,
            ));
        }
        let endpoint = CStr::from_bytes_until_nul(&text)
            .expect("text")
            .to_string_lossy()
            .into_owned();
        (socket, endpoint)
    }

    fn send(&mut self, message: &[u8]) {
        check(unsafe { zmq_send(self.socket, message.as_ptr().cast(), message.len(), 0) });
    }

    fn recv(&mut self) -> usize {
        check(unsafe { zmq_msg_recv(&mut self.message, self.socket, 0) })
    }

    fn close(mut self) {
        unsafe {
            zmq_msg_close(&mut self.message);
            zmq_close(self.socket);
            assert_ne!(self.context, null_mut());
            zmq_ctx_term(self.context);
        }
    }
}

impl Contender for Libzmq {
    type Push = Socket;
    type Pull = Socket;
    type Req = Socket;
    type Rep = Socket;
    type Pub = Socket;
    type Sub = Socket;

    fn name() -> String {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        unsafe { zmq_version(&mut major, &mut minor, &mut patch) };
        format!("libzmq {major}.{minor}.{patch}")
    }

    fn push(to: &str) -> Socket {
        Socket::connected(PUSH, to)
    }

    fn pull() -> (Socket, String) {
        Socket::bound(PULL)
    }

    fn req(to: &str) -> Socket {
        Socket::connected(REQ, to)
    }

    fn rep() -> (Socket, String) {
        Socket::bound(REP)
    }

    fn publisher() -> (Socket, String) {
        let (socket, endpoint) = Socket::bound(XPUB);
        socket.set(XPUB_NODROP, 1);
        socket.set(XPUB_VERBOSE, 1);
        (socket, endpoint)
    }

    fn sub(to: &str) -> Socket {
        let socket = Socket::connected(SUB, to);
        check(unsafe { zmq_setsockopt(socket.socket, SUBSCRIBE, null(), 0) });
        socket
    }
}

impl Pub for Socket {
    fn wait_for_subscribers(&mut self, subscribers: usize) {
        for _ in 0..subscribers {
            Socket::recv(self);
        }
    }
}

impl Push for Socket {
    fn send(&mut self, message: &[u8]) {
        Socket::send(self, message);
    }

    fn close(self) {
        Socket::close(self);
    }
}

impl Pull for Socket {
    fn recv(&mut self) -> (usize, u8) {
        let len = Socket::recv(self);
        let first = unsafe { *zmq_msg_data(&mut self.message).cast::<u8>() };
        (len, first)
    }
}

impl Req for Socket {
    fn request(&mut self, message: &[u8]) -> usize {
        self.send(message);
        Socket::recv(self)
    }
}

impl Rep for Socket {
    fn echo(&mut self) -> usize {
        Socket::recv(self);
        // A sent message is empty, and can be received into again.
        check(unsafe { zmq_msg_send(&mut self.message, self.socket, 0) })
    }

    fn close(self) {
        Socket::close(self);
    }
}
