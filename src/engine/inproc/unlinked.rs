//! How a hub reaches those that it has no link to: not yet, or not any more.

use super::names::Names;
use crate::failure::Failure;
use crate::hub::{Link, Pace};
use crate::routing::PeerId;
use std::sync::Weak;
use std::time::Instant;

/// How a socket reaches those that it turned away.
pub(super) struct Vacancy {
    pub(super) names: Weak<Names>,
    pub(super) key: u64,
}

impl Link for Vacancy {
    fn flush(&self, _pace: Pace, _now: Option<Instant>) {}

    fn resume(&self) {
        if let Some(names) = self.names.upgrade() {
            names.vacated(self.key);
        }
    }

    fn sever(&self, _failure: Failure) {}

    fn challenge(&self) {}
}

/// How the loop reaches a peer that lingers.
pub(super) struct Parting {
    pub(super) names: Weak<Names>,
    pub(super) name: String,
    pub(super) key: u64,
    pub(super) peer: PeerId,
}

impl Link for Parting {
    fn flush(&self, _pace: Pace, _now: Option<Instant>) {}

    fn resume(&self) {}

    fn sever(&self, _failure: Failure) {
        if let Some(names) = self.names.upgrade() {
            names.expire(&self.name, self.key, self.peer);
        }
    }

    fn challenge(&self) {}
}
