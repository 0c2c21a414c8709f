//! How many may come, how fast, and whether that is by a way that everybody can read.

use super::{AcceptRate, InsecureBind, InvalidOptions, Options};

impl Options {
    /// Sets how many connections of each listener may be in their handshake at once. Default 1,024; at least 1.
    ///
    /// When one more comes, the oldest of them is closed without a word, with
    /// [`Failure::TurnedAway`](crate::Failure::TurnedAway): however many silent strangers there are, who comes and says
    /// who it is gets in. Each ends at the [`handshake_timeout`](Options::handshake_timeout) anyway. What is counted is
    /// from the moment it is accepted until it is ready; not over inproc.
    ///
    /// Larger: silent strangers hold more descriptors and memory. Smaller: when that many honest peers come at once, as
    /// after a restart, or are asked about for long ([`Authoriser`](crate::Authoriser)), some are closed before they are
    /// through, and have to try again.
    pub fn max_pending_handshakes(mut self, connections: usize) -> Self {
        self.strangers.pending_handshakes = connections;
        self
    }

    /// Sets how many connections this socket takes at once, by all of its listeners, ready or not. Default
    /// [`usize::MAX`], which is no limit but the system's; at least 1.
    ///
    /// Who comes when there are as many is closed without a word, with
    /// [`Failure::TurnedAway`](crate::Failure::TurnedAway), and tries again after its waits. A connection counts from the
    /// moment it is accepted to its end; those that this socket makes do not, nor those over inproc.
    ///
    /// Larger: more descriptors, and a queue for each. Smaller: some who are honest do not get in, and silent strangers can
    /// have all the places for a [`handshake_timeout`](Options::handshake_timeout): leave more room than
    /// [`max_pending_handshakes`](Options::max_pending_handshakes).
    pub fn max_peers(mut self, connections: usize) -> Self {
        self.strangers.peers = connections;
        self
    }

    /// Sets how many connections of one IP address this socket takes at once. Default [`usize::MAX`], which is no limit;
    /// at least 1. Over tcp only.
    ///
    /// Who comes from an address that has as many is turned away as with [`max_peers`](Options::max_peers). Whole networks
    /// may have one address (NAT), and an IPv6 host may have as many as it likes: it keeps an honest program that
    /// connects in a loop from taking all places, and makes it dearer to do so on purpose.
    ///
    /// Larger: one host can take more of the places. Smaller: of many programs behind one address some do not get in.
    pub fn max_peers_per_address(mut self, connections: usize) -> Self {
        self.strangers.peers_per_address = connections;
        self
    }

    /// Sets how many descriptors are left to others: connections that come and would leave fewer to the process are closed
    /// without a word, with [`Failure::TurnedAway`](crate::Failure::TurnedAway), and try again after their waits. Default
    /// 32; 0 for none. On Linux and Android; elsewhere nobody asks how many there are.
    ///
    /// Those that a socket makes are not counted, nor those over inproc. How many there may be is the system's limit for the
    /// process (`ulimit -n`), which is asked for each connection, and may be changed meanwhile. How many are taken is seen by
    /// the number of the connection's own, which is the lowest that was free: others above it are not seen, and a process that
    /// has taken some of the highest numbers is left as many fewer.
    ///
    /// More: fewer peers. Fewer: when strangers hold all other descriptors, the program may fail to open a file, and its
    /// sockets to connect.
    pub fn fd_reserve(mut self, descriptors: usize) -> Self {
        self.strangers.fd_reserve = descriptors;
        self
    }

    /// Sets how many connections each listener takes in a second, and how many at once after a time with fewer. Default:
    /// as many as come. Both at least 1.
    ///
    /// Nobody is turned away: who comes too soon waits in the system's [`backlog`](Options::backlog) for the listener to
    /// go on, and if that is full, its system tries again, after seconds.
    ///
    /// More: a flood of connections takes more of the loop's time from the peers that are there (with CURVE, each that
    /// goes on takes as long as thousands of messages). Fewer: many peers that come back at once wait longer, up to
    /// their [`connect_timeout`](Options::connect_timeout) and handshake timeout; and whoever floods keeps others waiting.
    pub fn accept_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.strangers.accept_rate = Some(AcceptRate { per_second, burst });
        self
    }

    /// Sets whether a socket with NULL or PLAIN ([`security`](Options::security)) may bind `tcp` to other addresses than
    /// those of this machine alone (loopback). Default: it may, and a warning is logged for each bind (`tracing`).
    ///
    /// Yes: no warning. Everybody who gets at that address can connect, and who is on the way can read and change
    /// everything, with PLAIN the passwords too. No: `bind` fails with
    /// [`BindError::Insecure`](crate::BindError::Insecure). A STREAM's protocol is its application's: it is not asked.
    pub fn allow_insecure_bind(mut self, yes: bool) -> Self {
        self.insecure_bind = match yes {
            true => InsecureBind::Allow,
            false => InsecureBind::Refuse,
        };
        self
    }

    pub(super) fn check_strangers(&self) -> Result<(), InvalidOptions> {
        let strangers = &self.strangers;
        let rate = strangers.accept_rate.unwrap_or(AcceptRate {
            per_second: 1,
            burst: 1,
        });
        let is_none = [
            ("max_pending_handshakes", strangers.pending_handshakes == 0),
            ("max_peers", strangers.peers == 0),
            ("max_peers_per_address", strangers.peers_per_address == 0),
            ("accept_rate", rate.per_second.min(rate.burst) == 0),
        ];
        match is_none.into_iter().find(|(_, is_none)| *is_none) {
            Some((option, _)) => Err(InvalidOptions::Zero { option }),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket_type::SocketType::Pull;

    #[test]
    fn none_may_be_zero() {
        let wrong = [
            Options::default().max_pending_handshakes(0),
            Options::default().max_peers(0),
            Options::default().max_peers_per_address(0),
            Options::default().accept_rate(0, 1),
            Options::default().accept_rate(1, 0),
        ];
        for options in wrong {
            assert!(matches!(options.check(Pull), Err(InvalidOptions::Zero { .. })));
        }
    }
}
