//! The verbs about who wants what, on both sides.

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

pub(crate) use {publisher_verbs, subscriber_verbs};
