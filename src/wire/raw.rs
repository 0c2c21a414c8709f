//! A stream without ZMTP: whatever comes is a message.
//!
//! There is no handshake, and nothing is said but what is sent. Where one message ends and the next begins is chance: a
//! message is what one read brought, or a part of it.

use super::{Credit, Facts, Step};
use crate::batch::Run;
use crate::batch::buffers::FEW;
use crate::batch::frame::{header_len, put_header};
use crate::options::Limits;
use crate::socket_type::SocketType;
use bytes::Bytes;

impl Facts {
    /// What is known of a peer that says nothing of itself. No version of ZMTP: it understands no command.
    pub(super) fn raw() -> Facts {
        Facts {
            socket_type: SocketType::Stream,
            identity: None,
            version: (0, 0),
            metadata: Vec::new(),
            user: None,
        }
    }
}

/// Makes messages of what came, as far as there is credit; none is larger than the limit.
pub(super) fn take(input: &mut Bytes, credit: Credit, limits: &Limits, run: &mut Run) -> Step {
    let limit = usize::try_from(limits.message_bytes).unwrap_or(usize::MAX).max(1);
    let mut left = credit;
    while !input.is_empty() {
        if left.is_spent() {
            return Step::Paused;
        }
        let body = input.split_to(input.len().min(limit));
        push(run, body, &mut left);
    }
    Step::More
}

fn push(run: &mut Run, body: Bytes, left: &mut Credit) {
    let length = body.len();
    let few = if length < FEW { length } else { 0 };
    let mut part = Vec::with_capacity(header_len(length) + few);
    put_header(&mut part, 0, length);
    if length < FEW {
        // Split off, a few bytes that are not received soon would keep the chunk that they came in.
        part.extend_from_slice(&body);
        run.push_part(part.into());
    } else {
        run.push_part(part.into());
        run.push_part(body);
    }
    run.count(1, length);
    left.spend(1, length);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::Buffers;
    use crate::batch::buffers::CHUNK;
    use crate::options::Options;

    fn limits(message_bytes: u64) -> Limits {
        let options = Options::default().max_message_size(message_bytes);
        options.limits
    }

    fn taken(input: &mut Bytes, credit: Credit, message_bytes: u64) -> (Vec<Vec<u8>>, Step) {
        let mut run = Run::default();
        let step = take(input, credit, &limits(message_bytes), &mut run);
        let messages = std::iter::from_fn(|| run.pop()).map(|message| message.first().to_vec());
        (messages.collect(), step)
    }

    const PLENTY: Credit = Credit {
        messages: 1_000,
        bytes: 1 << 30,
    };

    #[test]
    fn what_one_read_brought_is_one_message_of_any_size() {
        for size in [1, 64, 65, 255, 256, 8_193, 65_536] {
            let bytes = vec![0xFF; size];
            let mut input = Bytes::copy_from_slice(&bytes[..]);
            assert_eq!(taken(&mut input, PLENTY, 1 << 30), (vec![bytes], Step::More));
        }
        assert_eq!(taken(&mut Bytes::new(), PLENTY, 1), (vec![], Step::More));
    }

    #[test]
    fn no_message_is_over_the_limit_and_none_is_without_bytes() {
        let mut input = Bytes::from(&b"abcdefg"[..]);
        let parts = [&b"abc"[..], b"def", b"g"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(taken(&mut input, PLENTY, 3), (parts, Step::More));
        let mut input = Bytes::from(&b"ab"[..]);
        let parts = [b"a".to_vec(), b"b".to_vec()].to_vec();
        assert_eq!(taken(&mut input, PLENTY, 0), (parts, Step::More));
    }

    #[test]
    fn a_few_bytes_do_not_hold_the_chunk_that_they_came_in() {
        for size in [1, 100, 255, 256, FEW - 1, FEW] {
            let mut buffers = Buffers::default();
            let chunk = buffers.chunks(CHUNK).room();
            let place = chunk.as_ptr();
            chunk[..size].fill(7);
            let mut run = Run::default();

            take(
                &mut buffers.chunks(CHUNK).take(size),
                PLENTY,
                &limits(1 << 30),
                &mut run,
            );

            // Others use up the rest of it.
            drop(buffers.chunks(CHUNK).take(CHUNK - size));
            let is_free = buffers.chunks(CHUNK).room().as_ptr() == place;
            assert_eq!(is_free, size < FEW, "{size} bytes are unread");
            assert_eq!(run.pop().unwrap(), vec![7; size]);
        }
    }

    #[test]
    fn without_credit_the_input_stays() {
        for (messages, bytes, left) in [
            (0, 1 << 30, &b"abcd"[..]),
            (1_000, 0, b"abcd"),
            (1, 1 << 30, b"cd"),
            (9, 1, b"cd"),
        ] {
            let mut input = Bytes::from(&b"abcd"[..]);
            let (_, step) = taken(&mut input, Credit { messages, bytes }, 2);
            assert_eq!((step, &input[..]), (Step::Paused, left));
        }
    }
}
