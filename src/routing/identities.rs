//! Who is known under which name, and how a message goes to one of them.
//!
//! A name is what a peer calls itself, what the application calls it, or made up by chance. It leads to one peer at most;
//! a peer whose name leads elsewhere by now keeps it for what is unread of it. A peer at its mark is full until its low
//! mark; nothing is dropped here.

use super::outgoing::Placed;
use super::peer::PeerId;
use super::peers::Peers;
use super::wants::{Awaited, Want};
use crate::chance::SplitMix64;
use crate::identity::Identity;
use crate::message::Outgoing;
use crate::routing_id::RoutingId;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// What a peer is known by.
pub(crate) trait Name: Clone + Eq + Hash + Send + 'static {
    /// One that no peer calls itself by. `None`: not with this number.
    fn made_up(chance: u32) -> Option<Self>;
}

impl Name for Identity {
    fn made_up(chance: u32) -> Option<Self> {
        Some(Identity::made_up(chance))
    }
}

impl Name for RoutingId {
    fn made_up(chance: u32) -> Option<Self> {
        RoutingId::new(chance)
    }
}

/// The names of the peers of one socket.
#[derive(Debug)]
pub(crate) struct Identities<K> {
    /// Who is sent to under a name: at most one entry for each peer. Never iterated, like `bearers`; their hash is keyed
    /// by chance, since peers choose their names.
    routes: HashMap<K, PeerId>,
    /// Who came last under a name, of those in `known`.
    bearers: HashMap<K, PeerId>,
    /// By index: under what name a peer's messages are received. From its first connection, or from when it was given a
    /// name, until nothing of it is unread.
    known: Vec<Option<Known<K>>>,
    /// They were found full, and somebody may wait for their room.
    full: BTreeSet<PeerId>,
    chance: SplitMix64,
}

#[derive(Debug)]
struct Known<K> {
    id: PeerId,
    name: K,
    kind: NameKind,
    /// How many of its unread messages, the oldest, came under which names that it had before. An entry is of at least
    /// one message, so the incoming mark limits them.
    earlier: VecDeque<(usize, K)>,
}

/// Where a name is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// The peer's READY.
    Own,
    /// This socket: the peer has none.
    MadeUp,
    /// The application.
    Given,
}

/// Why a message goes nowhere; nothing has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoute {
    Unknown,
    Full(PeerId),
}

impl<K: Name> Identities<K> {
    pub(crate) fn new(chance: SplitMix64) -> Self {
        Identities {
            routes: HashMap::new(),
            bearers: HashMap::new(),
            known: Vec::new(),
            full: BTreeSet::new(),
            chance,
        }
    }

    // -- names

    /// From now on the peer is received under this name. What is unread of it stays under the one that it had, which
    /// leads to it no more. Gives who bore the name before, if anything of that one may be unread.
    pub(crate) fn name(&mut self, peers: &Peers, id: PeerId, name: K, kind: NameKind) -> Option<PeerId> {
        let mut earlier = VecDeque::new();
        if let Some(known) = self.known_mut(id) {
            if known.name == name {
                known.kind = kind;
                return None;
            }
            earlier = std::mem::take(&mut known.earlier);
            let counted: usize = earlier.iter().map(|(count, _)| count).sum();
            let unread = peers.unread(id).saturating_sub(counted);
            let old = known.name.clone();
            if unread > 0 {
                earlier.push_back((unread, old.clone()));
            }
            self.take_route(&old, id);
            self.take_bearer(&old, id);
        }
        let before = self.bearers.insert(name.clone(), id);
        let index = id.index();
        if self.known.len() <= index {
            self.known.resize_with(index + 1, || None);
        }
        if let Some(place) = self.known.get_mut(index) {
            *place = Some(Known {
                id,
                name,
                kind,
                earlier,
            });
        }
        before
    }

    /// From now on the peer is sent to under its name, which leads to nobody else.
    pub(crate) fn route(&mut self, id: PeerId) {
        if let Some(name) = self.name_of(id).cloned() {
            self.routes.insert(name, id);
        }
    }

    /// A name that leads to nobody.
    pub(crate) fn make_up(&mut self) -> K {
        loop {
            let name = K::made_up(self.chance.next_u32());
            if let Some(name) = name.filter(|name| !self.routes.contains_key(name)) {
                return name;
            }
        }
    }

