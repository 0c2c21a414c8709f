//! Starts the loop, makes sockets possible, and ends them all.

use crate::batch::Copies;
use crate::endpoint::{Endpoint, InvalidEndpoint, Kind};
use crate::engine::inproc::{Lingering, Names, NotBound};
use crate::engine::notes::{Answered, Note, answer};
use crate::engine::reactor;
use crate::engine::seat::{Seat, is_driving};
use crate::error::{BindError, ConnectError, ContextError, EndpointError};
use crate::explain::Explanation;
use crate::failure::Failure;
use crate::hub::{CannotWait, Closed, Drive, Effects, Hub, Station, block_on};
use crate::options::Options;
use crate::routing::{Pattern, PeerId, PeerKind, Peers};
use crate::stats::{CloseReport, ContextStats, SocketEntry};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::transport::OpenListener;
use crate::transport::real::{RealListener, RealNet, adopt, bind};
use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Owns the event loop of its sockets, which can meet over `inproc`.
///
/// A handle: clones are the same context, and sockets do not keep it alive. When the last handle is dropped the context
/// is [shut down](Context::shutdown). A context belongs to the process that made it: in a forked child, calls that wait,
/// bind, connect or close fail with `Forked`, drops do nothing, and what is sent goes nowhere. One is enough for most
/// programs; each has one thread, and a descriptor or two.
///
/// ```
/// use peermq::{Context, RecvError, Pull};
///
/// let context = Context::new()?;
/// let pull = Pull::new(&context);
/// drop(context); // the last handle
/// assert_eq!(pull.recv(), Err(RecvError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Context(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What sockets keep of their context.
pub(crate) struct Core {
    seat: Arc<Seat<RealNet>>,
    names: Arc<Names>,
    pub(crate) copies: Copies,
    /// Sockets that are not closed to the last peer; as many as the application has made. What is
    /// gone is taken out when the next is made.
    live: Mutex<Vec<Weak<dyn Closing>>>,
    is_shut_down: crate::sync::AtomicBool,
    next_key: AtomicU64,
}

/// A hub as the context closes it.
trait Closing: Send + Sync {
    fn station(self: Arc<Self>) -> Arc<dyn Station>;
    fn wait_closed(&self, deadline: Option<Instant>) -> Option<CloseReport>;
    fn entry(&self) -> SocketEntry;
}

impl<P: Pattern> Closing for Hub<P> {
    fn station(self: Arc<Self>) -> Arc<dyn Station> {
        self
    }

    fn wait_closed(&self, deadline: Option<Instant>) -> Option<CloseReport> {
        Hub::wait_closed(self, deadline)
    }

    fn entry(&self) -> SocketEntry {
        SocketEntry {
            number: self.key(),
            socket_type: P::TYPE,
            stats: self.stats(),
        }
    }
}

/// Says what became of the sockets of a context that was shut down: of all that were open, still closing, or closed and
/// not dropped yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// A report for each of them, in the order in which they were made.
    pub sockets: Vec<CloseReport>,
    /// Sockets of which something was left half a second after their linger time, or when nobody could wait for them.
    pub unfinished: usize,
}

