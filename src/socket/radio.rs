//! RADIO: each message to all who have joined its group ([RFC 48](https://rfc.zeromq.org/spec/48/)).

use super::verbs::{constructors, socket_verbs};
use super::{Patience, Socket, given_back, topic};
use crate::batch::Run;
use crate::error::{NotSent, SendError, SendManyError, WaitError};
use crate::explain::Topics;
use crate::hub::Closed;
use crate::message::Outgoing;
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, FanOut, Lot, Matching, Pattern, PeerId, Peers, Unwritten, discard_all, keep_or_drop, pack_many,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use crate::transport::real::chance;
use std::time::Duration;

/// Sends messages of one frame to all [`Dish`](crate::Dish) sockets that have joined their group
/// ([RFC 48](https://rfc.zeromq.org/spec/48/)).
///
/// Over `udp` it sends datagrams: see [below](#datagrams).
///
/// A group is named in full, by at most 255 bytes. Otherwise it is like [`Pub`](crate::Pub): `send` does not wait, a peer at
/// its mark misses what it has no room for, and [`at_mark`](crate::Options::at_mark) says otherwise.
///
/// ```
/// use peermq::{Context, Dish, Radio};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (radio, dish) = (Radio::new(&context), Dish::new(&context));
/// dish.join("weather")?;
/// dish.connect(radio.bind("inproc://waves")?)?;
/// radio.wait_for_members("weather", 1, Duration::from_secs(5))?;
/// radio.send("sports", "nobody hears it")?;
/// radio.send("weather", "sunny")?;
/// assert_eq!(dish.recv()?, ("weather".into(), "sunny".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Datagrams
///
/// Over `udp` it connects, to one address or to a multicast group, and sends each message as one datagram: a byte with the
/// length of the group's name, the name, and the body, as libzmq does. Nobody joins anything there: messages of all groups
/// go, and the [`Dish`](crate::Dish) picks. Such a peer counts as connected at once, and for ever: whether somebody listens
/// is not known. A written datagram may be lost on its way, and is never sent again; its peer is never `confirmed`.
///
/// A message that does not fit, with its group, in a datagram (65,506 bytes over IPv4) is dropped for that peer, and counted
/// as [`TooLarge`](crate::DropReason::TooLarge). libzmq receives no more than 8,191, and over a network each packet of which
/// a datagram is made must arrive: 1,400 bytes fit in one.
///
/// ```
/// use peermq::{Context, Dish, Event, Radio};
///
/// let context = Context::new()?;
/// let (radio, dish) = (Radio::new(&context), Dish::new(&context));
/// dish.join("weather")?;
/// let monitor = radio.monitor();
/// radio.connect(dish.bind("udp://127.0.0.1:0")?)?;
/// while !matches!(monitor.recv()?, Event::Connected { .. }) {}
/// radio.send("sports", "it is dropped there")?;
/// radio.send("weather", "sunny")?;
/// assert_eq!(dish.recv()?, ("weather".into(), "sunny".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Radio {
    socket: Socket<RadioPattern>,
}

constructors!(Radio, |options: &Options| RadioPattern::new(options, chance()));
socket_verbs!(Radio);

