//! What a [`Poller`] says of a socket is what a call would do.

use crate::common::{endpoint, until, unused};
use crate::every::{facts, open};
use crate::kind::{Facts, How, Kind, Later, Said, Sends, begin};
use crate::{Dials, LONG, assert_law, brief, introduce, meet, pass, ways};
use peermq::{AtMark, Context, Interest, Key, Message, Options, Poller, Ready, SocketType};

/// A socket, and what a poller says of it.
struct Watched<'a> {
    socket: &'a dyn Kind,
    poller: Poller<'static>,
    key: Key,
    waiting: Vec<Later<'a, ()>>,
}

impl<'a> Watched<'a> {
    fn new(socket: &'a dyn Kind) -> Self {
        let mut poller = Poller::new();
        let key = socket.watch(&mut poller, Interest::Both);
        Watched {
            socket,
            poller,
            key,
            waiting: Vec::new(),
        }
    }

    fn now(&mut self) -> Option<Ready> {
        self.poller.wait(Some(std::time::Duration::ZERO)).unwrap().pop()
    }

    fn is_readable(&mut self) -> bool {
        self.now().is_some_and(|ready| ready.readable)
    }

    fn is_writable(&mut self) -> bool {
        self.now().is_some_and(|ready| ready.writable)
    }

    /// Sleeps until it is ready for this.
    #[track_caller]
    fn wait(&mut self, interest: Interest) {
        self.poller.modify(self.key, interest).unwrap();
        let mut ready = self.poller.wait(Some(LONG)).unwrap();
        let ready = ready.pop().expect("it is ready in time");
        assert_eq!(
            (ready.readable, ready.writable, ready.closed),
            (interest == Interest::Readable, interest == Interest::Writable, false)
        );
        self.poller.modify(self.key, Interest::Both).unwrap();
    }

    /// Receives, if the poller says that there is something; and if not, there is nothing.
    #[track_caller]
    fn take(&mut self) -> Option<Message> {
        let is_readable = self.is_readable();
        match self.socket.recv(How::Now) {
            Said::Done(message) if is_readable => Some(message),
            Said::NotNow if !is_readable => None,
            other => panic!("readable: {is_readable}, and {other:?}"),
        }
    }

    /// Sends, if the poller says that there is room; and if not, there is none.
    #[track_caller]
    fn give(&mut self, message: Message) -> bool {
        let is_writable = self.is_writable();
        assert_eq!(begin(self.socket, message, &mut self.waiting), is_writable);
        is_writable
    }
}

pub(crate) fn readable(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let [socket, other] = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
    let mut watched = Watched::new(&*socket);
    if !it.receives {
        assert!(!watched.is_readable());
        return;
    }
    let sender = facts(it.partner);
    assert_eq!(watched.take(), None);
    if sender.sends == Sends::Never {
        return;
    }
    let mut waiting = Vec::new();
    for round in 0..20 {
        let count = 1 + round % 3;
        let before = socket.stats().incoming.taken;
        for number in 0..count {
            let message = sender.message(&format!("{number}"));
            assert!(begin(&*other, message, &mut waiting), "there is room");
        }
        // A sleeper wakes for the first; the others are on their way.
        watched.wait(Interest::Readable);
        if other.is_a_stream() {
            let whole: usize = (0..count).map(|n| sender.message(&format!("{n}")).byte_count()).sum();
            let mut bytes = 0;
            while bytes < whole {
                watched.wait(Interest::Readable);
                bytes += watched.take().map_or(0, |message| message.byte_count());
            }
        } else {
            until("all have come", || socket.stats().incoming.taken == before + count);
            for number in 0..count {
                assert_eq!(watched.take(), Some(sender.message(&format!("{number}"))));
            }
        }
        assert_eq!(watched.take(), None);
    }
    drop((watched, waiting));
    assert_law(&[socket, other]);
}

pub(crate) fn writable(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    match it.sends {
        Sends::Never => {
            let [socket, _other] = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
            assert!(!Watched::new(&*socket).is_writable());
        }
        Sends::ToAllAtOnce => {
            let socket = open(it.socket_type, &context, brief()).unwrap();
            let mut watched = Watched::new(&*socket);
            assert!((0..10).all(|_| watched.give(it.message("to nobody"))));
        }
        Sends::ToAll => to_all(&context, transport, it),
        Sends::WithRoom | Sends::Asks => with_room(&context, transport, it),
        Sends::To if it.queues_ahead() => with_room(&context, transport, it),
        Sends::To => {
            let socket = open(it.socket_type, &context, brief()).unwrap();
            assert!(!Watched::new(&*socket).is_writable(), "there is nobody to send to");
            let [socket, _other] = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
            assert!(Watched::new(&*socket).give(it.message("there is somebody")));
        }
    }
}

