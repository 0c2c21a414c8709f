//! The world: engines and hubs as they ship, over a simulated network, under a virtual clock and one seed.
//!
//! One thread does everything: it calls the hubs' verbs that do not wait, gives each engine its turns as the reactor
//! does, and moves bytes. The seed chooses what is next. The clock stands still while anything can happen, then jumps to
//! the next deadline, so a minute of back-off takes no time, and a failure is replayed by its seed. What is played in it are
//! tests, and what a fuzzer says.

#![cfg_attr(any(loom, not(test)), expect(dead_code, reason = "a fuzzer plays a part of it"))]

pub(crate) mod chance;
mod fabric;
pub(crate) mod laws;
mod net;
#[cfg(all(test, not(loom)))]
mod played;

use crate::batch::weight;
use crate::endpoint::Endpoint;
use crate::engine::notes::{Note, answer};
use crate::engine::seat::{Before, Seat, Work};
use crate::engine::spin::Spin;
use crate::engine::{Engine, Readiness};
use crate::hub::{Closed, Effects, Hub, Station, Watched};
use crate::options::Options;
use crate::routing::{Pattern, PeerId, PeerKind, Peers, Pool};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use chance::Chance;
use fabric::Fabric;
use net::{SimListener, SimNet};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Nodes, and the network between them.
pub(crate) struct World {
    fabric: Arc<Mutex<Fabric>>,
    nodes: Vec<Node>,
    chance: Chance,
    next_key: u64,
    /// What all sockets that are opened from now on share.
    pool: Option<Arc<Pool>>,
}

