//! CLIENT and SERVER under faults: whatever the server says goes to the one it is said to, and once the faults are over
//! every client is answered.

use crate::hub::Hub;
use crate::message::Message;
use crate::routing::{Addressed, Awaited, NoRoute};
use crate::routing_id::RoutingId;
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{check, numbered_for, recv, send, small};
use crate::socket::client::ClientPattern;
use crate::socket::server::ServerPattern;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const CLIENTS: usize = 3;

struct Service {
    world: World,
    server: Arc<Hub<ServerPattern>>,
    clients: Vec<Arc<Hub<ClientPattern>>>,
    next: [u32; CLIENTS],
    /// Received by the server, and not sent back yet.
    held: Vec<(RoutingId, Message)>,
    echoed: BTreeSet<(usize, u32)>,
}

impl Service {
    /// Either side dials.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1 + CLIENTS);
        let (options, numbers) = (small(&mut world.chance), world.chance.next());
        let server = world.open(0, |options| ServerPattern::new(options, numbers), options);
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|node| {
                let options = small(&mut world.chance);
                world.open(node, ClientPattern::new, options)
            })
            .collect();
        let servers = [Arc::clone(&server)];
        match world.chance.once_in(3) {
            true => world.mesh((0, &servers), (1, &clients)),
            false => world.mesh((1, &clients), (0, &servers)),
        }
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Service {
            world,
            server,
            clients,
            next: [0; CLIENTS],
            held: Vec::new(),
            echoed: BTreeSet::new(),
        }
    }

    fn ask(&mut self, n: usize) -> Option<u32> {
        let size = self.world.chance.within(0..40);
        let number = self.next[n];
        send(&*self.clients[n], numbered_for::<ClientPattern>(n, number, size)).then(|| {
            self.next[n] += 1;
            number
        })
    }

    fn receive(&mut self) {
        let mut message = Message::empty();
        let step = |pattern: &mut ServerPattern, peers: &mut _| pattern.recv(peers, &mut message);
        if let Poll::Ready(Ok(who)) = self.server.attempt(Awaited::Readable, step) {
            self.held.push((who, message));
        }
    }

    /// Sends one back, in any order; keeps it if its client has no room.
    fn answer(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let which = self.world.chance.within(0..self.held.len());
        let (who, message) = self.held.swap_remove(which);
        let step =
            |pattern: &mut ServerPattern, peers: &mut _| Some(pattern.send_to(peers, &who, &mut (&message).into()));
        if let Poll::Ready(Ok(Err(NoRoute::Full(_)))) = self.server.attempt(Awaited::Writable, step) {
            self.held.push((who, message));
        }
    }

    fn collect(&mut self, n: usize) {
        while let Some(message) = recv(&*self.clients[n]) {
            let bytes = message.first();
            assert_eq!(usize::from(bytes[0]), n, "another's answer");
            let number = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
            assert!(self.echoed.insert((n, number)), "{n}:{number} came twice");
        }
    }

    fn check(&self) {
        check(&self.server);
        self.clients.iter().for_each(|client| drop(check(client)));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..CLIENTS);
            match self.world.chance.within(0..10) {
                0 => drop(self.ask(n)),
                1 => self.receive(),
                2 => self.answer(),
                3 => self.collect(n),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    /// Serves for this long.
    fn serve(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let before = self.held.len();
            self.receive();
            let is_idle = self.held.len() == before;
            self.answer();
            (0..CLIENTS).for_each(|n| self.collect(n));
            self.check();
            if !self.world.step() && is_idle && !self.world.sleep(until) {
                return;
            }
        }
    }
}

#[test]
fn clients_get_their_own_answers_and_all_of_them_once_the_faults_are_over() {
    with_seeds(100, |seed| {
        let mut it = Service::new(seed);
        it.world.fabric().has_faults = true;
        it.play(300);
        it.world.fabric().has_faults = false;
        it.serve(Duration::from_secs(3));

        let mut asked = Vec::new();
        for _ in 0..4 {
            for n in 0..CLIENTS {
                let number = it.ask(n).expect("there is room");
                asked.push((n, number));
            }
            it.serve(Duration::from_secs(1));
        }
        for one in asked {
            assert!(it.echoed.contains(&one), "{one:?} is not answered");
        }
        assert!(it.held.is_empty(), "one that is there has room");

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(40);
        let mut last = it.world.close(0, it.server.clone());
        for n in 0..CLIENTS {
            last = last.max(it.world.close(1 + n, it.clients[n].clone()));
        }
        let left = last - it.world.now();
        let Service {
            world, server, clients, ..
        } = &mut it;
        world.run_until(left, || {
            check(server);
            clients.iter().for_each(|client| drop(check(client)));
            false
        });
        assert!(it.server.report().is_some(), "the SERVER is not closed");
        assert!(
            it.clients.iter().all(|hub| hub.report().is_some()),
            "a CLIENT is not closed"
        );
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
}
