//! How a source is to be.

use super::Source;
use super::clerk::Clerk;
use super::desk::Shared;
use super::keeper::keep;
use crate::chance::SplitMix64;
use crate::cipher::random;
use crate::confirmed::dead::{self, DeadLetter, Sink};
use crate::confirmed::ledger::{self, Ledger, Settings};
#[cfg(feature = "outbox")]
use crate::confirmed::outbox::{DiskOutbox, Survives};
use crate::confirmed::outbox::{Kept, KeptTask, Outbox, OutboxError};
use crate::confirmed::wire::{LONGEST_MS, MOST_CREDIT, SourceId, TaskId};
use crate::context::{Context, parse};
use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::error::{BindError, ConnectError};
use crate::options::{InvalidOptions, Options};
use crate::poller::Watch;
use crate::socket::Sealed;
use crate::socket::push::Push;
use crate::socket::router::Router;
use crate::sync::Mutex;
use crate::transport::real::{chance, wall};
use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing::warn;

/// Says how a [`Source`] is to be, and makes it. Made by [`Source::builder`].
#[must_use = "nothing is made before `build`"]
pub struct SourceBuilder {
    context: Context,
    options: Options,
    settings: Settings,
    bound: Vec<Endpoint>,
    connected: Vec<Endpoint>,
    sink: Option<Sink>,
    outbox: Option<Box<dyn Outbox>>,
}

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// An option does not fit its socket.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// An endpoint could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An endpoint could not be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Neither `bind` nor `connect` was called: no worker could ever come.
    #[error("it has no endpoint: call `bind` or `connect` first")]
    NoEndpoint,
    /// What was kept could not be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// There is no thread to be had, or no random bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl SourceBuilder {
    pub(super) fn new(context: &Context) -> Self {
        SourceBuilder {
            context: context.clone(),
            options: Options::default(),
            settings: Settings::default(),
            bound: Vec::new(),
            connected: Vec::new(),
            sink: None,
            outbox: None,
        }
    }

    /// Binds this endpoint, for workers that connect. May be called several times. It fails only if this is no endpoint;
    /// `build` binds it.
    pub fn bind<E>(mut self, endpoint: E) -> Result<Self, InvalidEndpoint>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        self.bound.push(parse(endpoint)?);
        Ok(self)
    }

    /// Connects to this endpoint, which a worker binds. May be called several times.
    pub fn connect<E>(mut self, endpoint: E) -> Result<Self, InvalidEndpoint>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        self.connected.push(parse(endpoint)?);
        Ok(self)
    }

    /// Sets the options of the socket: security, heartbeats, limits. Marks of sending, and what is told in band, are the
    /// source's own.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets how long a worker may have a task. Default 30 s; 1 ms to a day.
    ///
    /// When it is over the task goes to another, and who is first to say that it is done settles it. Longer: the tasks of a
    /// worker that hangs wait longer. Shorter: tasks that take long are done twice, unless workers extend their leases.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets how long a worker may say nothing at all until its connection is ended. Default: any time, because connections have
    /// heartbeats; set it for workers that may hang and keep their connection. 1 ms to a day.
    ///
    /// A worker says something three times as often, from a thread of its own. Shorter: one that stalls for a moment loses its
    /// tasks.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.settings.silence = Some(silence.clamp(SHORTEST, LONGEST));
        self
    }

    /// Sets how often a task is tried until one that fails is its last. Default 5; at least 1.
    pub fn max_attempts(mut self, attempts: u16) -> Self {
        self.settings.most_attempts = attempts.max(1);
        self
    }

    /// Sets how many deliveries of a task may end without a word until it is dead as [`Death::Lost`](super::super::Death::Lost):
    /// workers seem to die of it. Default 20; `None`: any number.
    pub fn max_losses(mut self, losses: Option<u16>) -> Self {
        self.settings.most_losses = losses.map(|losses| losses.max(1));
        self
    }

    /// Sets how many tasks and how many bytes of theirs (messages, keys and headers) are here at once. Default 100,000 and 512
    /// MiB; at least 1 each.
    ///
    /// At the first that is reached `send` waits, and there is room again at half of both. The task that reaches it is taken
    /// whole. What workers have is copied once more for their connections.
    pub fn backlog(mut self, tasks: usize, bytes: usize) -> Self {
        self.settings.most_tasks = tasks.max(1);
        self.settings.most_bytes = bytes.max(1);
        self
    }

    /// Sets how many workers may be there at once. Default 4,096. Further ones are turned away, and come again later.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.settings.most_workers = workers.max(1);
        self
    }

    /// Gives dead letters to this. It is called on the source's own thread: while it works, nothing else is delivered, and calls
    /// of the source that would wait fail with `WouldDeadlock`. One that
    /// fails or panics loses the letter, which is counted and logged.
    ///
    /// Without this and its two sisters, dead letters are counted and logged.
    pub fn dead_letters<F, E>(mut self, mut sink: F) -> Self
    where
        F: FnMut(DeadLetter) -> Result<(), E> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.sink = Some(Box::new(move |letter| sink(letter).map_err(Into::into)));
        self
    }

    /// Appends dead letters to this file, each as a line of JSON ([`DeadLetter::to_json`]). Fails if it cannot be opened.
    pub fn dead_letters_to_file(mut self, path: impl AsRef<Path>) -> io::Result<Self> {
        self.sink = Some(dead::to_file(path.as_ref())?);
        Ok(self)
    }

    /// Sends dead letters with this socket: a frame of JSON ([`DeadLetter::to_json`]), and then the frames of the task. If no
    /// peer has room the letter is lost, counted and logged.
    pub fn dead_letters_to(mut self, socket: Push) -> Self {
        self.sink = Some(dead::to_socket(socket));
        self
    }

    /// Keeps tasks in this file until they are settled, so that they survive the end of the process and of the machine: `send`
    /// returns once its task is synced. As [`keep_in`](SourceBuilder::keep_in).
    #[cfg(feature = "outbox")]
    pub fn outbox(self, path: impl AsRef<Path>) -> Result<Self, OutboxError> {
        Ok(self.keep_in(DiskOutbox::open(path, Survives::PowerLoss)?))
    }

    /// Keeps tasks here until they are settled. Default nowhere but in memory.
    ///
    /// What is there and not settled is delivered again, marked, in order, before what is new; a backlog that it fills takes
    /// nothing new until there is room. That a task is settled is stored a little later than it is: after a crash some are
    /// delivered once more. Attempts are counted anew. A dead task is forgotten once its letter has found a place.
    pub fn keep_in(mut self, outbox: impl Outbox + 'static) -> Self {
        self.outbox = Some(Box::new(outbox));
        self
    }

    /// Makes the source, loads what was kept, binds, connects, and starts its threads.
    pub fn build(mut self) -> Result<Source, SourceError> {
        if self.bound.is_empty() && self.connected.is_empty() {
            return Err(SourceError::NoEndpoint);
        }
        // What a worker is sent is bounded by its credit and by the backlog; who is at this mark does not read what it asks for.
        let options = self
            .options
            .send_mark(2 * MOST_CREDIT as usize)
            .send_mark_bytes(usize::MAX)
            .router_notify(false, true);
        let router = Router::with_options(&self.context, options)?;
        let chance = SplitMix64::new(chance());
        let mut id = [0; 16];
        random(&mut id)?;
        let watched = router.watched();
        let drive = Arc::clone(watched.drive());
        let has_outbox = self.outbox.is_some();
        let kept = match &mut self.outbox {
            Some(outbox) => outbox.load(id)?,
            None => Kept::nothing(id),
        };
        let ledger = Ledger::new(SourceId(kept.source), self.settings);
        let shared = Arc::new(Shared::new(ledger, Arc::clone(&drive), self.outbox));
        restore(&shared, kept.highest, kept.tasks);
        for finding in &kept.findings {
            warn!(%finding, "an outbox was opened");
        }
        let mut endpoints = Vec::new();
        for endpoint in self.bound {
            endpoints.push(router.bind(endpoint)?);
        }
        for endpoint in self.connected {
            router.connect(endpoint)?;
        }
        let watch = Watch::new(watched, &shared.clerk.signal);
        let router = Arc::new(router);
        let clerk = Clerk::new(
            Arc::clone(&shared),
            Arc::clone(&router),
            watch,
            drive,
            self.sink,
            chance,
        );
        // Without its second thread it is dropped, and the first ends.
        let source = Source {
            shared: Arc::clone(&shared),
            router,
            endpoints,
            threads: Mutex::new(Vec::new()),
            findings: kept.findings,
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(String::from(name)).spawn(work)?;
            source.threads.lock().push(thread);
            Ok::<(), io::Error>(())
        };
        spawn("peermq source", Box::new(move || clerk.run()))?;
        if has_outbox {
            spawn("peermq outbox", Box::new(move || keep(&shared)))?;
        }
        Ok(source)
    }
}

