//! What goes to many peers at once.

use super::Peers;
use crate::message::Outgoing;
use crate::routing::peer::PeerId;
use crate::routing::stage::{MANY, Stage, payload};

impl Peers {
    /// Whom of these a message is to be enqueued for, each by itself: the others have room for it on the stage. They are given
    /// back by [`Peers::stage`] or [`Peers::stay_off_stage`]. `None`: all, they are few. `choice` is another for others.
    #[inline]
    pub(crate) fn off_stage(
        &mut self,
        audience: &[PeerId],
        choice: u64,
        envelope: &[&[u8]],
        message: &Outgoing<'_>,
    ) -> Option<Vec<PeerId>> {
        let are_few = audience.len() < MANY;
        if are_few && self.stage.audience.is_empty() {
            return None;
        }
        let is_short = Stage::is_short(envelope, message);
        let are_same = self.stage.choice == choice || self.stage.audience == audience;
        self.stage.choice = choice;
        self.stage.is_open = is_short && are_same;
        if !self.stage.is_open || self.stage.is_deserted() || !self.stage.has_room(envelope, message) {
            self.begin_stage();
            self.stage.audience.clear();
            self.stage.others.clear();
            if are_few {
                return None;
            }
            self.stage.audience.extend_from_slice(audience);
            self.stage.others.extend_from_slice(audience);
        }
        Some(std::mem::take(&mut self.stage.others))
    }

    /// Packs a message for those on the stage, after it was enqueued for the others; these enter if they may.
    pub(crate) fn stage(&mut self, mut others: Vec<PeerId>, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        debug_assert!(self.stage.others.is_empty(), "nobody has left the stage since");
        if self.stage.is_open {
            if !self.stage.is_deserted() {
                self.stage.push(envelope, message);
            }
            let payload = payload(envelope, message);
            others.retain(|&id| !self.enters_stage(id, payload));
        }
        self.stay_off_stage(others);
    }

    /// The message is not published: they are where they were.
    pub(crate) fn stay_off_stage(&mut self, mut others: Vec<PeerId>) {
        others.append(&mut self.stage.others);
        self.stage.others = others;
    }

    /// Messages that stand on the stage.
    #[cfg(test)]
    pub(crate) fn staged(&self) -> usize {
        self.stage.staged()
    }

    /// Pieces of it that queues share.
    #[cfg(test)]
    pub(crate) fn sealed(&self) -> usize {
        self.stage.sealed()
    }

    fn enters_stage(&mut self, id: PeerId, payload: usize) -> bool {
        let mark = self.send_mark;
        let Some(peer) = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
        else {
            return false;
        };
        peer.out.enter(id, mark, payload, &mut self.stage)
    }

    /// All who are on the stage take over what is theirs, and another begins.
    fn begin_stage(&mut self) {
        if !self.stage.is_empty() && !self.stage.is_deserted() {
            self.stage.close();
            let audience = std::mem::take(&mut self.stage.audience);
            for &id in &audience {
                self.out(id);
            }
            self.stage.audience = audience;
        }
        self.stage.begin();
    }
}
