//! What a contender can do. One more: implement these five, and name it in `main.rs`.
//!
//! Marks are 1,000 messages, and nothing else is set. All failures panic: a bench has nothing better to do.

/// A library under test.
pub trait Contender {
    type Push: Push;
    type Pull: Pull;
    type Req: Req;
    type Rep: Rep;

    /// With the library's version.
    fn name() -> String;
    fn push(connect: &str) -> Self::Push;
    /// Bound to a port that the system chooses, and its endpoint.
    fn pull() -> (Self::Pull, String);
    fn req(connect: &str) -> Self::Req;
    /// Bound to a port that the system chooses, and its endpoint.
    fn rep() -> (Self::Rep, String);
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
