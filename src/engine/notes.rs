//! What others ask of the engine, and how it answers.

use super::session::Session;
use crate::endpoint::Endpoint;
use crate::explain::EndpointState;
use crate::failure::Failure;
use crate::hub::{Link, Station};
use crate::routing::PeerId;
use crate::security::Verdict;
use crate::stats::LoopStats;
use crate::sync::Mutex;
use crate::transport::{Net, Resolved};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// What the engine is asked to look at.
pub(crate) enum Note<N: Net> {
    /// The session has something to write that needs the engine's eye: it failed, or it ends.
    Serve(Arc<Session<N>>),
    /// The session may read again.
    Resume(Arc<Session<N>>),
    /// The session is to end.
    Sever(Arc<Session<N>>, Failure),
    /// The session is to end unless its peer gives a sign of life.
    Challenge(Arc<Session<N>>),
    /// A new listener.
    Listen {
        station: Arc<dyn Station>,
        listener: N::Listener,
        endpoint: Endpoint,
    },
    /// A new dialer.
    Dial {
        station: Arc<dyn Station>,
        peer: PeerId,
        endpoint: Endpoint,
    },
    /// A listener is to go; its connections stay unless `with_connections`. Answers whether there was one.
    Unbind {
        key: u64,
        endpoint: Endpoint,
        with_connections: bool,
        answer: Answer<bool>,
    },
    /// A dialer is to go, after its linger time at the latest. Answers whether there was one.
    Disconnect {
        key: u64,
        endpoint: Endpoint,
        answer: Answer<bool>,
    },
    /// A socket closes: all of its listeners, dialers and sessions are to go, until the deadline at the latest, and these
    /// links that only it knows (inproc) are to be severed then.
    Close {
        station: Arc<dyn Station>,
        links: Vec<Arc<dyn Link>>,
        deadline: Option<Instant>,
    },
    /// These linger, and are to be severed at the deadline.
    Linger {
        links: Vec<Arc<dyn Link>>,
        deadline: Instant,
    },
    /// Answers what each endpoint of this socket is about.
    Explain {
        key: u64,
        answer: Answer<Vec<EndpointState>>,
    },
    /// Answers what the engine has done, and has.
    Count { answer: Answer<LoopStats> },
    /// A socket wants to be called at this time.
    Alarm { station: Arc<dyn Station>, at: Instant },
    /// It is decided whether the session's peer may come in.
    Judged(Arc<Session<N>>, Verdict),
    /// A name was looked up.
    Resolved { token: usize, result: Resolved },
}

/// The giving end of an answer that is given once. Dropped without one, it says so.
pub(crate) struct Answer<T>(Arc<Mutex<Answering<T>>>);

/// The taking end: a future. `None`: nobody will answer.
pub(crate) struct Answered<T>(Arc<Mutex<Answering<T>>>);

struct Answering<T> {
    value: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

/// The two ends of an answer.
pub(crate) fn answer<T>() -> (Answer<T>, Answered<T>) {
    let shared = Arc::new(Mutex::new(Answering {
        value: None,
        is_over: false,
        waker: None,
    }));
    (Answer(Arc::clone(&shared)), Answered(shared))
}

impl<T> Answer<T> {
    pub(crate) fn give(self, value: T) {
        self.0.lock().value = Some(value);
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answered<T> {
    type Output = Option<T>;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if state.is_over {
            return Poll::Ready(state.value.take());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
