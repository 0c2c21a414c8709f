//! The verbs that several socket types have, stamped so that each has them as its own, and no type has one too many.

/// `bind`, `connect` and what belongs to a socket's life.
macro_rules! socket_verbs {
    ($Type:ident) => {
        crate::socket::verbs::life_verbs!($Type);

        impl $Type {
            /// Connects to this endpoint in the background, and again whenever the connection is lost.
            ///
            /// Returns at once, whether somebody is there or not; what happens is told to a
            /// [`Monitor`](crate::Monitor). From now on there is a peer with a queue of its own. Twice to one endpoint
            /// makes two. A name is looked up for each attempt, and all its addresses are tried, in order; over inproc
            /// the name may be bound later.
            ///
            /// Fails with `Endpoint` if the endpoint is none to connect to (host `*`, port 0), and with `Closed`. Ends
            /// with `disconnect` or `close`.
            pub fn connect<E>(&self, endpoint: E) -> Result<(), crate::ConnectError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.connect(&self.socket.hub, endpoint)
            }
        }
    };
}

/// The same without `connect`, of a type that has one of its own.
macro_rules! life_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Takes connections at this endpoint, and returns the endpoint really bound: with the port that an
            /// ephemeral one (`tcp://127.0.0.1:0`) got. As often as needed, to any mix of transports.
            ///
            /// Does not wait for anybody to come. The address is taken on this thread: a name is looked up first, which
            /// may take as long as the resolver does, and a stale ipc file some milliseconds. An ipc file is for its
            /// owner only (mode 0600), and goes with the listener.
            ///
            /// Fails with `Endpoint` if the endpoint is none to bind, with `Io` if the system refuses it or the inproc
            /// name is taken in this context, and with `Closed`. The endpoint is free again after `unbind` or `close`.
            pub fn bind<E>(&self, endpoint: E) -> Result<crate::Endpoint, crate::BindError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.bind(&self.socket.hub, endpoint)
            }

            /// Takes connections at a listener that somebody else has opened, and returns its endpoint, by which it can
            /// be unbound.
            ///
            /// It is closed with the socket or by `unbind`, as far as nobody else has it open: those who connect then wait
            /// for whoever has. An ipc file stays. Of the options, those about a listener (`backlog`, `bind_to_device`)
            /// do nothing. It never waits from now on, for all who share it.
            ///
            /// Does not wait. Fails with `Listener` if it cannot be used, and with `Closed`.
            pub fn bind_listener(
                &self,
                listener: impl Into<crate::OpenListener>,
            ) -> Result<crate::Endpoint, crate::BindError> {
                self.socket.core.bind_listener(&self.socket.hub, listener.into())
            }

            /// Takes no more connections at this endpoint, as `bind` returned it, and frees it. Those that came by it
            /// stay.
            ///
            /// Waits for one turn of the loop (not over inproc). Fails with `Unknown` if this socket has not bound it,
            /// with `WouldDeadlock` on the loop's own thread (from a `Waker`), and with `Closed`.
            pub fn unbind<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.unbind(&self.socket.hub, endpoint, false)
            }

            /// Like `unbind`, and ends the connections that came by it: they take no more messages, and what is queued
            /// for them is sent within the linger time, then dropped and counted as `Linger`.
            ///
            /// Does not wait for that: [`Event::Disconnected`](crate::Event::Disconnected) tells the end of each.
            pub fn unbind_and_close<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.unbind(&self.socket.hub, endpoint, true)
            }

            /// Ends one connection to this endpoint, as it was given to `connect`: it takes no more messages, and what
            /// is queued for it is sent within the linger time, then dropped and counted as `Linger`. What came from it
            /// can still be received.
            ///
            /// Waits for one turn of the loop (not over inproc), and not for the end:
            /// [`Event::Disconnected`](crate::Event::Disconnected) tells it, if there was a connection. Fails with
            /// `Unknown` if this socket is not connected to it, with `WouldDeadlock` on the loop's own thread (from a
            /// `Waker`), and with `Closed`.
            pub fn disconnect<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.disconnect(&self.socket.hub, endpoint)
            }

            /// Closes the socket, waits until what it has accepted is sent and read or the linger time is over, and
            /// says what became of it.
            ///
            /// Calls of other threads end with `Closed`; unread messages are dropped and counted. A second call returns
            /// the same report. Waits half a second longer than [`linger`](crate::Options::linger) at most. If it
            /// cannot wait, the error says why, and the socket closes all the same. A socket that is dropped closes in
            /// the same way, and nobody waits: what is not sent when the process ends is lost.
            pub fn close(&self) -> Result<crate::CloseReport, crate::CloseError> {
                self.socket.close()
            }

            /// Changes how long `close`, `disconnect`, `unbind_and_close` and the end of the context go on sending what was
            /// accepted: [`Options::linger`](crate::Options::linger). Counts for those that begin from now on; what lingers
            /// already does so for as long as it was to. Never waits.
            pub fn set_linger(&self, linger: std::time::Duration) {
                self.socket.hub.set_linger(linger);
            }

            /// Makes a [`Monitor`](crate::Monitor), which is told what happens to this socket's peers from now on. Each
            /// is told everything.
            pub fn monitor(&self) -> crate::Monitor {
                self.socket.hub.monitor()
            }

            /// Returns a descriptor that is readable while this socket is ready, for a loop of your own: see
            /// [`Pollable`](crate::Pollable). Made at the first call; later ones return the same.
            ///
            /// Fails if the system has no descriptor to spare. It stays readable once the socket is closed.
            pub fn pollable(&self) -> std::io::Result<crate::Pollable> {
                self.socket.hub.pollable()
            }

            /// Returns who is there: what is known of each peer to which a connection is ready now.
            ///
            /// Never waits, and takes time for each peer. Empty once the socket is closed.
            pub fn peers(&self) -> Vec<std::sync::Arc<crate::PeerInfo>> {
                self.socket.hub.act(|_, peers| peers.infos())
            }

            /// Returns what this socket has sent, received, dropped and queued until now. Works after `close` too.
            ///
            /// Never waits, and takes time for each peer.
            pub fn stats(&self) -> crate::SocketStats {
                self.socket.hub.stats()
            }
        }

        impl crate::socket::AnySocket for $Type {}

        impl crate::socket::Sealed for $Type {
            fn watched(&self) -> std::sync::Arc<dyn crate::hub::Watched> {
                self.socket.hub.clone()
            }

            fn set_marks(&self, change: impl FnOnce(&mut crate::options::Mark, &mut crate::options::Mark)) {
                self.socket.hub.set_marks(change);
            }
        }

        impl $Type {
            /// Explains what this socket is about: what each endpoint does and why it failed, its peers and their queues,
            /// and what is likely to keep messages from arriving. `println!("{}", socket.explain())` is for people, the
            /// fields are for programs. Works after `close` too, and then says so.
            ///
            /// Waits for one turn of the loop, except on the loop's own thread (from a `Waker`): there the endpoints are
            /// not known. Takes time for each peer and each name that is bound in the context: not for every message.
            pub fn explain(&self) -> crate::Explanation {
                self.socket.core.explain(&self.socket.hub)
            }
        }

        impl std::fmt::Debug for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($Type)).finish_non_exhaustive()
            }
        }
    };
}

