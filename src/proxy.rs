//! Passes messages between two sockets: the devices of ZeroMQ.
//!
//! Takes from one side only when the other has room, so a slow receiver slows its senders, through the proxy as without
//! it. One thread, which waits like any other when there is nothing to pass.

mod control;
mod passing;

use crate::hub::CannotWait;
use crate::message::Message;
use crate::poller::{drives, wait_for_any};
use crate::socket::dealer::Dealer;
use crate::socket::pull::Pull;
use crate::socket::push::Push;
use crate::socket::raw::{Relay, Takes};
use crate::socket::router::Router;
use crate::socket::xpublish::XPub;
use crate::socket::xsubscribe::XSub;
use crate::socket_type::SocketType;
use control::{Control, Course};
pub use control::{Passage, ProxyHandle, ProxyStats};
use passing::{End, Way};
use std::sync::Arc;

/// Passes messages from one socket to another, and back, until it is stopped or one of them is closed.
///
/// | front | back | libzmq's name |
/// |---|---|---|
/// | `Pull` | `Push` | streamer: [`streamer`] |
/// | `XSub` (or `Sub`) | `XPub` (or `Pub`) | forwarder: [`forwarder`] |
/// | `Router` | `Dealer` | queue: [`queue`] |
/// | `Dish` | `Radio` | of the groups that the `Dish` has joined |
/// | `Pair`, `Dealer`, `Router` | any that speaks both ways | |
///
/// Messages pass as they are, all frames; what a type says beside them goes as a frame in front (the identity of a
/// ROUTER's peer) or as a message (a subscription). Back-pressure is kept: nothing is taken from one side while the other
/// has no room, and the way back goes on meanwhile. Only a `Router` is sent to without a look: who of its peers has room is
/// known only with the message, and what is for one that is gone or at its mark is dropped, and counted. Both ways get the same turns, in bursts. The same socket on both sides
/// is sent back what it received.
///
/// ```
/// use peermq::{Context, Proxy, Pull, Push};
/// use std::thread;
///
/// let context = Context::new()?;
/// let (front, back) = (Pull::new(&context), Push::new(&context));
/// front.bind("inproc://work-in")?;
/// back.bind("inproc://work-out")?;
/// let proxy = Proxy::new(&front, &back);
/// let handle = proxy.handle();
/// let report = thread::scope(|scope| {
///     let running = scope.spawn(|| proxy.run());
///     let (push, pull) = (Push::new(&context), Pull::new(&context));
///     push.connect("inproc://work-in").unwrap();
///     pull.connect("inproc://work-out").unwrap();
///     push.send("hello").unwrap();
///     assert_eq!(pull.recv().unwrap(), "hello");
///     handle.stop();
///     running.join().unwrap()
/// })?;
/// assert_eq!(report.stats.forward.passed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Proxy<'a> {
    front: &'a dyn Relay,
    back: &'a dyn Relay,
    capture: Option<&'a dyn Relay>,
    control: Arc<Control>,
}

/// Says how a proxy ended, and what it had done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyReport {
    /// Why it ended.
    pub end: ProxyEnd,
    /// What it has done.
    pub stats: ProxyStats,
    /// A message that was taken from the front and found no room at the back, because another thread uses it too, or the
    /// last peer with room had just gone. Yours again.
    pub left_forward: Option<Message>,
    /// A message that was taken from the back and found no room at the front.
    pub left_backward: Option<Message>,
}

/// Why a proxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyEnd {
    /// [`ProxyHandle::stop`] was called.
    Stopped,
    /// The socket in front is closed, or its context.
    FrontClosed,
    /// The socket at the back is closed, or its context.
    BackClosed,
}

/// Why a proxy did not run. It has passed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// There is no way for a message between these two: both only send, or only receive.
    #[error("nothing passes from {front} to {back}, nor back")]
    NoWay {
        /// The type of the socket in front.
        front: SocketType,
        /// The type of the socket at the back.
        back: SocketType,
    },
    /// The capture socket does not send, or each of its messages needs an address.
    #[error("a {0} socket cannot capture")]
    CannotCapture(SocketType),
    /// It was called on the thread that runs the event loop (from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// Passes messages between two sockets until one of them is closed: [`Proxy::run`], for who needs no handle.
pub fn proxy(front: &impl Relay, back: &impl Relay) -> Result<ProxyReport, ProxyError> {
    Proxy::new(front, back).run()
}

/// Passes work on until one of the sockets is closed: from whoever pushes to `front` to whoever pulls from `back`.
pub fn streamer(front: &Pull, back: &Push) -> Result<ProxyReport, ProxyError> {
    proxy(front, back)
}

/// Passes news on until one of the sockets is closed: from the publishers of `front` to the subscribers of `back`, and
/// their subscriptions the other way, so that only what somebody wants comes this far.
///
/// Leave `back` the default [`verbosity`](crate::Options::verbosity): with another, whoever subscribes to a topic twice and
/// goes keeps it coming this far for as long as the sockets live. It is so with libzmq's devices too.
///
/// ```no_run
/// let context = peermq::Context::new()?;
/// let (front, back) = (peermq::XSub::new(&context), peermq::XPub::new(&context));
/// front.bind("tcp://*:5555")?; // for publishers
/// back.bind("tcp://*:5556")?; // for subscribers
/// peermq::forwarder(&front, &back)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn forwarder(front: &XSub, back: &XPub) -> Result<ProxyReport, ProxyError> {
    proxy(front, back)
}