/// What an earlier source has left is here again.
fn restore(shared: &Shared, highest: u64, tasks: Vec<KeptTask>) {
    let (now, wall) = (shared.now(), wall());
    // A time that is over is now.
    let left = |at: SystemTime| at.duration_since(wall).unwrap_or_default();
    let mut desk = shared.desk();
    desk.ledger.skip(NonZeroU64::MIN.saturating_add(highest));
    for task in tasks {
        let Some(id) = NonZeroU64::new(task.id) else {
            continue;
        };
        let entry = ledger::Task {
            message: task.message,
            key: task.key,
            headers: task.headers,
            order: task.order,
            starts_at: task.starts_at.map(|at| ledger::later(now, left(at))),
            too_late_at: task.too_late_at.and_then(|at| now.checked_add(left(at))),
        };
        desk.restore(now, TaskId(id), entry);
    }
}

impl fmt::Debug for SourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBuilder")
            .field("bound", &self.bound)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

/// What workers can be told of times: a source holds to the same.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(LONGEST_MS as u64);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_source_holds_to_the_times_that_workers_are_told() {
        let context = Context::new().unwrap();
        for (asked, held) in [(Duration::ZERO, SHORTEST), (Duration::MAX, LONGEST)] {
            let settings = Source::builder(&context).lease(asked).silence(asked).settings;
            assert_eq!((settings.lease, settings.silence), (held, Some(held)));
        }
    }
}
