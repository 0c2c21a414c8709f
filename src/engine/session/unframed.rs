//! The way out of a raw stream, or by datagrams: messages without their framing.
//!
//! What is not wholly written is given back as it was taken: a message is written once its last byte is.

use crate::batch::Batch;
use crate::message::Message;
use std::collections::VecDeque;
use std::io::IoSlice;

/// What was collected of a batch and is not wholly written.
#[derive(Debug, Default)]
pub(super) struct Unframed {
    /// Oldest first; at most one batch.
    messages: VecDeque<Message>,
    /// Bytes of the first that are written.
    written: usize,
}

impl Unframed {
    pub(super) fn new(batch: Batch) -> Self {
        let mut run = batch.into_run();
        Unframed {
            messages: std::iter::from_fn(|| run.pop()).collect(),
            written: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The oldest message.
    pub(super) fn first(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// Takes the oldest message out, as a whole.
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// The bytes that are next, as many slices as `out` holds. Returns how many were filled in.
    pub(super) fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        let mut slots = out.iter_mut();
        for frame in self.messages.iter().flat_map(Message::frames) {
            let rest = frame.get(skip.min(frame.len())..).unwrap_or_default();
            skip = skip.saturating_sub(frame.len());
            if rest.is_empty() {
                continue;
            }
            let Some(slot) = slots.next() else { break };
            *slot = IoSlice::new(rest);
            filled += 1;
        }
        filled
    }

    /// So many bytes of [`Unframed::slices`] were written. Gives the messages that are wholly written now, to be dropped
    /// where no lock is held; those without bytes too, as soon as they are the first.
    pub(super) fn advance(&mut self, bytes: usize) -> Vec<Message> {
        self.written += bytes;
        let mut done = Vec::new();
        while let Some(size) = self.messages.front().map(Message::byte_count)
            && size <= self.written
        {
            self.written -= size;
            done.extend(self.messages.pop_front());
        }
        done
    }

    /// What is not wholly written, the cut message whole.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.written = 0;
        let mut batch = Batch::default();
        for message in self.messages.drain(..) {
            batch.push(&[], &mut message.into());
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Whether the stream is to end behind one of these, which has no bytes.
pub(super) fn asks_to_end(written: &[Message]) -> bool {
    written.iter().any(|message| message.byte_count() == 0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let large = vec![9; 9_000];
        vec![
            Message::from("abc"),
            Message::from(["d", "", "ef"]),
            Message::from(large),
            Message::from("g"),
            Message::from(""),
            Message::from("never"),
        ]
    }

    fn unframed() -> Unframed {
        let mut batch = Batch::default();
        for message in messages() {
            batch.push(&[], &mut message.into());
        }
        Unframed::new(batch)
    }

    fn bytes(unframed: &Unframed, slots: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); slots];
        let filled = unframed.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn bytes_go_without_framing_and_can_be_taken_up_anywhere() {
        let all: Vec<u8> = messages()
            .iter()
            .flat_map(|message| message.frames().collect::<Vec<_>>().concat())
            .collect();
        assert_eq!(bytes(&unframed(), 64), all);
        for cut in (0..all.len()).step_by(97).chain(0..9) {
            let mut unframed = unframed();
            unframed.advance(cut);
            assert_eq!(bytes(&unframed, 64), all[cut..]);
            assert!(all[cut..].starts_with(&bytes(&unframed, 1)));
        }
    }

    #[test]
    fn a_message_is_written_once_its_last_byte_is() {
        let all = messages();
        for (written, whole) in [
            (0, 0),
            (2, 0),
            (3, 1),
            (5, 1),
            (6, 2),
            (9_005, 2),
            (9_006, 3),
            (9_007, 5),
        ] {
            let mut unframed = unframed();

            let done = unframed.advance(written);

            assert_eq!(done, all[..whole], "{written}");
            assert_eq!(asks_to_end(&done), whole == 5);
            let mut rest = unframed.take().unwrap().into_run();
            let rest: Vec<_> = std::iter::from_fn(|| rest.pop()).collect();
            assert_eq!(rest, all[whole..]);
        }
    }
}
