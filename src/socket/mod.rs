//! What all socket types share. One file a type: its docs, verbs and policy.

mod addressed;
pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod dealer;
pub(crate) mod dish;
pub(crate) mod gather;
pub(crate) mod kind;
mod live;
mod many;
mod numbered;
pub(crate) mod pair;
pub(crate) mod peer;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod radio;
pub(crate) mod raw;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod router;
pub(crate) mod scatter;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod subscribe;
pub(crate) mod subscribing;
mod verbs;
pub(crate) mod xpublish;
pub(crate) mod xsubscribe;

use crate::context::{Context, Core};
use crate::error::{CloseError, NotSent, RecvError, SendError, SubscribeError, WaitError};
use crate::hub::{CannotWait, Closed, Hub, Lent, Station, Stop, Watched, deadline};
use crate::message::{Message, Outgoing};
use crate::notice::MOST_TOPIC;
use crate::options::{InvalidOptions, Mark, Options};
use crate::peer_info::PeerInfo;
use crate::routing::{Awaited, Pattern, Peers, Receives, Sends};
use crate::stats::CloseReport;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// A socket of any type: what a [`Poller`](crate::Poller) waits for. Only this crate's sockets are.
#[expect(private_bounds, reason = "nobody else's types are sockets")]
pub trait AnySocket: Sealed {}

pub(crate) trait Sealed: Send + Sync {
    fn watched(&self) -> Arc<dyn Watched>;

    /// Changes the marks of both ways, or one of them.
    fn set_marks(&self, change: impl FnOnce(&mut Mark, &mut Mark))
    where
        Self: Sized;

    /// Closes it, and leaves the wait to whoever asks for the report. Never waits.
    fn begin_close(&self);
}

/// A socket of any type; dropping it closes it without waiting.
pub(crate) struct Socket<P: Pattern> {
    pub(crate) hub: Arc<Hub<P>>,
    pub(crate) core: Arc<Core>,
}

impl<P: Pattern> Socket<P> {
    pub(crate) fn new(context: &Context, pattern: P, options: Options) -> Self {
        let core = Arc::clone(context.core());
        Socket {
            hub: core.open(pattern, options),
            core,
        }
    }

    pub(crate) fn with_options(
        context: &Context,
        options: Options,
        pattern: impl FnOnce(&Options) -> P,
    ) -> Result<Self, InvalidOptions> {
        options.check(P::TYPE)?;
        Ok(Socket::new(context, pattern(&options), options))
    }

    pub(crate) fn close(&self) -> Result<CloseReport, CloseError> {
        self.begin_close();
        match self.hub.drive().may_wait() {
            Err(CannotWait::OnDriver) => return Err(CloseError::WouldDeadlock),
            Err(CannotWait::Forked) => return Err(CloseError::Forked),
            Ok(()) => {}
        }
        let limit = self.hub.linger().checked_add(GRACE);
        let deadline = deadline(&**self.hub.drive(), limit);
        self.hub.wait_closed(deadline).ok_or(CloseError::Unfinished)
    }

    fn begin_close(&self) {
        let station: Arc<dyn Station> = self.hub.clone();
        self.core.close(&station, self.hub.linger());
    }
}

impl<P: Pattern> Drop for Socket<P> {
    fn drop(&mut self) {
        self.begin_close();
    }
}

impl<P: Pattern> Socket<P> {
    /// Tries once, and if that was in vain waits on this thread, as patiently as asked.
    #[inline(always)]
    fn attempt<R>(
        &self,
        awaited: Awaited,
        patience: Patience,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        self.attempt_until(awaited, patience, |limit| deadline(&**self.hub.drive(), limit), step)
    }

    /// The same; `until` says when it has waited for long enough, once it has to wait.
    #[inline(always)]
    fn attempt_until<R>(
        &self,
        awaited: Awaited,
        patience: Patience,
        until: impl FnOnce(Option<Duration>) -> Option<Instant>,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        match patience {
            Patience::None => match self.hub.attempt(awaited, step) {
                Poll::Ready(result) => result.map_err(|Closed| Stop::Closed),
                Poll::Pending => Err(Stop::WouldBlock),
            },
            Patience::Limit(limit) => self.hub.attempt_until(awaited, || until(limit), step),
        }
    }

    /// Sends a message of one long frame that was lent without copying it, if it can go now. `false`: it is still to be sent.
    #[inline]
    fn lend(&self, message: &Outgoing<'_>, patience: Patience) -> bool {
        let Some(frame) = message.long_lent() else {
            return false;
        };
        let may_look = matches!(patience, Patience::Limit(None));
        let lent = self.hub.lend(frame, &self.core.copies, may_look);
        if lent == Lent::Copied && may_look {
            self.core.copies.keep_near();
        }
        lent != Lent::Refused
    }

    fn has_room(&self) -> bool {
        let step = |pattern: &mut P, _: &mut Peers| pattern.is_ready(Awaited::Writable).then_some(());
        self.hub.attempt(Awaited::Writable, step).is_ready()
    }
}

/// How a verb waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    None,
    Limit(Option<Duration>),
}

impl<P: Sends> Socket<P> {
    #[inline(always)]
    pub(crate) fn send(&self, message: Outgoing<'_>, patience: Patience) -> Result<(), SendError> {
        let mut message = one_frame::<P>(message)?;
        let waits = !matches!(patience, Patience::None);
        if self.lend(&message, patience) {
            return Ok(());
        }
        // Who does not wait may be refused, and has then copied nothing.
        if waits || message.is_large_lent() && self.has_room() {
            message.copy_large_lent(|frame| self.core.copies.copy(frame));
        }
        let step = |pattern: &mut P, peers: &mut Peers| pattern.send(peers, &mut message).then_some(());
        match self.attempt(Awaited::Writable, patience, step) {
            Ok(()) => {
                if waits && message.is_copy() {
                    self.core.copies.keep_near();
                }
                Ok(())
            }
            Err(stop) => Err(given_back(stop.into(), message)),
        }
    }

