//! REQ: requests to the peers with room, in turn, and the reply of the one that was asked
//! ([RFC 28](https://rfc.zeromq.org/spec/28/)).

mod asked;
mod pattern;

#[cfg(any(all(test, not(loom)), fuzzing))]
pub(crate) use asked::Outcome;
pub(crate) use pattern::ReqPattern;

use super::verbs::{constructors, socket_verbs};
use super::{Socket, given_back};
use crate::error::{NotSent, RequestError};
use crate::hub::{Closed, Hub, Stop, deadline};
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{Awaited, Peers};
use crate::transport::real::chance;
use std::sync::Arc;
use std::time::Duration;

/// Sends requests to [`Rep`](crate::Rep) sockets, each to one of them in turn, and waits for their replies
/// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// May be called from several threads at once: each request carries an id in its envelope that its reply carries too
/// (libzmq's REP and ours echo it), so each caller gets its own reply. A reply counts only if it comes from the peer
/// that was asked; one that comes too late is dropped as `StaleReply`. If the peer is lost after the request was
/// written, the call fails with `PeerLost`; if it was not written yet, it goes to the next peer. What may be served twice
/// can be sent again when no reply comes: [`Options::retry`](crate::Options::retry).
///
/// A request that nobody waits for any more, and that is not on its way yet, is taken back and counted as `Abandoned`.
///
/// ```
/// use peermq::{Context, Rep, Req, RequestError};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (req, rep) = (Req::new(&context), Rep::new(&context));
/// req.connect(rep.bind("inproc://questions")?)?;
/// let unheard = req.request_timeout("hello?", Duration::from_millis(1)).unwrap_err();
/// assert!(matches!(unheard, RequestError::TimedOut));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Req {
    socket: Socket<ReqPattern>,
}

constructors!(Req, |options: &Options| ReqPattern::new(options, chance() as u32));
socket_verbs!(Req);

impl Req {
    /// Sends a request and waits for its reply, without a limit; also while no peer has room, or there is none.
    ///
    /// Who waits drives the loop if nobody else does. Fails with `PeerLost` if the peer that has it goes, with `Closed`
    /// once the socket is closed, and with `NotSent` if it was not sent at all, which gives back what was given away.
    pub fn request<'m>(&self, message: impl Into<Outgoing<'m>>) -> Result<Message, RequestError> {
        self.ask(message.into(), None)
    }

    /// Sends a request and waits for its reply, both together at most this long.
    ///
    /// Fails with `NotSent` (`TimedOut`) if no peer had room in time, with `TimedOut` if it was queued for one and no reply
    /// came, and like [`request`](Req::request). A peer that was connected to has room although nobody is there yet; the
    /// request is taken back then.
    pub fn request_timeout<'m>(
        &self,
        message: impl Into<Outgoing<'m>>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.ask(message.into(), Some(timeout))
    }

    /// Sends a request and waits for its reply, as a future of no runtime's own. Dropped before it is ready, it takes the
    /// request back if it is not on its way yet; else it may be served all the same, and a reply that comes is dropped as
    /// `StaleReply`.
    pub async fn request_async<'m>(&self, message: impl Into<Outgoing<'m>>) -> Result<Message, RequestError> {
        let mut message = message.into();
        let hub = &self.socket.hub;
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.ask(peers, &mut message);
        let asked = hub.pending(Awaited::Writable, step).await;
        let asked = match asked {
            Ok(id) => Asking { hub, id },
            Err(Closed) => return Err(refused(NotSent::Closed, message)),
        };
        let id = asked.id;
        self.begin_waiting(id);
        match hub
            .pending(Awaited::Reply(id), move |pattern, peers| pattern.take(peers, id))
            .await
        {
            Ok(outcome) => outcome.into(),
            Err(Closed) => Err(RequestError::Closed),
        }
    }

    fn ask(&self, mut message: Outgoing<'_>, limit: Option<Duration>) -> Result<Message, RequestError> {
        let hub = &self.socket.hub;
        let until = deadline(&**hub.drive(), limit);
        if let Err(why) = hub.drive().may_wait() {
            return Err(refused(Stop::CannotWait(why).into(), message));
        }
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let mut step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.ask(peers, &mut message);
        let id = match hub.attempt_until(Awaited::Writable, || until, &mut step) {
            Ok(id) => id,
            Err(stop) => return Err(refused(stop.into(), message)),
        };
        let asked = Asking { hub, id };
        self.begin_waiting(id);
        match hub.wait(Awaited::Reply(id), until, |pattern, peers| {
            pattern.take(peers, asked.id)
        }) {
            Ok(outcome) => outcome.into(),
            Err(Stop::TimedOut) => Err(RequestError::TimedOut),
            Err(_) => Err(RequestError::Closed),
        }
    }
}

impl Req {
    /// Lets the loop look after a request that may be sent again.
    fn begin_waiting(&self, id: u32) {
        let hub = &self.socket.hub;
        if hub.options().retry.is_none() {
            return;
        }
        let now = hub.drive().now();
        if let Some(at) = hub.act(|pattern, _| pattern.begin_waiting(id, now)) {
            self.socket.core.alarm(hub, at);
        }
    }
}

fn refused(reason: NotSent, message: Outgoing<'_>) -> RequestError {
    RequestError::NotSent(given_back(reason, message))
}

/// A request that was sent; forgotten when nobody waits for its reply any more.
struct Asking<'a> {
    hub: &'a Arc<Hub<ReqPattern>>,
    id: u32,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let id = self.id;
        let forgotten = self.hub.act(|pattern, peers| pattern.forget(peers, id));
        drop(forgotten);
    }
}