/// The four of `send`, of a type that says this of them.
macro_rules! verbs_of_send {
    (
        $Type:ident
        $(#[$send:meta])* send
        $(#[$try_send:meta])* try_send
        $(#[$send_timeout:meta])* send_timeout
        $(#[$send_async:meta])* send_async
    ) => {
        impl $Type {
            $(#[$send])*
            pub fn send<'m>(&self, message: impl Into<crate::Outgoing<'m>>) -> Result<(), crate::SendError> {
                self.socket
                    .send(message.into(), crate::socket::Patience::Limit(None))
            }

            $(#[$try_send])*
            pub fn try_send<'m>(&self, message: impl Into<crate::Outgoing<'m>>) -> Result<(), crate::SendError> {
                self.socket.send(message.into(), crate::socket::Patience::None)
            }

            $(#[$send_timeout])*
            pub fn send_timeout<'m>(
                &self,
                message: impl Into<crate::Outgoing<'m>>,
                timeout: std::time::Duration,
            ) -> Result<(), crate::SendError> {
                self.socket
                    .send(message.into(), crate::socket::Patience::Limit(Some(timeout)))
            }

            $(#[$send_async])*
            pub fn send_async<'m>(
                &'m self,
                message: impl Into<crate::Outgoing<'m>>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send + 'm {
                self.socket.send_async(message.into())
            }
        }
    };
}

/// The four of `send`, of a type that sends to one.
macro_rules! send_verbs {
    ($Type:ident) => {
        crate::socket::verbs::verbs_of_send! {
            $Type
            /// Sends a message; waits while every peer is at its mark, and while there is none.
            ///
            /// `Ok` means that it is queued for one peer, not that it arrived. Who waits drives the loop if nobody else
            /// does. The error gives back what was given away: `Closed` once the socket is closed, also while it waits;
            /// `WouldDeadlock` if it would have to wait on the loop's own thread (from a `Waker`); `Forked` if it would
            /// in a forked child.
            ///
            /// While more than 4 MiB of lent frames over 16 KiB wait, as copies, each further one takes a tenth of a
            /// millisecond longer: a sender that runs far ahead of the kernel slows it down.
            send
            /// Sends a message if a peer has room now, else gives it back as `WouldBlock`. Never waits, and may
            /// overtake those that do.
            try_send
            /// Sends a message; waits at most this long for a peer with room, then gives it back as `TimedOut`. Times
            /// under a millisecond are kept.
            send_timeout
            /// Sends a message, as a future of no runtime's own. Dropped before it is ready, it has sent nothing.
            send_async
        }
    };
}

/// The four of `send`, of a type that sends to all.
macro_rules! publish_verbs {
    ($Type:ident) => {
        crate::socket::verbs::verbs_of_send! {
            $Type
            /// Sends a message to all that want it. Does not wait, but for subscribers without room under
            /// [`AtMark::Block`](crate::AtMark::Block).
            ///
            /// `Ok` means that it is queued for each that has room; for the others it is dropped and counted, and so it is
            /// if nobody wants it. The error gives back what was given away: `Closed` once the socket is closed, also while
            /// it waits; `WouldDeadlock` if it would have to wait on the loop's own thread (from a `Waker`).
            send
            /// Sends a message to all that want it, and never waits: where `send` would, it gives it back as `WouldBlock`.
            try_send
            /// Sends a message to all that want it; where `send` would wait, it waits at most this long, then gives it back
            /// as `TimedOut`.
            send_timeout
            /// Sends a message to all that want it, as a future of no runtime's own. Dropped before it is ready, it has sent
            /// nothing.
            send_async
        }
    };
}

/// The four of `recv`.
macro_rules! recv_verbs {
    ($Type:ident, $Item:ty) => {
        impl $Type {
            /// Receives the oldest message of the next peer that has one; waits for it.
            ///
            /// Who waits drives the loop if nobody else does. What lost peers sent is received too. Fails with `Closed`
            /// once the socket is closed, also while it waits, and with `WouldDeadlock` if it would have to wait on the
            /// loop's own thread (from a `Waker`). A frame over 64 bytes shares memory with its neighbours:
            /// [`detach`](crate::Message::detach) what is kept for long.
            pub fn recv(&self) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::Limit(None))
            }

            /// Receives a message if one is here, else says `WouldBlock`. Never waits, and may overtake those that do.
            pub fn try_recv(&self) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::None)
            }

            /// Receives a message; waits at most this long, then says `TimedOut`. Times under a millisecond are kept.
            pub fn recv_timeout(&self, timeout: std::time::Duration) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::Limit(Some(timeout)))
            }
        }
    };
}

