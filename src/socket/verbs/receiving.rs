//! The verbs that receive: a message, or with it whose it is.

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
            // Compiled into who calls it, its result would be moved in pieces that lie across those it was written in.
            #[inline(never)]
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
        crate::socket::verbs::recv_many_verbs!($Type);

        impl $Type {
            #[inline(always)]
            fn recv_with(&self, patience: crate::socket::Patience) -> Result<crate::Message, crate::RecvError> {
                let mut received = Ok(crate::Message::empty());
                self.recv_into(patience, &mut received);
                received
            }

            // Apart for the same reason.
            #[inline(never)]
            fn recv_into(
                &self,
                patience: crate::socket::Patience,
                received: &mut Result<crate::Message, crate::RecvError>,
            ) {
                self.socket.recv_into(patience, received);
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

pub(crate) use {recv_from_verbs, recv_message_verbs, recv_step_verbs, recv_verbs};
