//! STREAM: raw TCP and Unix streams, each addressed by an id; no ZMTP.

use super::Socket;
use super::verbs::{constructors, life_verbs, recv_step_verbs, send_to_verbs};
use crate::batch::Batch;
use crate::batch::Run;
use crate::chance::SplitMix64;
use crate::error::ConnectError;
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{
    Addressed, Awaited, Comer, Dropped, FairQueue, Identities, NameKind, NoPlace, NoRoute, Pattern, PeerId, PeerKind,
    Peers, Unwritten, Want,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use crate::transport::real::chance;
use std::collections::BTreeSet;

/// Exchanges bytes with peers that do not speak ZMTP, over `tcp` and `ipc`: with web servers and browsers, with telnet, or
/// with another `Stream`. With no other type of socket, and not over `inproc`.
///
/// Each peer has an [`Identity`] that is made up: one that came to us until its connection ends, one that was connected to
/// from [`connect`](Stream::connect) on, for all of its connections. What comes is received as it was read, in pieces of at
/// most 256 KiB ([`max_message_size`](crate::Options::max_message_size) makes them smaller): where one ends is chance. Their
/// order is kept. A received message without bytes says that a connection began, and the next one that it ended;
/// [`stream_notify`](crate::Options::stream_notify) switches both off.
///
/// What is sent goes out as it is, without borders: the frames of a message one behind the other. A message without bytes
/// ends the connection, once all that was sent before is written: our side of the stream is shut, what still comes is
/// dropped, and the connection is closed when the peer ends its side, or after [`linger`](crate::Options::linger). From
/// then on nobody is known by that id, nothing tells the end, and it is not connected again. A peer that ends its side ends
/// the connection, too.
///
/// `send_to` never waits: who is not there is `UnknownPeer`, and who is at its mark is `PeerFull`. When a connection ends,
/// what was not wholly written is dropped and counted as `PeerLost`, also if it is connected again: half a message may
/// have gone, and what follows means nothing to another connection. There are no handshakes and heartbeats, so the options
/// for them do nothing here.
///
/// ```
/// use peermq::{Context, Stream};
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let context = Context::new()?;
/// let stream = Stream::new(&context);
/// let bound = stream.bind("tcp://127.0.0.1:0")?;
///
/// let mut browser = TcpStream::connect(("127.0.0.1", bound.port().ok_or("no port")?))?;
/// browser.write_all(b"GET /")?;
/// let (peer, begins) = stream.recv()?;
/// assert_eq!(begins, "");
/// let (from, request) = stream.recv()?;
/// assert_eq!((from, request.first()), (peer.clone(), &b"GET /"[..]));
///
/// stream.send_to(&peer, "<p>hello</p>")?;
/// stream.send_to(&peer, "")?; // and that is all
/// let mut page = String::new();
/// browser.read_to_string(&mut page)?;
/// assert_eq!(page, "<p>hello</p>");
///
/// assert!(stream.connect("inproc://no-bytes-there").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream {
    socket: Socket<StreamPattern>,
}

constructors!(Stream, |options: &Options| StreamPattern::new(options, chance()));
life_verbs!(Stream);
recv_step_verbs!(Stream, (Identity, Message), StreamPattern::next);
send_to_verbs!(Stream, Identity);

impl Stream {
    /// Connects to this endpoint in the background, and again whenever the connection is lost. Returns the id of the peer
    /// there, which can be sent to at once: what is sent waits for the connection.
    ///
    /// Returns at once, whether somebody is there or not; what happens is told to a [`Monitor`](crate::Monitor). Twice to
    /// one endpoint makes two. A name is looked up for each attempt, and all its addresses are tried, in order.
    ///
    /// Fails with `Endpoint` if the endpoint is none to connect to (inproc, host `*`, port 0), and with `Closed`. Ends with
    /// `disconnect`, a message without bytes, or `close`.
    pub fn connect<E>(&self, endpoint: E) -> Result<Identity, ConnectError>
    where
        E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
    {
        let endpoint = crate::context::parse(endpoint)?;
        let mut name = None;
        self.socket
            .core
            .connect_with(&self.socket.hub, endpoint, |pattern, peers, endpoint| {
                let id = peers.attach(PeerKind::Dialed, endpoint);
                name = Some(pattern.call(peers, id));
                Ok(id)
            })?;
        name.ok_or(ConnectError::Closed)
    }
}