/// All of `recv` and `recv_from`, of a type that gives messages as they are.
macro_rules! recv_message_verbs {
    ($Type:ident) => {
        crate::socket::verbs::recv_verbs!($Type, crate::Message);
        crate::socket::verbs::recv_from_verbs!($Type, crate::Message, crate::socket::Socket::message);

        impl $Type {
            fn recv_with(&self, patience: crate::socket::Patience) -> Result<crate::Message, crate::RecvError> {
                self.socket.recv(patience)
            }

            /// Receives a message, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
            pub fn recv_async(&self) -> impl Future<Output = Result<crate::Message, crate::RecvError>> + Send + '_ {
                self.socket.recv_async()
            }
        }
    };
}

/// The four of `recv`, by a step of the type's pattern that gives a message and where it belongs.
macro_rules! recv_step_verbs {
    ($Type:ident, $Item:ty, $step:expr) => {
        crate::socket::verbs::recv_verbs!($Type, $Item);

        impl $Type {
            fn recv_with(&self, patience: crate::socket::Patience) -> Result<$Item, crate::RecvError> {
                self.socket.take(patience, $step)
            }

            /// Receives a message, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
            pub fn recv_async(&self) -> impl Future<Output = Result<$Item, crate::RecvError>> + Send + '_ {
                self.socket.take_async($step)
            }
        }
    };
}

