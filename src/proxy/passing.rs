//! One way through a proxy: takes a message from one end when the other has room, and gives it there.

use super::control::{Control, Course, Passage};
use crate::error::{NotSent, RecvError};
use crate::message::Message;
use crate::poller::{Signal, Watch};
use crate::socket::raw::{Relay, Takes, Ways};
use std::sync::Arc;

/// One of the two sockets.
pub(super) struct End<'a> {
    socket: &'a dyn Relay,
    ways: Ways,
    pub(super) watch: Watch,
    is_closed: bool,
}

impl<'a> End<'a> {
    pub(super) fn new(socket: &'a dyn Relay, signal: &Arc<Signal>) -> Self {
        End {
            socket,
            ways: socket.ways(),
            watch: Watch::new(socket.watched(), signal),
            is_closed: false,
        }
    }

    pub(super) fn speaks_to(&self, other: &End<'_>) -> bool {
        self.ways.gives && other.ways.takes != Takes::Nothing
    }

    pub(super) fn is_closed(&mut self) -> bool {
        self.is_closed |= self.watch.look().closed;
        self.is_closed
    }

    fn has_message(&mut self) -> bool {
        self.watch.look().readable
    }

    fn has_room(&mut self) -> bool {
        match self.ways.takes {
            Takes::Nothing => false,
            Takes::WithRoom => self.watch.look().writable,
            Takes::Addressed => true,
        }
    }

    fn recv(&mut self) -> Option<Message> {
        match self.socket.try_recv_raw() {
            Ok(message) => Some(message),
            Err(error) => {
                self.is_closed |= error == RecvError::Closed;
                None
            }
        }
    }

    /// Gives the message back if it is worth another try, or if the socket is closed; else whether it was sent.
    fn send(&mut self, message: Message) -> Result<bool, Option<Message>> {
        match self.socket.try_send_raw(message) {
            Ok(()) => Ok(true),
            Err(error) => match error.reason {
                NotSent::WouldBlock => Err(error.message),
                NotSent::Closed => {
                    self.is_closed = true;
                    Err(error.message)
                }
                _ => Ok(false),
            },
        }
    }
}

/// What goes one way.
#[derive(Default)]
pub(super) struct Way {
    /// It was taken, and found no room after all. Nothing else is taken before it has gone.
    held: Option<Message>,
    pub(super) passage: Passage,
}

impl Way {
    /// Passes a burst. Gives whether anything has passed; nothing more can then before something changes, unless it has.
    pub(super) fn pass(
        &mut self,
        from: &mut End<'_>,
        to: &mut End<'_>,
        capture: Option<&dyn Relay>,
        control: &Control,
    ) -> bool {
        let mut has_passed = false;
        for _ in 0..BURST {
            if control.course() != Course::Run || !self.pass_one(from, to, capture) {
                break;
            }
            has_passed = true;
        }
        has_passed
    }

    fn pass_one(&mut self, from: &mut End<'_>, to: &mut End<'_>, capture: Option<&dyn Relay>) -> bool {
        if !to.has_room() {
            return false;
        }
        let message = match self.held.take() {
            Some(message) => message,
            None => {
                let Some(message) = from.recv() else { return false };
                self.passage.taken += 1;
                self.passage.taken_bytes += message.byte_count() as u64;
                message
            }
        };
        let size = message.byte_count() as u64;
        let copy = capture.map(|capture| (capture, message.clone()));
        match to.send(message) {
            Ok(true) => {
                self.passage.passed += 1;
                self.passage.passed_bytes += size;
            }
            Ok(false) => {
                self.passage.dropped += 1;
                return true;
            }
            Err(message) => {
                self.held = message;
                return false;
            }
        }
        if let Some((capture, copy)) = copy {
            match capture.try_send_raw(copy) {
                Ok(()) => self.passage.captured += 1,
                Err(_) => self.passage.not_captured += 1,
            }
        }
        true
    }

    /// Whether something might pass now.
    pub(super) fn can_pass(&self, from: &mut End<'_>, to: &mut End<'_>) -> bool {
        (self.held.is_some() || from.has_message()) && to.has_room()
    }

    /// The end: what is held has one more chance.
    pub(super) fn end(mut self, to: &mut End<'_>) -> (Passage, Option<Message>) {
        if let Some(message) = self.held.take() {
            let size = message.byte_count() as u64;
            match to.send(message) {
                Ok(true) => {
                    self.passage.passed += 1;
                    self.passage.passed_bytes += size;
                }
                Ok(false) => self.passage.dropped += 1,
                Err(message) => return (self.passage, message),
            }
        }
        (self.passage, None)
    }
}

/// Messages that go one way before the other has its turn.
const BURST: usize = 256;
