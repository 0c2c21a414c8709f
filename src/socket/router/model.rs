//! The ROUTER's order against a naive model, with random peers that come, say something, go, and claim each other's
//! names: of each identity the connections in the order in which they came, each with its coming, its messages, its end.

use super::pattern::RouterPattern;
use crate::batch::Batch;
use crate::identity::Identity;
use crate::message::Message;
use crate::options::{Mark, Options};
use crate::routing::{Comer, Pattern, PeerId, PeerKind, Peers, Want};
use crate::sim::chance::{Chance, with_seeds};
use crate::stats::DropReason;
use std::collections::BTreeMap;

/// One connection, and what it has said.
struct Line {
    name: Identity,
    id: PeerId,
    said: Vec<Vec<u8>>,
    is_replaced: bool,
}

struct Model {
    pattern: RouterPattern,
    peers: Peers,
    handover: bool,
    /// All that ever were, in the order in which they came.
    lines: Vec<Line>,
    live: Vec<usize>,
    received: BTreeMap<Identity, Vec<Vec<u8>>>,
    replaced: u64,
}

impl Model {
    fn new(chance: &mut Chance) -> Self {
        let handover = chance.once_in(2);
        let options = Options::default().handover(handover).router_notify(true, true);
        let mark = Mark {
            messages: 1_000,
            bytes: 1 << 20,
        };
        Model {
            pattern: RouterPattern::new(&options, chance.next()),
            peers: Peers::new(mark, mark),
            handover,
            lines: Vec::new(),
            live: Vec::new(),
            received: BTreeMap::new(),
            replaced: 0,
        }
    }

    fn come(&mut self, name: Identity) {
        let holder = self
            .live
            .iter()
            .copied()
            .find(|&line| self.lines[line].name == name && !self.lines[line].is_replaced);
        let comer = Comer {
            identity: Some(&name),
            user: None,
        };
        let admitted = self.pattern.admit(&self.peers, None, comer);
        assert_eq!(admitted.is_ok(), holder.is_none() || self.handover);
        if let Err(no_place) = admitted {
            assert_eq!(no_place.holder, holder.map(|line| self.lines[line].id));
            return;
        }
        let id = self.peers.attach(PeerKind::Accepted, name.to_string());
        self.pattern.attached(&mut self.peers, id);
        drop(self.peers.connected(id, Some(name.clone())));
        self.pattern.connected(&mut self.peers, id);
        let severed = self.peers.wants.iter().find_map(|want| match want {
            Want::Sever(id, _) => Some(*id),
            _ => None,
        });
        assert_eq!(severed, holder.map(|line| self.lines[line].id));
        if let Some(line) = holder {
            self.lines[line].is_replaced = true;
        }
        self.live.push(self.lines.len());
        self.lines.push(Line {
            name,
            id,
            said: Vec::new(),
            is_replaced: false,
        });
    }

    fn say(&mut self, live: usize, number: u32) {
        let line = &mut self.lines[self.live[live]];
        let body = number.to_be_bytes().to_vec();
        let mut batch = Batch::default();
        batch.push(&[], &mut (&body[..]).into());
        let mut run = batch.into_run();
        self.pattern.deliver(&mut self.peers, line.id, &mut run);
        if line.is_replaced {
            self.replaced += 1;
        } else {
            line.said.push(body);
        }
    }

    fn go(&mut self, live: usize) {
        let id = self.lines[self.live.swap_remove(live)].id;
        let (unwritten, _) = self.peers.disconnected(id, None, "lost".into());
        drop(
            self.pattern
                .disconnected(&mut self.peers, id, unwritten, DropReason::PeerLost),
        );
        self.pattern.detached(&mut self.peers, id);
        self.peers.detach(id);
    }

    fn receive(&mut self) -> bool {
        let mut message = Message::empty();
        let Some(name) = self.pattern.recv(&mut self.peers, &mut message) else {
            return false;
        };
        self.received.entry(name).or_default().push(message.first().to_vec());
        true
    }

    fn check(&mut self) {
        let stats = self.peers.stats();
        assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:#?}");
        assert_eq!(stats.incoming.dropped.of(DropReason::Replaced), self.replaced);
        self.peers.wants.clear();
    }

    /// Whether what was received under a name is what its connections said; one that said nothing may not be told of.
    fn check_order(&self, name: &Identity) {
        let mut heard = self.received.get(name).map_or(&[][..], |heard| heard).iter();
        let nothing = Vec::new();
        for line in self.lines.iter().filter(|line| line.name == *name) {
            let told = heard.as_slice();
            if line.said.is_empty() && !(told.len() >= 2 && told[..2] == [vec![], vec![]]) {
                continue;
            }
            let whole = [&nothing].into_iter().chain(&line.said).chain([&nothing]);
            for expected in whole {
                assert_eq!(heard.next(), Some(expected), "of {name}");
            }
        }
        assert_eq!(heard.next(), None, "of {name}");
    }
}

#[test]
fn each_identity_is_received_connection_by_connection() {
    with_seeds(500, |seed| {
        let mut chance = Chance::new(seed);
        let mut it = Model::new(&mut chance);
        let names = ["a", "b"].map(|name| Identity::new(name).unwrap());
        for number in 0..150 {
            let live = it.live.len();
            match chance.within(0..8) {
                0 | 1 => it.come(names[chance.within(0..2)].clone()),
                2..=4 if live > 0 => it.say(chance.within(0..live), number),
                5 if live > 0 => it.go(chance.within(0..live)),
                6 => drop(it.receive()),
                _ => {}
            }
            it.check();
        }
        while !it.live.is_empty() {
            it.go(0);
            it.check();
        }
        while it.receive() {
            it.check();
        }
        names.iter().for_each(|name| it.check_order(name));
        assert!(it.pattern.is_idle(), "something is kept of those that are gone");
        assert_eq!(it.peers.ids().len(), 0);
    });
}