/// The four of `recv_from`, by a step of the type's pattern.
macro_rules! recv_from_verbs {
    ($Type:ident, $Item:ty, $step:expr) => {
        impl $Type {
            /// Receives like `recv`, and tells whose the message is.
            ///
            /// Those are the facts of the connection that the message came by, also if it is over. (Of a socket that
            /// conflates what it receives: of the peer's last one.)
            pub fn recv_from(&self) -> Result<($Item, std::sync::Arc<crate::PeerInfo>), crate::RecvError> {
                self.socket.take_from(crate::socket::Patience::Limit(None), $step)
            }

            /// Receives like `try_recv`, and tells whose the message is.
            pub fn try_recv_from(&self) -> Result<($Item, std::sync::Arc<crate::PeerInfo>), crate::RecvError> {
                self.socket.take_from(crate::socket::Patience::None, $step)
            }

            /// Receives like `recv_timeout`, and tells whose the message is.
            pub fn recv_from_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<($Item, std::sync::Arc<crate::PeerInfo>), crate::RecvError> {
                self.socket
                    .take_from(crate::socket::Patience::Limit(Some(timeout)), $step)
            }

            /// Receives like `recv_async`, and tells whose the message is.
            pub fn recv_from_async(
                &self,
            ) -> impl Future<Output = Result<($Item, std::sync::Arc<crate::PeerInfo>), crate::RecvError>> + Send + '_
            {
                self.socket.take_from_async($step)
            }
        }
    };
}

/// What a publisher knows of its subscribers.
macro_rules! publisher_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Returns how many peers would get a message whose first frame is this, if they had room.
            pub fn subscribers(&self, topic: impl AsRef<[u8]>) -> usize {
                self.socket
                    .hub
                    .act(|pattern, _| pattern.fan().subscribers(topic.as_ref()))
            }

            /// Returns how many different topics there are subscriptions to (`ZMQ_TOPICS_COUNT`).
            pub fn topics(&self) -> usize {
                self.socket.hub.act(|pattern, _| pattern.fan().topics())
            }

            /// Waits until so many peers would get a message whose first frame is this, and returns how many do; at most
            /// this long.
            ///
            /// Answers the slow joiner: what is published after it reaches them, unless they are at their marks or leave.
            /// Fails with `TimedOut`, with `Closed`, and with `WouldDeadlock` on the loop's own thread.
            pub fn wait_for_subscribers(
                &self,
                topic: impl AsRef<[u8]>,
                subscribers: usize,
                timeout: std::time::Duration,
            ) -> Result<usize, crate::WaitError> {
                let topic = topic.as_ref();
                self.socket.wait_for(Some(timeout), |pattern, _| {
                    let count = pattern.fan().subscribers(topic);
                    (count >= subscribers).then_some(count)
                })
            }

            /// Waits for subscribers without a limit, as a future of no runtime's own.
            pub async fn wait_for_subscribers_async(
                &self,
                topic: impl AsRef<[u8]>,
                subscribers: usize,
            ) -> Result<usize, crate::WaitError> {
                let topic = topic.as_ref();
                self.socket
                    .wait_for_async(|pattern, _| {
                        let count = pattern.fan().subscribers(topic);
                        (count >= subscribers).then_some(count)
                    })
                    .await
            }
        }
    };
}

/// What a subscriber can say of its subscriptions.
macro_rules! subscriber_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Subscribes to what begins with this, also with publishers that come later. The empty topic is everything.
            ///
            /// Takes effect at once here, and at each publisher when it hears of it. Counted: what was subscribed to twice
            /// is unsubscribed from twice. Never waits, and never fails for want of room: a million take some hundred
            /// bytes each. Fails with `TooLong` over 60,000 bytes, and with `Closed`.
            pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), crate::SubscribeError> {
                let topic = crate::socket::topic(topic.as_ref())?;
                self.socket
                    .if_open(|pattern, peers| pattern.interests().add(peers, topic))
            }

            /// Ends one subscription to this. Gives whether there was one. Messages that were sent before the publisher
            /// hears of it may still come.
            pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<bool, crate::SubscribeError> {
                self.socket
                    .if_open(|pattern, peers| pattern.interests().remove(peers, topic.as_ref()))
            }

            /// Returns how many different topics it is subscribed to.
            pub fn subscriptions(&self) -> usize {
                self.socket.hub.act(|pattern, _| pattern.interests().len())
            }

            /// Subscribes, and waits until every publisher has taken it; at most this long. Returns how many they are.
            ///
            /// It knows by a PING behind the subscription and its PONG, and then another. All endpoints that this socket has
            /// connected to count, those too that are not there yet, and at least one peer. A peer that answers no PING
            /// (ZMTP 3.0 does not have it) is waited for in vain.
            ///
            /// A peermq publisher answers once it has taken the subscription: what is published after this returns
            /// matches. libzmq's PUB and XPUB answer from their I/O thread, and the subscription then waits for their
            /// application's thread to look. It does so in `zmq_poll`, in `zmq_getsockopt` of `ZMQ_EVENTS` and where a
            /// `zmq_recv` waits, but in `zmq_send` only if three million clock ticks (a millisecond or so on x86-64) have
            /// passed since it last did: what is sent within that time may be missed, and nothing later.
            ///
            /// Fails like `subscribe`, and with `Unconfirmed` if it could not wait to the end: subscribed it is then all
            /// the same.
            pub fn subscribe_confirmed(
                &self,
                topic: impl AsRef<[u8]>,
                timeout: std::time::Duration,
            ) -> Result<usize, crate::SubscribeError> {
                self.subscribe(topic)?;
                let question = self
                    .socket
                    .if_open(|pattern, peers| pattern.interests().ask(peers))?;
                let answered = self.socket.wait_for(Some(timeout), |pattern, peers| {
                    pattern.interests().answered(peers, question)
                });
                Ok(answered?)
            }

            /// Subscribes, and waits without a limit until every publisher has taken it, as a future of no runtime's own.
            pub async fn subscribe_confirmed_async(
                &self,
                topic: impl AsRef<[u8]>,
            ) -> Result<usize, crate::SubscribeError> {
                self.subscribe(topic)?;
                let question = self
                    .socket
                    .if_open(|pattern, peers| pattern.interests().ask(peers))?;
                let answered = self
                    .socket
                    .wait_for_async(|pattern, peers| pattern.interests().answered(peers, question))
                    .await;
                Ok(answered?)
            }
        }
    };
}

