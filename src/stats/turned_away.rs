//! How many connections met a limit.

use crate::limit::{LIMITS, Limit};
use std::fmt;

/// Connections that were turned away, or ended, because of a limit; by limit. Counts only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnedAway([u64; LIMITS]);

impl TurnedAway {
    /// Returns how many were because of this limit.
    pub fn by(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).copied().unwrap_or(0)
    }

    /// Returns how many were because of any limit.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the limits that were met, with how many each turned away.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        let counts = *self;
        Limit::ALL
            .into_iter()
            .map(move |limit| (limit, counts.by(limit)))
            .filter(|&(_, count)| count > 0)
    }

    pub(crate) fn add(&mut self, limit: Limit) {
        if let Some(count) = self.0.get_mut(limit as usize) {
            *count += 1;
        }
    }
}

impl fmt::Debug for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
