//! What a listener remembers of those who come: who is not through the handshake yet, how fast more are taken, and what has
//! been told of those who failed.
//!
//! Strangers cost nothing to be: each of these has a limit, and none is walked through for one of them.

use super::bucket::Bucket;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::options::Strangers;
use std::collections::BTreeMap;
use std::mem::Discriminant;
use std::time::Instant;

/// The strangers of one listener.
#[derive(Debug)]
pub(super) struct Gate {
    /// Sessions before READY, by the order in which they came; at the limit the oldest ends for the newest.
    pending: BTreeMap<u64, usize>,
    most_pending: usize,
    /// The number that the next one gets.
    arrivals: u64,
    rate: Option<Bucket>,
    /// One for each kind of failure that there was, of which there are some tens.
    told: Vec<Told>,
}

/// What was told of one kind of failure.
#[derive(Debug)]
struct Told {
    kind: (Discriminant<Failure>, Option<Limit>),
    bucket: Bucket,
    /// How many were not told since the last that was.
    suppressed: u64,
}

impl Gate {
    pub(super) fn new(strangers: &Strangers) -> Self {
        Gate {
            pending: BTreeMap::new(),
            most_pending: strangers.pending_handshakes,
            arrivals: 0,
            rate: strangers
                .accept_rate
                .map(|rate| Bucket::new(rate.per_second, rate.burst)),
            told: Vec::new(),
        }
    }

    /// Until when no more are to be taken; `None`: the next may be.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        let next = self.rate.as_ref()?.next(now);
        (next > now).then_some(next)
    }

    /// One was taken.
    pub(super) fn took(&mut self, now: Instant) {
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
    }

    /// Who has to go, since there are too many: the oldest, and why.
    pub(super) fn in_the_way(&self) -> Option<(usize, Failure)> {
        let (_, &oldest) = self.pending.first_key_value()?;
        let failure = Failure::TurnedAway {
            limit: Limit::PendingHandshakes,
            value: self.most_pending as u64,
            observed: self.pending.len() as u64,
        };
        (self.pending.len() > self.most_pending).then_some((oldest, failure))
    }

    /// A session begins its handshake. Gives its number among them.
    pub(super) fn enter(&mut self, token: usize) -> u64 {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.pending.insert(arrival, token);
        arrival
    }

    /// It is ready, or over.
    pub(super) fn leave(&mut self, arrival: u64) {
        self.pending.remove(&arrival);
    }

    /// One has failed. If that is to be told: with how many before it that were like it, and were not.
    pub(super) fn tell(&mut self, failure: &Failure, now: Instant) -> Option<u64> {
        let kind = (std::mem::discriminant(failure), failure.limit());
        let place = self.told.iter().position(|told| told.kind == kind);
        let place = place.unwrap_or_else(|| {
            self.told.push(Told {
                kind,
                bucket: Bucket::new(TOLD_PER_SECOND, TOLD_AT_ONCE),
                suppressed: 0,
            });
            self.told.len() - 1
        });
        let told = self.told.get_mut(place)?;
        match told.bucket.take(now) {
            true => Some(std::mem::take(&mut told.suppressed)),
            false => {
                told.suppressed += 1;
                None
            }
        }
    }
}

/// Events of one kind of failure at one listener: all of a burst, and then so many a second.
const TOLD_AT_ONCE: u32 = 50;
const TOLD_PER_SECOND: u32 = 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Options;
    use std::time::Duration;

    fn gate(options: &Options) -> Gate {
        Gate::new(&options.strangers)
    }

    #[test]
    fn the_oldest_is_in_the_way_once_there_are_too_many() {
        let mut gate = gate(&Options::default().max_pending_handshakes(3));
        let arrivals = [70, 5, 30].map(|token| gate.enter(token));
        assert!(gate.in_the_way().is_none());
        gate.enter(8);
        let (oldest, failure) = gate.in_the_way().unwrap();
        assert_eq!(oldest, 70);
        assert_eq!(
            failure.to_string(),
            "turned away: 4 pending handshakes, max_pending_handshakes is 3"
        );

        gate.leave(arrivals[1]);
        assert!(gate.in_the_way().is_none());
        gate.leave(arrivals[0]);
        gate.leave(arrivals[0]);
        gate.enter(1);
        gate.enter(2);
        assert_eq!(gate.in_the_way().unwrap().0, 30);
    }

    /// T27: one record for each kind, and the number of those that were left out.
    #[test]
    fn threat_27_a_flood_of_failures_is_told_in_part_and_counted_whole() {
        let mut gate = gate(&Options::default());
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let flood = Failure::NotZmtp { looks_like: "HTTP" };
        let told = (0..1_000).filter(|_| gate.tell(&flood, start).is_some()).count();
        assert_eq!(told, 50);

        assert_eq!(gate.tell(&flood, start + second / 2), None);
        let other = Failure::OldVersion { major: 1 };
        assert_eq!(gate.tell(&other, start), Some(0), "another kind is told");
        assert_eq!(gate.tell(&flood, start + second), Some(951));
        assert_eq!(gate.tell(&flood, start + second), None);
        assert_eq!(gate.tell(&flood, start + 2 * second), Some(1));
    }

    #[test]
    fn limits_are_kinds_of_their_own() {
        let mut gate = gate(&Options::default());
        let now = Instant::now();
        let over = |limit| Failure::too_large(limit, 1, 2);
        while gate.tell(&over(Limit::Properties), now).is_some() {}

        assert_eq!(gate.tell(&over(Limit::HandshakeBytes), now), Some(0));
    }
}
