//! Whether what is sent is better written at once, or gathered with what comes behind it.
//!
//! Asked by who makes a queue not empty. Knows only how often that was and how much was written, of the whole socket: to each
//! peer alone, taking turns looks quiet.

use std::time::{Duration, Instant};

/// How busy a socket is with sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Who sends has waited for an answer since.
    Awaited,
    /// Nothing was sent for a moment.
    Quiet,
    /// A stream: a system call for each message would cost far more than the message.
    Stream,
}

/// What was sent of late.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    /// When a queue was made not empty, or something was written out, last.
    last: Option<Instant>,
    /// A receiver has found nothing since. Beside `last` because a write may be interrupted for longer than that.
    was_awaited: bool,
    /// When the window began in which is counted, and the messages that were written in it.
    begun: Option<Instant>,
    written: u64,
    /// In the window before, more was written than is quiet.
    was_stream: bool,
}

impl Tempo {
    /// A receiver found nothing: what is sent next is better written at once, since somebody waits for the answer.
    pub(super) fn awaits(&mut self) {
        self.was_awaited = true;
    }

    /// So many messages were written.
    pub(super) fn wrote(&mut self, messages: usize) {
        self.written += messages as u64;
    }

    /// The last of them just now: a moment after it is not quiet.
    pub(super) fn wrote_last(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// A queue is made not empty.
    pub(super) fn next(&mut self, now: Instant) -> Pace {
        let last = self.last.replace(now);
        let has_paused = last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        match (std::mem::take(&mut self.was_awaited), has_paused) {
            (true, _) => Pace::Awaited,
            // A thread that is kept from running pauses too: of many peers on few cores, each that is written to wakes up, and
            // takes the sender's core. (One PUSH to 64 PULLs: half of all writes were of one message, and cost a third of
            // what went through.)
            (false, true) if !self.is_stream(now) => Pace::Quiet,
            (false, _) => Pace::Stream,
        }
    }

    /// Whether more was written of late than is quiet, on average.
    fn is_stream(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(*self.begun.get_or_insert(now));
        let is_more = |elapsed: Duration| QUIET.as_nanos() * u128::from(self.written) > elapsed.as_nanos();
        if elapsed < WINDOW {
            return self.was_stream || is_more(WINDOW);
        }
        self.was_stream = is_more(elapsed);
        self.begun = Some(now);
        self.written = 0;
        self.was_stream
    }
}

/// A queue that was not made "not empty" for so long is quiet. At 64 bytes a stream has a message in each 0.1 us.
pub(crate) const QUIET: Duration = Duration::from_micros(5);
/// How long what was written is counted. A stream that has ended is one for two of them at most.
const WINDOW: Duration = Duration::from_micros(500);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(begin: Instant, micros: u64) -> Instant {
        begin + Duration::from_micros(micros)
    }

    #[test]
    fn what_is_sent_after_a_pause_is_quiet() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();

        assert_eq!(tempo.next(begin), Pace::Quiet);
        assert_eq!(tempo.next(at(begin, 4)), Pace::Stream);
        assert_eq!(tempo.next(at(begin, 9)), Pace::Quiet);
        tempo.wrote_last(at(begin, 13));
        assert_eq!(tempo.next(at(begin, 15)), Pace::Stream);
    }

    #[test]
    fn who_waits_for_the_answer_is_never_in_a_stream() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();
        tempo.next(begin);
        tempo.wrote(1_000_000);
        tempo.awaits();

        assert_eq!(tempo.next(at(begin, 1)), Pace::Awaited);
        assert_eq!(tempo.next(at(begin, 2)), Pace::Stream);
    }

    #[test]
    fn a_pause_in_the_middle_of_a_stream_is_not_quiet() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();

        // 0.7 us a message, and the sender is kept from running every 20.
        let mut paces = Vec::new();
        for step in 0..200 {
            paces.push(tempo.next(at(begin, step * 20)));
            tempo.wrote(28);
        }

        let is_quiet = |pace: &&Pace| **pace == Pace::Quiet;
        assert_eq!(
            paces.iter().skip(4).filter(is_quiet).count(),
            0,
            "after the first hundred messages"
        );
    }

    #[test]
    fn what_comes_every_ten_microseconds_is_quiet_each_time() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();

        for step in 0..1_000 {
            assert_eq!(tempo.next(at(begin, step * 10)), Pace::Quiet, "message {step}");
            tempo.wrote(1);
        }
    }

    #[test]
    fn a_stream_is_forgotten_after_two_windows() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();
        tempo.next(begin);
        tempo.wrote(1_000);

        assert_eq!(tempo.next(at(begin, 499)), Pace::Stream);
        assert_eq!(tempo.next(at(begin, 999)), Pace::Stream, "1,000 in 999 us");
        assert_eq!(tempo.next(at(begin, 1_499)), Pace::Quiet);
    }

    #[test]
    fn a_burst_long_ago_is_averaged_away() {
        let begin = Instant::now();
        let mut tempo = Tempo::default();
        tempo.next(begin);
        tempo.wrote(1_000);

        assert_eq!(tempo.next(at(begin, 1_000_000)), Pace::Quiet);
    }
}
