//! Memory of the application's own is let go where no lock of ours is held: whatever it does then, it may ask the socket.

mod common;

use bytes::Bytes;
use common::*;
use peermq::*;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Asks its socket something when it is dropped, on another thread, which a lock that is held here would stop; and says
/// whether that was answered.
struct Asking<F: Fn() -> SocketStats + Clone + Send + 'static> {
    ask: F,
    answered: Sender<bool>,
}

impl<F: Fn() -> SocketStats + Clone + Send + 'static> AsRef<[u8]> for Asking<F> {
    fn as_ref(&self) -> &[u8] {
        &[7; 100_000]
    }
}

impl<F: Fn() -> SocketStats + Clone + Send + 'static> Drop for Asking<F> {
    fn drop(&mut self) {
        let (answer, answers) = channel();
        let ask = self.ask.clone();
        thread::spawn(move || answer.send(ask()).is_ok());
        let is_answered = answers.recv_timeout(Duration::from_secs(2)).is_ok();
        self.answered.send(is_answered).unwrap_or_default();
    }
}

fn asking(ask: impl Fn() -> SocketStats + Clone + Send + 'static) -> (Bytes, Receiver<bool>) {
    let (answered, answers) = channel();
    (Bytes::from_owner(Asking { ask, answered }), answers)
}

macro_rules! stats_of {
    ($socket:ident) => {{
        let socket = std::sync::Arc::clone(&$socket);
        move || socket.stats()
    }};
}

macro_rules! shared {
    ($($socket:ident)*) => {$(let $socket = std::sync::Arc::new($socket);)*};
}

#[test]
fn a_sub_lets_go_of_what_it_wants_no_more() {
    let context = Context::new().unwrap();
    let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
    shared!(sub);
    sub.connect(publisher.bind("inproc://own-sub").unwrap()).unwrap();
    sub.subscribe("").unwrap();
    let (body, answers) = asking(stats_of!(sub));
    publisher.send(body).unwrap();
    publisher.send("what takes its place").unwrap();
    sub.unsubscribe("").unwrap();

    assert_eq!(sub.try_recv(), Err(RecvError::WouldBlock));

    assert_eq!(answers.recv_timeout(LONG), Ok(true));
    assert_eq!(sub.stats().incoming.dropped.of(DropReason::NotSubscribed), 2);
}

#[test]
fn a_dish_lets_go_of_what_it_wants_no_more() {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::new(&context), Dish::new(&context));
    shared!(dish);
    dish.connect(radio.bind("inproc://own-dish").unwrap()).unwrap();
    dish.join("group").unwrap();
    let (body, answers) = asking(stats_of!(dish));
    radio.send("group", body).unwrap();
    dish.leave("group").unwrap();

    assert!(matches!(dish.try_recv(), Err(RecvError::WouldBlock)));

    assert_eq!(answers.recv_timeout(LONG), Ok(true));
    assert_eq!(dish.stats().incoming.dropped.of(DropReason::NotSubscribed), 1);
}
