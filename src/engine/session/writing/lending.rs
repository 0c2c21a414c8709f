//! Messages that are written from where their sender has them, with no copy between.

use super::{Flushed, WRITE_BUDGET, Writing};
use crate::batch::frame::{MAX_HEADER, put_header};
use crate::batch::{Batch, Copies};
use crate::engine::session::Session;
use crate::hub::{Drive, Effects, Lent};
use crate::message::Message;
use crate::transport::Net;
use crate::wire::Form;
use std::io::{self, ErrorKind, IoSlice};
use std::time::{Duration, Instant};

impl<N: Net> Session<N> {
    /// Writes a message of this one frame, behind what is queued, if nobody else writes and the kernel takes all before it. It is
    /// copied only if the kernel does not take all of it, and who may look tries again for a moment before. Gives whether
    /// somebody is to flush, too.
    ///
    /// Whoever else writes to this peer waits meanwhile, the loop too: for about as long as a large write takes.
    pub(in crate::engine::session) fn lend(
        &self,
        frame: &[u8],
        copies: &Copies,
        may_look: bool,
        effects: &mut Effects,
    ) -> (Lent, bool) {
        let Some(mut write) = self.write.try_lock() else {
            return (Lent::Refused, false);
        };
        let (Some(peer), Form::Framed) = (write.peer, write.form) else {
            return (Lent::Refused, false);
        };
        if !write.is_open || write.is_ending || write.failure.is_some() || write.sealing.is_some() {
            return (Lent::Refused, false);
        }
        // One that has stopped reading is not looked at for each message.
        let looks = write.vain_looks < FEW || write.vain_looks.is_multiple_of(GAP);
        let limit = if may_look && looks {
            self.seat.longest_look()
        } else {
            Duration::ZERO
        };
        let mut look = Look::new(limit, || self.seat.now());
        let mut written = 0;
        while written < WRITE_BUDGET
            && let n @ 1.. = look.until_written(|| self.write_some(&mut write, effects))
        {
            written += n;
        }
        let is_next = write.is_written_out() && !write.is_ending && self.station.lend(peer, frame.len(), effects);
        let lent = match is_next {
            true => self.write_lent(&mut write, frame, copies, &mut look),
            false => Lent::Refused,
        };
        write.vain_looks = match write.is_written_out() {
            true => 0,
            false => write.vain_looks.saturating_add(u32::from(may_look)),
        };
        if write.done.messages > 0 {
            self.written_out(&mut write, effects);
        }
        let flushed = self.flush_some(&mut write, effects);
        (lent, !matches!(flushed, Ok(Flushed::Done)))
    }

    /// Writes as much of it as the kernel takes; the rest is the batch that is being written.
    fn write_lent(
        &self,
        write: &mut Writing,
        frame: &[u8],
        copies: &Copies,
        look: &mut Look<impl Fn() -> Instant>,
    ) -> Lent {
        let mut packed = Vec::with_capacity(MAX_HEADER);
        put_header(&mut packed, 0, frame.len());
        let (mut header, mut body) = (&packed[..], frame);
        while !(header.is_empty() && body.is_empty()) {
            let n = look.until_written(|| self.give(&[IoSlice::new(header), IoSlice::new(body)]));
            if n == 0 {
                // Why it takes no more is met again by who writes the rest.
                break;
            }
            let of_header = n.min(header.len());
            header = header.get(of_header..).unwrap_or_default();
            body = body.get(n - of_header..).unwrap_or_default();
        }
        let left = header.len() + body.len();
        if left == 0 {
            write.done.add(1, frame.len());
            write.messages += 1;
            return Lent::Whole;
        }
        write.written = packed.len() + frame.len() - left;
        write.batch = Some(Batch::of(Message::one(copies.copy(frame))));
        Lent::Copied
    }
}

/// Looks whether the kernel takes more, as long as it does so now and then. Its buffer may be a fraction of a message, and
/// to copy the rest takes longer than its receiver needs for what fills that buffer. (Of 1 MiB over IPC: 4,200 messages a
/// second, where 2,300 were.)
struct Look<F> {
    now: F,
    /// How long without a write.
    limit: Duration,
    refused: Option<Instant>,
    begun: Option<Instant>,
}

impl<F: Fn() -> Instant> Look<F> {
    fn new(limit: Duration, now: F) -> Self {
        Look {
            now,
            limit,
            refused: None,
            begun: None,
        }
    }

    /// Tries until something is written, and says how much; 0: it has looked for long enough, or there is nothing to write.
    fn until_written(&mut self, mut write: impl FnMut() -> io::Result<usize>) -> usize {
        loop {
            match write() {
                Ok(n) => {
                    self.refused = None;
                    return n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.goes_on() => self.pause(),
                Err(_) => return 0,
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        let now = (self.now)();
        let since = |then: &mut Option<Instant>| now.saturating_duration_since(*then.get_or_insert(now));
        since(&mut self.refused) < self.limit && since(&mut self.begun) < (self.limit * IN_ALL).min(LONGEST)
    }

    /// A refused write keeps the receiver off the stream; and it may be on this core.
    fn pause(&self) {
        let until = (self.now)() + PAUSE;
        while (self.now)() < until {
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
}

/// A look that meets room again and again may last so many times as long, but not longer than a large write takes.
const IN_ALL: u32 = 20;
const LONGEST: Duration = Duration::from_millis(1);
/// After so many looks in vain, only one send in so many looks.
const FEW: u32 = 4;
const GAP: u32 = 16;
const PAUSE: Duration = Duration::from_micros(3);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    const LIMIT: Duration = Duration::from_micros(50);

    /// What is written to a kernel that takes so much at each microsecond, and at which the look is over. A write takes one,
    /// and so does a look at the clock.
    fn look(limit: Duration, takes: impl Fn(u32) -> io::Result<usize>) -> (usize, u32) {
        let (start, micros) = (Instant::now(), Cell::new(0));
        let tick = || micros.replace(micros.get() + 1);
        let mut look = Look::new(limit, || start + Duration::from_micros(tick().into()));
        let mut written = 0;
        loop {
            match look.until_written(|| takes(tick())) {
                0 => return (written, micros.get()),
                n => written += n,
            }
        }
    }

    #[test]
    fn who_may_not_look_tries_once() {
        assert_eq!(look(Duration::ZERO, |_| Err(ErrorKind::WouldBlock.into())), (0, 1));
    }

    #[test]
    fn who_looks_gives_up_when_nothing_was_written_for_a_moment() {
        let (written, took) = look(LIMIT, |now| match now {
            30..35 => Ok(1),
            _ => Err(ErrorKind::WouldBlock.into()),
        });
        assert!(written > 0 && (80..100).contains(&took), "{written} in {took}");
    }

    #[test]
    fn who_is_given_room_in_pieces_gives_up_after_many() {
        let last = Cell::new(0);
        let (written, took) = look(LIMIT, |now| match now - last.get() {
            0..40 => Err(ErrorKind::WouldBlock.into()),
            _ => {
                last.set(now);
                Ok(1)
            }
        });
        assert!(
            (20..30).contains(&written) && (1_000..1_100).contains(&took),
            "{written} in {took}"
        );
    }

    #[test]
    fn what_fails_is_not_tried_again() {
        assert_eq!(look(LIMIT, |_| Err(ErrorKind::BrokenPipe.into())), (0, 1));
    }
}
