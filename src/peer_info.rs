//! Who a peer is: what is known of it from its address and from what it said of itself.

use crate::identity::Identity;
use crate::socket_type::SocketType;
use bytes::Bytes;

/// What is known of a peer: where it is, and what it said of itself when its connection became ready
/// ([RFC 37](https://rfc.zeromq.org/spec/37/)). Facts of one connection; they do not change.
///
/// All but the address is the peer's word, which nobody has proved. Over ipc the system knows also the process and the user
/// at the other end; there is no stable way to ask it without unsafe code, and this does not say. The file's mode keeps
/// others out.
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
    address: String,
    socket_type: SocketType,
    identity: Option<Identity>,
    version: (u8, u8),
    metadata: Vec<(String, Bytes)>,
}

impl PeerInfo {
    pub(crate) fn new(
        address: String,
        socket_type: SocketType,
        identity: Option<Identity>,
        version: (u8, u8),
        metadata: Vec<(String, Bytes)>,
    ) -> Self {
        PeerInfo {
            address,
            socket_type,
            identity,
            version,
            metadata,
        }
    }

    /// Returns where it is: the endpoint that was connected to, or the address that it came from; of all who send datagrams,
    /// the endpoint that they come to. libzmq's `Peer-Address`.
    pub fn address(&self) -> &str {
        &self.address
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
    /// sent. Peers of this library also say their `Implementation` and `Heartbeat-Timeout`.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.metadata.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}
