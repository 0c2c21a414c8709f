//! Sockets of many types behind one trait, so that a sequence of calls can be made on any of them.

use super::input::Input;
use crate::hub::{Hub, Station};
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Addressed, Awaited, Pattern, Peers, Receives, Sends};
use crate::sim::World;
use crate::sim::laws::{self, check, conserved};
use crate::socket::client::ClientPattern;
use crate::socket::dealer::DealerPattern;
use crate::socket::dish::DishPattern;
use crate::socket::kind::{ChannelKind, GatherKind, PairKind, PullKind, PushKind, ScatterKind};
use crate::socket::pair::Exclusive;
use crate::socket::publish::PubPattern;
use crate::socket::pull::Fair;
use crate::socket::push::Balanced;
use crate::socket::radio::RadioPattern;
use crate::socket::reply::{Asked, RepPattern};
use crate::socket::request::{Outcome, ReqPattern};
use crate::socket::router::RouterPattern;
use crate::socket::server::ServerPattern;
use crate::socket::stream::StreamPattern;
use crate::socket::subscribe::SubPattern;
use crate::socket::subscribing::{Subscribing, Wish};
use crate::socket::xpublish::XPubPattern;
use crate::socket::xsubscribe::XSubPattern;
use crate::socket_type::SocketType;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// A socket of some type.
pub(super) trait Played {
    fn socket_type(&self) -> SocketType;
    fn station(&self) -> Arc<dyn Station>;
    /// Gives what is sent if the socket takes it.
    fn send(&self, message: Message) -> Option<Message>;
    fn receive(&self) -> Option<Message>;
    /// Begins to want this topic or group, or stops.
    fn want(&self, topic: &[u8], yes: bool);
    /// The law of conservation.
    fn check(&self);
    /// Messages that are queued, either way.
    fn queued(&self) -> u64;
    fn listen(&self, world: &World, node: usize, port: u16);
    fn dial(&self, world: &World, node: usize, port: u16);
    fn disconnect(&self, world: &World, node: usize, port: u16);
}

/// A socket, and how its type does what all do.
struct Of<P: Pattern> {
    hub: Arc<Hub<P>>,
    verbs: Verbs<P>,
}

/// What a type does when it is to send, to receive, and to want something.
struct Verbs<P> {
    send: Box<Send<P>>,
    receive: Box<Receive<P>>,
    want: fn(&Hub<P>, &[u8], bool),
}

type Send<P> = dyn Fn(&Hub<P>, &Message) -> bool;
type Receive<P> = dyn Fn(&Hub<P>) -> Option<Message>;

/// Two sockets that speak with each other.
pub(super) fn pair(world: &mut World, input: &mut Input<'_>, options: [Options; 2]) -> [Box<dyn Played>; 2] {
    let [a, b] = options;
    let kind = input.byte();
    match kind % 9 {
        _ if kind > 252 => [
            of(world, 0, a, |options| StreamPattern::new(options, 7), stream()),
            of(world, 1, b, |options| StreamPattern::new(options, 9), stream()),
        ],
        _ if kind > 249 => {
            let a = a.correlate(input.flag()).relaxed(input.flag());
            [
                of(world, 0, a, |options| ReqPattern::new(options, 7), asking()),
                of(world, 1, b, RepPattern::new, replying()),
            ]
        }
        0 => [
            of(world, 0, a, Balanced::<PushKind>::new, sending()),
            of(world, 1, b, Fair::<PullKind>::new, receiving()),
        ],
        1 => [
            of(world, 0, a, Balanced::<ScatterKind>::new, sending()),
            of(world, 1, b, Fair::<GatherKind>::new, receiving()),
        ],
        2 => [
            of(world, 0, a, Exclusive::<PairKind>::new, both()),
            of(world, 1, b, Exclusive::<PairKind>::new, both()),
        ],
        3 => [
            of(world, 0, a, Exclusive::<ChannelKind>::new, both()),
            of(world, 1, b, Exclusive::<ChannelKind>::new, both()),
        ],
        4 => [
            of(world, 0, a, |options| PubPattern::new(options, 7), sending()),
            of(world, 1, b, SubPattern::new, subscribing()),
        ],
        5 => [
            of(world, 0, a, |options| XPubPattern::new(options, 7), both()),
            of(world, 1, b, XSubPattern::new, xsub()),
        ],
        6 => [
            of(world, 0, a, DealerPattern::new, both()),
            of(
                world,
                1,
                b,
                |options| RouterPattern::new(options, 7),
                answering(RouterPattern::recv),
            ),
        ],
        7 => [
            of(world, 0, a, ClientPattern::new, both()),
            of(
                world,
                1,
                b,
                |options| ServerPattern::new(options, 7),
                answering(ServerPattern::recv),
            ),
        ],
        _ => [
            of(world, 0, a, |options| RadioPattern::new(options, 7), radio()),
            of(world, 1, b, DishPattern::new, dish()),
        ],
    }
}

