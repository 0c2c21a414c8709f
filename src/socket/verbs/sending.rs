//! The verbs that send: to one peer, to all, to the one that is named.

/// The four of `send`, of a type that says this of them.
macro_rules! verbs_of_send {
    (
        $Type:ident
        $(#[$send:meta])* send
        $(#[$try_send:meta])* try_send
        $(#[$send_timeout:meta])* send_timeout
        $(#[$send_async:meta])* send_async
    ) => {
        crate::socket::verbs::send_many_verbs!($Type);

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

pub(crate) use {publish_verbs, send_to_verbs, send_verbs, verbs_of_send};
