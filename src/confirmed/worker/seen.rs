//! A store of the application's that knows what was done, beyond what a worker remembers.

/// An error of an application's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Knows by their keys which tasks were done, by whichever worker: a table of a database, say.
///
/// A task may be delivered to a second worker when the first one has done it and could not say so. Where that must not do it
/// again, both have one store. It is asked only of tasks with a key that were delivered before, and told of all with a key.
///
/// Between what is done and what the store is told a process may end: who needs both or neither writes the key with what the
/// task does, in one transaction, and lets [`done`](Seen::done) do nothing.
///
/// Called on the thread that receives or answers, which waits for it: also within [`recv_async`](super::Worker::recv_async).
pub trait Seen: Send + Sync + 'static {
    /// Whether the task of this key was done. Then it is not handed out, and its source is told that it is done.
    ///
    /// On an error `recv` fails with [`WorkerError::Store`](super::WorkerError::Store), and the task is to be tried again later, as
    /// after [`retry`](super::Delivery::retry): as the last of the attempts that its source allows, that is its end. A store that
    /// is away for a while had better wait here.
    fn was_done(&self, key: &[u8]) -> Result<bool, BoxError>;

    /// The task of this key is done, and its source is told next.
    ///
    /// On an error it is told all the same, so that the task is not done again for that, and
    /// [`ack`](super::Delivery::ack) fails with [`AnswerError::Store`](super::AnswerError::Store).
    fn done(&self, key: &[u8]) -> Result<(), BoxError>;
}