/// The three of `send_to`.
macro_rules! send_to_verbs {
    ($Type:ident, $Name:ty) => {
        impl $Type {
            /// Sends a message to the peer of this name. Never waits: who is not there, `UnknownPeer`, and who is at its
            /// mark, `PeerFull`, is an error that gives back what was given away, and nothing is counted
            /// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
            ///
            /// `Ok` means that it is queued for that peer, not that it arrived. Fails with `Closed` once the socket is
            /// closed.
            pub fn send_to<'m>(
                &self,
                peer: &$Name,
                message: impl Into<crate::Outgoing<'m>>,
            ) -> Result<(), crate::SendError> {
                self.socket
                    .send_to(peer, message.into(), crate::socket::Patience::None)
            }

            /// Sends a message to the peer of this name; waits at most this long while it is at its mark, then gives it
            /// back as `TimedOut`. Times under a millisecond are kept; [`Duration::MAX`](std::time::Duration::MAX) is for
            /// ever.
            ///
            /// Who is not there is `UnknownPeer` at once, also one that goes while this waits. Who waits drives the loop if
            /// nobody else does; on the loop's own thread (from a `Waker`) it is `WouldDeadlock`.
            pub fn send_to_timeout<'m>(
                &self,
                peer: &$Name,
                message: impl Into<crate::Outgoing<'m>>,
                timeout: std::time::Duration,
            ) -> Result<(), crate::SendError> {
                self.socket.send_to(
                    peer,
                    message.into(),
                    crate::socket::Patience::Limit(Some(timeout)),
                )
            }

            /// Sends a message to the peer of this name, as a future of no runtime's own: it waits while that peer is at
            /// its mark. Dropped before it is ready, it has sent nothing.
            pub fn send_to_async<'m>(
                &'m self,
                peer: &'m $Name,
                message: impl Into<crate::Outgoing<'m>>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send + 'm {
                self.socket.send_to_async(peer, message.into())
            }
        }
    };
}

/// What a type needs to be made.
macro_rules! constructors {
    ($Type:ident, $pattern:expr) => {
        impl $Type {
            /// Makes a socket with the default options. Of a context that is shut down, it is closed from the start.
            pub fn new(context: &crate::Context) -> Self {
                let options = crate::Options::default();
                let pattern = $pattern(&options);
                $Type {
                    socket: crate::socket::Socket::new(context, pattern, options),
                }
            }

            /// Makes a socket with these options, which stay as they are. Refused, with the option's name, if one of
            /// them makes no sense.
            pub fn with_options(
                context: &crate::Context,
                options: crate::Options,
            ) -> Result<Self, crate::InvalidOptions> {
                crate::socket::Socket::with_options(context, options, $pattern).map(|socket| $Type { socket })
            }
        }
    };
}

pub(crate) use {
    constructors, life_verbs, publish_verbs, publisher_verbs, recv_from_verbs, recv_message_verbs, recv_step_verbs,
    recv_verbs, send_to_verbs, send_verbs, socket_verbs, subscriber_verbs, verbs_of_send,
};