/// One context: an engine and its seat.
struct Node {
    engine: Engine<SimNet>,
    seat: Arc<Seat<SimNet>>,
    rung: Arc<AtomicBool>,
    /// It is inside its poll.
    is_asleep: bool,
    /// It has no turn any more: a process that is stopped, on a machine that lives.
    is_frozen: bool,
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let fabric = Arc::new(Mutex::new(Fabric::new(seed, nodes)));
        let node = |node| {
            let rung = Arc::new(AtomicBool::new(false));
            let (bell, clock) = (Arc::clone(&rung), Arc::clone(&fabric));
            let ring = move || bell.store(true, Ordering::SeqCst);
            let seat = Seat::new(ring, move || clock.lock().now, Spin::of(Duration::ZERO));
            let net = SimNet {
                node,
                fabric: Arc::clone(&fabric),
            };
            Node {
                engine: Engine::new(net, Arc::clone(&seat)),
                seat,
                rung,
                is_asleep: false,
                is_frozen: false,
            }
        };
        World {
            nodes: (0..nodes).map(node).collect(),
            fabric,
            chance: Chance::new(!seed),
            next_key: 0,
            pool: None,
        }
    }

    pub(crate) fn fabric(&self) -> MutexGuard<'_, Fabric> {
        self.fabric.lock()
    }

    fn now(&self) -> Instant {
        self.fabric().now
    }

    // -- sockets

    /// One seed of four has little for all queues together.
    pub(crate) fn share(&mut self, seed: u64) {
        if seed % 4 == 1 {
            self.pool = Some(Arc::new(Pool::new(self.chance.within(0..2_000))));
        }
    }

    /// What they share is kept.
    fn check_share(&self) {
        // Messages have up to 1,000 bytes and a head.
        let heaviest = weight(1, 1_100);
        assert!(
            self.pool.as_ref().is_none_or(|pool| pool.is_kept(heaviest)),
            "{:?}",
            self.pool
        );
    }

    /// They share nothing, or hold nothing of it.
    pub(crate) fn is_share_whole(&self) -> bool {
        self.pool.as_ref().is_none_or(|pool| pool.is_whole())
    }

    pub(crate) fn open<P: Pattern>(
        &mut self,
        node: usize,
        pattern: impl FnOnce(&Options) -> P,
        options: Options,
    ) -> Arc<Hub<P>> {
        self.next_key += 1;
        let drive = Arc::clone(&self.nodes[node].seat);
        let hub = Arc::new(Hub::new(
            pattern(&options),
            options,
            self.next_key,
            drive,
            self.pool.clone(),
        ));
        // The law asks whether it is told of each change.
        hub.watch(Waker::noop().clone());
        hub
    }

    pub(crate) fn listen<P: Pattern>(&self, node: usize, hub: &Arc<Hub<P>>, port: u16) {
        let endpoint = endpoint(port);
        self.nodes[node].seat.note(Note::Listen {
            station: hub.clone(),
            listener: SimListener {
                address: ([127, 0, 0, 1], port).into(),
            },
            endpoint,
        });
    }

    pub(crate) fn dial<P: Pattern>(&self, node: usize, hub: &Arc<Hub<P>>, port: u16) -> PeerId {
        self.dial_to(node, hub, endpoint(port))
    }

    fn dial_to<P: Pattern>(&self, node: usize, hub: &Arc<Hub<P>>, endpoint: Endpoint) -> PeerId {
        let name = endpoint.to_string();
        self.dial_with(node, hub, endpoint, |_, peers| Ok(peers.attach(PeerKind::Dialed, name)))
    }

    fn dial_with<P: Pattern>(
        &self,
        node: usize,
        hub: &Arc<Hub<P>>,
        endpoint: Endpoint,
        attach: impl FnOnce(&mut P, &mut Peers) -> Result<PeerId, Closed>,
    ) -> PeerId {
        let peer = hub.attach_with(attach).expect("the hub is open");
        self.nodes[node].seat.note(Note::Dial {
            station: hub.clone(),
            peer,
            endpoint,
        });
        peer
    }

    /// Each of some sockets dials each of the others; either stand on nodes in a row, from the one that is named on.
    fn mesh<A: Pattern, B: Pattern>(&self, dialing: (usize, &[Arc<Hub<A>>]), listening: (usize, &[Arc<Hub<B>>])) {
        for (n, hub) in listening.1.iter().enumerate() {
            self.listen(listening.0 + n, hub, n as u16 + 1);
            for (m, hub) in dialing.1.iter().enumerate() {
                self.dial(dialing.0 + m, hub, n as u16 + 1);
            }
        }
    }

    /// From now on kernels hold little, and take and give it in pieces.
    fn tear(&self, capacity: usize, piece: usize) {
        let mut fabric = self.fabric();
        fabric.set_capacity(capacity);
        fabric.piece = piece;
        fabric.has_partial_writes = true;
    }

    /// Begins to close a socket; returns when it has to be closed.
    pub(crate) fn close(&self, node: usize, station: Arc<dyn Station>) -> Instant {
        let mut effects = Effects::default();
        assert!(station.begin_close(&mut effects));
        effects.run();
        let deadline = self.now() + station.options().linger;
        self.nodes[node].seat.note(Note::Close {
            station,
            links: Vec::new(),
            deadline: Some(deadline),
        });
        deadline
    }

    /// Stops dialing, in its linger time.
    pub(crate) fn disconnect<P: Pattern>(&self, node: usize, hub: &Arc<Hub<P>>, port: u16) {
        let (answer, _nobody) = answer();
        self.nodes[node].seat.note(Note::Disconnect {
            key: hub.key(),
            endpoint: endpoint(port),
            answer,
        });
    }

    // -- time

    /// From now on it has no turn, or has one again.
    pub(crate) fn freeze(&mut self, node: usize, yes: bool) {
        self.nodes[node].is_frozen = yes;
    }

    /// Does one thing that can be done now. `false`: there is none.
    fn step(&mut self) -> bool {
        let moves = {
            let mut fabric = self.fabric();
            fabric.misbehave();
            fabric.moves()
        };
        let busy: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.is_busy(node)).collect();
        let choices = moves.len() + busy.len();
        if choices == 0 {
            return false;
        }
        let choice = self.chance.within(0..choices);
        match moves.get(choice) {
            Some(&end) => self.fabric().advance(end),
            None => self.turn(busy[choice - moves.len()]),
        }
        true
    }

    /// Does one thing, or lets a moment pass if there is none.
    pub(crate) fn step_or_sleep(&mut self) {
        if !self.step() {
            let until = self.now() + Duration::from_millis(50);
            self.sleep(until);
        }
    }

    /// Lets the clock jump to what is due next, `until` at the latest. `false`: it is that late already.
    fn sleep(&mut self, until: Instant) -> bool {
        let running = self.nodes.iter().filter(|node| !node.is_frozen);
        let engines = running.filter_map(|node| node.engine.deadline());
        let next = engines.chain(self.fabric().deadline()).min().unwrap_or(until);
        let mut fabric = self.fabric.lock();
        if fabric.now >= until {
            return false;
        }
        fabric.now = next.min(until).max(fabric.now);
        true
    }

    /// Steps until nothing can happen without the clock.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Lets all happen that happens within this time.
    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(time, || false);
    }

    /// Lets things happen until the condition holds; `false`: it did not, in this time.
    fn run_until(&mut self, limit: Duration, mut is_done: impl FnMut() -> bool) -> bool {
        let until = self.now() + limit;
        for _ in 0..1_000_000 {
            if is_done() {
                return true;
            }
            if !self.step() && !self.sleep(until) {
                return is_done();
            }
        }
        panic!("the world does not come to rest");
    }

    // -- engines

    fn is_busy(&self, node: usize) -> bool {
        let it = &self.nodes[node];
        let fabric = self.fabric();
        if it.is_frozen {
            return false;
        }
        !it.is_asleep
            || it.rung.load(Ordering::SeqCst)
            || !fabric.events[node].is_empty()
            || it.engine.deadline().is_some_and(|deadline| deadline <= fabric.now)
    }

    /// A turn, as the reactor takes it; what it sleeps through is left to the next one.
    fn turn(&mut self, node: usize) {
        let now = self.now();
        let it = &mut self.nodes[node];
        if it.is_asleep {
            it.is_asleep = false;
            it.rung.store(false, Ordering::SeqCst);
            it.seat.after_poll();
        } else {
            let has_ready = it.engine.has_ready();
            let mut work = Work::default();
            match it.seat.before_poll(!has_ready, &mut work) {
                Before::ShutDown => panic!("nobody shuts a node down"),
                Before::Work => {
                    for session in work.flushes {
                        // By whoever sits, or beside it by the keeper.
                        if self.chance.once_in(2) {
                            run(|effects| it.engine.on_flush(&session, now, effects));
                        } else {
                            it.seat.flush(session);
                        }
                    }
                    for note in work.notes {
                        run(|effects| it.engine.on_note(note, now, effects));
                    }
                }
                Before::Idle if !has_ready => {
                    it.is_asleep = true;
                    return;
                }
                Before::Idle | Before::Rung => {}
            }
        }
        let events = std::mem::take(&mut self.fabric.lock().events[node]);
        let mut events: Vec<(usize, Readiness)> = events.into_iter().collect();
        while !events.is_empty() {
            let (token, readiness) = events.swap_remove(self.chance.within(0..events.len()));
            run(|effects| it.engine.on_event(token, readiness, now, effects));
        }
        for _ in 0..READY {
            if !it.engine.has_ready() {
                break;
            }
            run(|effects| it.engine.on_ready(now, effects));
        }
        for _ in 0..TIMEOUTS {
            if !run(|effects| it.engine.on_timeout(now, effects)) {
                break;
            }
        }
    }
}

/// One piece of work, and then what it wants done outside.
fn run<R>(work: impl FnOnce(&mut Effects) -> R) -> R {
    let mut effects = Effects::default();
    let result = work(&mut effects);
    effects.run();
    result
}

fn endpoint(port: u16) -> Endpoint {
    format!("tcp://127.0.0.1:{port}").parse().expect("an endpoint")
}

/// Slots that go on in one turn after they stopped at their budget.
const READY: usize = 4;
/// Timers that one turn looks at.
const TIMEOUTS: usize = 4;