pub(crate) struct StreamPattern {
    identities: Identities<Identity>,
    queue: FairQueue,
    /// The application has ended their connections, and need not be told.
    ended: BTreeSet<PeerId>,
    notify: bool,
}

impl StreamPattern {
    /// The seed decides the ids that are made up.
    pub(crate) fn new(options: &Options, seed: u64) -> Self {
        StreamPattern {
            identities: Identities::new(SplitMix64::new(seed)),
            queue: FairQueue::default(),
            ended: BTreeSet::new(),
            notify: options.stream_notify,
        }
    }

    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<(Identity, Message)> {
        let mut message = Message::empty();
        let sender = self.recv(peers, &mut message)?;
        Some((sender, message))
    }

    /// The next message, and whose it is.
    pub(crate) fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> Option<Identity> {
        let id = self.queue.recv(peers, into)?;
        let sender = self.identities.sender(id);
        debug_assert!(sender.is_some(), "who was connected has a name");
        if peers.kind(id).is_none() {
            self.identities.forget(id);
        }
        sender
    }

    /// A new peer, from now on known by this id.
    fn call(&mut self, peers: &Peers, id: PeerId) -> Identity {
        let name = self.identities.make_up();
        self.identities.name(peers, id, name.clone(), NameKind::MadeUp);
        self.identities.route(id);
        name
    }

    /// A message without bytes: a connection began, or ended. Only the end may be one more than the mark.
    fn tell(&mut self, peers: &mut Peers, id: PeerId) {
        if !self.notify || self.ended.contains(&id) {
            return;
        }
        let mut batch = Batch::default();
        batch.push(&[], &mut "".into());
        self.deliver(peers, id, &mut batch.into_run());
    }
}

impl Pattern for StreamPattern {
    const TYPE: SocketType = SocketType::Stream;

    /// One that comes and goes, and of which nothing is received, must not pile up what is to be told of it.
    fn admit(&self, peers: &Peers, dialed: Option<PeerId>, _comer: Comer<'_>) -> Result<(), NoPlace> {
        match dialed {
            Some(id) if peers.unread(id) >= peers.recv_mark() => Err(NoPlace {
                why: "what came by the connection before is unread",
                holder: None,
            }),
            _ => Ok(()),
        }
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if self.identities.name_of(id).is_none() {
            self.call(peers, id);
        }
    }

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.tell(peers, id);
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.has_room(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        if self.ended.contains(&id) {
            // It came while the end was on its way.
            peers.discard(id, run.messages(), run.payload(), DropReason::Closed);
            return;
        }
        peers.deliver(id, run);
        self.queue.enter(id);
        peers.wants.push(Want::Ready(Awaited::Readable));
    }

    /// Whoever comes next on a stream knows nothing of the one before: what was not written is lost with it.
    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        self.tell(peers, id);
        if peers.kind(id) == Some(PeerKind::Accepted) {
            self.leaving(peers, id);
        }
        let dropped = peers.drop_queue(id, unwritten, why);
        self.has_room(peers, id);
        dropped
    }

    fn leaving(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.unroute(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.identities.unroute(peers, id);
        self.ended.remove(&id);
        if !peers.has_incoming(id) {
            self.queue.remove(id);
            self.identities.forget(id);
        }
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.queue.has_messages(),
            Awaited::Writable => !self.identities.is_empty(),
            Awaited::WritablePeer(id) => self.identities.has_news_of(id),
            _ => false,
        }
    }
}

impl Addressed for StreamPattern {
    type Name = Identity;

    fn send_to(&mut self, peers: &mut Peers, to: &Identity, message: &mut Outgoing<'_>) -> Result<(), NoRoute> {
        let id = self.identities.holder(to);
        self.identities.send(peers, to, message)?;
        if let Some(id) = id.filter(|_| message.byte_count() == 0) {
            // Nothing goes behind it.
            self.identities.unroute(peers, id);
            peers.retire(id);
            self.ended.insert(id);
        }
        Ok(())
    }