    /// Nobody is sent to this peer by its name any more; what is unread of it keeps it.
    pub(crate) fn unroute(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(name) = self.name_of(id).cloned() {
            self.take_route(&name, id);
        }
        self.full.remove(&id);
        // Whoever waits for its room finds out that it is not there any more.
        peers.wants.push(Want::ReadyAll(Awaited::WritablePeer(id)));
    }

    /// Nothing is unread of it, and nothing will come.
    pub(crate) fn forget(&mut self, id: PeerId) {
        self.forget_behind(id, None);
    }

    /// The same. If it bore its name last, `before` does now.
    pub(crate) fn forget_behind(&mut self, id: PeerId, before: Option<PeerId>) {
        let Some(name) = self.name_of(id).cloned() else { return };
        if let Some(place) = self.known.get_mut(id.index()) {
            *place = None;
        }
        if self.bearers.get(&name) == Some(&id) {
            match before {
                Some(before) => drop(self.bearers.insert(name, before)),
                None => drop(self.bearers.remove(&name)),
            }
        }
    }

    /// Under what name the message was sent that was just taken from this peer.
    pub(crate) fn sender(&mut self, id: PeerId) -> Option<K> {
        let known = self.known_mut(id)?;
        let Some((count, name)) = known.earlier.front_mut() else {
            return Some(known.name.clone());
        };
        *count -= 1;
        if *count > 0 {
            return Some(name.clone());
        }
        known.earlier.pop_front().map(|(_, name)| name)
    }

    // -- asking

    /// Who is sent to under this name.
    pub(crate) fn holder(&self, name: &K) -> Option<PeerId> {
        self.routes.get(name).copied()
    }

    /// The name that a peer has now, though it may lead to another.
    pub(crate) fn name_of(&self, id: PeerId) -> Option<&K> {
        self.known(id).map(|known| &known.name)
    }

    pub(crate) fn kind_of(&self, id: PeerId) -> Option<NameKind> {
        self.known(id).map(|known| known.kind)
    }

    /// The names that lead to somebody, in the order of their peers' places.
    pub(crate) fn names(&self) -> Vec<K> {
        let known = self.known.iter().flatten();
        let routed = known.filter(|known| self.routes.get(&known.name) == Some(&known.id));
        routed.map(|known| known.name.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Whether nothing is kept of any peer.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let is_known = self.known.iter().any(Option::is_some);
        self.routes.is_empty() && self.bearers.is_empty() && self.full.is_empty() && !is_known
    }

    /// Whether a call that waits for this peer's room would find it, or find that the peer is gone.
    pub(crate) fn has_news_of(&self, id: PeerId) -> bool {
        !self.full.contains(&id)
    }

    // -- sending

    /// Packs the message for the peer of this name.
    pub(crate) fn send(&mut self, peers: &mut Peers, name: &K, message: &mut Outgoing<'_>) -> Result<(), NoRoute> {
        let id = self.holder(name).ok_or(NoRoute::Unknown)?;
        match peers.enqueue(id, &[], message) {
            Placed::WithRoom => Ok(()),
            Placed::Last => {
                self.full.insert(id);
                Ok(())
            }
            Placed::Refused => {
                self.full.insert(id);
                Err(NoRoute::Full(id))
            }
        }
    }

    /// A peer fell to its low mark, or may have.
    pub(crate) fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        if self.full.contains(&id) && peers.wants_room(id) {
            self.full.remove(&id);
            peers.wants.push(Want::Ready(Awaited::WritablePeer(id)));
        }
    }

    fn take_route(&mut self, name: &K, id: PeerId) {
        if self.routes.get(name) == Some(&id) {
            self.routes.remove(name);
        }
    }

    fn take_bearer(&mut self, name: &K, id: PeerId) {
        if self.bearers.get(name) == Some(&id) {
            self.bearers.remove(name);
        }
    }

    fn known(&self, id: PeerId) -> Option<&Known<K>> {
        self.known.get(id.index())?.as_ref().filter(|known| known.id == id)
    }

