//! What routing has dropped, on its way to where no lock is held.
//!
//! It is counted already; what is left of it is memory, which may be the application's own kind.

use crate::batch::{Batch, Run};
use crate::message::Message;
use bytes::Bytes;

/// What is to be dropped where no lock is held: it may be the application's own kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    pub(super) messages: Vec<Message>,
    pub(super) batches: Vec<Batch>,
    pub(super) runs: Vec<Run>,
}

impl Dropped {
    pub(crate) fn messages(messages: Vec<Message>) -> Self {
        Dropped {
            messages,
            ..Dropped::default()
        }
    }

    pub(crate) fn run(run: Run) -> Self {
        Dropped {
            runs: vec![run],
            ..Dropped::default()
        }
    }

    pub(crate) fn bodies(bodies: Vec<Bytes>) -> Self {
        Dropped::messages(bodies.into_iter().map(Message::from).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.batches.is_empty() && self.runs.is_empty()
    }

    pub(crate) fn merge(&mut self, mut other: Dropped) {
        self.messages.append(&mut other.messages);
        self.batches.append(&mut other.batches);
        self.runs.append(&mut other.runs);
    }
}
