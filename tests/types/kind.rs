//! A socket of any type, as the suite sees it: nothing that only one type has.

use crate::common::block_on;
use peermq::*;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A socket of some type.
pub trait Kind: Send + Sync {
    fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError>;
    fn connect(&self, endpoint: &str) -> Result<(), ConnectError>;
    fn unbind(&self, endpoint: &Endpoint) -> Result<(), EndpointError>;
    fn disconnect(&self, endpoint: &str) -> Result<(), EndpointError>;
    fn close(&self) -> Result<CloseReport, CloseError>;
    fn monitor(&self) -> Monitor;
    fn stats(&self) -> SocketStats;
    fn watch(&self, poller: &mut Poller<'_>, interest: Interest) -> Key;

    /// Sends, as patiently as asked: to whoever this socket speaks with, if it has to be named; a REQ asks, and waits for
    /// the reply.
    fn send(&self, message: Message, how: How) -> Said<()>;
    /// Receives; a REP replies at once with what was asked.
    fn recv(&self, how: How) -> Said<Message>;
    /// Receives, and tells whose the message is: as its type knows it.
    fn recv_from(&self) -> (Message, Arc<PeerInfo>);
    fn send_later(&self, message: Message) -> Later<'_, ()>;
    fn recv_later(&self) -> Later<'_, Message>;

    /// Sends many by one call. Gives how many, or how that ended and what came back.
    fn send_many(&self, _: Vec<Message>, _: How) -> Result<usize, SendManyError> {
        unreachable!("it sends one by one")
    }
    fn send_many_later(&self, _: Vec<Message>) -> Later<'_, usize> {
        unreachable!("it sends one by one")
    }
    /// Receives many by one call.
    fn recv_many(&self, _: &mut Vec<Message>, _: usize, _: How) -> Said<usize> {
        unreachable!("it receives one by one")
    }
    fn recv_many_later<'a>(&'a self, _: &'a mut Vec<Message>, _: usize) -> Later<'a, usize> {
        unreachable!("it receives one by one")
    }

    /// Once it is connected: learns what it has to know before it can send, or what is no message of the other's.
    fn settle_in(&self) {}
    /// A call to send ends with a reply.
    fn asks(&self) -> bool {
        false
    }
    /// Messages have no borders.
    fn is_a_stream(&self) -> bool {
        false
    }
    /// It knows whom to send to only when it has been spoken to.
    fn is_addressed_first(&self, _dialed: bool) -> bool {
        false
    }
}

/// How a call waits.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// `try_`
    Now,
    /// `_timeout`
    Within(Duration),
    /// Without a limit.
    Waiting,
}

/// What a call said, by the same words for all types.
#[derive(Debug, Clone, PartialEq)]
pub enum Said<T> {
    Done(T),
    NotNow,
    TimedOut,
    Closed,
    Refused(NotSent),
}

impl<T> Said<T> {
    #[track_caller]
    pub fn done(self) -> T
    where
        T: std::fmt::Debug,
    {
        match self {
            Said::Done(value) => value,
            other => panic!("{other:?}"),
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Said::Done(_))
    }
}

pub type Later<'a, T> = Pin<Box<dyn Future<Output = Said<T>> + Send + 'a>>;

/// How a type sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    Never,
    /// To a peer with room, else it waits.
    WithRoom,
    /// To all who want it; it waits only under `AtMark::Block`.
    ToAll,
    /// The same, and never waits.
    ToAllAtOnce,
    /// To whom it names.
    To,
    /// And waits for a reply.
    Asks,
}

/// What the suite has to know of a type.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub socket_type: SocketType,
    /// A type that it speaks with.
    pub partner: SocketType,
    pub sends: Sends,
    pub receives: bool,
    pub has_one_frame: bool,
}

impl Facts {
    /// A message for this type to send, with this in it.
    pub fn message(&self, body: &str) -> Message {
        match self.has_one_frame {
            true => Message::from(body.to_owned()),
            false => Message::from([body.as_bytes().to_vec(), b"and a second frame".to_vec()]),
        }
    }

    /// It has a verb that sends many by one call.
    pub fn sends_many(&self) -> bool {
        matches!(self.sends, Sends::WithRoom | Sends::ToAll | Sends::ToAllAtOnce)
    }

    /// It has a verb that receives many by one call: those whose messages come as they are.
    pub fn receives_many(&self) -> bool {
        use SocketType::*;
        matches!(
            self.socket_type,
            Pull | Gather | Pair | Channel | Dealer | Client | Sub | XSub
        )
    }

    /// A peer that is dialed can be sent to, whether it is there or not.
    pub fn queues_ahead(&self) -> bool {
        match self.sends {
            Sends::WithRoom | Sends::Asks => true,
            Sends::To => matches!(self.socket_type, SocketType::Peer | SocketType::Stream),
            Sends::Never | Sends::ToAll | Sends::ToAllAtOnce => false,
        }
    }
}

/// Waits for it on this thread.
pub fn wait<T>(later: Later<'_, T>) -> Said<T> {
    block_on(later)
}

/// Sends if there is room now, and says whether there was. One who asks goes on waiting for the reply.
pub fn begin<'a>(socket: &'a dyn Kind, message: Message, waiting: &mut Vec<Later<'a, ()>>) -> bool {
    if !socket.asks() {
        return socket.send(message, How::Now).is_done();
    }
    let before = socket.stats().out.taken;
    let mut later = socket.send_later(message);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match later.as_mut().poll(&mut context) {
        std::task::Poll::Ready(said) => said.is_done(),
        std::task::Poll::Pending => {
            let is_asked = socket.stats().out.taken > before;
            waiting.extend(is_asked.then_some(later));
            is_asked
        }
    }
}
