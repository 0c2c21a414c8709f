//! Who a peer is: what is known of it from its address and from what it said of itself.

use crate::identity::Identity;
use crate::security::User;
use crate::socket_type::SocketType;
use bytes::Bytes;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What is known of a peer: where it is, and what it said of itself when its connection became ready
/// ([RFC 37](https://rfc.zeromq.org/spec/37/)). Facts of one connection; they do not change.
///
/// All but the address, the [credentials](PeerInfo::credentials) and the [user](PeerInfo::user) is the peer's word, which
/// nobody has proved.
///
/// ```
/// use peermq::{Context, Options, Pull, Push};
///
/// let context = Context::new()?;
/// let pull = Pull::new(&context);
/// let push = Push::with_options(&context, Options::default().metadata("X-Zone", "north"))?;
/// push.connect(pull.bind("inproc://who")?)?;
/// push.send("hello")?;
///
/// let (message, peer) = pull.recv_from()?;
/// assert_eq!(message, "hello");
/// assert_eq!(peer.property("X-Zone"), Some(&b"north"[..]));
/// assert_eq!(peer.property("X-Colour"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    address: Arc<str>,
    credentials: Option<PeerCredentials>,
    socket_type: SocketType,
    identity: Option<Identity>,
    version: (u8, u8),
    metadata: Vec<(String, Bytes)>,
    user: Option<User>,
}

/// Which process the system says is at the other end of an ipc connection, and whose ([`PeerInfo::credentials`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerCredentials {
    process: Option<NonZeroU32>,
    user: u32,
    group: u32,
}

impl PeerInfo {
    pub(crate) fn new(
        address: Arc<str>,
        credentials: Option<PeerCredentials>,
        socket_type: SocketType,
        identity: Option<Identity>,
        version: (u8, u8),
        metadata: Vec<(String, Bytes)>,
        user: Option<User>,
    ) -> Self {
        PeerInfo {
            address,
            credentials,
            socket_type,
            identity,
            version,
            metadata,
            user,
        }
    }

    /// Bytes of what it said of itself, names and values.
    pub(crate) fn weight(&self) -> usize {
        self.metadata().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Returns where it is: the endpoint that was connected to, or the address that it came from; of all who send datagrams,
    /// the endpoint that they come to. libzmq's `Peer-Address`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the process at the other end of an `ipc` connection, and whose it is: Linux's `SO_PEERCRED`. `None` over the
    /// other transports, and on systems other than Linux and Android.
    ///
    /// It is the system's word, not the peer's, as of one moment: a peer that was accepted is who called `connect` then, and
    /// one that was connected to is who called `listen`, which is the service manager if that opened the listener. Either
    /// may since have ended, have become another user, or have given the connection to a child.
    ///
    /// ```
    /// use peermq::{Context, Pull, Push};
    ///
    /// let context = Context::new()?;
    /// let (pull, push) = (Pull::new(&context), Push::new(&context));
    /// push.connect(pull.bind("ipc://*")?)?;
    /// push.send("hello")?;
    ///
    /// let (_, peer) = pull.recv_from()?;
    /// if let Some(credentials) = peer.credentials() {
    ///     assert_eq!(credentials.process_id(), Some(std::process::id()));
    ///     println!("user {}, group {}", credentials.user_id(), credentials.group_id());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn credentials(&self) -> Option<PeerCredentials> {
        self.credentials
    }

    /// Returns whom it was taken for when it was let in ([`Security`](crate::Security)): with CURVE the key that it proved to
    /// hold, with PLAIN the name that it said, or whom an [`Authoriser`](crate::Authoriser) took it for. `None` of a server,
    /// of who was let in whatever it says, with NULL, and over inproc. libzmq's `User-Id`.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Returns its socket type. libzmq's `Socket-Type`.
    pub fn socket_type(&self) -> SocketType {
        self.socket_type
    }

    /// Returns the name that it has given itself, if it did ([`Options::identity`](crate::Options::identity)). libzmq's
    /// `Routing-Id`.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns the version of ZMTP that it speaks, major and minor; over inproc ours; 0 and 0 of what speaks none.
    pub fn version(&self) -> (u8, u8) {
        self.version
    }

    /// Returns the value of what it said under this name ([`Options::metadata`](crate::Options::metadata)), the first if
    /// there are several. Names are compared without regard to case.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.metadata()
            .find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Returns all that it said beside its type and identity, in its order. Names are printable; values are whatever it
    /// sent. Peers of this library also say their `Implementation` and `Heartbeat-Timeout`. What it says under libzmq's names
    /// for what is found out of a peer (`Peer-Address`, `User-Id`, `Routing-Id`) is left out.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.metadata.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

impl PeerCredentials {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new(process: Option<NonZeroU32>, user: u32, group: u32) -> Self {
        PeerCredentials { process, user, group }
    }

    /// Returns the process's number, as this process would name it. `None` if it has none here: a process of a container
    /// knows no number of those outside.
    ///
    /// The process may have ended since, and the number be another's: it is for logs and statistics, and proves nothing.
    pub fn process_id(self) -> Option<u32> {
        self.process.map(NonZeroU32::get)
    }

    /// Returns the number of the user whose rights the process had (its effective user). A user who is not known in this
    /// process's user namespace has the system's number for such, 65534 as a rule.
    pub fn user_id(self) -> u32 {
        self.user
    }

    /// Returns the number of the process's effective group. For a group that is not known here, as
    /// [`user_id`](PeerCredentials::user_id). Its further groups are not told.
    pub fn group_id(self) -> u32 {
        self.group
    }
}
