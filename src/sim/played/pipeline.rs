//! PUSH and PULL, and SCATTER and GATHER, under faults: nothing is counted wrongly, nothing comes twice or out of order, and once the faults are
//! over nothing is lost.

use crate::batch::Copies;
use crate::hub::{Hub, Lent};
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Awaited, Pattern};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{Ledger, check, numbered_for, security, send, small};
use crate::socket::kind::{GatherKind, Kind, PullKind, PushKind, ScatterKind};
use crate::socket::pull::Fair;
use crate::socket::push::Balanced;
use std::cell::Cell;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

struct Pipeline<A: Kind, B: Kind> {
    world: World,
    pushes: Vec<Arc<Hub<Balanced<A>>>>,
    pulls: Vec<Arc<Hub<Fair<B>>>>,
    ledger: Ledger,
    next: [u32; 2],
    refused: u64,
    copies: Copies,
    /// Messages that were written without having been queued.
    lent: u64,
}

/// What all sockets together have counted.
#[derive(Debug, PartialEq, Eq, Clone, Copy, Default)]
struct Totals {
    accepted: u64,
    written: u64,
    dropped: u64,
    queued: u64,
    arrived: u64,
    received: u64,
    unread: u64,
}

impl<A: Kind, B: Kind> Pipeline<A, B> {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 4);
        world.share(seed);
        let mut options = || {
            let options = small(&mut world.chance);
            let options = options.connected_first(world.chance.once_in(3));
            options.requeue_unwritten(false)
        };
        let secured = security(seed);
        let options: Vec<Options> = (0..4).map(|n| options().security(secured[n / 2].clone())).collect();
        let pushes: Vec<_> = (0..2)
            .map(|n| world.open(n, Balanced::new, options[n].clone()))
            .collect();
        let pulls: Vec<_> = (0..2)
            .map(|n| world.open(2 + n, Fair::new, options[2 + n].clone()))
            .collect();
        let pushes_dial = world.chance.within(0..4) != 0;
        match pushes_dial {
            true => world.mesh((0, &pushes), (2, &pulls)),
            false => world.mesh((2, &pulls), (0, &pushes)),
        }
        let capacity = world.chance.within(1..400);
        let piece = world.chance.within(1..64);
        world.tear(capacity, piece);
        Pipeline {
            world,
            pushes,
            pulls,
            ledger: Ledger::of::<Fair<B>>(),
            next: [0; 2],
            refused: 0,
            copies: Copies::default(),
            lent: 0,
        }
    }

    fn totals(&self) -> Totals {
        totals(&self.pushes, &self.pulls)
    }

    fn send(&mut self, n: usize) {
        let size = match self.world.chance.within(0..20) {
            0 => self.world.chance.within(0..1000),
            _ => self.world.chance.within(0..40),
        };
        let message = numbered_for::<Balanced<A>>(n, self.next[n], size);
        let is_lent = message.frame_count() == 1
            && self.world.chance.within(0..2) == 0
            && self.pushes[n].lend(message.first(), &self.copies, true) != Lent::Refused;
        self.lent += u64::from(is_lent);
        if is_lent || send(&self.pushes[n], message) {
            self.next[n] += 1;
        } else {
            self.refused += 1;
        }
    }

    fn recv(&mut self, n: usize) {
        let mut message = Message::empty();
        let step = |pattern: &mut Fair<B>, peers: &mut _| pattern.queue.recv(peers, &mut message);
        if let Poll::Ready(Ok(peer)) = self.pulls[n].attempt(Awaited::Readable, step) {
            self.ledger.note(n, peer, &message);
        }
    }

    /// Random operations and steps; the clock moves now and then, and whenever nothing else does.
    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.world.chance.within(0..10) {
                0 | 1 => {
                    let n = self.world.chance.within(0..2);
                    self.send(n);
                }
                2 => {
                    let n = self.world.chance.within(0..2);
                    self.recv(n);
                }
                _ => self.world.step_or_sleep(),
            }
            self.totals();
            self.world.check_share();
        }
    }

    /// Lets all happen that happens within this time, and holds it against the law.
    fn run_for(&mut self, time: Duration) {
        let Pipeline {
            world, pushes, pulls, ..
        } = self;
        world.run_until(time, || {
            totals(pushes, pulls);
            false
        });
    }

    /// Receives until nothing is left anywhere.
    fn drain(&mut self) -> Totals {
        for _ in 0..100_000 {
            (0..2).for_each(|n| self.recv(n));
            let totals = self.totals();
            if !self.world.step() {
                if totals.queued == 0 && totals.unread == 0 && self.totals() == totals {
                    return totals;
                }
                let until = self.world.now() + Duration::from_secs(1);
                self.world.sleep(until);
            }
        }
        panic!("it does not drain: {:#?}", self.totals());
    }
}

