//! How a socket proves who it is, and whom it lets in.

use super::{InvalidOptions, Options};
use crate::security::{LONGEST, Role, Security};

impl Options {
    /// Sets how this socket proves who it is, and whom it lets in: see [`Security`]. Default: NULL, which proves nothing and
    /// lets all in. All types but STREAM.
    ///
    /// It counts for tcp and ipc; over inproc there is none, and an endpoint of udp is refused if there is to be one. Who is
    /// not let in is told to the [`Monitor`](crate::Monitor) as [`HandshakeFailed`](crate::Event::HandshakeFailed), with
    /// [`NotAdmitted`](crate::Failure::NotAdmitted); at its own side it fails with
    /// [`RefusedByPeer`](crate::Failure::RefusedByPeer), and is not tried again unless there is
    /// [`retry_refused`](Options::retry_refused). Who comes from an [address](Security::allow_from) that nobody may come
    /// from hears nothing, and does try again.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self.note("security")
    }

    pub(super) fn check_security(&self) -> Result<(), InvalidOptions> {
        if self.security.role.is_sealed() && self.limits.handshake_bytes < SMALLEST_SEALED {
            return Err(InvalidOptions::TooSmall {
                option: "max_handshake_bytes",
                least: SMALLEST_SEALED,
            });
        }
        let Role::PlainClient(login) = &self.security.role else {
            return Ok(());
        };
        match login.username.len().max(login.password.len()) <= LONGEST {
            true => Ok(()),
            false => Err(InvalidOptions::TooLarge {
                option: "security: a name or a password",
                most: LONGEST,
            }),
        }
    }
}

/// What holds CURVE's words, with an identity of 255 bytes.
const SMALLEST_SEALED: usize = 1024;