fn of<P: Pattern>(
    world: &mut World,
    node: usize,
    options: Options,
    pattern: impl FnOnce(&Options) -> P,
    verbs: Verbs<P>,
) -> Box<dyn Played> {
    let hub = world.open(node, pattern, options);
    Box::new(Of { hub, verbs })
}

fn sending<P: Sends>() -> Verbs<P> {
    Verbs {
        send: Box::new(|hub, message| laws::send(hub, message.clone())),
        receive: Box::new(|_| None),
        want: |_, _, _| {},
    }
}

fn receiving<P: Receives>() -> Verbs<P> {
    Verbs {
        send: Box::new(|_, _| false),
        receive: Box::new(laws::recv),
        want: |_, _, _| {},
    }
}

fn both<P: Sends + Receives>() -> Verbs<P> {
    Verbs {
        receive: receiving().receive,
        ..sending()
    }
}

fn subscribing<W: Wish>() -> Verbs<Subscribing<W>> {
    Verbs {
        want: |hub, topic, yes| {
            hub.act(|pattern, peers| match yes {
                true => pattern.interests().add(peers, topic),
                false => drop(pattern.interests().remove(peers, topic)),
            });
        },
        ..receiving()
    }
}

fn xsub() -> Verbs<XSubPattern> {
    Verbs {
        send: sending().send,
        ..subscribing()
    }
}

/// Sends to whom it has heard last.
fn answering<P: Addressed>(recv: fn(&mut P, &mut Peers, &mut Message) -> Option<P::Name>) -> Verbs<P>
where
    P::Name: Clone + 'static,
{
    let last = Rc::new(RefCell::new(None::<P::Name>));
    let heard = Rc::clone(&last);
    Verbs {
        send: Box::new(move |hub, message| {
            let last = last.borrow();
            let Some(name) = &*last else { return false };
            let step =
                |pattern: &mut P, peers: &mut Peers| Some(pattern.send_to(peers, name, &mut message.into()).is_ok());
            matches!(hub.attempt(Awaited::Writable, step), Poll::Ready(Ok(true)))
        }),
        receive: Box::new(move |hub| {
            let mut message = Message::empty();
            let step = |pattern: &mut P, peers: &mut Peers| recv(pattern, peers, &mut message);
            match hub.attempt(Awaited::Readable, step) {
                Poll::Ready(Ok(name)) => {
                    *heard.borrow_mut() = Some(name);
                    Some(message)
                }
                Poll::Ready(Err(_)) | Poll::Pending => None,
            }
        }),
        want: |_, _, _| {},
    }
}

fn stream() -> Verbs<StreamPattern> {
    answering(StreamPattern::recv)
}

