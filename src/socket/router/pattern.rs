//! What a ROUTER does with messages, and with peers that claim one identity.

use super::PeerState;
use super::notify::News;
use crate::batch::Run;
use crate::chance::SplitMix64;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::peer_info::PeerInfo;
use crate::routing::{
    Addressed, Awaited, Comer, Dropped, FairQueue, Identities, NameKind, NoPlace, NoRoute, Pattern, PeerId, PeerKind,
    Peers, Succession, Unwritten, Want,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What comes of a peer.
pub(crate) enum Heard {
    /// A message, and the connection that it came by.
    Message(Identity, Message, Arc<PeerInfo>),
    /// A connection of this one began or ended, as far as that is told.
    News(Identity),
}

pub(crate) struct RouterPattern {
    identities: Identities<Identity>,
    queue: FairQueue,
    /// Who came under an identity while something of who had it before is unread, and is received after that one.
    succession: Succession,
    /// Their place was taken, and their connections are to end.
    replaced: BTreeSet<PeerId>,
    news: News,
    handover: bool,
    drop_unroutable: bool,
    probe: bool,
}

impl RouterPattern {
    /// The seed decides the identities that are made up.
    pub(crate) fn new(options: &Options, seed: u64) -> Self {
        RouterPattern {
            identities: Identities::new(SplitMix64::new(seed)),
            queue: FairQueue::default(),
            succession: Succession::default(),
            replaced: BTreeSet::new(),
            news: News::new(options.router_notify),
            handover: options.handover,
            drop_unroutable: options.drop_unroutable,
            probe: options.probe,
        }
    }

    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<(Identity, Message)> {
        let mut message = Message::empty();
        let sender = self.recv(peers, &mut message)?;
        Some((sender, message))
    }

    /// What is next, and whose it is.
    pub(crate) fn hear(&mut self, peers: &mut Peers) -> Option<Heard> {
        if let Some(name) = self.news.take(peers) {
            return Some(Heard::News(name));
        }
        let ((name, message), info) = peers.witness(|peers| self.next(peers))?;
        Some(Heard::Message(name, message, info))
    }

    /// The next message, and whose it is.
    pub(crate) fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> Option<Identity> {
        if let Some(told) = self.news.take(peers) {
            *into = Message::empty();
            return Some(told);
        }
        let id = self.queue.recv(peers, into)?;
        let sender = self.identities.sender(id);
        debug_assert!(sender.is_some(), "who was connected has a name");
        if !peers.has_incoming(id) {
            self.read_out(peers, id);
        }
        sender
    }

    /// A dialed peer that is called by this identity from now on. `None`: another is.
    pub(crate) fn attach_as(&mut self, peers: &mut Peers, endpoint: String, identity: &Identity) -> Option<PeerId> {
        if self.identities.holder(identity).is_some() {
            return None;
        }
        let id = peers.attach(PeerKind::Dialed, endpoint);
        self.call(peers, id, identity.clone(), NameKind::Given);
        self.identities.route(id);
        Some(id)
    }

    pub(crate) fn info(&self, peers: &Peers, identity: &Identity) -> Option<Arc<PeerInfo>> {
        peers.info(self.identities.holder(identity)?)
    }

    /// What is known of the peer of this identity, if it is connected.
    pub(crate) fn connection(&self, peers: &Peers, identity: &Identity) -> Option<Arc<PeerInfo>> {
        let id = self.identities.holder(identity)?;
        peers.info(id).filter(|_| peers.is_up(id) == Some(true))
    }

    /// Drops what waits for a peer of this identity that is down.
    pub(crate) fn drop_waiting(&self, peers: &mut Peers, identity: &Identity) -> Dropped {
        let down = self.identities.holder(identity);
        match down.filter(|&id| peers.is_up(id) == Some(false)) {
            Some(id) => peers.drop_queue(id, Unwritten::new(), DropReason::PeerLost),
            None => Dropped::default(),
        }
    }

    /// Ends the connection of the peer of this identity, if it has one, and drops what waits for it.
    pub(crate) fn end(&mut self, peers: &mut Peers, identity: &Identity) -> Dropped {
        let Some(id) = self.identities.holder(identity) else {
            return Dropped::default();
        };
        peers.wants.push(Want::Sever(id, Failure::ClosedHere));
        peers.drop_queue(id, Unwritten::new(), DropReason::PeerLost)
    }

    pub(crate) fn identities(&self) -> Vec<Identity> {
        self.identities.names()
    }

    pub(crate) fn state(&self, peers: &mut Peers, identity: &Identity) -> Option<PeerState> {
        let id = self.identities.holder(identity)?;
        Some(PeerState {
            is_readable: peers.has_incoming(id) && !self.succession.waits(id),
            is_writable: peers.wants_room(id),
        })
    }

    /// Whether nothing is kept of any peer.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.identities.is_idle() && self.succession.is_empty() && self.replaced.is_empty() && self.news.is_idle()
    }

    /// Nothing of this peer is unread: who follows upon it has its turn.
    fn read_out(&mut self, peers: &mut Peers, id: PeerId) {
        self.finish(peers, id);
        self.release_heirs(peers, id);
    }

    /// Those that follow upon this peer have their turn, up to the first that has something to be received.
    fn release_heirs(&mut self, peers: &mut Peers, id: PeerId) {
        let mut last = id;
        while let Some(heir) = self.succession.release(last) {
            if let Some(name) = self.identities.name_of(heir).cloned() {
                self.news.may_arrive(peers, heir, &name);
            }
            if peers.has_incoming(heir) {
                self.queue.enter(heir);
                peers.wants.push(Want::Ready(Awaited::Readable));
                return;
            }
            self.finish(peers, heir);
            last = heir;
        }
    }

    fn finish(&mut self, peers: &mut Peers, id: PeerId) {
        self.tell_if_parted(peers, id);
        if peers.kind(id).is_none() {
            self.identities.forget(id);
        }
    }

    fn tell_if_parted(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(name) = self.identities.name_of(id).cloned() {
            self.news.may_part(peers, id, &name);
        }
    }

    /// This peer's connection is no more, as far as the application is concerned.
    fn part(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(name) = self.identities.name_of(id).cloned() {
            let waits = peers.has_incoming(id) || self.succession.waits(id);
            self.news.parted(peers, id, &name, waits);
        }
    }

    /// By what a peer whose connection is ready is to be known. `None`: as it is.
    fn new_name(&mut self, peers: &Peers, id: PeerId) -> Option<(Identity, NameKind)> {
        let kind = self.identities.kind_of(id);
        if kind == Some(NameKind::Given) {
            return None;
        }
        match peers.identity(id) {
            Some(identity) => Some((identity.clone(), NameKind::Own)),
            // It may have lost its place while it was down, but not to anybody who calls himself so.
            None if kind == Some(NameKind::MadeUp) => None,
            None => Some((self.identities.make_up(), NameKind::MadeUp)),
        }
    }

    /// Names a peer. It is received after all that came under its name before.
    fn call(&mut self, peers: &Peers, id: PeerId, name: Identity, kind: NameKind) {
        if let Some(before) = self.identities.name(peers, id, name, kind)
            && (peers.has_incoming(before) || self.succession.waits(before))
        {
            self.succession.follow(before, id);
        }
    }

    /// A peer takes the place of the one that had its identity.
    fn replace(&mut self, peers: &mut Peers, old: PeerId) {
        self.identities.unroute(peers, old);
        if peers.kind(old) == Some(PeerKind::Dialed) {
            // It is down, and what it left unread is its own: it takes its place again if it finds it free.
            return;
        }
        peers.retire(old);
        self.part(peers, old);
        self.replaced.insert(old);
        peers.wants.push(Want::Sever(old, Failure::Replaced));
    }
}

