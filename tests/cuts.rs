//! A TCP connection that ends after so many bytes one way, by FIN or by RST, in its handshake and in a message: who dialed
//! comes again, and what it sends arrives in order, whole and once.
//!
//! What was wholly written to a connection that is lost may be lost with it; nothing else may.

mod common;

use common::{LONG, address, wait_until};
use peermq::*;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Bytes of a message.
const SIZE: usize = 40;
const AT_ONCE: usize = 4;
/// The first is 0.
const LAST: u8 = 3;
/// More than the system takes at a time.
const LARGE_SIZE: usize = 1 << 18;
/// Stands for the first, if that is large.
const LARGE: u8 = 0xFF;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fin,
    Rst,
}

/// Which bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    FromDialer,
    ToDialer,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    way: Way,
    after: usize,
    end: End,
}

/// Passes bytes between who dials and an address. The first connection it cuts, the next it leaves alone.
struct Relay {
    listener: TcpListener,
    to: String,
}

impl Relay {
    fn new(to: &Endpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // What is not passed on stays with who has written it.
        SockRef::from(&listener).set_recv_buffer_size(4_096).unwrap();
        Relay {
            listener,
            to: address(to),
        }
    }

    /// Cuts one and leaves the next alone, on a thread of its own, which is told when both ends know.
    fn cutting(self, cut: Cut) -> Sender<()> {
        let (tell, both_know) = channel();
        std::thread::spawn(move || {
            self.cut(cut, &both_know);
            self.leave_alone();
        });
        tell
    }

    fn endpoint(&self) -> String {
        format!("tcp://{}", self.listener.local_addr().unwrap())
    }

    fn streams(&self) -> [TcpStream; 2] {
        let near = self.listener.accept().unwrap().0;
        [near, TcpStream::connect(&self.to).unwrap()]
    }

    /// Ends a connection for both once so many bytes are through. Until both know, what they still say stays unread.
    fn cut(&self, cut: Cut, both_know: &Receiver<()>) {
        let streams = self.streams();
        let [near, far] = &streams;
        let (from, to) = match cut.way {
            Way::FromDialer => (near, far),
            Way::ToDialer => (far, near),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| pass(to, from));
            pass_some(from, to, cut.after);
            match cut.end {
                End::Fin => {
                    streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Write)));
                    // Before: the system would make an RST of what is unread.
                    let _ = both_know.recv();
                }
                // Nobody is told yet; who reads here ends.
                End::Rst => streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Read))),
            }
        });
        if cut.end == End::Rst {
            let no_linger = |stream| SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            streams.iter().for_each(no_linger);
        }
    }

    /// Passes all, and gives how many bytes went each way: from the dialer, and to it.
    fn leave_alone(&self) -> [usize; 2] {
        let [near, far] = &self.streams();
        SockRef::from(near).set_recv_buffer_size(1 << 20).unwrap();
        std::thread::scope(|scope| {
            let to_the_end = |from, to: &TcpStream| {
                let bytes = pass(from, to);
                let _ = to.shutdown(Shutdown::Write);
                bytes
            };
            let back = scope.spawn(move || to_the_end(far, near));
            [to_the_end(near, far), back.join().unwrap()]
        })
    }
}

/// One way, to its end. Gives how many bytes came.
fn pass(mut from: &TcpStream, mut to: &TcpStream) -> usize {
    let (mut all, mut chunk, mut is_open) = (0, [0; 4_096], true);
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        is_open = is_open && to.write_all(&chunk[..n]).is_ok();
        all += n;
    }
    all
}

/// So many bytes one way.
fn pass_some(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) {
    let mut chunk = [0; 4_096];
    let mut left = bytes;
    while left > 0 {
        let n = from.read(&mut chunk[..left.min(4_096)]).unwrap();
        assert!(n > 0, "{left} of {bytes} bytes do not come");
        to.write_all(&chunk[..n]).unwrap();
        left -= n;
    }
}

/// Who binds, and who dials.
type Pairing = fn() -> [Security; 2];

fn null() -> [Security; 2] {
    [Security::default(), Security::default()]
}

