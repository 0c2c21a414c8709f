//! What the model is played in: a socket, a net of one stream, a clock that stands still, and a loop with a bell for a poll.

use super::*;

// -- what waits

/// A socket that others put things into.
#[derive(Default)]
pub(super) struct Basket {
    pub(super) things: usize,
}

impl Pattern for Basket {
    const TYPE: SocketType = SocketType::Pull;

    fn attached(&mut self, _: &mut Peers, _: PeerId) {}

    fn deliver(&mut self, _: &mut Peers, _: PeerId, _: &mut Run) {}

    fn detached(&mut self, _: &mut Peers, _: PeerId) {}

    fn is_ready(&self, _: Awaited) -> bool {
        self.things > 0
    }
}

pub(super) fn give(hub: &Hub<Basket>) {
    hub.act(|basket, peers| {
        basket.things += 1;
        peers.wants.push(Want::Ready(Awaited::Readable));
    });
}

pub(super) fn wait(hub: &Hub<Basket>, deadline: Option<Instant>) -> Result<(), Stop> {
    hub.wait(Awaited::Readable, deadline, |basket, _| {
        basket.things = basket.things.checked_sub(1)?;
        Some(())
    })
}

// -- the world outside

/// Edge-triggered, as the system's: what came before a poll ends it at once, and only once.
#[derive(Default)]
pub(super) struct Bell {
    pub(super) edges: Mutex<Edges>,
    pub(super) poll: Thread,
}

#[derive(Default)]
pub(super) struct Edges {
    pub(super) is_rung: bool,
    /// Things that came and were not read.
    pub(super) arrived: usize,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.edges.lock().is_rung = true;
        self.poll.unpark();
    }

    /// Something comes from a peer.
    pub(super) fn arrive(&self) {
        self.edges.lock().arrived += 1;
        self.poll.unpark();
    }

    pub(super) fn poll(&self, sleep: bool, until: Option<Instant>) -> usize {
        let limit = until.map(|_| LEASE);
        for round in 0.. {
            let mut edges = self.edges.lock();
            let is_rung = std::mem::take(&mut edges.is_rung);
            let arrived = std::mem::take(&mut edges.arrived);
            drop(edges);
            if is_rung || arrived > 0 || !sleep || limit.is_some() && round > 0 {
                return arrived;
            }
            self.poll.sleep(limit);
        }
        0
    }
}

/// A net of which only the streams are used.
pub(super) struct Nowhere;

/// A stream that takes what is written, and something comes of it.
pub(super) struct Takes(pub(super) Arc<Hub<Basket>>);

impl Stream for Takes {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(
            is_driving(),
            "nobody else writes here, and a waker that waited would never return"
        );
        give(&self.0);
        Ok(from.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn connected(&self) -> io::Result<Option<Reached>> {
        Ok(None)
    }
}

impl Net for Nowhere {
    type Stream = Takes;
    type Listener = ();

    fn now(&self) -> Instant {
        unreachable!("the seat has a clock of its own")
    }

    fn chance(&mut self) -> u64 {
        0
    }

    fn secret(&mut self, _: &mut [u8]) -> io::Result<()> {
        Ok(())
    }

    fn run_aside(&mut self, _: Box<dyn FnOnce() + Send>) -> bool {
        false
    }

    fn resolve(&mut self, _: &str, _: u16, _: Box<dyn FnOnce(Resolved) + Send>) {}

    fn connect(&mut self, _: &Address, _: &TransportOptions, _: usize) -> io::Result<Takes> {
        Err(ErrorKind::Unsupported.into())
    }

    fn listen(&mut self, (): &mut (), _: usize) -> io::Result<()> {
        Ok(())
    }

    fn unlisten(&mut self, (): &mut ()) {}

    fn accept(&mut self, (): &(), _: &TransportOptions, _: usize) -> io::Result<(Takes, String)> {
        Err(ErrorKind::WouldBlock.into())
    }
}

// -- one context

#[derive(Clone)]
pub(super) struct World {
    pub(super) seat: Arc<Seat<Nowhere>>,
    pub(super) bell: Arc<Bell>,
    pub(super) hub: Arc<Hub<Basket>>,
    pub(super) clock: Arc<Clock>,
}

/// Stands still, and later is an hour later each time. No step of the model: it does not matter when it is read.
pub(super) struct Clock {
    pub(super) start: Instant,
    pub(super) is_later: std::sync::atomic::AtomicBool,
    pub(super) hours: std::sync::atomic::AtomicU64,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        if self.is_later.load(Ordering::SeqCst) {
            self.hours.fetch_add(1, Ordering::SeqCst);
        }
        self.start + Duration::from_secs(3600 * self.hours.load(Ordering::SeqCst))
    }
}

impl World {
    pub(super) fn new() -> Self {
        let bell: Arc<Bell> = Arc::default();
        let clock = Arc::new(Clock {
            start: Instant::now(),
            is_later: false.into(),
            hours: 0.into(),
        });
        let (rings, tells) = (Arc::clone(&bell), Arc::clone(&clock));
        let seat = Seat::new(move || rings.ring(), move || tells.now(), Spin::of(Duration::ZERO));
        let hub = Arc::new(Hub::new(Basket::default(), Options::default(), 1, seat.clone(), None));
        World { seat, bell, hub, clock }
    }

