//! The verbs that send or receive many messages by one call.

/// The four of `send_many`, of a type that sends.
macro_rules! send_many_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Sends messages in their order, each as `send` does; waits where `send` would. Returns how many there were.
            ///
            /// As many as have room go under one lock, half a mark at most; another thread's messages may come in between.
            /// Up to 64 are taken from the iterator before the first of them is sent, up to 256 if they are short and lent, and
            /// that with no lock held, so that it may do what it likes; but while it waits, they wait. For what comes by and by, `send` is better.
            /// It is for streams of short messages that are lent: those up to 256 bytes are packed before the lock is taken. With
            /// one peer, a message of 16 bytes took its sender 5 ns instead of 20, and its receiver by `recv_many` 4 instead of
            /// 20; between two processes over TCP twice as many came through. Longer ones gain nothing there.
            ///
            /// What ends a `send` ends this: what was sent before stays sent, and the error says how many that is, and
            /// gives back what was taken, given away and not sent. What was not taken stays with the iterator: lend it
            /// (`&mut messages`) to have that too. An example is at [`SendManyError`](crate::SendManyError).
            pub fn send_many<'m, M: Into<crate::Outgoing<'m>>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, crate::SendManyError> {
                let messages = messages.into_iter().map(Into::into);
                self.socket
                    .send_many(messages, crate::socket::Patience::Limit(None))
            }

            /// Sends messages in their order, as long as `try_send` would; the first that it would not is the error's
            /// `WouldBlock`. Never waits, and may overtake those that do.
            pub fn try_send_many<'m, M: Into<crate::Outgoing<'m>>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, crate::SendManyError> {
                let messages = messages.into_iter().map(Into::into);
                self.socket.send_many(messages, crate::socket::Patience::None)
            }

            /// Sends messages in their order; waits at most this long in all, counted from when it first has to, then says
            /// `TimedOut` of the rest.
            pub fn send_many_timeout<'m, M: Into<crate::Outgoing<'m>>>(
                &self,
                messages: impl IntoIterator<Item = M>,
                timeout: std::time::Duration,
            ) -> Result<usize, crate::SendManyError> {
                let messages = messages.into_iter().map(Into::into);
                self.socket
                    .send_many(messages, crate::socket::Patience::Limit(Some(timeout)))
            }

            /// Sends messages in their order, as a future of no runtime's own. Dropped before it is ready, it sends no more,
            /// and what it was given and had not sent is dropped with it. How many were sent nobody is told then: who drops
            /// futures and has to know sends one by one.
            pub fn send_many_async<'m, M, I>(
                &'m self,
                messages: I,
            ) -> impl Future<Output = Result<usize, crate::SendManyError>> + Send + 'm
            where
                M: Into<crate::Outgoing<'m>> + 'm,
                I: IntoIterator<Item = M, IntoIter: Send + 'm>,
            {
                self.socket.send_many_async(messages.into_iter().map(Into::into))
            }
        }
    };
}

/// The four of `recv_many`, of a type that gives messages as they are.
macro_rules! recv_many_verbs {
    ($Type:ident) => {
        impl $Type {
            /// Receives the messages that are here, `limit` at most, as so many calls of `recv` would, and appends them;
            /// waits for the first, and for no more. Returns how many: at least one, unless `limit` is 0, which receives
            /// nothing and says so at once.
            ///
            /// One lock for all: a large limit keeps other threads, and what arrives, from the socket for as long as it takes
            /// to move so many. Of an error nothing is appended. An example is at [`Pull`](crate::Pull).
            pub fn recv_many(&self, into: &mut Vec<crate::Message>, limit: usize) -> Result<usize, crate::RecvError> {
                self.socket
                    .recv_many(into, limit, crate::socket::Patience::Limit(None))
            }

            /// Receives the messages that are here, `limit` at most, and appends them; if there are none, it says
            /// `WouldBlock`. Never waits, and may overtake those that do.
            pub fn try_recv_many(
                &self,
                into: &mut Vec<crate::Message>,
                limit: usize,
            ) -> Result<usize, crate::RecvError> {
                self.socket.recv_many(into, limit, crate::socket::Patience::None)
            }

            /// Receives the messages that are here, `limit` at most, and appends them; waits at most this long for the
            /// first, then says `TimedOut`.
            pub fn recv_many_timeout(
                &self,
                into: &mut Vec<crate::Message>,
                limit: usize,
                timeout: std::time::Duration,
            ) -> Result<usize, crate::RecvError> {
                self.socket
                    .recv_many(into, limit, crate::socket::Patience::Limit(Some(timeout)))
            }

            /// Receives the messages that are here, `limit` at most, and appends them, as a future of no runtime's own.
            /// Dropped before it is ready, it has taken nothing.
            pub fn recv_many_async<'a>(
                &'a self,
                into: &'a mut Vec<crate::Message>,
                limit: usize,
            ) -> impl Future<Output = Result<usize, crate::RecvError>> + Send + 'a {
                self.socket.recv_many_async(into, limit)
            }
        }
    };
}

pub(crate) use {recv_many_verbs, send_many_verbs};