    fn has_room_at(&self, peers: &mut Peers, to: &Identity) -> bool {
        self.identities.holder(to).is_some_and(|id| peers.wants_room(id))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Mark;

    fn world(options: Options) -> (StreamPattern, Peers) {
        let mark = Mark {
            messages: 2,
            bytes: 1 << 20,
        };
        (StreamPattern::new(&options, 7), Peers::new(mark, mark))
    }

    fn connected(pattern: &mut StreamPattern, peers: &mut Peers, kind: PeerKind) -> (PeerId, Identity) {
        let id = peers.attach(kind, "somewhere");
        pattern.attached(peers, id);
        drop(peers.connected(id, None));
        pattern.connected(peers, id);
        (id, pattern.identities.name_of(id).cloned().unwrap())
    }

    fn lose(pattern: &mut StreamPattern, peers: &mut Peers, id: PeerId) {
        let (unwritten, _) = peers.disconnected(id, None, "lost".into());
        drop(pattern.disconnected(peers, id, unwritten, DropReason::PeerLost));
    }

    fn received(pattern: &mut StreamPattern, peers: &mut Peers) -> Vec<(Identity, Message)> {
        let mut message = Message::empty();
        std::iter::from_fn(|| pattern.recv(peers, &mut message).map(|from| (from, message.clone()))).collect()
    }

    fn of(text: &str) -> Run {
        let mut batch = Batch::default();
        batch.push(&[], &mut text.into());
        batch.into_run()
    }

    #[test]
    fn an_id_is_a_zero_and_four_bytes_and_another_for_each() {
        let (mut pattern, mut peers) = world(Options::default());
        let (_, one) = connected(&mut pattern, &mut peers, PeerKind::Accepted);
        let (_, other) = connected(&mut pattern, &mut peers, PeerKind::Dialed);
        assert_ne!(one, other);
        for id in [one, other] {
            assert_eq!((id.as_bytes().len(), id.as_bytes()[0]), (5, 0));
        }
    }

    #[test]
    fn what_was_not_written_is_lost_with_a_dialed_peers_connection_too() {
        let (mut pattern, mut peers) = world(Options::default());
        let (id, name) = connected(&mut pattern, &mut peers, PeerKind::Dialed);
        for _ in 0..2 {
            pattern.send_to(&mut peers, &name, &mut "x".into()).unwrap();
        }
        assert_eq!(
            pattern.send_to(&mut peers, &name, &mut "x".into()),
            Err(NoRoute::Full(id))
        );

        lose(&mut pattern, &mut peers, id);

        let out = peers.stats().out;
        assert_eq!((out.dropped.of(DropReason::PeerLost), out.queued), (2, 0));
        assert!(out.is_conserved());
        assert_eq!(
            pattern.send_to(&mut peers, &name, &mut "x".into()),
            Ok(()),
            "to the next connection"
        );
    }

    #[test]
    fn the_end_is_told_behind_what_came_before_under_the_same_id() {
        let (mut pattern, mut peers) = world(Options::default());
        let (id, name) = connected(&mut pattern, &mut peers, PeerKind::Accepted);
        pattern.deliver(&mut peers, id, &mut of("last"));

        lose(&mut pattern, &mut peers, id);
        pattern.detached(&mut peers, id);
        peers.detach(id);

        assert_eq!(
            pattern.send_to(&mut peers, &name, &mut "x".into()),
            Err(NoRoute::Unknown)
        );
        let texts = ["", "last", ""].map(|text| (name.clone(), Message::from(text)));
        assert_eq!(received(&mut pattern, &mut peers), texts);
        assert!(pattern.identities.name_of(id).is_none(), "nothing is left of it");
        assert!(peers.stats().incoming.is_conserved());
    }

    #[test]
    fn nothing_is_told_of_an_end_that_was_asked_for_or_if_nobody_wants_to_know() {
        let (mut pattern, mut peers) = world(Options::default());
        let (id, name) = connected(&mut pattern, &mut peers, PeerKind::Accepted);
        received(&mut pattern, &mut peers);
        pattern.send_to(&mut peers, &name, &mut "".into()).unwrap();
        pattern.deliver(&mut peers, id, &mut of("late"));
        assert_eq!(
            pattern.send_to(&mut peers, &name, &mut "x".into()),
            Err(NoRoute::Unknown)
        );
        lose(&mut pattern, &mut peers, id);
        assert_eq!(received(&mut pattern, &mut peers), []);
        assert_eq!(peers.stats().incoming.dropped.of(DropReason::Closed), 1);

        let (mut pattern, mut peers) = world(Options::default().stream_notify(false));
        let (id, _) = connected(&mut pattern, &mut peers, PeerKind::Accepted);
        lose(&mut pattern, &mut peers, id);
        assert_eq!(received(&mut pattern, &mut peers), []);
    }
}
