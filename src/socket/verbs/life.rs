//! The verbs of a socket's life: made, bound, connected, closed.

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
            /// name is taken in this context, with `Insecure` if the options do not allow it
            /// ([`allow_insecure_bind`](crate::Options::allow_insecure_bind)), and with `Closed`. The endpoint is free again
            /// after `unbind` or `close`.
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
            /// Does not wait. Fails with `Listener` if it cannot be used, with `Insecure` as `bind` does, and with `Closed`.
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

            fn begin_close(&self) {
                self.socket.begin_close();
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

pub(crate) use {constructors, life_verbs, socket_verbs};
