//! Those who come: whether there is room for one more, who has to go for it, and what is told of those who fail.

use super::{Arrival, Engine, Failed, Owner, Phase, Slot};
use crate::endpoint::{Endpoint, Kind};
use crate::failure::{Failure, Stage};
use crate::hub::{Effects, Origin, Station};
use crate::limit::Limit;
use crate::monitor::Event;
use crate::transport::{Net, Stream};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

impl<N: Net> Engine<N> {
    /// A connection was taken, which reports under this token, the next that is given: it begins its handshake, if there is
    /// room for it.
    pub(super) fn receive(
        &mut self,
        listener: usize,
        token: usize,
        stream: N::Stream,
        remote: Arc<str>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(Slot::Listener(it)) = self.slots.get_mut(listener) else {
            return;
        };
        let (station, endpoint) = (Arc::clone(&it.station), Arc::clone(&it.endpoint));
        let is_tcp = matches!(it.endpoint.kind(), Kind::Tcp(_));
        let address = ip_of(&remote);
        let options = station.options();
        let counted = address.filter(|_| options.strangers.peers_per_address != usize::MAX);
        // Of datagrams there is one for all who send: it is no stranger.
        let is_counted = !stream.is_datagrams();
        let is_taken = match options.security.addresses.judge(address) {
            Err(why) if is_tcp => Err(Failure::NotAdmitted { why }),
            _ if is_counted => self.count_in(&station, counted, stream.descriptors_left()),
            _ => Ok(()),
        };
        if let Err(failure) = is_taken {
            drop(stream);
            let failed = Failed {
                endpoint,
                peer: remote,
                stage: Stage::Greeting,
                failure,
            };
            // Counted before it is told: who hears of it may ask at once.
            if let Some(limit) = failed.failure.limit() {
                station.over_limit(limit);
            }
            self.tell_failed(Some(listener), &station, &failed, now);
            self.remember(&station, failed);
            return;
        }
        let Some(Slot::Listener(it)) = self.slots.get_mut(listener) else {
            return;
        };
        let arrival = Arrival {
            listener,
            number: it.gate.enter(token),
            address: counted,
            is_counted,
        };
        let origin = Origin::Accepted(Arc::clone(&remote));
        let session = self.begin_session(
            stream,
            &station,
            Owner::Listener(arrival),
            origin,
            endpoint,
            remote,
            Phase::Handshake,
        );
        debug_assert_eq!(session, token, "the stream reports under its token");
        self.make_way(listener, now, effects);
        self.begin_handshake(session, now, effects);
    }

    /// One more of a socket, if its limits allow that, and enough descriptors are left.
    fn count_in(
        &mut self,
        station: &Arc<dyn Station>,
        address: Option<IpAddr>,
        descriptors_left: Option<usize>,
    ) -> Result<(), Failure> {
        let strangers = &station.options().strangers;
        if let Some(left) = descriptors_left.filter(|&left| left < strangers.fd_reserve) {
            return Err(Failure::TurnedAway {
                limit: Limit::FdReserve,
                value: strangers.fd_reserve as u64,
                observed: left as u64,
            });
        }
        // A listener belongs to a member.
        let Some(member) = self.members.get_mut(&station.key()) else {
            return Ok(());
        };
        check(Limit::Peers, strangers.peers, member.accepted)?;
        if let Some(address) = address {
            let of_address = member.by_address.entry(address).or_default();
            check(Limit::PeersPerAddress, strangers.peers_per_address, *of_address)?;
            *of_address += 1;
        }
        member.accepted += 1;
        Ok(())
    }

    /// One less.
    pub(super) fn count_out(&mut self, station: &Arc<dyn Station>, arrival: Arrival) {
        self.is_no_stranger(arrival);
        let Some(member) = self.members.get_mut(&station.key()) else {
            return;
        };
        member.accepted -= usize::from(arrival.is_counted);
        if let Some(address) = arrival.address
            && let Some(of_address) = member.by_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                member.by_address.remove(&address);
            }
        }
    }

    /// It is through its handshake, or over.
    pub(super) fn is_no_stranger(&mut self, arrival: Arrival) {
        if let Some(Slot::Listener(it)) = self.slots.get_mut(arrival.listener) {
            it.gate.leave(arrival.number);
        }
    }

    /// Ends the oldest of those in their handshake, if there are too many for one more.
    fn make_way(&mut self, listener: usize, now: Instant, effects: &mut Effects) {
        if let Some(Slot::Listener(it)) = self.slots.get_mut(listener)
            && let Some((oldest, failure)) = it.gate.in_the_way()
        {
            self.end(oldest, failure, now, effects);
        }
    }

    /// Counts one that failed before it was ready, and tells it unless many like it were told.
    pub(super) fn tell_failed(
        &mut self,
        listener: Option<usize>,
        station: &Arc<dyn Station>,
        failed: &Failed,
        now: Instant,
    ) {
        let suppressed = match listener.map(|listener| self.slots.get_mut(listener)) {
            Some(Some(Slot::Listener(it))) => it.gate.tell(&failed.failure, now),
            // Of a listener that is gone no more come.
            _ => Some(0),
        };
        if listener.is_some() {
            station.handshake_failed(suppressed.is_some());
        }
        if let Some(suppressed) = suppressed {
            station.tell(Event::HandshakeFailed {
                endpoint: Endpoint::clone(&failed.endpoint),
                peer: failed.peer.to_string(),
                stage: failed.stage,
                failure: failed.failure.clone(),
                suppressed,
            });
        }
    }

    /// For those who ask what a listener is about.
    pub(super) fn remember(&mut self, station: &Arc<dyn Station>, failed: Failed) {
        if let Some(member) = self.members.get_mut(&station.key()) {
            member.last_turned_away = Some((failed.endpoint, failed.stage, failed.failure));
        }
    }
}

/// Whether one more is within the limit.
fn check(limit: Limit, value: usize, so_far: usize) -> Result<(), Failure> {
    if so_far < value {
        return Ok(());
    }
    Err(Failure::TurnedAway {
        limit,
        value: value as u64,
        observed: so_far as u64 + 1,
    })
}

/// The address in what is shown of a TCP peer; an IPv4 one as IPv4, whatever it came by.
fn ip_of(remote: &str) -> Option<IpAddr> {
    let address: SocketAddr = remote.strip_prefix("tcp://")?.parse().ok()?;
    Some(address.ip().to_canonical())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::transport::tcp::text;

    #[test]
    fn who_comes_is_known_by_an_address_whatever_its_port() {
        for (address, expected) in [
            ("10.0.0.1:5", "10.0.0.1"),
            ("[::ffff:10.0.0.1]:6", "10.0.0.1"),
            ("[2001:db8::1]:7", "2001:db8::1"),
            ("[fe80::1%3]:8", "fe80::1"),
        ] {
            let shown = text(address.parse().unwrap());
            assert_eq!(ip_of(&shown), Some(expected.parse().unwrap()), "{shown}");
        }
        assert_eq!(ip_of("ipc:///tmp/somewhere"), None);
    }
}
