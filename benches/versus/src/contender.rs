//! What a contender can do. One more: implement these, and name it in `main.rs`.
//!
//! Marks are 1,000 messages, and nothing else is set. All failures panic: a bench has nothing better to do.

/// A library under test.
pub trait Contender {
    type Push: Push;
    type Pull: Pull;
    type Req: Req;
    type Rep: Rep;
    type Pub: Pub;
    type Sub: Pull;

    /// With the library's version.
    fn name() -> String;
    fn push(connect: &str) -> Self::Push;
    /// Bound to a port that the system chooses, and its endpoint.
    fn pull() -> (Self::Pull, String);
    fn req(connect: &str) -> Self::Req;
    /// Bound to a port that the system chooses, and its endpoint.
    fn rep() -> (Self::Rep, String);
    /// Bound to a port that the system chooses, and its endpoint; waits for subscribers without room, drops nothing.
    fn publisher() -> (Self::Pub, String);
    /// Subscribed to everything.
    fn sub(connect: &str) -> Self::Sub;
}

pub trait Push {
    fn send(&mut self, message: &[u8]);
    /// Returns when all that was sent has left this process.
    fn close(self);
}

pub trait Pull {
    /// The next message's length and first byte.
    fn recv(&mut self) -> (usize, u8);
}

pub trait Pub: Push {
    /// Returns when so many have subscribed.
    fn wait_for_subscribers(&mut self, subscribers: usize);
}

pub trait Req {
    /// The reply's length.
    fn request(&mut self, message: &[u8]) -> usize;
}

pub trait Rep {
    /// Sends back what comes; how long that was.
    fn echo(&mut self) -> usize;
    /// Returns when all that was sent has left this process.
    fn close(self);
}
