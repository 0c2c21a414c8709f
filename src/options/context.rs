//! What can be set about a context, once, before it exists.

use super::InvalidOptions;
use std::time::Duration;

/// The settings of a [`Context`](crate::Context); fixed once it exists.
///
/// They are checked when the context is made.
///
/// ```
/// use peermq::{Context, ContextOptions};
/// use std::time::Duration;
///
/// let quiet = Context::with_options(ContextOptions::default().spin(Duration::ZERO))?;
/// # drop(quiet);
///
/// let greedy = ContextOptions::default().spin(Duration::from_secs(1));
/// let refused = Context::with_options(greedy).unwrap_err();
/// assert_eq!(refused.to_string(), "spin must be at most 1ms, and is 1s");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ContextOptions {
    pub(crate) spin: Duration,
}

impl ContextOptions {
    /// Sets for how long a thread that waits, and runs the event loop meanwhile, looks again and again before it sleeps.
    /// Default 50 us; at most 1 ms.
    ///
    /// It does so only as long as that pays, that is, what it waits for comes while it looks. Where it does not, it soon
    /// stops, and tries again ever more rarely, once in up to 1,024 waits, with a look three times as long. Nobody looks
    /// before a sleep that follows one of much more than that: an idle program sleeps. Futures, the threads that wait beside
    /// the one that runs the loop, and a [`Poller`](crate::Poller) never look.
    ///
    /// Longer: answers that take longer are met by a thread that is awake, and each wait that is in vain takes as much more
    /// processor time. It is time that others of the same core do not get, the peer among them if there is no core for it.
    /// Shorter: fewer answers are met. To wake a core that sleeps takes 40 to 60 us on virtual machines, and both ends pay
    /// that; 20 us meet no answer of another process there, so what is set to less costs its time and brings nothing.
    ///
    /// [`Duration::ZERO`]: a thread looks once, and sleeps. It takes no processor time for waiting, and each answer that is
    /// not there yet takes the time of one wake-up more, or of two. For machines whose cores are all busy, or are paid for
    /// by the second.
    pub fn spin(mut self, limit: Duration) -> Self {
        self.spin = limit;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        if self.spin > MOST_SPIN {
            return Err(InvalidOptions::OverLimit {
                option: "spin",
                most: MOST_SPIN,
                value: self.spin,
            });
        }
        Ok(())
    }
}

impl Default for ContextOptions {
    fn default() -> Self {
        ContextOptions { spin: SPIN }
    }
}

/// Measured: 20 us never met a reply, and 50 cost no more processor time than sleeping.
const SPIN: Duration = Duration::from_micros(50);
/// What is to be met must come soon: a sleep of more than a millisecond is woken up from for a twentieth of its time.
const MOST_SPIN: Duration = Duration::from_millis(1);
