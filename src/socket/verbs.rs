//! The verbs that several socket types have, stamped so that each has them as its own, and no type has one too many.

/// `bind`, `connect` and what belongs to a socket's life.
macro_rules! socket_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Takes connections at this endpoint, and returns the endpoint really bound: with the port that an ephemeral
            /// one (`tcp://127.0.0.1:0`) got. Names are looked up on this thread.
            pub fn bind<E>(&self, endpoint: E) -> Result<crate::Endpoint, crate::BindError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.bind(&self.socket.hub, endpoint)
            }

            /// Connects to this endpoint in the background, and again whenever the connection is lost. Returns at once;
            /// what happens is told to a [`Monitor`](crate::Monitor). Twice to one endpoint makes two connections.
            pub fn connect<E>(&self, endpoint: E) -> Result<(), crate::ConnectError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.connect(&self.socket.hub, endpoint)
            }

            /// Takes no more connections at this endpoint, as `bind` returned it, and frees it. Those that came by it
            /// stay.
            pub fn unbind<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.unbind(&self.socket.hub, endpoint, false)
            }

            /// Like `unbind`, and ends the connections that came by it: they take no more messages, and what is queued
            /// for them is sent within the linger time, then dropped and counted.
            pub fn unbind_and_close<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.unbind(&self.socket.hub, endpoint, true)
            }

            /// Ends one connection to this endpoint, as it was given to `connect`: it takes no more messages, and what
            /// is queued for it is sent within the linger time, then dropped and counted.
            pub fn disconnect<E>(&self, endpoint: E) -> Result<(), crate::EndpointError>
            where
                E: TryInto<crate::Endpoint, Error: Into<crate::InvalidEndpoint>>,
            {
                let endpoint = crate::context::parse(endpoint)?;
                self.socket.core.disconnect(&self.socket.hub, endpoint)
            }

            /// Closes the socket, waits until what it has accepted is sent or the linger time is over, and says what
            /// became of it. Calls of other threads end with `Closed`; unread messages are dropped and counted. A second
            /// call returns the same report.
            pub fn close(&self) -> Result<crate::CloseReport, crate::CloseError> {
                self.socket.close()
            }

            /// Tells what happens to this socket's peers from now on.
            pub fn monitor(&self) -> crate::Monitor {
                self.socket.hub.monitor()
            }

            /// What this socket has sent, received, dropped and queued.
            pub fn stats(&self) -> crate::SocketStats {
                self.socket.hub.stats()
            }
        }

        impl std::fmt::Debug for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($Type)).finish_non_exhaustive()
            }
        }
    };
}

/// The four of `send`.
macro_rules! send_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Sends a message; waits while every peer is at its mark, and while there is none.
            ///
            /// `Ok` means that it is queued for one peer. The error gives back what was given away.
            pub fn send<'m>(&self, message: impl Into<crate::Outgoing<'m>>) -> Result<(), crate::SendError> {
                self.socket
                    .send(message.into(), crate::socket::Patience::Limit(None))
            }

            /// Sends a message if a peer has room now.
            pub fn try_send<'m>(&self, message: impl Into<crate::Outgoing<'m>>) -> Result<(), crate::SendError> {
                self.socket.send(message.into(), crate::socket::Patience::None)
            }

            /// Sends a message; waits at most this long for a peer with room.
            pub fn send_timeout<'m>(
                &self,
                message: impl Into<crate::Outgoing<'m>>,
                timeout: std::time::Duration,
            ) -> Result<(), crate::SendError> {
                self.socket
                    .send(message.into(), crate::socket::Patience::Limit(Some(timeout)))
            }

            /// Sends a message, as a future of no runtime's own. Dropped before it is ready, it has sent nothing.
            pub fn send_async<'m>(
                &'m self,
                message: impl Into<crate::Outgoing<'m>>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send + 'm {
                self.socket.send_async(message.into())
            }
        }
    };
}

/// The four of `recv`.
macro_rules! recv_verbs {
    ($Type:ident, $Item:ty) => {
        impl $Type {
            /// Receives the oldest message of the next peer that has one; waits for it.
            pub fn recv(&self) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::Limit(None))
            }

            /// Receives a message if one is here.
            pub fn try_recv(&self) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::None)
            }

            /// Receives a message; waits at most this long.
            pub fn recv_timeout(&self, timeout: std::time::Duration) -> Result<$Item, crate::RecvError> {
                self.recv_with(crate::socket::Patience::Limit(Some(timeout)))
            }
        }
    };
}

/// What a type needs to be made.
macro_rules! constructors {
    ($Type:ident, $pattern:expr) => {
        impl $Type {
            /// Makes a socket with the default options.
            pub fn new(context: &crate::Context) -> Self {
                let options = crate::Options::default();
                let pattern = $pattern(&options);
                $Type {
                    socket: crate::socket::Socket::new(context, pattern, options),
                }
            }

            /// Makes a socket with these options, which stay as they are. Refused if one of them makes no sense.
            pub fn with_options(
                context: &crate::Context,
                options: crate::Options,
            ) -> Result<Self, crate::InvalidOptions> {
                crate::socket::Socket::with_options(context, options, $pattern).map(|socket| $Type { socket })
            }
        }
    };
}

pub(crate) use {constructors, recv_verbs, send_verbs, socket_verbs};