fn plain() -> [Security; 2] {
    [
        Plain::server().allow([("admin", "secret")]),
        Plain::client("admin", "secret"),
    ]
}

fn curve() -> [Security; 2] {
    let [ours, theirs] = [1, 2].map(|byte| SecretKey::from_bytes([byte; 32]));
    let (server, admitted) = (ours.public(), theirs.public());
    [Curve::server(ours).allow([admitted]), Curve::client(theirs, server)]
}

/// What a message of [`SIZE`] bytes is on the wire.
fn wire_len(pairing: Pairing) -> usize {
    let is_sealed = format!("{:?}", pairing()[0]).contains("Curve");
    2 + SIZE + if is_sealed { 33 } else { 0 }
}

fn options(pairing: Pairing) -> [Options; 2] {
    pairing().map(|security| {
        Options::default()
            .reconnect(Duration::from_millis(1), Duration::from_millis(2))
            .send_buffer(4_096)
            .security(security)
    })
}

fn numbered(number: u8) -> Vec<u8> {
    vec![number; SIZE]
}

/// A dialer whose connection is reset before it has looked is told that it did not connect.
fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Disconnected { .. } | Event::HandshakeFailed { .. } | Event::ConnectFailed { .. }
    )
}

/// The numbers of what is received, up to the last; each is whole.
fn received(pull: &Pull, numbers: &mut Vec<u8>, about: &str) {
    while numbers.last() != Some(&LAST) {
        numbers.push(number(&pull.recv_timeout(LONG).unwrap(), about));
    }
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock), "{about}");
}

/// The same of what is here already.
fn here(pull: &Pull, about: &str) -> Vec<u8> {
    let all = std::iter::from_fn(|| pull.try_recv().ok());
    all.map(|message| number(&message, about)).collect()
}

fn number(message: &Message, about: &str) -> u8 {
    let body = message.first();
    assert!(body.iter().all(|&byte| byte == body[0]), "{about}");
    assert!(
        body.len() == if body[0] == LARGE { LARGE_SIZE } else { SIZE },
        "{about}"
    );
    body[0]
}

