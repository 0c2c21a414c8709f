//! Every socket type, each on one line of a table, and how it does what all do.

use crate::common::{LONG, poll_once};
use crate::kind::{Facts, How, Kind, Later, Said, Sends};
use peermq::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Held<S, N> {
    it: S,
    /// Whom to send to, of a type that has to say so.
    to: Mutex<Option<N>>,
}

impl<S, N: Clone> Held<S, N> {
    fn of(it: S) -> Box<Self> {
        let to = Mutex::new(None);
        Box::new(Held { it, to })
    }

    fn note(&self, name: N) {
        *self.to.lock().unwrap() = Some(name);
    }

    fn to(&self) -> Option<N> {
        self.to.lock().unwrap().clone()
    }
}

fn sent(result: Result<(), SendError>, given: &Message) -> Said<()> {
    let Err(error) = result else { return Said::Done(()) };
    assert_eq!(error.message.as_ref(), Some(given), "what was given away comes back");
    match error.reason {
        NotSent::WouldBlock | NotSent::PeerFull => Said::NotNow,
        NotSent::TimedOut => Said::TimedOut,
        NotSent::Closed => Said::Closed,
        other => Said::Refused(other),
    }
}

fn received<T, R>(result: Result<T, RecvError>, take: impl FnOnce(T) -> R) -> Said<R> {
    match result {
        Ok(value) => Said::Done(take(value)),
        Err(RecvError::WouldBlock) => Said::NotNow,
        Err(RecvError::TimedOut) => Said::TimedOut,
        Err(RecvError::Closed) => Said::Closed,
        Err(other) => panic!("{other:?}"),
    }
}

/// What many became: how many, or as one.
fn sent_many(result: Result<usize, SendManyError>) -> Said<usize> {
    match result {
        Ok(count) => Said::Done(count),
        Err(error) => match error.reason {
            NotSent::WouldBlock => Said::NotNow,
            NotSent::TimedOut => Said::TimedOut,
            NotSent::Closed => Said::Closed,
            other => Said::Refused(other),
        },
    }
}

fn asked(result: Result<Message, RequestError>, given: &Message) -> Said<()> {
    match result {
        Ok(reply) => {
            assert_eq!(reply, *given, "the reply to another request");
            Said::Done(())
        }
        Err(RequestError::NotSent(error)) => sent(Err(error), given),
        Err(RequestError::TimedOut) => Said::TimedOut,
        Err(RequestError::Closed) => Said::Closed,
        Err(RequestError::PeerLost) => Said::Refused(NotSent::PeerGone),
        Err(other) => panic!("{other:?}"),
    }
}

/// What all have as their own verbs, of the same names.
macro_rules! life {
    (connects) => {
        fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
            self.it.connect(endpoint)
        }
    };
    (names) => {
        fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
            self.it.connect(endpoint).map(|name| self.note(name))
        }
    };
    () => {
        fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
            self.it.bind(endpoint)
        }

        fn unbind(&self, endpoint: &Endpoint) -> Result<(), EndpointError> {
            self.it.unbind(endpoint)
        }

        fn disconnect(&self, endpoint: &str) -> Result<(), EndpointError> {
            self.it.disconnect(endpoint)
        }

        fn close(&self) -> Result<CloseReport, CloseError> {
            self.it.close()
        }

        fn monitor(&self) -> Monitor {
            self.it.monitor()
        }

        fn stats(&self) -> SocketStats {
            self.it.stats()
        }

        fn watch(&self, poller: &mut Poller<'_>, interest: Interest) -> Key {
            poller.add(&self.it, interest).unwrap()
        }
    };
}

