//! What a worker is made of, said before it begins.

use super::Worker;
use super::desk::Desk;
use super::hand;
use super::room::Room;
use super::seen::Seen;
use crate::cipher::random;
use crate::confirmed::wire::{MOST_CREDIT, Session};
use crate::context::{Context, parse};
use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::error::{BindError, ConnectError};
use crate::hub::Monitor;
use crate::options::{InvalidOptions, Options};
use crate::socket::{Sealed, dealer::Dealer};
use std::sync::Arc;
use std::time::Duration;

/// A [`Worker`] that has still to begin: where its sources are, and how much it takes.
#[must_use = "it begins once it is built"]
pub struct WorkerBuilder {
    context: Context,
    endpoints: Vec<(Way, Endpoint)>,
    prefetch: u32,
    options: Options,
    remember: (usize, Duration),
    seen: Option<Box<dyn Seen>>,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy)]
enum Way {
    Connect,
    Bind,
}

/// Why a worker was not made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// It has no endpoint.
    #[error("it has no endpoint: connect it to a source, or bind it for one")]
    NoEndpoint,
    /// The prefetch is 0, or over 65,536.
    #[error("a prefetch of {0} is not within 1 to 65,536")]
    Prefetch(u32),
    /// The options of its sockets make no sense.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// A socket was not connected.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A socket was not bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system has no random bytes, of which the worker's name is made.
    #[error("the system gives no random bytes: {0}")]
    Random(#[source] std::io::Error),
    /// The system has no thread to spare.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl WorkerBuilder {
    pub(super) fn new(context: &Context) -> Self {
        WorkerBuilder {
            context: context.clone(),
            endpoints: Vec::new(),
            prefetch: 64,
            options: Options::default(),
            remember: (65_536, Duration::from_secs(600)),
            seen: None,
        }
    }

    /// Takes tasks of the source at this endpoint, which may come later, and go and come back. As often as there are sources:
    /// each is asked in turn. A source that is reached by two endpoints takes this for two workers.
    pub fn connect<E>(self, endpoint: E) -> Result<Self, InvalidEndpoint>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        self.at(Way::Connect, endpoint)
    }

    /// Takes tasks of the source that connects to this endpoint. As often as needed; [`Worker::endpoints`] tells where it was
    /// bound really.
    ///
    /// One source at a time: while one is connected, who else comes is turned away
    /// ([`Options::max_peers`]), and tries again. A stranger that connects and says nothing keeps it out for a
    /// [`handshake_timeout`](Options::handshake_timeout). Over inproc nobody is turned away: let only one come.
    pub fn bind<E>(self, endpoint: E) -> Result<Self, InvalidEndpoint>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        self.at(Way::Bind, endpoint)
    }

    /// Sets how many tasks of each source are here, or on their way, at most: those that wait, those at work, and those whose
    /// answer is not sent yet. Default 64; 1 to 65,536.
    ///
    /// More: the worker has always something to do, though its source is far, and several answers go together. Fewer: tasks
    /// that wait here while another worker has nothing to do are fewer, and so are those that are delivered again when this
    /// one is lost. 1: it has one task at a time, and waits for the next.
    ///
    /// The [lease](super::Delivery::lease) of a task that waits here is extended as long as the application is at work: within
    /// each lease it takes a task, answers or [extends](super::Delivery::extend) one. Else what waits is another's as well.
    pub fn prefetch(self, tasks: u32) -> Self {
        WorkerBuilder {
            prefetch: tasks,
            ..self
        }
    }

    /// Sets the options of its sockets, which are DEALERs: security, heartbeats, marks, limits. Default: as those of any socket.
    ///
    /// How long they linger is the worker's to say, and so is what is sent and received: messages of no application's sending
    /// (`probe`, `hello_message`, `hiccup_message`) and `conflate` do nothing.
    pub fn options(self, mut options: Options) -> Self {
        options.conflate = None;
        options.probe = false;
        options.in_band = Default::default();
        WorkerBuilder { options, ..self }
    }

    /// Sets of how many tasks that it has done it remembers the ids, for each source, and for how long. Default 65,536 and ten
    /// minutes; 0 for none.
    ///
    /// Of those that are delivered again it says that they are done, without doing them. More: up to 40 bytes for each. Fewer:
    /// what comes again late is done again. It does not outlive the worker, nor know what others did: see
    /// [`seen`](WorkerBuilder::seen).
    pub fn remember(self, tasks: usize, age: Duration) -> Self {
        WorkerBuilder {
            remember: (tasks, age),
            ..self
        }
    }

    /// Sets a store that knows what was done, by any worker. Default: none.
    pub fn seen(self, store: impl Seen) -> Self {
        WorkerBuilder {
            seen: Some(Box::new(store)),
            ..self
        }
    }

    /// Begins: binds and connects its sockets, and starts its thread. Does not wait for a source.
    pub fn build(self) -> Result<Worker, BuildError> {
        if self.endpoints.is_empty() {
            return Err(BuildError::NoEndpoint);
        }
        if !(1..=MOST_CREDIT).contains(&self.prefetch) {
            return Err(BuildError::Prefetch(self.prefetch));
        }
        let mut dealers: Vec<Dealer> = Vec::new();
        let mut monitors: Vec<Monitor> = Vec::new();
        let mut desks = Vec::new();
        let mut endpoints = Vec::new();
        for (way, endpoint) in self.endpoints {
            let options = match way {
                Way::Connect => self.options.clone(),
                Way::Bind => self.options.clone().max_peers(1),
            };
            let dealer = Dealer::with_options(&self.context, options)?;
            monitors.push(dealer.monitor());
            match way {
                Way::Connect => {
                    dealer.connect(endpoint.clone())?;
                    endpoints.push(endpoint);
                }
                Way::Bind => endpoints.push(dealer.bind(endpoint)?),
            }
            dealers.push(dealer);
            // Of its own: two endpoints may lead to one source, which has one connection for each session.
            let mut session = Session([0; 16]);
            random(&mut session.0).map_err(BuildError::Random)?;
            desks.push(Desk::new(session, self.prefetch, self.remember));
        }
        let Some(drive) = dealers.first().map(|dealer| Arc::clone(dealer.watched().drive())) else {
            return Err(BuildError::NoEndpoint);
        };
        let room = Arc::new(Room::new(dealers, desks, drive, self.seen));
        // The hand looks at what has happened so far.
        room.bell.ring();
        let theirs = Arc::clone(&room);
        std::thread::Builder::new()
            .name("peermq-worker".to_owned())
            .spawn(move || hand::run(&theirs, &monitors))
            .map_err(BuildError::Thread)?;
        Ok(Worker { room, endpoints })
    }

    fn at<E>(mut self, way: Way, endpoint: E) -> Result<Self, InvalidEndpoint>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        self.endpoints.push((way, parse(endpoint)?));
        Ok(self)
    }
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("endpoints", &self.endpoints)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