/// Without a peer there is no room; one that was dialed has room up to its mark, and again once it is there.
fn with_room(context: &Context, transport: &str, it: Facts) {
    for mark in [1, 2, 5] {
        let socket = open(it.socket_type, context, brief().send_mark(mark)).unwrap();
        let mut watched = Watched::new(&*socket);
        assert!(!watched.is_writable(), "there is no peer");
        let at = unused(transport);
        socket.connect(&at).unwrap();
        if it.sends == Sends::To {
            // Ready to send is ready to send to somebody; who of them has room is known by name only.
            let accepted = (0..10).filter(|_| socket.send(it.message("waits"), How::Now).is_done());
            assert_eq!(accepted.count(), mark);
        } else {
            let accepted = (0..10).filter(|_| watched.give(it.message("waits")));
            assert_eq!(accepted.count(), mark);
        }
        let other = open(it.partner, context, brief()).unwrap();
        other.bind(&at).unwrap();
        watched.wait(Interest::Writable);
        if it.sends != Sends::To {
            assert!(watched.give(it.message("there is room again")));
        }
        drop(watched);
        assert_law(&[socket, other]);
    }
}

/// All have room, or `send` does not wait for it; under [`AtMark::Block`] it does.
fn to_all(context: &Context, transport: &str, it: Facts) {
    let socket = open(it.socket_type, context, brief().send_mark(1)).unwrap();
    let mut watched = Watched::new(&*socket);
    assert!((0..10).all(|_| watched.give(it.message("to nobody"))));

    let options = narrow(brief().at_mark(AtMark::Block));
    let [socket, other] = meet(context, transport, it, Dials::Other, options);
    let mut watched = Watched::new(&*socket);
    assert!(watched.is_writable());
    fill(&*socket, &*other, it);
    // Who of them would get it is known with the message.
    assert_eq!(socket.send(it.message("late"), How::Now), Said::NotNow);
    assert!(!watched.give(it.message("late")));
    assert!(other.recv(How::Now).is_done());
    watched.wait(Interest::Writable);
    assert!(watched.give(it.message("there is room again")));
    drop(watched);
    assert_law(&[socket, other]);
}

/// Sends until there is no room, and nothing can change that but a receiver: it has one message, at its mark, and the next
/// does not fit between the two ([`narrow`]).
pub(crate) fn fill(socket: &dyn Kind, other: &dyn Kind, it: Facts) {
    let large = it.message(&"x".repeat(1_000_000));
    assert!(socket.send(large.clone(), How::Now).is_done());
    until("the first is there", || other.stats().incoming.queued == 1);
    until("the first is written", || socket.stats().out.queued == 0);
    assert!(socket.send(large, How::Now).is_done());
}

/// A sender and a receiver with little room, and little between them.
pub(crate) fn narrow(mine: Options) -> [Options; 2] {
    let little = |options: Options| options.send_buffer(8_192).recv_buffer(8_192);
    [little(mine.send_mark(1)), little(brief().recv_mark(1))]
}

/// Unread messages of a peer that left are still received. An accepted one takes its room with it, a dialed one leaves it.
pub(crate) fn after_the_end(transport: &str, it: Facts) {
    for dials in [Dials::It, Dials::Other] {
        let context = Context::new().unwrap();
        let sockets = meet(&context, transport, it, dials, [brief(), Default::default()]);
        let [socket, other] = &sockets;
        let mut watched = Watched::new(&**socket);
        let sender = facts(it.partner);
        let monitor = socket.monitor();
        let mut sent = 0;
        if ways(it).contains(&[1, 0]) && sender.sends != Sends::Asks {
            for number in 0..3 {
                let message = sender.message(&format!("{number}"));
                sent += message.byte_count();
                assert!(other.send(message, How::Now).is_done());
            }
        }
        other.close().unwrap();
        crate::common::wait_for!(monitor, Disconnected);

        let mut received = 0;
        if it.receives {
            while let Some(message) = watched.take() {
                received += match message.first() {
                    // Its subscription ends.
                    [0, ..] if it.socket_type == SocketType::XPub => 0,
                    _ => message.byte_count(),
                };
            }
        }
        assert_eq!(received, sent, "what it had sent");
        let has_room = watched.is_writable();
        match it.sends {
            Sends::Never => assert!(!has_room),
            Sends::ToAll | Sends::ToAllAtOnce => assert!(watched.give(it.message("to nobody"))),
            Sends::WithRoom | Sends::Asks => {
                assert_eq!(has_room, dials == Dials::It);
                watched.give(it.message("waits, or comes back"));
            }
            Sends::To => {
                assert_eq!(has_room, dials == Dials::It, "there is somebody to send to");
                assert_eq!(socket.send(it.message("waits"), How::Now).is_done(), has_room);
            }
        }
        // One who comes next is spoken with.
        if dials == Dials::Other {
            let next = open(it.partner, &context, brief()).unwrap();
            let monitors = [socket.monitor(), next.monitor()];
            let at = socket.bind(&endpoint(transport)).unwrap().to_string();
            next.connect(&at).unwrap();
            monitors.iter().for_each(crate::common::wait_connected);
            introduce(&*next, &**socket);
            for [from, to] in ways(it) {
                let pair = [&**socket, &*next];
                pass(pair[from], pair[to], &[it, sender][from].message("next"));
            }
            assert_law(&[next]);
        }
        assert_law(&sockets);
    }
}
