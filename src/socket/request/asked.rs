//! A request whose caller waits: which peers have it, what became of it, and when it is sent again.

use crate::error::RequestError;
use crate::message::Message;
use crate::options::Retry;
use crate::routing::PeerId;
use std::time::Instant;

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Replied(Message),
    PeerLost,
    /// A later request took its place.
    Abandoned,
}

impl From<Outcome> for Result<Message, RequestError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Replied(message) => Ok(message),
            Outcome::PeerLost => Err(RequestError::PeerLost),
            Outcome::Abandoned => Err(RequestError::Abandoned),
        }
    }
}

/// A request whose caller waits.
#[derive(Debug)]
pub(super) struct Asked {
    /// The peer that was asked last. `None`: it is lost, or was not given it.
    latest: Option<Copy>,
    /// Peers that were asked before and may still reply: at most as many as it is sent times.
    earlier: Vec<Copy>,
    /// One that has no peer now. At most one: while it finds none, no other is made.
    pub(super) is_adrift: bool,
    pub(super) outcome: Option<Outcome>,
    /// How it is sent again, if it is.
    pub(super) again: Option<Again>,
}

/// A request that a peer was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) peer: PeerId,
    /// Which of the messages to that peer it is, counted from 1.
    pub(super) place: u64,
}

/// What it takes to send a request again.
#[derive(Debug)]
pub(super) struct Again {
    /// With its envelope.
    pub(super) message: Message,
    pub(super) retry: Retry,
    /// How often it may still be.
    pub(super) left: u32,
    /// When it is next, unless something happens before.
    pub(super) due: Option<Instant>,
}

impl Again {
    pub(super) fn new(message: Message, retry: Retry) -> Self {
        Again {
            message,
            retry,
            left: retry.times,
            due: None,
        }
    }
}

impl Asked {
    /// Of a peer that has it.
    pub(super) fn new(latest: Copy, again: Option<Again>) -> Self {
        Asked {
            latest: Some(latest),
            earlier: Vec::new(),
            is_adrift: false,
            outcome: None,
            again,
        }
    }

    /// Another peer has it too, and is asked from now on.
    pub(super) fn placed(&mut self, copy: Copy) {
        self.is_adrift = false;
        self.earlier.extend(self.latest.replace(copy));
    }

    /// Whether this peer may reply.
    pub(super) fn is_with(&self, peer: PeerId) -> bool {
        self.earlier.iter().chain(&self.latest).any(|copy| copy.peer == peer)
    }

    pub(super) fn latest(&self) -> Option<PeerId> {
        self.latest.map(|copy| copy.peer)
    }

    /// Whether nobody may reply, now or later.
    pub(super) fn is_hopeless(&self) -> bool {
        self.latest.is_none() && self.earlier.is_empty() && !self.is_adrift
    }

    /// A peer will not reply to what it has. Gives whether it was the one that was asked last.
    pub(super) fn lose(&mut self, peer: PeerId, is_lost: impl Fn(u64) -> bool) -> bool {
        let is_lost = |copy: &Copy| copy.peer == peer && is_lost(copy.place);
        self.earlier.retain(|copy| !is_lost(copy));
        self.latest.take_if(|copy| is_lost(copy)).is_some()
    }

    /// A peer will not be given what has this place or one behind it: gives the places of the copies among that.
    pub(super) fn take_back(&mut self, peer: PeerId, first: u64) -> Vec<u64> {
        let is_one = |copy: &Copy| copy.peer == peer && copy.place >= first;
        let places = self
            .earlier
            .extract_if(.., |copy| is_one(copy))
            .chain(self.latest.take_if(|copy| is_one(copy)));
        places.map(|copy| copy.place).collect()
    }

    /// Nobody that has it matters any more: gives who they are, oldest first.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Copy> + use<> {
        std::mem::take(&mut self.earlier).into_iter().chain(self.latest.take())
    }

    /// A message to a peer went that was behind this many and before that one: those in between are one place further
    /// behind.
    pub(super) fn shift(&mut self, peer: PeerId, left: u64, dropped: u64) {
        for copy in self.earlier.iter_mut().chain(&mut self.latest) {
            if copy.peer == peer && left < copy.place && copy.place < dropped {
                copy.place += 1;
            }
        }
    }
}