impl Radio {
    /// Sends a message of one frame to a group. Does not wait, but for members without room under
    /// [`AtMark::Block`](crate::AtMark::Block).
    ///
    /// `Ok` means that it is queued for each that has room; for the others it is dropped and counted. The error gives back
    /// what was given away: `SeveralFrames`, `TooLong` for a group of more than 255 bytes, and `Closed`.
    pub fn send<'m>(&self, group: impl AsRef<[u8]>, message: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        self.publish(group.as_ref(), message.into(), Patience::Limit(None))
    }

    /// Sends a message to a group, and never waits: where `send` would, it gives it back as `WouldBlock`.
    pub fn try_send<'m>(&self, group: impl AsRef<[u8]>, message: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        self.publish(group.as_ref(), message.into(), Patience::None)
    }

    /// Sends a message to a group; where `send` would wait, it waits at most this long, then gives it back as `TimedOut`.
    pub fn send_timeout<'m>(
        &self,
        group: impl AsRef<[u8]>,
        message: impl Into<Outgoing<'m>>,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.publish(group.as_ref(), message.into(), Patience::Limit(Some(timeout)))
    }

    /// Sends a message to a group, as a future of no runtime's own. Dropped before it is ready, it has sent nothing.
    pub async fn send_async<'m>(
        &'m self,
        group: impl AsRef<[u8]>,
        message: impl Into<Outgoing<'m>>,
    ) -> Result<(), SendError> {
        let (group, mut message) = (group.as_ref(), message.into());
        if let Some(reason) = refusal(group, &message) {
            return Err(given_back(reason, message));
        }
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let step = |pattern: &mut RadioPattern, peers: &mut Peers| pattern.send(peers, group, &mut message);
        match self.socket.hub.pending(Awaited::Writable, step).await {
            Ok(()) => Ok(()),
            Err(Closed) => Err(given_back(NotSent::Closed, message)),
        }
    }

    /// Sends messages to a group in their order, each as `send` does; waits where `send` would. Returns how many there were.
    ///
    /// All else is as [`Pub::send_many`](crate::Pub::send_many) says.
    pub fn send_many<'m, M: Into<Outgoing<'m>>>(
        &self,
        group: impl AsRef<[u8]>,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        self.publish_many(group.as_ref(), messages, Patience::Limit(None))
    }

    /// Sends messages to a group in their order, as long as `try_send` would; the first that it would not is the error's
    /// `WouldBlock`.
    pub fn try_send_many<'m, M: Into<Outgoing<'m>>>(
        &self,
        group: impl AsRef<[u8]>,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        self.publish_many(group.as_ref(), messages, Patience::None)
    }

    /// Sends messages to a group in their order; waits at most this long in all, counted from when it first has to, then
    /// says `TimedOut` of the rest.
    pub fn send_many_timeout<'m, M: Into<Outgoing<'m>>>(
        &self,
        group: impl AsRef<[u8]>,
        messages: impl IntoIterator<Item = M>,
        timeout: Duration,
    ) -> Result<usize, SendManyError> {
        self.publish_many(group.as_ref(), messages, Patience::Limit(Some(timeout)))
    }

    /// Sends messages to a group in their order, as a future of no runtime's own. Dropped before it is ready, it sends no
    /// more, and what it was given and had not sent is dropped with it.
    pub async fn send_many_async<'m, M: Into<Outgoing<'m>>>(
        &'m self,
        group: impl AsRef<[u8]>,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        let group = group.as_ref();
        let messages = messages.into_iter().map(Into::into);
        let refusal = |message: &Outgoing<'m>| refusal(group, message);
        let sending = self
            .socket
            .send_many_by_async(messages, refusal, RadioPattern::many_to(group));
        sending.await
    }

    /// Waits until so many peers have joined a group, and returns how many have; at most this long. Over `udp` nobody joins,
    /// nor counts.
    pub fn wait_for_members(
        &self,
        group: impl AsRef<[u8]>,
        members: usize,
        timeout: Duration,
    ) -> Result<usize, WaitError> {
        let group = group.as_ref();
        self.socket.wait_for(Some(timeout), |pattern, _| {
            let count = pattern.members(group);
            (count >= members).then_some(count)
        })
    }

    fn publish_many<'m, M: Into<Outgoing<'m>>>(
        &self,
        group: &[u8],
        messages: impl IntoIterator<Item = M>,
        patience: Patience,
    ) -> Result<usize, SendManyError> {
        let messages = messages.into_iter().map(Into::into);
        let refusal = |message: &Outgoing<'m>| refusal(group, message);
        self.socket
            .send_many_by(messages, patience, refusal, RadioPattern::many_to(group))
    }

    fn publish(&self, group: &[u8], mut message: Outgoing<'_>, patience: Patience) -> Result<(), SendError> {
        if let Some(reason) = refusal(group, &message) {
            return Err(given_back(reason, message));
        }
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let step = |pattern: &mut RadioPattern, peers: &mut Peers| pattern.send(peers, group, &mut message);
        let sent = self.socket.attempt(Awaited::Writable, patience, step);
        sent.map_err(|stop| given_back(stop.into(), message))
    }
}

/// Why this cannot be sent at all.
fn refusal(group: &[u8], message: &Outgoing<'_>) -> Option<NotSent> {
    if group.len() > MOST_GROUP {
        Some(NotSent::TooLong)
    } else if message.frame_count() > 1 {
        Some(NotSent::SeveralFrames)
    } else {
        None
    }
}

/// A group that peers take.
pub(super) fn group(group: &[u8]) -> Result<&[u8], crate::error::SubscribeError> {
    match group.len() {
        0..=MOST_GROUP => topic(group),
        len => Err(crate::error::SubscribeError::TooLong(len)),
    }
}

/// Most bytes of a group's name (RFC 48).
const MOST_GROUP: usize = 255;

pub(crate) struct RadioPattern {
    fan: FanOut,
}

impl RadioPattern {
    pub(crate) fn new(options: &Options, key: u64) -> Self {
        RadioPattern {
            fan: FanOut::new(Matching::Exact, &options.publishing, key),
        }
    }

    pub(crate) fn members(&mut self, group: &[u8]) -> usize {
        self.fan.subscribers(group)
    }

    pub(crate) fn send(&mut self, peers: &mut Peers, group: &[u8], message: &mut Outgoing<'_>) -> Option<()> {
        self.fan.send(peers, Some(group), message).then_some(())
    }

    /// The step of many to a group.
    fn many_to(group: &[u8]) -> impl FnMut(&mut Self, &mut Peers, &mut Lot<'_>) -> usize {
        move |pattern, peers, lot| {
            pack_many(peers, lot, |peers, lot, _| {
                lot.pack_next(|message| pattern.fan.send(peers, Some(group), message))
            })
        }
    }
}

impl Pattern for RadioPattern {
    const TYPE: SocketType = SocketType::Radio;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.connected(peers, id, None);
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.has_room(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        discard_all(peers, id, run);
    }

    fn notice(&mut self, peers: &mut Peers, id: PeerId, notice: Notice) {
        match notice {
            Notice::Join(group) if group.len() <= MOST_GROUP && self.fan.ask(peers, id, &group).is_ok() => {}
            Notice::Leave(group) => drop(self.fan.cancel(peers, id, &group)),
            _ => peers.ignored(id, 1),
        }
    }

    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        self.fan.remove(peers, id, |_, _| {});
        keep_or_drop(peers, id, unwritten, why)
    }

    fn leaving(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.remove(peers, id, |_, _| {});
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.remove(peers, id, |_, _| {});
    }

    fn topics(&self) -> Option<Topics> {
        self.fan.explain()
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        awaited == Awaited::Writable && self.fan.is_writable()
    }
}
