//! PUB: each message to all who have subscribed to it ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::Socket;
use super::verbs::{constructors, publish_verbs, publisher_verbs, socket_verbs};
use crate::batch::Run;
use crate::explain::Topics;
use crate::message::{Message, Outgoing};
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{Awaited, Dropped, FanOut, Matching, Pattern, PeerId, Peers, Sends, Unwritten, keep_or_drop};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use crate::transport::real::chance;

/// Publishes messages to all [`Sub`](crate::Sub) and [`XSub`](crate::XSub) sockets that have subscribed to what they
/// begin with ([RFC 29](https://rfc.zeromq.org/spec/29/)).
///
/// A subscription is a prefix of a message's first frame; the empty one is everything. `send` does not wait: a subscriber
/// at its mark misses what it has no room for, which is counted as its own and told to the monitors, unless
/// [`at_mark`](crate::Options::at_mark) says otherwise. What nobody has subscribed to is dropped as `NoSubscriber`. What
/// comes is dropped as `WrongDirection`, and who sends more than 1,000 such messages by one connection is disconnected.
///
/// A subscriber that connects misses what was published before its subscriptions are here:
/// [`wait_for_subscribers`](Pub::wait_for_subscribers) waits for them, and with
/// [`last_values`](crate::Options::last_values) it gets the newest message of each topic.
///
/// ```
/// use peermq::{Context, Pub, Sub};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
/// publisher.send("weather: nobody hears it")?;
/// sub.subscribe("weather")?;
/// sub.connect(publisher.bind("tcp://127.0.0.1:0")?)?;
/// publisher.wait_for_subscribers("weather", 1, Duration::from_secs(5))?;
///
/// publisher.send("sports: not wanted")?;
/// publisher.send("weather: sunny")?;
/// assert_eq!(sub.recv()?, "weather: sunny");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pub {
    socket: Socket<PubPattern>,
}

constructors!(Pub, |options: &Options| PubPattern::new(options, chance()));
socket_verbs!(Pub);
publish_verbs!(Pub);
publisher_verbs!(Pub);

pub(crate) struct PubPattern {
    fan: FanOut,
}

impl PubPattern {
    pub(crate) fn new(options: &Options, key: u64) -> Self {
        PubPattern {
            fan: FanOut::new(Matching::Prefix, &options.publishing, key),
        }
    }

    pub(crate) fn fan(&mut self) -> &mut FanOut {
        &mut self.fan
    }
}

impl Pattern for PubPattern {
    const TYPE: SocketType = SocketType::Pub;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.connected(peers, id, None);
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.has_room(peers, id);
    }

    /// Subscriptions of peers that speak ZMTP 3.0 are messages.
    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        while let Some(message) = run.pop() {
            let dropped = match subscription(&message) {
                Some((true, topic)) => self.fan.ask(peers, id, topic).err(),
                Some((false, topic)) => {
                    self.fan.cancel(peers, id, topic);
                    None
                }
                None => Some(DropReason::WrongDirection),
            };
            match dropped {
                None => peers.hand_over(id, message.byte_count()),
                Some(why) => {
                    match why {
                        DropReason::WrongDirection => peers.astray(id, 1, message.byte_count()),
                        _ => peers.discard(id, 1, message.byte_count(), why),
                    }
                    peers.drop_later(message);
                }
            }
        }
    }

    fn notice(&mut self, peers: &mut Peers, id: PeerId, notice: Notice) {
        match notice {
            Notice::Subscribe(topic) if self.fan.ask(peers, id, &topic).is_ok() => {}
            Notice::Cancel(topic) => drop(self.fan.cancel(peers, id, &topic)),
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

impl Sends for PubPattern {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        self.fan.send(peers, None, message)
    }
}

/// Whether a message is a subscription (`true`) or the end of one, and of which topic: one frame that begins with 1 or
/// 0 ([RFC 23](https://rfc.zeromq.org/spec/23/), "The SUB and XSUB socket types").
pub(super) fn subscription(message: &Message) -> Option<(bool, &[u8])> {
    match message.first().split_first() {
        Some((1, topic)) if message.frame_count() == 1 => Some((true, topic)),
        Some((0, topic)) if message.frame_count() == 1 => Some((false, topic)),
        _ => None,
    }
}
