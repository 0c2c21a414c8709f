//! Whose turn it is.
//!
//! Peers that are wanted (they have room, or they have messages) stand in a queue; the front one is served and goes to
//! the back. A peer that is not wanted is not in it, so that choosing costs the same with one peer and with a thousand.
//! A queue, where libzmq swaps places around a border: there the end of a connection can send the turn back to the
//! front, past whoever was next.

use super::peer::PeerId;
use std::collections::VecDeque;

/// The peers that are wanted, in turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Whose turn it is; `None` only if nobody stands behind.
    front: Option<PeerId>,
    /// Those behind, in their order.
    behind: VecDeque<PeerId>,
    /// By index: who of that index stands in the queue.
    standing: Vec<Option<PeerId>>,
}

impl Turn {
    /// Lets a peer stand in the queue, if it does not already.
    pub(crate) fn enter(&mut self, id: PeerId) {
        let index = id.index();
        if self.standing.len() <= index {
            self.standing.resize(index + 1, None);
        }
        if let Some(standing) = self.standing.get_mut(index)
            && *standing != Some(id)
        {
            *standing = Some(id);
            match self.front {
                None => self.front = Some(id),
                Some(_) => self.behind.push_back(id),
            }
        }
    }

    /// The peer whose turn it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<PeerId> {
        self.front
    }

    /// The only peer that is wanted.
    #[inline]
    pub(crate) fn alone(&self) -> Option<PeerId> {
        self.front.filter(|_| self.behind.is_empty())
    }

    /// The front peer was served and is still wanted.
    #[inline]
    pub(crate) fn pass(&mut self) {
        if let Some(next) = self.behind.pop_front()
            && let Some(front) = self.front.replace(next)
        {
            self.behind.push_back(front);
        }
    }

    /// The front peer is not wanted any more.
    pub(crate) fn rest(&mut self) {
        if let Some(front) = std::mem::replace(&mut self.front, self.behind.pop_front()) {
            self.mark_gone(front);
        }
    }

    /// Takes a peer out wherever it stands. Gives whether it did.
    pub(crate) fn remove(&mut self, id: PeerId) -> bool {
        let stands = self.standing.get(id.index()) == Some(&Some(id));
        if stands {
            if self.front == Some(id) {
                self.front = self.behind.pop_front();
            } else {
                self.behind.retain(|&other| other != id);
            }
            self.mark_gone(id);
        }
        stands
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    fn mark_gone(&mut self, id: PeerId) {
        if let Some(standing) = self.standing.get_mut(id.index())
            && *standing == Some(id)
        {
            *standing = None;
        }
    }
}
