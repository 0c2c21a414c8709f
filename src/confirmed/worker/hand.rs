//! The one thread of a worker: it reads what sources say, says what nobody else does, and beats.
//!
//! It waits as a `Poller` does, and drives the loop meanwhile if nobody else does: so what comes is read by who wants it. Which
//! connection there is it asks the socket, whenever something has happened to a connection, and whenever a message came by one
//! that it does not know.

use super::LAST_WORDS;
use super::room::{Heard, Room, ToClose};
use crate::confirmed::wire::{FromSource, Malformed};
use crate::error::RecvError;
use crate::hub::{Drive, Monitor};
use crate::message::Message;
use crate::monitor::Event;
use crate::peer_info::PeerInfo;
use crate::poller::{Watch, drives, wait_for_any};
use crate::socket::{Sealed, dealer::Dealer};
use crate::stats::DropReason;
use crate::sync::catch;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tracing::{debug, error};

/// Works until the worker, or its context, is closed.
pub(super) fn run(room: &Room, monitors: &[Monitor]) {
    match catch(|| work(room, monitors)) {
        Ok(Over::Closing) => {}
        Ok(Over::ShutDown) => return room.handle_shut_down(),
        Err(_) => {
            error!("a worker's thread panicked; it takes no more tasks");
            room.handle_shut_down();
        }
    }
    // All at once, so that all have the same time: what was accepted is written within it, or dropped.
    for dealer in &room.dealers {
        dealer.set_linger(LAST_WORDS);
        dealer.begin_close();
    }
    let unwritten = room.dealers.iter().map(close).sum();
    room.handle_closed(unwritten);
}

/// Waits for a socket's end. How many messages were not written.
fn close(dealer: &Dealer) -> u64 {
    let report = match dealer.close() {
        Ok(report) => report,
        Err(error) => {
            debug!(%error, "a worker's socket is gone already");
            return 0;
        }
    };
    let of_peers = report.peers.iter().map(|peer| &peer.dropped);
    let dropped = of_peers.chain([&report.gone_dropped, &report.without_peer]);
    let unwritten = dropped.map(|dropped| dropped.of(DropReason::Linger)).sum();
    if unwritten > 0 {
        debug!(unwritten, "a worker was closed before all that it said was written");
    }
    unwritten
}

/// Why there is nothing more to do.
enum Over {
    /// The sockets are to be closed.
    Closing,
    /// The context is shut down, and they are closed.
    ShutDown,
}

fn work(room: &Room, monitors: &[Monitor]) -> Over {
    let bell = Waker::from(Arc::clone(&room.bell));
    let mut ears: Vec<Ear<'_>> = Vec::new();
    for (at, (dealer, monitor)) in room.dealers.iter().zip(monitors).enumerate() {
        ears.push(Ear {
            room,
            at,
            dealer,
            monitor,
            next_event: Box::pin(monitor.recv_async()),
            watch: Watch::new(dealer.watched(), &room.bell.signal),
            connection: None,
            heard: Vec::new(),
        });
    }
    let drives = drives(ears.iter().map(|ear| &ear.watch));
    loop {
        if room.bell.was_rung() {
            ears.iter_mut().for_each(|ear| ear.look_at_events(&bell));
        }
        let mut has_more = false;
        for ear in &mut ears {
            has_more |= ear.listen();
            room.say(ear.at);
        }
        if ears.iter_mut().any(|ear| ear.watch.look().closed) {
            return Over::ShutDown;
        }
        let until = match room.sleep(room.now()) {
            Ok(until) => until,
            Err(ToClose) => return Over::Closing,
        };
        if !has_more {
            wait_for_any(&drives, &room.bell.signal, until, || {
                let has_come = room.bell.is_rung() || ears.iter_mut().any(Ear::is_ready);
                has_come.then_some(())
            });
        }
        room.wake_up();
    }
}

/// What the hand knows of one socket.
struct Ear<'a> {
    room: &'a Room,
    at: usize,
    dealer: &'a Dealer,
    monitor: &'a Monitor,
    next_event: NextEvent<'a>,
    watch: Watch,
    /// The desk was told of this one.
    connection: Option<Arc<PeerInfo>>,
    /// Come by it, and not told yet: at most [`MOST_AT_ONCE`].
    heard: Vec<Heard>,
}

type NextEvent<'a> = Pin<Box<dyn Future<Output = Result<Event, RecvError>> + Send + 'a>>;

impl Ear<'_> {
    /// Whether there is something to do: to hear, or to say at last.
    fn is_ready(&mut self) -> bool {
        let ready = self.watch.look();
        ready.readable || ready.closed || ready.writable && self.room.is_blocked(self.at)
    }

    /// Whatever has happened, what counts is which connection there is now.
    fn look_at_events(&mut self, bell: &Waker) {
        let mut has_happened = false;
        while let Poll::Ready(event) = self.next_event.as_mut().poll(&mut Context::from_waker(bell)) {
            if event.is_err() {
                // The socket is closed, which the watch tells.
                return;
            }
            has_happened = true;
            self.next_event = Box::pin(self.monitor.recv_async());
        }
        if has_happened {
            self.look_at_connection();
        }
    }

    fn look_at_connection(&mut self) {
        let is_there = self.dealer.peers().into_iter().next();
        if !is_same(is_there.as_ref(), self.connection.as_ref()) {
            self.tell();
            self.room.handle_connection(self.at, is_there.is_some());
            self.connection = is_there;
        }
    }

    /// Takes what has come, and whether there may be more.
    fn listen(&mut self) -> bool {
        let mut taken = 0;
        while taken < MOST_AT_ONCE {
            let Ok((message, from)) = self.dealer.try_recv_from() else {
                break;
            };
            taken += 1;
            if !is_same(Some(&from), self.connection.as_ref()) {
                self.look_at_connection();
            }
            // What came by one that is over is the source's again.
            if is_same(Some(&from), self.connection.as_ref()) {
                self.heard.push(open(message));
            }
        }
        self.tell();
        taken == MOST_AT_ONCE
    }

    fn tell(&mut self) {
        if !self.heard.is_empty() {
            self.room.handle_heard(self.at, self.room.now(), self.heard.drain(..));
        }
    }
}

fn is_same(one: Option<&Arc<PeerInfo>>, other: Option<&Arc<PeerInfo>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The head, and what stands behind it.
fn open(message: Message) -> (Result<FromSource, Malformed>, Option<Message>) {
    let said = FromSource::parse(message.first());
    if message.frame_count() == 1 {
        return (said, None);
    }
    let mut frames = message.into_frames();
    frames.remove(0);
    (said, Some(Message::many(frames)))
}

/// Then it is the next socket's turn, and what the desk has to say is said.
const MOST_AT_ONCE: usize = 256;
