//! PEER: each message of one frame to the peer that it is addressed to by number (libzmq's draft).

use super::Socket;
use super::numbered::{ByNumber, NumberedPattern};
use super::verbs::{constructors, life_verbs, recv_from_verbs, recv_step_verbs, send_to_verbs};
use crate::endpoint::{Endpoint, InvalidEndpoint};
use crate::error::ConnectError;
use crate::message::Message;
use crate::options::Options;
use crate::routing_id::RoutingId;
use crate::socket_type::SocketType;
use crate::transport::real::chance;

/// Exchanges messages of one frame with any number of other `Peer` sockets, each addressed by a [`RoutingId`]
/// (libzmq's draft PEER).
///
/// This socket makes up the number of each peer: [`connect`](Peer::connect) returns it, and `recv` gives it with each
/// message. One that was connected to keeps its number, and what waits for it, until `disconnect`; one that came to us
/// loses both with its connection (`PeerLost`), and has another number when it comes again.
///
/// `send_to` never waits: who is not there is `UnknownPeer`, and who is at its mark is `PeerFull`. A message of several
/// frames is `SeveralFrames`; one that comes is dropped as `Malformed`.
///
/// ```
/// use peermq::{Context, NotSent, Peer};
///
/// let context = Context::new()?;
/// let (one, other) = (Peer::new(&context), Peer::new(&context));
/// other.bind("inproc://peer")?;
/// let there = one.connect("inproc://peer")?;
///
/// one.send_to(&there, "hello")?;
/// let (here, message) = other.recv()?;
/// assert_eq!(message, "hello");
/// other.send_to(&here, "and hello to you")?;
/// assert_eq!(one.recv()?, (there, "and hello to you".into()));
/// assert_eq!(one.send_to(&there, ["two", "frames"]).unwrap_err().reason, NotSent::SeveralFrames);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Peer {
    socket: Socket<PeerPattern>,
}

constructors!(Peer, |options: &Options| PeerPattern::new(options, chance()));
life_verbs!(Peer);
recv_step_verbs!(Peer, (RoutingId, Message), PeerPattern::next);
recv_from_verbs!(Peer, (RoutingId, Message), PeerPattern::next);
send_to_verbs!(Peer, RoutingId);

pub(crate) type PeerPattern = NumberedPattern<PeerType>;

/// PEER, as one of those that address by number.
pub(crate) struct PeerType;

impl ByNumber for PeerType {
    const TYPE: SocketType = SocketType::Peer;
}

impl Peer {
    /// Connects to this endpoint in the background, and again whenever the connection is lost; returns the number of the
    /// peer there.
    ///
    /// Returns at once, whether somebody is there or not, and the peer can be sent to at once: what is sent before it is
    /// there waits for it. The number is the same over all its connections. Twice to one endpoint makes two peers.
    ///
    /// Fails with `Endpoint` if the endpoint is none to connect to (host `*`, port 0), and with `Closed`. Ends with
    /// `disconnect` or `close`.
    pub fn connect<E>(&self, endpoint: E) -> Result<RoutingId, ConnectError>
    where
        E: TryInto<Endpoint, Error: Into<InvalidEndpoint>>,
    {
        let endpoint = crate::context::parse(endpoint)?;
        let mut number = None;
        let hub = &self.socket.hub;
        self.socket
            .core
            .connect_with(hub, endpoint, |pattern, peers, endpoint| {
                let (id, its) = pattern.attach(peers, endpoint);
                number = Some(its);
                Ok(id)
            })?;
        number.ok_or(ConnectError::Closed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::{Batch, Run};
    use crate::options::Mark;
    use crate::routing::{Addressed, NoRoute, Pattern, PeerKind, Peers};
    use crate::stats::DropReason;

    fn new() -> (PeerPattern, Peers) {
        let mark = Mark {
            messages: 2,
            bytes: 1 << 20,
        };
        (PeerPattern::new(&Options::default(), 7), Peers::new(mark, mark))
    }

    fn run_of(messages: &[&[&[u8]]]) -> Run {
        let mut batch = Batch::default();
        for frames in messages {
            batch.push(&[], &mut (*frames).into());
        }
        batch.into_run()
    }

    #[test]
    fn a_message_of_several_frames_that_comes_is_dropped_and_the_next_is_received() {
        let (mut pattern, mut peers) = new();
        let id = peers.attach(PeerKind::Accepted, "peer");
        pattern.attached(&mut peers, id);
        pattern.deliver(&mut peers, id, &mut run_of(&[&[b"a", b"b"], &[b"c"]]));

        let mut message = Message::empty();
        let sender = pattern.recv(&mut peers, &mut message);

        assert_eq!((sender.is_some(), &message), (true, &Message::from("c")));
        assert!(pattern.recv(&mut peers, &mut message).is_none());
        let incoming = peers.stats().incoming;
        assert_eq!(incoming.dropped.of(DropReason::Malformed), 1);
        assert!(incoming.is_conserved());
    }

    #[test]
    fn a_dialed_peer_keeps_its_number_and_an_accepted_one_loses_it() {
        let (mut pattern, mut peers) = new();
        let (dialed, number) = pattern.attach(&mut peers, "there".into());
        pattern.attached(&mut peers, dialed);
        let accepted = peers.attach(PeerKind::Accepted, "from there");
        pattern.attached(&mut peers, accepted);
        pattern.deliver(&mut peers, accepted, &mut run_of(&[&[b"last words"]]));
        for id in [dialed, accepted] {
            drop(peers.connected(id, None));
            let (unwritten, _) = peers.disconnected(id, None, "lost".into());
            drop(pattern.disconnected(&mut peers, id, unwritten, DropReason::PeerLost));
        }
        pattern.detached(&mut peers, accepted);
        peers.detach(accepted);

        assert_eq!(pattern.send_to(&mut peers, &number, &mut "x".into()), Ok(()));
        let mut message = Message::empty();
        let gone = pattern.recv(&mut peers, &mut message).unwrap();
        assert_eq!(message, "last words");
        assert_eq!(
            pattern.send_to(&mut peers, &gone, &mut "x".into()),
            Err(NoRoute::Unknown)
        );
    }
}