/// How it sends.
macro_rules! sending {
    (never) => {
        fn send(&self, _: Message, _: How) -> Said<()> {
            unreachable!("it cannot send")
        }

        fn send_later(&self, _: Message) -> Later<'_, ()> {
            unreachable!("it cannot send")
        }
    };
    (sends) => {
        fn send(&self, message: Message, how: How) -> Said<()> {
            let given = message.clone();
            let result = match how {
                How::Now => self.it.try_send(message),
                How::Within(limit) => self.it.send_timeout(message, limit),
                How::Waiting => self.it.send(message),
            };
            sent(result, &given)
        }

        fn send_later(&self, message: Message) -> Later<'_, ()> {
            Box::pin(async move {
                let given = message.clone();
                sent(self.it.send_async(message).await, &given)
            })
        }

        fn send_many(&self, messages: Vec<Message>, how: How) -> Result<usize, SendManyError> {
            match how {
                How::Now => self.it.try_send_many(messages),
                How::Within(limit) => self.it.send_many_timeout(messages, limit),
                How::Waiting => self.it.send_many(messages),
            }
        }

        fn send_many_later(&self, messages: Vec<Message>) -> Later<'_, usize> {
            Box::pin(async move { sent_many(self.it.send_many_async(messages).await) })
        }
    };
    (sends_to_a_group) => {
        fn send(&self, message: Message, how: How) -> Said<()> {
            let given = message.clone();
            let result = match how {
                How::Now => self.it.try_send(GROUP, message),
                How::Within(limit) => self.it.send_timeout(GROUP, message, limit),
                How::Waiting => self.it.send(GROUP, message),
            };
            sent(result, &given)
        }

        fn send_later(&self, message: Message) -> Later<'_, ()> {
            Box::pin(async move {
                let given = message.clone();
                sent(self.it.send_async(GROUP, message).await, &given)
            })
        }

        fn send_many(&self, messages: Vec<Message>, how: How) -> Result<usize, SendManyError> {
            match how {
                How::Now => self.it.try_send_many(GROUP, messages),
                How::Within(limit) => self.it.send_many_timeout(GROUP, messages, limit),
                How::Waiting => self.it.send_many(GROUP, messages),
            }
        }

        fn send_many_later(&self, messages: Vec<Message>) -> Later<'_, usize> {
            Box::pin(async move { sent_many(self.it.send_many_async(GROUP, messages).await) })
        }
    };
    (sends_to) => {
        fn send(&self, message: Message, how: How) -> Said<()> {
            let given = message.clone();
            let Some(to) = self.to() else {
                return Said::Refused(NotSent::UnknownPeer);
            };
            let result = match how {
                How::Now => self.it.send_to(&to, message),
                How::Within(limit) => self.it.send_to_timeout(&to, message, limit),
                How::Waiting => self.it.send_to_timeout(&to, message, Duration::MAX),
            };
            sent(result, &given)
        }

        fn send_later(&self, message: Message) -> Later<'_, ()> {
            Box::pin(async move {
                let given = message.clone();
                let to = self.to().expect("whom to send to");
                sent(self.it.send_to_async(&to, message).await, &given)
            })
        }
    };
    (asks) => {
        /// One who does not wait has not asked.
        fn send(&self, message: Message, how: How) -> Said<()> {
            let given = message.clone();
            let result = match how {
                How::Now => {
                    return poll_once(self.it.request_async(message))
                        .map_or(Said::NotNow, |result| asked(result, &given));
                }
                How::Within(limit) => self.it.request_timeout(message, limit),
                How::Waiting => self.it.request(message),
            };
            asked(result, &given)
        }

        fn send_later(&self, message: Message) -> Later<'_, ()> {
            Box::pin(async move {
                let given = message.clone();
                asked(self.it.request_async(message).await, &given)
            })
        }
    };
}

/// How it receives; what comes is made a message.
macro_rules! receiving {
    (never) => {
        fn recv(&self, _: How) -> Said<Message> {
            unreachable!("it cannot receive")
        }

        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            unreachable!("it cannot receive")
        }

        fn recv_later(&self) -> Later<'_, Message> {
            unreachable!("it cannot receive")
        }
    };
    (from plain) => {
        receiving!(from |_: &Self, message: Message| message);

        fn recv_many(&self, into: &mut Vec<Message>, limit: usize, how: How) -> Said<usize> {
            let result = match how {
                How::Now => self.it.try_recv_many(into, limit),
                How::Within(time) => self.it.recv_many_timeout(into, limit, time),
                How::Waiting => self.it.recv_many(into, limit),
            };
            received(result, |count| count)
        }

        fn recv_many_later<'a>(&'a self, into: &'a mut Vec<Message>, limit: usize) -> Later<'a, usize> {
            Box::pin(async move { received(self.it.recv_many_async(into, limit).await, |count| count) })
        }
    };
    (from $take:expr) => {
        receiving!($take);

        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            let (value, peer) = self.it.recv_from_timeout(LONG).unwrap();
            ($take(self, value), peer)
        }
    };
    ($take:expr) => {
        fn recv(&self, how: How) -> Said<Message> {
            let result = match how {
                How::Now => self.it.try_recv(),
                How::Within(limit) => self.it.recv_timeout(limit),
                How::Waiting => self.it.recv(),
            };
            received(result, |value| $take(self, value))
        }

        fn recv_later(&self) -> Later<'_, Message> {
            Box::pin(async move { received(self.it.recv_async().await, |value| $take(self, value)) })
        }
    };
}

macro_rules! kinds {
    ($(
        $Type:ident with $Partner:ident, $has_one_frame:literal, $way:ident:
        $sends:ident, $Name:ty, $connects:ident, { $receives:literal $($take:tt)* }, $made:expr, { $($more:tt)* }
    )*) => {
        pub fn facts(socket_type: SocketType) -> Facts {
            match socket_type {
                $(SocketType::$Type => Facts {
                    socket_type,
                    partner: SocketType::$Partner,
                    sends: Sends::$way,
                    receives: $receives,
                    has_one_frame: $has_one_frame,
                },)*
                other => panic!("{other} is not there"),
            }
        }

        pub const ALL: &[SocketType] = &[$(SocketType::$Type),*];

        pub fn open(socket_type: SocketType, context: &Context, options: Options) -> Result<Box<dyn Kind>, InvalidOptions> {
            match socket_type {
                $(SocketType::$Type => {
                    let it = $Type::with_options(context, options)?;
                    $made(&it);
                    Ok(Held::<_, $Name>::of(it))
                })*
                other => panic!("{other} is not there"),
            }
        }

        $(impl Kind for Held<$Type, $Name> {
            life!();
            life!($connects);
            sending!($sends);
            receiving!($($take)*);
            $($more)*
        })*
    };
}