    fn known_mut(&mut self, id: PeerId) -> Option<&mut Known<K>> {
        self.known.get_mut(id.index())?.as_mut().filter(|known| known.id == id)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::Run;
    use crate::message::Message;
    use crate::options::Mark;
    use crate::routing::PeerKind;

    const MARK: Mark = Mark {
        messages: 2,
        bytes: 1 << 20,
    };

    fn new() -> (Identities<Identity>, Peers) {
        (Identities::new(SplitMix64::new(7)), Peers::new(MARK, MARK))
    }

    fn identity(text: &str) -> Identity {
        Identity::new(text).unwrap()
    }

    fn run_of(messages: usize) -> Run {
        let mut batch = crate::batch::Batch::default();
        for _ in 0..messages {
            batch.push(&[], &mut "hello".into());
        }
        batch.into_run()
    }

    #[test]
    fn a_message_goes_to_whoever_has_the_name() {
        let (mut ids, mut peers) = new();
        let one = peers.attach(PeerKind::Accepted, "one");
        let other = peers.attach(PeerKind::Accepted, "other");
        ids.name(&peers, one, identity("one"), NameKind::Own);
        ids.route(one);
        ids.name(&peers, other, identity("other"), NameKind::Own);
        ids.route(other);

        assert_eq!(ids.send(&mut peers, &identity("other"), &mut "x".into()), Ok(()));
        assert_eq!(
            ids.send(&mut peers, &identity("nobody"), &mut "x".into()),
            Err(NoRoute::Unknown)
        );

        assert_eq!((peers.outgoing(one), peers.outgoing(other)), (0, 1));
        assert_eq!(peers.stats().out.taken, 1, "what has no route is not accepted");
        assert_eq!(ids.names(), [identity("one"), identity("other")]);
    }

    #[test]
    fn a_full_peer_is_told_from_one_that_is_not_there_and_its_room_is_told() {
        let (mut ids, mut peers) = new();
        let id = peers.attach(PeerKind::Accepted, "peer");
        drop(peers.connected(id, None));
        let name = ids.make_up();
        ids.name(&peers, id, name.clone(), NameKind::MadeUp);
        ids.route(id);
        for _ in 0..2 {
            assert_eq!(ids.send(&mut peers, &name, &mut "x".into()), Ok(()));
        }
        assert_eq!(ids.send(&mut peers, &name, &mut "x".into()), Err(NoRoute::Full(id)));
        assert!(!ids.has_news_of(id));

        let batch = peers.collect(id, Default::default(), Vec::new()).unwrap();
        peers.moved(id, batch.tally());
        peers.wants.clear();
        ids.has_room(&mut peers, id);

        assert!(ids.has_news_of(id));
        assert!(peers.wants.contains(&Want::Ready(Awaited::WritablePeer(id))));
        ids.unroute(&mut peers, id);
        assert_eq!(ids.send(&mut peers, &name, &mut "x".into()), Err(NoRoute::Unknown));
    }

    #[test]
    fn what_is_unread_keeps_the_name_that_it_came_under() {
        let (mut ids, mut peers) = new();
        let id = peers.attach(PeerKind::Dialed, "peer");
        for name in ["first", "second", "third"] {
            ids.name(&peers, id, identity(name), NameKind::Own);
            ids.route(id);
            peers.deliver(id, &mut run_of(2));
        }
        assert_eq!(ids.names(), [identity("third")]);

        let mut names = Vec::new();
        let mut message = Message::empty();
        while peers.pop(id, &mut message).is_some() {
            names.push(ids.sender(id).unwrap().to_string());
        }

        assert_eq!(names, ["first", "first", "second", "second", "third", "third"]);
    }

    #[test]
    fn a_name_that_went_to_another_stays_with_it() {
        let (mut ids, mut peers) = new();
        let old = peers.attach(PeerKind::Accepted, "old");
        ids.name(&peers, old, identity("it"), NameKind::Own);
        ids.route(old);
        ids.unroute(&mut peers, old);
        let new = peers.attach(PeerKind::Accepted, "new");
        let before = ids.name(&peers, new, identity("it"), NameKind::Own);
        assert_eq!(before, Some(old));
        ids.route(new);

        ids.unroute(&mut peers, old);
        ids.forget(old);

        assert_eq!(ids.holder(&identity("it")), Some(new));
    }

    /// A generator that gives the same number twice would give two peers one name.
    #[test]
    fn threat_15_no_two_live_peers_have_the_same_made_up_name() {
        let (mut ids, mut peers) = new();
        for _ in 0..1_000 {
            let id = peers.attach(PeerKind::Accepted, "peer");
            // The same seed again: the first name that it gives is taken, so are those behind it.
            ids.chance = SplitMix64::new(7);
            let name = ids.make_up();
            assert_eq!(ids.holder(&name), None);
            ids.name(&peers, id, name, NameKind::MadeUp);
            ids.route(id);
        }
        assert_eq!(ids.names().len(), 1_000);
    }
}