/// Asks, and looks for all replies that it waits for.
fn asking() -> Verbs<ReqPattern> {
    let open = Rc::new(RefCell::new(Vec::new()));
    let asked = Rc::clone(&open);
    Verbs {
        send: Box::new(move |hub, message| {
            let step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.ask(peers, &mut message.into());
            let id = hub.attempt(Awaited::Writable, step);
            if let Poll::Ready(Ok(id)) = id {
                asked.borrow_mut().push(id);
            }
            matches!(id, Poll::Ready(Ok(_)))
        }),
        receive: Box::new(move |hub| {
            let mut reply = None;
            open.borrow_mut().retain(|&id| {
                let step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.take(peers, id);
                if reply.is_some() {
                    return true;
                }
                match hub.attempt(Awaited::Reply(id), step) {
                    Poll::Ready(Ok(Outcome::Replied(message))) => {
                        reply = Some(message);
                        false
                    }
                    outcome => outcome.is_pending(),
                }
            });
            reply
        }),
        want: |_, _, _| {},
    }
}

/// Replies to the last request that is not answered yet.
fn replying() -> Verbs<RepPattern> {
    let open = Rc::new(RefCell::new(Vec::<Asked>::new()));
    let asked = Rc::clone(&open);
    Verbs {
        send: Box::new(move |hub, message| {
            let Some(asked) = asked.borrow_mut().pop() else {
                return false;
            };
            hub.act(|_, peers| asked.reply(peers, &mut message.into())).is_ok()
        }),
        receive: Box::new(move |hub| match hub.attempt(Awaited::Readable, RepPattern::recv) {
            Poll::Ready(Ok(asked)) => {
                let body = asked.body.clone();
                open.borrow_mut().push(asked);
                Some(body)
            }
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }),
        want: |_, _, _| {},
    }
}

/// The first byte is the group.
fn radio() -> Verbs<RadioPattern> {
    Verbs {
        send: Box::new(|hub, message| {
            let group = message.first().get(..1).unwrap_or_default();
            let step = |pattern: &mut RadioPattern, peers: &mut Peers| pattern.send(peers, group, &mut message.into());
            matches!(hub.attempt(Awaited::Writable, step), Poll::Ready(Ok(())))
        }),
        receive: Box::new(|_| None),
        want: |_, _, _| {},
    }
}

fn dish() -> Verbs<DishPattern> {
    Verbs {
        send: Box::new(|_, _| false),
        receive: Box::new(|hub| match hub.attempt(Awaited::Readable, DishPattern::next) {
            Poll::Ready(Ok((_, message))) => Some(message),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }),
        want: |hub, group, yes| {
            hub.act(|pattern, peers| match yes {
                true => pattern.join(peers, group),
                false => drop(pattern.leave(peers, group)),
            });
        },
    }
}

impl<P: Pattern> Played for Of<P> {
    fn socket_type(&self) -> SocketType {
        P::TYPE
    }

    fn station(&self) -> Arc<dyn Station> {
        self.hub.clone()
    }

    fn send(&self, message: Message) -> Option<Message> {
        let has_one = P::ONE_FRAME || matches!(P::TYPE, SocketType::Radio);
        let message = match has_one {
            true => Message::from(message.frames().collect::<Vec<_>>().concat()),
            false => message,
        };
        (self.verbs.send)(&self.hub, &message).then_some(message)
    }

    fn receive(&self) -> Option<Message> {
        (self.verbs.receive)(&self.hub)
    }

    fn want(&self, topic: &[u8], yes: bool) {
        (self.verbs.want)(&self.hub, topic, yes);
    }

    fn check(&self) {
        match P::TYPE {
            SocketType::Pub | SocketType::XPub | SocketType::Sub | SocketType::XSub => conserved(&self.hub),
            SocketType::Radio | SocketType::Dish => conserved(&self.hub),
            _ => drop(check(&self.hub)),
        }
    }

    fn queued(&self) -> u64 {
        let stats = self.hub.stats();
        stats.out.queued + stats.incoming.queued
    }

    fn listen(&self, world: &World, node: usize, port: u16) {
        world.listen(node, &self.hub, port);
    }

    fn dial(&self, world: &World, node: usize, port: u16) {
        world.dial(node, &self.hub, port);
    }

    fn disconnect(&self, world: &World, node: usize, port: u16) {
        world.disconnect(node, &self.hub, port);
    }
}
