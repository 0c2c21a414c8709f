//! ROUTER: each message to the peer that it is addressed to, and those of all peers, in turn, each with whose it is
//! ([RFC 28](https://rfc.zeromq.org/spec/28/)).

#[cfg(test)]
mod model;
mod notify;
mod pattern;

pub(crate) use pattern::{Heard, RouterPattern};

use super::Socket;
use super::verbs::{constructors, recv_step_verbs, send_to_verbs, socket_verbs};
use crate::error::{ConnectError, NotSent};
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::peer_info::PeerInfo;
use crate::routing::{Addressed, NoRoute};
use crate::transport::real::chance;
use std::sync::Arc;

/// Exchanges messages with any number of [`Req`](crate::Req), [`Dealer`](crate::Dealer) and `Router` sockets, each
/// addressed by its [`Identity`] ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// A peer is known by what it calls itself ([`Options::identity`](crate::Options::identity)), by what this socket calls
/// it ([`connect_as`](Router::connect_as)), or by an identity that is made up for it. A received message comes apart from
/// the identity of its sender, with all other frames as they were sent: those of a `Req` begin with its envelope, which
/// its reply must carry too.
///
/// `send_to` never waits: who is not there is `UnknownPeer`, and who is at its mark is `PeerFull`. An identity leads to
/// one peer at most. One who comes under an identity that is in use is turned away, and the other is asked for a sign of
/// life, so that a client whose network failed gets in at a later try; with
/// [`handover`](crate::Options::handover) it takes the other's place at once.
///
/// What comes under one identity is received in the order of its connections: what an earlier one left unread before
/// what a later one brought.
///
/// What waits for a peer that was connected to is kept until it is back under the same identity; under another one it is
/// another peer, and what waits is dropped as `IdentityChanged`. What waits for a peer that came to us is dropped as
/// `PeerLost` when it goes.
///
/// ```
/// use peermq::{Context, Dealer, Identity, NotSent, Options, Router};
///
/// let context = Context::new()?;
/// let router = Router::new(&context);
/// let named = Options::default().identity(Identity::new("worker-7")?);
/// let dealer = Dealer::with_options(&context, named)?;
/// dealer.connect(router.bind("inproc://work")?)?;
///
/// dealer.send("ready")?;
/// let (worker, message) = router.recv()?;
/// assert_eq!(worker.as_bytes(), b"worker-7");
/// assert_eq!(message, "ready");
/// router.send_to(&worker, "do this")?;
/// assert_eq!(dealer.recv()?, "do this");
///
/// let nobody = Identity::new("worker-8")?;
/// assert_eq!(router.send_to(&nobody, "and that").unwrap_err().reason, NotSent::UnknownPeer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Router {
    socket: Socket<RouterPattern>,
}

constructors!(Router, |options: &Options| RouterPattern::new(options, chance()));
socket_verbs!(Router);
recv_step_verbs!(Router, (Identity, Message), RouterPattern::next);
send_to_verbs!(Router, Identity);

impl Router {
    /// Connects to this endpoint like [`connect`](Router::connect), and calls whoever is there by this identity, whatever
    /// the peer calls itself.
    ///
    /// It can be sent to at once: what is sent before it is there waits for it. The identity is taken from now on, and free
    /// again after `disconnect`; one who comes under it is turned away. Fails with `IdentityInUse` if a peer is known by
    /// it, and like `connect`.
    pub fn connect_as<E>(&self, endpoint: E, identity: &Identity) -> Result<(), ConnectError>
    where
        E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
    {
        let endpoint = crate::context::parse(endpoint)?;
        let hub = &self.socket.hub;
        self.socket
            .core
            .connect_with(hub, endpoint, |pattern, peers, endpoint| {
                pattern
                    .attach_as(peers, endpoint, identity)
                    .ok_or_else(|| ConnectError::IdentityInUse(identity.clone()))
            })?;
        Ok(())
    }

    /// Returns the identities that can be sent to now: of peers whose connection is ready, and of those that this socket
    /// connected to and that have been ready once, or were given one by [`connect_as`](Router::connect_as). A peer without
    /// an identity of its own is among them under the one that was made up for it.
    ///
    /// Never waits, and takes time for each peer. True at one moment. None once the socket is closed.
    pub fn identities(&self) -> Vec<Identity> {
        self.socket.hub.act(|pattern, _| pattern.identities())
    }

    /// Returns what is known of the peer of this identity, by its last connection; `None` if there is none, or it has not
    /// been ready yet.
    pub fn peer(&self, identity: &Identity) -> Option<Arc<PeerInfo>> {
        self.socket.hub.act(|pattern, peers| pattern.info(peers, identity))
    }

    /// Returns whether something of this peer is here to be received, and whether it has room for a message; `None` if no
    /// peer is known by this identity.
    ///
    /// Never waits. True at one moment: another thread may receive, or send to it, in the next.
    pub fn peer_state(&self, identity: &Identity) -> Option<PeerState> {
        self.socket.hub.act(|pattern, peers| pattern.state(peers, identity))
    }

    /// Receives like `try_recv`, and tells by which connection; and what is told of connections that ended apart from what
    /// peers say.
    pub(crate) fn try_hear(&self) -> Result<Heard, crate::RecvError> {
        self.socket.take(super::Patience::None, RouterPattern::hear)
    }

    /// The connection that this identity leads to now. `None`: to none, or to one that is down.
    pub(crate) fn connection(&self, identity: &Identity) -> Option<Arc<PeerInfo>> {
        self.socket
            .hub
            .act(|pattern, peers| pattern.connection(peers, identity))
    }

    /// Sends what `batch` gives it, each to whom it is addressed, under one lock, and writes when all of it is there. Never
    /// waits; nothing of the application's may be dropped in it.
    pub(crate) fn send_each(&self, batch: impl FnOnce(&mut dyn FnMut(&Identity, Outgoing<'_>) -> Result<(), NotSent>)) {
        self.socket.hub.act(|pattern, peers| {
            batch(&mut |to, mut message| match pattern.send_to(peers, to, &mut message) {
                Ok(()) => Ok(()),
                Err(NoRoute::Unknown) => Err(NotSent::UnknownPeer),
                Err(NoRoute::Full(_)) => Err(NotSent::PeerFull),
            });
        });
    }

    /// Drops what waits for a peer of this identity that is down, counted as `PeerLost`.
    pub(crate) fn drop_waiting(&self, identity: &Identity) {
        let dropped = self
            .socket
            .hub
            .act(|pattern, peers| pattern.drop_waiting(peers, identity));
        drop(dropped);
    }

    /// Ends the connection of the peer of this identity, and drops what waits for it, counted as `PeerLost`. A peer that was
    /// connected to is connected to again.
    pub(crate) fn end_connection(&self, identity: &Identity) {
        let dropped = self.socket.hub.act(|pattern, peers| pattern.end(peers, identity));
        // The application's, and no lock is held any more.
        drop(dropped);
    }
}

/// What can be done with one peer of a [`Router`] now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerState {
    /// Something of it is here to be received.
    pub is_readable: bool,
    /// It has room for a message.
    pub is_writable: bool,
}