    pub(crate) async fn send_async(&self, message: Outgoing<'_>) -> Result<(), SendError> {
        let mut message = one_frame::<P>(message)?;
        if self.lend(&message, Patience::None) {
            return Ok(());
        }
        message.copy_large_lent(|frame| self.core.copies.copy(frame));
        let step = |pattern: &mut P, peers: &mut Peers| pattern.send(peers, &mut message).then_some(());
        match self.hub.pending(Awaited::Writable, step).await {
            Ok(()) => Ok(()),
            Err(Closed) => Err(given_back(NotSent::Closed, message)),
        }
    }
}

impl<P: Receives> Socket<P> {
    pub(crate) fn message(pattern: &mut P, peers: &mut Peers) -> Option<Message> {
        let mut message = Message::empty();
        pattern.recv(peers, &mut message).then_some(message)
    }

    /// Receives where the caller wants it: a message is 72 bytes, and moving it takes as long as a lock does.
    #[inline(always)]
    pub(crate) fn recv_into(&self, patience: Patience, received: &mut Result<Message, RecvError>) {
        let Ok(message) = received else { return };
        let step = |pattern: &mut P, peers: &mut Peers| pattern.recv(peers, message).then_some(());
        if let Err(error) = self.take(patience, step) {
            *received = Err(error);
        }
    }

    pub(crate) async fn recv_async(&self) -> Result<Message, RecvError> {
        let mut message = Message::empty();
        self.take_async(|pattern, peers| pattern.recv(peers, &mut message).then_some(()))
            .await?;
        Ok(message)
    }
}

impl<P: Pattern> Socket<P> {
    /// Takes a message by this step, as patiently as asked, and tells whose it is.
    pub(crate) fn take_from<R>(
        &self,
        patience: Patience,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<(R, Arc<PeerInfo>), RecvError> {
        self.take(patience, |pattern, peers| peers.witness(|peers| step(pattern, peers)))
    }

    pub(crate) async fn take_async<R>(
        &self,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R> + Unpin,
    ) -> Result<R, RecvError> {
        let taken = self.hub.pending(Awaited::Readable, step).await;
        taken.map_err(|Closed| RecvError::Closed)
    }

    pub(crate) async fn take_from_async<R>(
        &self,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R> + Unpin,
    ) -> Result<(R, Arc<PeerInfo>), RecvError> {
        self.take_async(move |pattern, peers| peers.witness(|peers| step(pattern, peers)))
            .await
    }

    /// Takes what a step gives, as patiently as asked.
    #[inline(always)]
    pub(crate) fn take<R>(
        &self,
        patience: Patience,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, RecvError> {
        Ok(self.attempt(Awaited::Readable, patience, step)?)
    }

    /// Waits until a change of who subscribes to what gives something.
    pub(crate) fn wait_for<R>(
        &self,
        limit: Option<Duration>,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, WaitError> {
        Ok(self.attempt(Awaited::Subscribers, Patience::Limit(limit), step)?)
    }

    pub(crate) async fn wait_for_async<R>(
        &self,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R> + Unpin,
    ) -> Result<R, WaitError> {
        let result = self.hub.pending(Awaited::Subscribers, step).await;
        result.map_err(|Closed| WaitError::Closed)
    }

    /// Takes one step, unless the socket is closed.
    pub(crate) fn if_open<R>(&self, step: impl FnOnce(&mut P, &mut Peers) -> R) -> Result<R, SubscribeError> {
        let mut step = Some(step);
        let result = self.hub.attempt(Awaited::Subscribers, |pattern, peers| {
            step.take().map(|step| step(pattern, peers))
        });
        match result {
            Poll::Ready(Ok(value)) => Ok(value),
            Poll::Ready(Err(Closed)) | Poll::Pending => Err(SubscribeError::Closed),
        }
    }
}

/// A topic that peers take.
pub(crate) fn topic(topic: &[u8]) -> Result<&[u8], SubscribeError> {
    match topic.len() {
        0..=MOST_TOPIC => Ok(topic),
        len => Err(SubscribeError::TooLong(len)),
    }
}

/// Gives back what has several frames, if this type's messages have one.
fn one_frame<P: Pattern>(message: Outgoing<'_>) -> Result<Outgoing<'_>, SendError> {
    match P::ONE_FRAME && message.frame_count() > 1 {
        true => Err(given_back(NotSent::SeveralFrames, message)),
        false => Ok(message),
    }
}

fn given_back(reason: NotSent, message: Outgoing<'_>) -> SendError {
    SendError {
        reason,
        message: message.give_back(),
    }
}

/// What a call that sends, receives or waits says of its end.
macro_rules! stops {
    ($($Error:ident $would_block:ident;)*) => {$(
        impl From<Stop> for $Error {
            fn from(stop: Stop) -> Self {
                match stop {
                    Stop::Closed => $Error::Closed,
                    Stop::WouldBlock => $Error::$would_block,
                    Stop::TimedOut => $Error::TimedOut,
                    Stop::CannotWait(CannotWait::OnDriver) => $Error::WouldDeadlock,
                    Stop::CannotWait(CannotWait::Forked) => $Error::Forked,
                }
            }
        }
    )*};
}

stops! {
    NotSent WouldBlock;
    RecvError WouldBlock;
    WaitError TimedOut;
}

/// What `close` waits beyond the linger time: the loop acts at that time, and tells a moment later.
const GRACE: Duration = Duration::from_millis(500);