/// Passes requests on until one of the sockets is closed: from the clients of `front` to the workers at `back`, each to
/// one of them, in turn; and the replies on their way back. This is a broker:
///
/// ```no_run
/// let context = peermq::Context::new()?;
/// let (front, back) = (peermq::Router::new(&context), peermq::Dealer::new(&context));
/// front.bind("tcp://*:5555")?; // for clients: REQ, DEALER
/// back.bind("tcp://*:5556")?; // for workers: REP, DEALER
/// peermq::queue(&front, &back)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A reply whose client is gone, or does not read its replies, is dropped and counted.
pub fn queue(front: &Router, back: &Dealer) -> Result<ProxyReport, ProxyError> {
    proxy(front, back)
}

impl<'a> Proxy<'a> {
    /// Makes a proxy, which passes nothing yet. The sockets may be of two contexts.
    pub fn new(front: &'a impl Relay, back: &'a impl Relay) -> Self {
        Proxy {
            front,
            back,
            capture: None,
            control: Arc::default(),
        }
    }

    /// Lets this socket have a copy of each message that passes, of both ways. It never slows the proxy: while it has no
    /// room, copies are dropped and counted as [`not_captured`](Passage::not_captured).
    pub fn capture(mut self, socket: &'a impl Relay) -> Self {
        self.capture = Some(socket);
        self
    }

    /// Returns a handle, to pause, resume and stop it, and to ask what it has done. As many as needed.
    pub fn handle(&self) -> ProxyHandle {
        ProxyHandle(Arc::clone(&self.control))
    }

    /// Passes messages on this thread, until [`stop`](ProxyHandle::stop) is called or one of the sockets is closed, and
    /// says what it did. The sockets stay as they are.
    ///
    /// While there is nothing to pass it waits, and drives the loop if nobody else does. Fails with `NoWay` if the
    /// two types do not fit, with `CannotCapture`, and with `WouldDeadlock` on the loop's own thread.
    pub fn run(self) -> Result<ProxyReport, ProxyError> {
        let control = &*self.control;
        let mut front = End::new(self.front, &control.signal);
        let mut back = End::new(self.back, &control.signal);
        let is_loop = front.watch.is_of(&back.watch.socket);
        let goes_forward = front.speaks_to(&back);
        let goes_backward = back.speaks_to(&front) && !is_loop;
        if !goes_forward && !goes_backward {
            return Err(ProxyError::NoWay {
                front: self.front.socket_type(),
                back: self.back.socket_type(),
            });
        }
        if let Some(capture) = self.capture
            && capture.ways().takes != Takes::WithRoom
        {
            return Err(ProxyError::CannotCapture(capture.socket_type()));
        }
        let drives = drives([&front.watch, &back.watch].into_iter());
        for drive in &drives {
            drive.may_wait().map_err(|why| match why {
                CannotWait::OnDriver => ProxyError::WouldDeadlock,
                CannotWait::Forked => ProxyError::Forked,
            })?;
        }
        let (mut forward, mut backward) = (Way::default(), Way::default());
        let end = loop {
            let mut has_passed = false;
            if goes_forward {
                has_passed |= forward.pass(&mut front, &mut back, self.capture, control);
                control.forward.write(&forward.passage);
            }
            if goes_backward {
                has_passed |= backward.pass(&mut back, &mut front, self.capture, control);
                control.backward.write(&backward.passage);
            }
            let mut ended = || match control.course() {
                Course::Stop => Some(ProxyEnd::Stopped),
                _ if front.is_closed() => Some(ProxyEnd::FrontClosed),
                _ if back.is_closed() => Some(ProxyEnd::BackClosed),
                _ => None,
            };
            if let Some(end) = ended() {
                break end;
            }
            if !has_passed {
                wait_for_any(&drives, &control.signal, None, || match control.course() {
                    Course::Stop => Some(()),
                    _ if front.is_closed() || back.is_closed() => Some(()),
                    Course::Pause => None,
                    Course::Run => {
                        let can_pass = goes_forward && forward.can_pass(&mut front, &mut back)
                            || goes_backward && backward.can_pass(&mut back, &mut front);
                        can_pass.then_some(())
                    }
                });
            }
        };
        let (passage, left_forward) = forward.end(&mut back);
        control.forward.write(&passage);
        let (passage, left_backward) = backward.end(&mut front);
        control.backward.write(&passage);
        Ok(ProxyReport {
            end,
            stats: control.stats(),
            left_forward,
            left_backward,
        })
    }
}

impl std::fmt::Debug for Proxy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("front", &self.front.socket_type())
            .field("back", &self.back.socket_type())
            .finish_non_exhaustive()
    }
}