impl Context {
    /// Starts an event loop on a thread of its own. Fails if the system has no descriptor or no thread to spare.
    pub fn new() -> Result<Self, ContextError> {
        let (seat, thread) = reactor::start()?;
        Ok(Context(Arc::new(Handle {
            core: Arc::new(Core {
                seat,
                names: Arc::default(),
                copies: Copies::default(),
                live: Mutex::default(),
                is_shut_down: crate::sync::AtomicBool::new(false),
                next_key: AtomicU64::new(0),
            }),
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Closes all sockets, waits for what they have queued, and ends the loop. Further calls of any socket fail with
    /// `Closed`, and so do those that wait now.
    ///
    /// Waits at most for the longest linger time of the sockets that are open, and half a second, never for a name to be
    /// looked up. What waits for an inproc name is dropped at once: whoever could bind it closes too. A second call returns
    /// an empty report. Called on the thread of the loop (from a `Waker`) it does not wait.
    pub fn shutdown(&self) -> ShutdownReport {
        self.0.shutdown()
    }

    /// Returns what the context's sockets and its event loop have done until now.
    ///
    /// Waits for one turn of the loop, except on the loop's own thread (from a `Waker`); takes time for each peer of each
    /// socket. After `shutdown` there are no sockets and there is no loop.
    pub fn stats(&self) -> ContextStats {
        let core = self.core();
        let live: Vec<_> = core.live.lock().iter().filter_map(Weak::upgrade).collect();
        let (giving, taking) = answer();
        ContextStats {
            sockets: live.iter().map(|hub| hub.entry()).collect(),
            event_loop: core.inquire(Note::Count { answer: giving }, taking).ok(),
        }
    }

    /// Returns [`Context::stats`] as text for Prometheus (exposition format 0.0.4, `text/plain; version=0.0.4`), to be
    /// served by whatever HTTP server the program has.
    ///
    /// ```
    /// use peermq::{Context, Rep};
    ///
    /// let context = Context::new()?;
    /// let rep = Rep::new(&context);
    /// rep.bind("tcp://127.0.0.1:0")?;
    ///
    /// let text = context.prometheus();
    /// assert!(text.contains("\npeermq_peers{socket=\"0\",type=\"REP\",connected=\"yes\"} 0\n"));
    /// assert!(text.contains("\npeermq_listeners 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prometheus(&self) -> String {
        self.stats().to_prometheus()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Handle {
    fn shutdown(&self) -> ShutdownReport {
        let mut report = ShutdownReport::default();
        if self.core.seat.is_forked() {
            return report;
        }
        if self.core.is_shut_down.swap(true, Ordering::SeqCst) {
            // The first call waits, and ends the loop.
            return report;
        }
        let live = std::mem::take(&mut *self.core.live.lock());
        let now = self.core.seat.now();
        let mut waiting = Vec::new();
        for hub in live {
            if let Some(hub) = hub.upgrade() {
                let station = Arc::clone(&hub).station();
                let linger = station.linger();
                self.core.close(&station, linger);
                waiting.push((hub, now.checked_add(linger)));
            }
        }
        // In vain would they wait: whoever could bind a name closes too.
        self.core.names.give_up();
        for (hub, deadline) in waiting {
            // The loop acts at the deadline, so a moment later all is told.
            let deadline = deadline.and_then(|deadline| deadline.checked_add(GRACE));
            match hub.wait_closed(deadline) {
                Some(one) => report.sockets.push(one),
                None => report.unfinished += 1,
            }
        }
        self.core.seat.shut_down();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && !is_driving()
        {
            // A loop that panicked has said so.
            let _panicked = thread.join();
        }
        report
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Core {
    /// A new socket's hub.
    pub(crate) fn open<P: Pattern>(self: &Arc<Self>, pattern: P, options: Options) -> Arc<Hub<P>> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let drive: Arc<dyn Drive> = self.seat.clone();
        let hub = Arc::new(Hub::new(pattern, options, key, drive));
        let mut live = self.live.lock();
        live.retain(|hub| hub.strong_count() > 0);
        let closing: Arc<dyn Closing> = hub.clone();
        live.push(Arc::downgrade(&closing));
        drop(live);
        if self.is_shut_down.load(Ordering::SeqCst) {
            let station: Arc<dyn Station> = hub.clone();
            self.close(&station, Duration::ZERO);
        }
        hub
    }

    /// Begins to close a socket, once.
    pub(crate) fn close(&self, station: &Arc<dyn Station>, linger: Duration) {
        if self.seat.is_forked() {
            return;
        }
        let mut effects = Effects::default();
        let is_first = station.begin_close(&mut effects);
        effects.run();
        if !is_first {
            return;
        }
        let deadline = self.seat.now().checked_add(linger);
        let links = self.names.close(station.key());
        let is_noted = self.seat.note(Note::Close {
            station: Arc::clone(station),
            links: links.clone(),
            deadline,
        });
        if !is_noted {
            // The loop is gone, and all that it had of this socket.
            sever(links);
            let mut effects = Effects::default();
            station.engine_done(&mut effects);
            effects.run();
        }
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.seat.is_forked()
    }

    pub(crate) fn bind<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<Endpoint, BindError> {
        endpoint.check_bind()?;
        endpoint.check_type(P::TYPE, false)?;
        if self.is_forked() {
            return Err(BindError::Forked);
        }
        if !hub.is_open() {
            return Err(BindError::Closed);
        }
        let station: Arc<dyn Station> = hub.clone();
        if let Kind::Inproc(name) = endpoint.kind() {
            return match self.names.bind(name, &station, &endpoint) {
                Ok(()) => Ok(endpoint.clone()),
                Err(NotBound::Closed) => Err(BindError::Closed),
                Err(NotBound::InUse) => Err(BindError::Io {
                    endpoint,
                    error: io::ErrorKind::AddrInUse.into(),
                }),
            };
        }
        match bind(&endpoint, &hub.options().transport) {
            Ok((listener, bound)) => self.listen(station, listener, bound),
            Err(error) => Err(BindError::Io { endpoint, error }),
        }
    }

    /// Binds a listener that somebody else has opened.
    pub(crate) fn bind_listener<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        listener: OpenListener,
    ) -> Result<Endpoint, BindError> {
        if self.is_forked() {
            return Err(BindError::Forked);
        }
        if !hub.is_open() {
            return Err(BindError::Closed);
        }
        let (listener, endpoint) = adopt(listener).map_err(BindError::Listener)?;
        self.listen(hub.clone(), listener, endpoint)
    }

    fn listen(
        &self,
        station: Arc<dyn Station>,
        listener: RealListener,
        endpoint: Endpoint,
    ) -> Result<Endpoint, BindError> {
        let note = Note::Listen {
            station,
            listener,
            endpoint: endpoint.clone(),
        };
        if self.seat.note(note) {
            Ok(endpoint)
        } else {
            Err(BindError::Closed)
        }
    }

    pub(crate) fn connect<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<(), ConnectError> {
        self.connect_with(hub, endpoint, |_, peers, endpoint| {
            Ok(peers.attach(PeerKind::Dialed, endpoint))
        })?;
        Ok(())
    }

    /// Dials an endpoint for the peer that this step attaches.
    pub(crate) fn connect_with<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        endpoint: Endpoint,
        attach: impl FnOnce(&mut P, &mut Peers, String) -> Result<PeerId, ConnectError>,
    ) -> Result<PeerId, ConnectError> {
        endpoint.check_connect()?;
        endpoint.check_type(P::TYPE, true)?;
        if self.is_forked() {
            return Err(ConnectError::Forked);
        }
        let peer = hub.attach_with(|pattern, peers| attach(pattern, peers, endpoint.to_string()))?;
        let station: Arc<dyn Station> = hub.clone();
        match endpoint.kind() {
            Kind::Inproc(name) => self.names.connect(name, &station, peer, &endpoint),
            _ => {
                let note = Note::Dial {
                    station,
                    peer,
                    endpoint,
                };
                if !self.seat.note(note) {
                    let mut effects = Effects::default();
                    hub.detach(peer, false, &mut effects);
                    effects.run();
                    return Err(ConnectError::Closed);
                }
            }
        }
        Ok(peer)
    }

    pub(crate) fn unbind<P: Pattern>(
        &self,
        hub: &Arc<Hub<P>>,
        endpoint: Endpoint,
        with_connections: bool,
    ) -> Result<(), EndpointError> {
        if !hub.is_open() {
            return Err(EndpointError::Closed);
        }
        let key = hub.key();
        if let Kind::Inproc(name) = endpoint.kind() {
            // Also libzmq keeps those over inproc.
            let parted = self.names.unbind(name, key, with_connections);
            return known(self.linger(hub, parted), endpoint);
        }
        let with_connections = with_connections || hub.options().unbind_ends_connections;
        let (giving, taking) = answer();
        self.ask(
            Note::Unbind {
                key,
                endpoint: endpoint.clone(),
                with_connections,
                answer: giving,
            },
            taking,
            endpoint,
        )
    }

    pub(crate) fn disconnect<P: Pattern>(&self, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> Result<(), EndpointError> {
        if !hub.is_open() {
            return Err(EndpointError::Closed);
        }
        let key = hub.key();
        if let Kind::Inproc(name) = endpoint.kind() {
            let parted = self.names.disconnect(name, key);
            return known(self.linger(hub, parted), endpoint);
        }
        let (giving, taking) = answer();
        self.ask(
            Note::Disconnect {
                key,
                endpoint: endpoint.clone(),
                answer: giving,
            },
            taking,
            endpoint,
        )
    }

    /// Lets the loop call the socket at this time.
    pub(crate) fn alarm<P: Pattern>(&self, hub: &Arc<Hub<P>>, at: Instant) {
        let station: Arc<dyn Station> = hub.clone();
        // Without a loop the socket is closed, and nobody waits any more.
        let _is_live = self.seat.note(Note::Alarm { station, at });
    }

    /// Lets the loop sever what lingers, when the socket's linger time is over. Gives whether there was anything to
    /// end.
    fn linger<P: Pattern>(&self, hub: &Arc<Hub<P>>, parted: Option<Lingering>) -> bool {
        let Some(links) = parted else { return false };
        let linger = hub.linger();
        let deadline = self.seat.now().checked_add(linger);
        if let Some(deadline) = deadline
            && !links.is_empty()
        {
            let note = Note::Linger {
                links: links.clone(),
                deadline,
            };
            if linger.is_zero() || !self.seat.note(note) {
                sever(links);
            }
        }
        true
    }

    /// What a socket is about: what the loop and the names know of its endpoints, and what the hub knows of its peers.
    pub(crate) fn explain<P: Pattern>(&self, hub: &Arc<Hub<P>>) -> Explanation {
        let key = hub.key();
        let (giving, taking) = answer();
        let asked = self.inquire(Note::Explain { key, answer: giving }, taking);
        let endpoints = asked.ok().map(|mut endpoints| {
            endpoints.append(&mut self.names.explain(key));
            endpoints
        });
        hub.explain(endpoints)
    }

    /// Asks the loop about an endpoint, and waits for its answer.
    fn ask(&self, note: Note<RealNet>, taking: Answered<bool>, endpoint: Endpoint) -> Result<(), EndpointError> {
        known(self.inquire(note, taking)?, endpoint)
    }

    /// Asks the loop, and waits for its answer, which comes with its next turn.
    fn inquire<T>(&self, note: Note<RealNet>, taking: Answered<T>) -> Result<T, EndpointError> {
        match self.seat.may_wait() {
            Err(CannotWait::OnDriver) => return Err(EndpointError::WouldDeadlock),
            Err(CannotWait::Forked) => return Err(EndpointError::Forked),
            Ok(()) => {}
        }
        if !self.seat.note(note) {
            return Err(EndpointError::Closed);
        }
        match block_on(&*self.seat, taking, None) {
            Ok(Some(Some(answer))) => Ok(answer),
            _ => Err(EndpointError::Closed),
        }
    }
}

impl From<Closed> for ConnectError {
    fn from(_: Closed) -> Self {
        ConnectError::Closed
    }
}

/// Ends links that only their sockets know.
fn sever(links: Lingering) {
    for link in links {
        link.sever(Failure::ClosedHere);
    }
}

/// What a call says of an endpoint that the socket had, or had not.
fn known(was_known: bool, endpoint: Endpoint) -> Result<(), EndpointError> {
    if was_known {
        Ok(())
    } else {
        Err(EndpointError::Unknown(endpoint))
    }
}

/// The endpoint that was meant, from text or as it is.
pub(crate) fn parse<E>(endpoint: E) -> Result<Endpoint, InvalidEndpoint>
where
    E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
{
    endpoint.try_into().map_err(Into::into)
}

/// What the end of a context waits beyond the longest linger time.
const GRACE: Duration = Duration::from_millis(500);
