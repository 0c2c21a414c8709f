//! What a source's user decides.

use crate::confirmed::wire::LONGEST_MS;
use std::time::Duration;

/// Limits and times of a ledger.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long a delivery may take. Shorter: tasks that take long are done twice; longer: those of a worker that hangs wait.
    pub(crate) lease: Duration,
    /// How long a worker may say nothing; `None`: that ZMTP's heartbeats find it gone is enough.
    pub(crate) silence: Option<Duration>,
    /// How often a task is tried until FAILED is its end.
    pub(crate) most_attempts: u16,
    /// How many deliveries may end without a word until the task is held to be what workers die of; `None`: it never is.
    pub(crate) most_losses: Option<u16>,
    /// Tasks that are not settled.
    pub(crate) most_tasks: usize,
    /// Octets of theirs.
    pub(crate) most_bytes: usize,
    /// Workers at once.
    pub(crate) most_workers: usize,
    /// Malformed heads of one worker until its connection is ended.
    pub(crate) most_offences: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            lease: Duration::from_secs(30),
            silence: None,
            most_attempts: 5,
            most_losses: Some(20),
            most_tasks: 100_000,
            most_bytes: 512 << 20,
            most_workers: 4096,
            most_offences: 100,
        }
    }
}

impl Settings {
    /// How long a task waits that has failed so often: twice as long each time, and a fifth more or less by chance, so that
    /// what failed together is not tried together.
    pub(super) fn wait(&self, attempts: u16, chance: u32) -> Duration {
        let doublings = u32::from(attempts.saturating_sub(1)).min(MOST_DOUBLINGS);
        let wait = SHORTEST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        let fifth = wait / 5;
        wait - fifth + (fifth * 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    pub(super) fn lease_ms(&self) -> u32 {
        ms(self.lease).max(1)
    }

    pub(super) fn silence_ms(&self) -> u32 {
        self.silence.map_or(0, |silence| ms(silence).max(1))
    }
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS))
}

const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// More of them than lead to the longest wait.
const MOST_DOUBLINGS: u32 = 16;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_differ_by_a_fifth() {
        let settings = Settings::default();
        let ms = |attempts, chance| settings.wait(attempts, chance).as_millis();
        for (attempts, shortest, longest) in [
            (1, 80, 120),
            (2, 160, 240),
            (3, 320, 480),
            (9, 20_480, 30_720),
            (10, 24_000, 36_000),
            (u16::MAX, 24_000, 36_000),
        ] {
            assert_eq!((ms(attempts, 0), ms(attempts, u32::MAX)), (shortest, longest));
            assert!((shortest..=longest).contains(&ms(attempts, 1 << 31)));
        }
    }

    #[test]
    fn times_are_said_within_their_limits() {
        let said = |lease, silence| {
            let settings = Settings {
                lease,
                silence,
                ..Settings::default()
            };
            (settings.lease_ms(), settings.silence_ms())
        };
        assert_eq!(said(Duration::ZERO, None), (1, 0));
        assert_eq!(said(Duration::MAX, Some(Duration::MAX)), (LONGEST_MS, LONGEST_MS));
        assert_eq!(said(Duration::from_secs(1), Some(Duration::from_micros(1))), (1000, 1));
    }
}