/// The law, and what comes of it.
fn totals<A: Pattern, B: Pattern>(pushes: &[Arc<Hub<A>>], pulls: &[Arc<Hub<B>>]) -> Totals {
    let mut all = Totals::default();
    for stats in pushes.iter().map(|hub| check(hub)) {
        all.accepted += stats.out.taken;
        all.written += stats.out.passed;
        all.dropped += stats.out.dropped.total();
        all.queued += stats.out.queued;
    }
    for stats in pulls.iter().map(|hub| check(hub)) {
        all.arrived += stats.incoming.taken;
        all.received += stats.incoming.passed;
        all.unread += stats.incoming.queued;
    }
    // What is being written is counted as queued until its batch is done.
    assert!(all.written + all.queued >= all.arrived, "{all:?}");
    all
}

fn pipelines_keep_the_law<A: Kind, B: Kind>(seeds: u64) {
    let (runs, lent) = (Cell::new(0), Cell::new(0));
    with_seeds(seeds, |seed| {
        let mut it = Pipeline::<A, B>::new(seed);
        it.world.fabric().has_faults = true;
        it.play(400);
        it.world.fabric().has_faults = false;
        it.run_for(Duration::from_secs(3));
        let before = it.drain();
        assert_eq!(before.accepted, before.written + before.dropped);
        assert_eq!(before.received, it.ledger.count());
        assert_eq!(before.received, before.arrived);
        assert!(it.world.is_share_whole(), "nothing is queued");

        // No faults any more: all that is accepted from here on arrives.
        let first = it.next;
        it.play(300);
        let after = it.drain();
        assert_eq!(after.dropped, before.dropped);
        assert_eq!(after.written - after.arrived, before.written - before.arrived);
        for (n, first) in first.into_iter().enumerate() {
            assert!((first..it.next[n]).all(|number| it.ledger.has(n, number)));
            assert!(it.next[n] > first, "nothing was accepted: {} refused", it.refused);
        }

        // Every socket is closed when its linger time is over, whatever happens.
        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(60);
        let mut deadlines = Vec::new();
        for n in 0..2 {
            deadlines.push(it.world.close(n, it.pushes[n].clone()));
            deadlines.push(it.world.close(2 + n, it.pulls[n].clone()));
        }
        let last = deadlines.into_iter().max().expect("four of them");
        let left = last - it.world.now();
        it.run_for(left);
        it.totals();
        assert!(
            it.pushes.iter().all(|hub| hub.report().is_some()),
            "a PUSH is not closed"
        );
        assert!(
            it.pulls.iter().all(|hub| hub.report().is_some()),
            "a PULL is not closed"
        );
        it.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
        assert!(it.world.is_share_whole(), "all is closed");
        runs.set(runs.get() + 1);
        lent.set(lent.get() + it.lent);
    });
    assert!(runs.get() < seeds || lent.get() > seeds, "hardly any message was lent");
}

#[test]
fn pipelines_keep_the_law_under_faults_and_lose_nothing_without() {
    pipelines_keep_the_law::<PushKind, PullKind>(500);
}

#[test]
fn scattered_messages_keep_the_law_under_faults_and_none_is_lost_without() {
    pipelines_keep_the_law::<ScatterKind, GatherKind>(40);
}

#[test]
fn a_closed_socket_without_faults_writes_all_it_accepted() {
    with_seeds(100, |seed| {
        let mut it = Pipeline::<PushKind, PullKind>::new(seed);
        it.run_for(Duration::from_secs(1));
        it.play(100);
        let options: Vec<_> = it.pushes.iter().map(|hub| hub.options().linger).collect();
        for n in 0..2 {
            it.world.close(n, it.pushes[n].clone());
        }
        it.drain_closing();
        for (hub, linger) in it.pushes.iter().zip(options) {
            let report = hub.report().expect("it is closed");
            assert!(linger.is_zero() || report.is_confirmed(), "{report:#?}");
        }
    });
}

impl<A: Kind, B: Kind> Pipeline<A, B> {
    fn drain_closing(&mut self) {
        for _ in 0..100_000 {
            (0..2).for_each(|n| self.recv(n));
            let totals = self.totals();
            if !self.world.step() {
                if self.pushes.iter().all(|hub| hub.report().is_some()) && totals.unread == 0 {
                    return;
                }
                let until = self.world.now() + Duration::from_secs(1);
                self.world.sleep(until);
            }
        }
        panic!("it does not close: {:#?}", self.totals());
    }
}
