//! Starts the loop, makes sockets possible, and ends them all.

mod core;

use crate::batch::Copies;
use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::engine::inproc::Names;
use crate::engine::notes::{Note, answer};
use crate::engine::reactor;
use crate::engine::seat::{Seat, is_driving};
use crate::error::ContextError;
use crate::hub::{Drive, Hub, Station};
use crate::options::ContextOptions;
use crate::routing::{Pattern, Pool};
use crate::stats::{CloseReport, ContextStats, SocketEntry};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::transport::real::RealNet;
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
    /// What all queues may hold together, if that has a limit.
    pool: Option<Arc<Pool>>,
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
    /// Starts an event loop on a thread of its own, with the default options. Fails if the system has no descriptor or no
    /// thread to spare.
    pub fn new() -> Result<Self, ContextError> {
        Context::with_options(ContextOptions::default())
    }

    /// Starts an event loop on a thread of its own, with these options, which stay as they are. Refused, with the option's
    /// name, if one of them makes no sense; else it fails as `new` does.
    pub fn with_options(options: ContextOptions) -> Result<Self, ContextError> {
        options.check()?;
        let (seat, thread) = reactor::start(&options)?;
        let has_limit = options.max_queued_bytes < usize::MAX;
        Ok(Context(Arc::new(Handle {
            core: Arc::new(Core {
                seat,
                names: Arc::default(),
                copies: Copies::default(),
                live: Mutex::default(),
                is_shut_down: crate::sync::AtomicBool::new(false),
                pool: has_limit.then(|| Arc::new(Pool::new(options.max_queued_bytes))),
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

/// The endpoint that was meant, from text or as it is.
pub(crate) fn parse<E>(endpoint: E) -> Result<Endpoint, InvalidEndpoint>
where
    E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
{
    endpoint.try_into().map_err(Into::into)
}

/// What the end of a context waits beyond the longest linger time.
const GRACE: Duration = Duration::from_millis(500);