    /// The keeper has left the seat, and sleeps for ever.
    pub(super) fn without_keeper() -> Self {
        let world = World::new();
        *world.seat.reins.lock() = Some(Reins {
            turns: Box::new(world.turns(KeeperIs::Sitting)),
            spin: Spin::of(ContextOptions::default().spin),
        });
        let mut state = world.seat.state.lock();
        state.sitter = Sitter::Nobody;
        state.keeper = Keeper::Lease;
        drop(state);
        world
    }

    pub(super) fn with_keeper(keeper_is: KeeperIs) -> (Self, JoinHandle<()>) {
        let world = World::new();
        let turns = world.turns(keeper_is);
        let seat = Arc::clone(&world.seat);
        let keeper = spawn(move || seat.keep(Box::new(turns), Spin::of(ContextOptions::default().spin)));
        (world, keeper)
    }

    pub(super) fn turns(&self, keeper_is: KeeperIs) -> Loop {
        Loop {
            seat: Arc::clone(&self.seat),
            bell: Arc::clone(&self.bell),
            hub: Arc::clone(&self.hub),
            work: Work::default(),
            keeper_is,
        }
    }

    /// A thread that waits for one thing.
    pub(super) fn waits(&self) -> JoinHandle<()> {
        let world = self.clone();
        spawn(move || assert_eq!(wait(&world.hub, None), Ok(())))
    }

    pub(super) fn session(&self) -> Arc<Session<Nowhere>> {
        let station: Arc<dyn Station> = self.hub.clone();
        let stream = Takes(Arc::clone(&self.hub));
        let origin = Origin::Accepted("".into());
        let session = Session::new(0, stream, station, Arc::clone(&self.seat), origin, Fresh::none());
        session.transmit();
        session
    }

    /// Time passes.
    pub(super) fn later(&self) {
        self.clock.is_later.store(true, Ordering::SeqCst);
        let_time_pass();
    }

    /// All waits are over.
    pub(super) fn end(self, keeper: Option<JoinHandle<()>>) {
        let state = self.seat.state.lock();
        assert!(state.sitter != Sitter::Application && state.parked == 0);
        drop(state);
        if let Some(keeper) = keeper {
            self.seat.shut_down();
            keeper.join().expect("the keeper ends");
            let state = self.seat.state.lock();
            assert!(state.is_over && state.notes.is_empty() && state.flushes.is_empty());
            assert_eq!(state.sitter, Sitter::Keeper);
        }
        // They hold the seat that holds them.
        let reins = self.seat.reins.lock().take();
        drop(reins);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeeperIs {
    /// In its first poll.
    Sitting,
    /// About to leave the seat, as after it has woken a thread.
    Leaving,
}

/// What the reactor is, with a bell for a poll.
pub(super) struct Loop {
    pub(super) seat: Arc<Seat<Nowhere>>,
    pub(super) bell: Arc<Bell>,
    pub(super) hub: Arc<Hub<Basket>>,
    pub(super) work: Work<Nowhere>,
    pub(super) keeper_is: KeeperIs,
}

impl Turns for Loop {
    fn turn(&mut self, nap: Nap, _: Instant) -> Turned {
        if std::mem::replace(&mut self.keeper_is, KeeperIs::Sitting) == KeeperIs::Leaving {
            wake_somebody();
            return Turned::Again;
        }
        let begun = self.seat.state.lock().changes;
        let mut slept = 0;
        let wants_sleep = matches!(nap, Nap::Until(_));
        let arrived = match (self.seat.before_poll(wants_sleep, &mut self.work), nap) {
            (Before::ShutDown, _) => return Turned::Over,
            (Before::Idle, Nap::Until(until)) => {
                let arrived = self.bell.poll(true, until);
                self.seat.after_poll();
                slept = 1;
                arrived
            }
            (Before::Work, _) => {
                self.do_work();
                self.bell.poll(false, None)
            }
            _ => self.bell.poll(false, None),
        };
        (0..arrived).for_each(|_| give(&self.hub));
        // Nobody has sat down, or left the seat, in the meantime.
        assert_eq!(self.seat.state.lock().changes, begun + slept, "two drive");
        if arrived > 1 { Turned::Flooded } else { Turned::Again }
    }

    fn slept(&self) -> Duration {
        Duration::ZERO
    }

    fn end(&mut self) {
        self.do_work();
        self.work = self.seat.end();
        self.do_work();
    }
}

impl Loop {
    pub(super) fn do_work(&mut self) {
        for session in self.work.flushes.drain(..) {
            let mut effects = Effects::default();
            assert_eq!(session.flush(&mut effects), Ok(Flushed::Done));
            effects.run();
        }
        for note in self.work.notes.drain(..) {
            match note {
                Note::Unbind { answer, .. } => answer.give(true),
                Note::Close { station, .. } => {
                    let mut effects = Effects::default();
                    station.engine_done(&mut effects);
                    effects.run();
                }
                _ => unreachable!("nobody notes it"),
            }
        }
    }
}

/// Counts as a wake, and reaches nobody.
pub(super) fn wake_somebody() {
    struct Silence;
    impl Ring for Silence {
        fn ring(&self) {}
    }
    Parker::with(|parker, waker| {
        let _silent = parker.rung_by(Arc::new(Silence));
        waker.wake_by_ref();
        parker.reset();
    });
}
