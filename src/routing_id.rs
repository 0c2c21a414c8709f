//! The number under which a socket knows a peer that it addresses: never 0.

use std::fmt;
use std::num::NonZeroU32;

/// A peer as a socket knows it that addresses its peers by number (SERVER and PEER in libzmq); never 0.
///
/// It is made up by the socket that uses it, for each of its peers; another socket knows the same peer by another one.
/// Four bytes hold it, so an application may store it and come back to it:
///
/// ```
/// use peermq::RoutingId;
///
/// let stored = 7_u32;
/// let id = RoutingId::new(stored).ok_or("0 is nobody")?;
/// assert_eq!(id.get(), stored);
/// assert_eq!(RoutingId::new(0), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingId(NonZeroU32);

impl RoutingId {
    /// Returns the id with this number; `None` for 0, which is nobody's.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(RoutingId(number)),
            None => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<RoutingId> for u32 {
    fn from(id: RoutingId) -> u32 {
        id.get()
    }
}