fn nothing<T>(_: &T) {}

/// Behind whose it is, which is noted.
fn named<S, N: Clone>(of: &Held<S, N>, (from, message): (N, Message)) -> Message {
    of.note(from);
    message
}

const GROUP: &str = "the group";

kinds! {
    Push with Pull, false, WithRoom: sends, (), connects, { false never }, nothing, {}
    Pull with Push, false, Never: never, (), connects, { true from plain }, nothing, {}
    Scatter with Gather, true, WithRoom: sends, (), connects, { false never }, nothing, {}
    Gather with Scatter, true, Never: never, (), connects, { true from plain }, nothing, {}
    Pair with Pair, false, WithRoom: sends, (), connects, { true from plain }, nothing, {}
    Channel with Channel, true, WithRoom: sends, (), connects, { true from plain }, nothing, {}
    Dealer with Router, false, WithRoom: sends, (), connects, { true from plain }, nothing, {}
    Client with Server, true, WithRoom: sends, (), connects, { true from plain }, nothing, {}
    Req with Rep, false, Asks: asks, (), connects, { false never }, nothing, {
        fn asks(&self) -> bool {
            true
        }
    }
    Rep with Req, false, Never: never, (), connects, {
        true |_: &Self, request: Request| {
            let message = request.message().clone();
            // The one who asked may be gone.
            let _gone = request.reply(&message);
            message
        }
    }, nothing, {
        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            let request = self.it.recv_timeout(LONG).unwrap();
            let (message, peer) = (request.message().clone(), Arc::new(request.peer().clone()));
            request.reply(&message).unwrap();
            (message, peer)
        }
    }
    Pub with Sub, false, ToAll: sends, (), connects, { false never }, nothing, {
        fn settle_in(&self) {
            self.it.wait_for_subscribers("", 1, LONG).unwrap();
        }
    }
    XPub with XSub, false, ToAll: sends, (), connects, { true |_: &Self, said: Upstream| said.into_message() }, nothing, {
        fn settle_in(&self) {
            self.it.wait_for_subscribers("", 1, LONG).unwrap();
            // Those of one who left end first.
            while !matches!(self.it.recv_timeout(LONG).unwrap(), Upstream::Subscribe { .. }) {}
        }

        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            match self.it.recv_timeout(LONG).unwrap() {
                Upstream::Message { message, from } => (message, from.peer().unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
    Sub with Pub, false, Never: never, (), connects, { true from plain }, |it: &Sub| it.subscribe("").unwrap(), {}
    XSub with XPub, false, ToAllAtOnce: sends, (), connects, { true from plain }, |it: &XSub| it.subscribe("").unwrap(), {}
    Radio with Dish, true, ToAll: sends_to_a_group, (), connects, { false never }, nothing, {
        fn settle_in(&self) {
            self.it.wait_for_members(GROUP, 1, LONG).unwrap();
        }
    }
    Dish with Radio, true, Never: never, (), connects, {
        true from |_: &Self, (group, message): (bytes::Bytes, Message)| {
            assert_eq!(group, GROUP);
            message
        }
    }, |it: &Dish| it.join(GROUP).unwrap(), {}
    Router with Dealer, false, To: sends_to, Identity, connects, { true named }, nothing, {
        fn settle_in(&self) {
            self.note(self.it.identities().remove(0));
        }

        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            let (from, message) = self.it.recv_timeout(LONG).unwrap();
            (message, self.it.peer(&from).unwrap())
        }
    }
    Peer with Peer, true, To: sends_to, RoutingId, names, { true from named }, nothing, {
        fn is_addressed_first(&self, dialed: bool) -> bool {
            !dialed
        }
    }
    Server with Client, true, To: sends_to, RoutingId, connects, { true from named }, nothing, {
        fn is_addressed_first(&self, _dialed: bool) -> bool {
            true
        }
    }
    Stream with Stream, false, To: sends_to, Identity, names, { true named }, nothing, {
        fn settle_in(&self) {
            assert_eq!(self.recv(How::Within(LONG)), Said::Done(Message::from("")), "it begins");
        }

        fn recv_from(&self) -> (Message, Arc<PeerInfo>) {
            let (_, message) = self.it.recv_timeout(LONG).unwrap();
            (message, self.it.peers().remove(0))
        }

        fn is_a_stream(&self) -> bool {
            true
        }
    }
}