impl Pattern for RouterPattern {
    const TYPE: SocketType = SocketType::Router;

    fn admit(&self, peers: &Peers, dialed: Option<PeerId>, comer: Comer<'_>) -> Result<(), NoPlace> {
        let is_given = |id| self.identities.kind_of(id) == Some(NameKind::Given);
        let claims = dialed.is_none_or(|id| !is_given(id) && !peers.is_leaving(id));
        let holder = comer.identity.and_then(|identity| self.identities.holder(identity));
        let (Some(holder), true) = (holder, claims) else {
            return Ok(());
        };
        let is_dialed = peers.kind(holder) == Some(PeerKind::Dialed);
        let is_up = peers.is_up(holder) == Some(true);
        let gives_way = match is_dialed {
            // It would come back and take its place again, and so on.
            true => !is_up && !is_given(holder),
            false => self.handover && peers.is_user(holder, comer.user),
        };
        if dialed == Some(holder) || gives_way {
            return Ok(());
        }
        Err(NoPlace {
            why: "its identity is in use",
            holder: is_up.then_some(holder),
        })
    }

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        // It is back: what it left unread is not all that others wait for any more.
        self.tell_if_parted(peers, id);
        self.release_heirs(peers, id);
        // One that leaves came about only for what still waits for it.
        let is_leaving = peers.is_leaving(id);
        if let Some((name, kind)) = self.new_name(peers, id) {
            let holder = self.identities.holder(&name);
            if let Some(holder) = holder.filter(|&holder| holder != id && !is_leaving) {
                self.replace(peers, holder);
            }
            self.call(peers, id, name, kind);
            if !is_leaving {
                self.identities.route(id);
            }
        }
        if let Some(name) = self.identities.name_of(id).cloned() {
            let waits = self.succession.waits(id);
            self.news.arrived(peers, id, &name, waits);
        }
        if self.probe {
            peers.probe(id);
        }
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.has_room(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        if self.replaced.contains(&id) {
            peers.discard(id, run.messages(), run.payload(), DropReason::Replaced);
            return;
        }
        peers.deliver(id, run);
        if !self.succession.waits(id) {
            self.queue.enter(id);
            peers.wants.push(Want::Ready(Awaited::Readable));
        }
    }

    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        if !self.replaced.contains(&id) {
            self.part(peers, id);
        }
        match peers.kind(id) {
            Some(PeerKind::Dialed) => {
                peers.put_back(id, unwritten);
                self.has_room(peers, id);
                Dropped::default()
            }
            _ => {
                self.leaving(peers, id);
                peers.drop_queue(id, unwritten, why)
            }
        }
    }

    fn leaving(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.unroute(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.unroute(peers, id);
        self.replaced.remove(&id);
        if peers.has_incoming(id) {
            return;
        }
        self.queue.remove(id);
        let before = self.succession.leave(id);
        if before.is_some() {
            self.news.never_mind(id);
        } else {
            self.read_out(peers, id);
        }
        self.identities.forget_behind(id, before);
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => !self.news.is_empty() || self.queue.has_messages(),
            Awaited::Writable => !self.identities.is_empty(),
            Awaited::WritablePeer(id) => self.identities.has_news_of(id),
            _ => false,
        }
    }
}

impl Addressed for RouterPattern {
    type Name = Identity;

    fn send_to(&mut self, peers: &mut Peers, to: &Identity, message: &mut Outgoing<'_>) -> Result<(), NoRoute> {
        self.identities.send(peers, to, message)
    }

    fn has_room_at(&self, peers: &mut Peers, to: &Identity) -> bool {
        self.identities.holder(to).is_some_and(|id| peers.wants_room(id))
    }

    fn drop_instead(&mut self, peers: &mut Peers, why: NoRoute, payload: usize) -> bool {
        if self.drop_unroutable {
            match why {
                NoRoute::Unknown => peers.drop_unsent(payload, DropReason::Unroutable),
                NoRoute::Full(id) => peers.refuse(id, payload, DropReason::PeerFull),
            }
        }
        self.drop_unroutable
    }
}