/// How long the handshake is each way: from the dialer, and to it.
fn handshake(context: &Context, pairing: Pairing) -> [usize; 2] {
    let [server, client] = options(pairing);
    let pull = Pull::with_options(context, server).unwrap();
    let relay = Relay::new(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let push = Push::with_options(context, client).unwrap();
    push.connect(relay.endpoint()).unwrap();
    push.send(numbered(LAST)).unwrap();
    std::thread::scope(|scope| {
        let passed = scope.spawn(|| relay.leave_alone());
        received(&pull, &mut Vec::new(), "no cut");
        push.close().unwrap();
        let [from_dialer, to_dialer] = passed.join().unwrap();
        [from_dialer - wire_len(pairing), to_dialer]
    })
}

/// A PUSH that has something to say dials, and its first connection is cut. Gives what comes of the first message and
/// those that are sent once the connection has ended.
fn pushed(context: &Context, pairing: Pairing, cut: Cut, first: Vec<u8>, about: &str) -> Vec<u8> {
    let [server, client] = options(pairing);
    let pull = Pull::with_options(context, server).unwrap();
    let relay = Relay::new(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let push = Push::with_options(context, client).unwrap();
    let (at_pull, at_push) = (pull.monitor(), push.monitor());
    push.connect(relay.endpoint()).unwrap();
    push.send_timeout(first, LONG).unwrap();
    let tell = relay.cutting(cut);
    wait_until(&at_pull, about, is_end);
    // Before the next one has something: there is no order between two connections.
    let mut numbers = here(&pull, about);
    wait_until(&at_push, about, is_end);
    let _ = tell.send(());
    (1..=LAST).for_each(|number| push.send(numbered(number)).unwrap());
    received(&pull, &mut numbers, about);
    push.close().unwrap();
    let flows = (pull.stats().incoming, push.stats().out);
    assert!(flows.0.is_conserved() && flows.1.is_conserved(), "{about} {flows:?}");
    numbers
}

/// A PULL dials a PUSH, and its first connection is cut, in what the PUSH says. Gives what comes.
fn pulled(context: &Context, pairing: Pairing, cut: Cut, about: &str) -> Vec<u8> {
    let [server, client] = options(pairing);
    let push = Push::with_options(context, server).unwrap();
    let relay = Relay::new(&push.bind("tcp://127.0.0.1:0").unwrap());
    let pull = Pull::with_options(context, client).unwrap();
    let (at_pull, at_push) = (pull.monitor(), push.monitor());
    pull.connect(relay.endpoint()).unwrap();
    let tell = relay.cutting(cut);
    push.send_timeout(numbered(0), LONG).unwrap();
    wait_until(&at_pull, about, is_end);
    let mut numbers = here(&pull, about);
    wait_until(&at_push, about, is_end);
    let _ = tell.send(());
    (1..=LAST).for_each(|number| push.send_timeout(numbered(number), LONG).unwrap());
    received(&pull, &mut numbers, about);
    numbers
}

/// Every so many bytes of a handshake and of a message.
fn at_every(step: usize, pairing: Pairing) {
    let [from_dialer, to_dialer] = handshake(&Context::new().unwrap(), pairing);
    let message = wire_len(pairing);
    let cuts: Vec<(Cut, usize)> = [End::Fin, End::Rst]
        .into_iter()
        .flat_map(|end| [(end, Way::FromDialer, from_dialer), (end, Way::ToDialer, to_dialer)])
        .flat_map(|(end, way, handshake)| {
            let all = (0..=handshake + message).step_by(step);
            all.map(move |after| (Cut { way, after, end }, handshake))
        })
        .collect();
    for_each(&cuts, |context, &(cut, handshake)| {
        let about = format!("{cut:?} of {handshake} and {message}");
        // A PUSH says in its handshake as much as a PULL, and has a message behind it.
        let numbers = match cut.way == Way::ToDialer && cut.after > handshake {
            true => pulled(context, pairing, cut, &about),
            false => pushed(context, pairing, cut, numbered(0), &about),
        };
        check(&numbers, cut, handshake, message, &about);
    });
}

/// Some at a time, for most of each is waiting.
fn for_each<T: Sync>(cases: &[T], run: impl Fn(&Context, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let in_turn = || {
        let context = Context::new().unwrap();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(&context, case);
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(in_turn))));
}

/// Whether what came is what may have come, of a message that follows a handshake of so many bytes.
fn check(numbers: &[u8], cut: Cut, handshake: usize, message: usize, about: &str) {
    let all: Vec<u8> = (0..=LAST).collect();
    let may_come = cut.after <= handshake || cut.after >= handshake + message;
    let may_be_lost = match cut.end {
        End::Fin => (handshake..handshake + message).contains(&cut.after),
        // It may overtake what came before it.
        End::Rst => cut.after >= handshake,
    };
    let is_right = may_come && numbers == all || may_be_lost && numbers == &all[1..];
    assert!(is_right, "{about}: {numbers:?}");
}

#[test]
fn under_null_at_every_byte() {
    at_every(1, null);
}

#[test]
fn under_plain_at_every_byte() {
    at_every(1, plain);
}

#[test]
fn under_curve_at_every_fifth_byte() {
    at_every(5, curve);
}

/// Of one that was cut while it was written, the whole comes by the next connection.
#[test]
fn a_message_that_was_not_wholly_written_comes_again() {
    let mut cases = Vec::new();
    for pairing in [null, plain, curve] {
        let [handshake, _] = handshake(&Context::new().unwrap(), pairing);
        for more in [0, 1, 9, 10, 100, 5_000, 50_000] {
            cases.extend([End::Fin, End::Rst].map(|end| (pairing, end, handshake, more)));
        }
    }
    for_each(&cases, |context, &(pairing, end, handshake, more)| {
        let cut = Cut {
            way: Way::FromDialer,
            after: handshake + more,
            end,
        };
        let about = format!("{cut:?}, {more} bytes of a large message");
        let numbers = pushed(context, pairing, cut, vec![LARGE; LARGE_SIZE], &about);
        assert_eq!(numbers, [LARGE, 1, 2, LAST], "{about}");
    });
}
