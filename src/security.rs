//! How a socket proves who it is, and whom it lets in: words. What goes over the wire is said in `wire::mechanism`.
//!
//! A server that does not say whom it lets in cannot be written down: only saying it gives a [`Security`].

mod addresses;
mod authoriser;
mod subnet;

pub(crate) use addresses::Addresses;
pub use authoriser::{Answer, Authoriser, Claim, User, Verdict};
pub(crate) use authoriser::{Asked, Credentials};
pub use subnet::{InvalidSubnet, Subnet};

use crate::failure::printable;
use crate::keys::{KeyPair, PublicKey, SecretKey};
use authoriser::is_same;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Says how a socket proves who it is, and whom it lets in ([`Options::security`](crate::Options::security)). The default is
/// NULL: nobody proves anything, all are let in, and everything goes in clear.
///
/// Made by [`Null`], [`Plain`] and [`Curve`]. Both sides of a connection must have the same mechanism, with the latter two one
/// as its client and the other as its server; which of them binds and which connects does not matter. Over inproc there is
/// none: who is in the process is trusted. Over udp there is none either, and whoever wants one is refused.
///
/// ```
/// use peermq::{Context, Curve, Options, Pull, Push, SecretKey};
///
/// let context = Context::new()?;
/// let (ours, theirs) = (SecretKey::generate()?, SecretKey::generate()?);
/// let server = ours.public();
///
/// let security = Curve::server(ours).allow([theirs.public()]);
/// let pull = Pull::with_options(&context, Options::default().security(security))?;
///
/// let security = Curve::client(theirs, server);
/// let push = Push::with_options(&context, Options::default().security(security))?;
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("sealed")?;
///
/// let (message, peer) = pull.recv_from()?;
/// assert_eq!(message, "sealed");
/// assert!(peer.user().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Security {
    pub(crate) role: Role,
    pub(crate) addresses: Addresses,
}

/// NULL: nobody proves anything, and everything goes in clear. What a socket has unless it is told otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Null;

/// PLAIN ([RFC 24](https://rfc.zeromq.org/spec/24/)): a client says a name and a password.
///
/// Both go in clear, as all else does: whoever can read what goes between the two has them. It is for networks that only those
/// can read who may.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

/// A PLAIN server that has still to be told whom it lets in.
#[derive(Debug)]
#[must_use = "a server says whom it lets in"]
pub struct PlainServer(());

/// CURVE ([RFC 26](https://rfc.zeromq.org/spec/26/)): each side has a pair of keys, proves that it holds the secret one, and
/// everything is sealed with keys of this connection alone.
///
/// A client knows the server's public key, and tells nothing of itself to anybody else. Who records what goes over the network
/// learns sizes and times, also if secret keys become known later; who may change it can end connections, and no more.
#[derive(Debug, Clone, Copy)]
pub struct Curve;

/// A CURVE server that has still to be told whom it lets in.
#[derive(Debug)]
#[must_use = "a server says whom it lets in"]
pub struct CurveServer(SecretKey);

impl Security {
    /// Takes tcp connections from these addresses only. Called again, it adds to them; with none, nobody can come.
    ///
    /// Whoever comes from elsewhere is closed before a word, with [`NotAdmitted`](crate::Failure::NotAdmitted), and tries
    /// again after its waits. What is said here is about those who come: whom this socket connects to it has chosen. An ipc
    /// file is for those who may open it, and inproc for the process; udp is refused, for its addresses can be forged.
    ///
    /// An address is no proof of who is there: whoever is on the way, or in that network, can have it.
    ///
    /// ```
    /// use peermq::{Context, Null, Options, Pull, Subnet};
    ///
    /// let office: Subnet = "192.0.2.0/24".parse()?;
    /// let printer: Subnet = "192.0.2.9".parse()?;
    /// let security = Null::allow_from([office]).deny_from([printer]);
    /// let pull = Pull::with_options(&Context::new()?, Options::default().security(security))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_from(mut self, subnets: impl IntoIterator<Item = Subnet>) -> Self {
        self.addresses.allow(subnets);
        self
    }

    /// Takes no tcp connections from these addresses, even if they are among those that are
    /// [allowed](Security::allow_from), where the rest is said. Called again, it adds to them.
    pub fn deny_from(mut self, subnets: impl IntoIterator<Item = Subnet>) -> Self {
        self.addresses.deny(subnets);
        self
    }

    /// Whether peers have to show nothing, may be anywhere, and nobody is asked about them.
    pub(crate) fn asks_nothing(&self) -> bool {
        self.role.asks_nothing() && self.addresses.are_all()
    }
}

impl Null {
    /// Takes connections from these addresses only: see [`Security::allow_from`].
    pub fn allow_from(subnets: impl IntoIterator<Item = Subnet>) -> Security {
        Security::default().allow_from(subnets)
    }

    /// Takes connections from all addresses but these: see [`Security::deny_from`].
    pub fn deny_from(subnets: impl IntoIterator<Item = Subnet>) -> Security {
        Security::default().deny_from(subnets)
    }

    /// Asks this authoriser about each peer, of which only the [address](Claim::address) is known.
    pub fn ask(authoriser: impl Authoriser) -> Security {
        Role::Null(Admission::Asked(Asked::new(authoriser))).into()
    }
}

impl Plain {
    /// Makes a client that says this name and this password: at most 255 bytes each, or no socket is made
    /// ([`InvalidOptions`](crate::InvalidOptions)).
    pub fn client(username: impl Into<String>, password: impl Into<String>) -> Security {
        Role::PlainClient(Arc::new(Login {
            username: username.into(),
            password: Zeroizing::new(password.into()),
        }))
        .into()
    }

    /// Begins a server: it says next whom it lets in.
    pub fn server() -> PlainServer {
        PlainServer(())
    }
}

impl PlainServer {
    /// Lets those in who say one of these names, and its password. The name is their [user id](crate::PeerInfo::user). Who says
    /// another is told so after 100 ms, so that guessing takes its time.
    pub fn allow<N, P>(self, logins: impl IntoIterator<Item = (N, P)>) -> Security
    where
        N: Into<String>,
        P: Into<String>,
    {
        let zeroizing = |(name, password): (N, P)| (name.into(), Zeroizing::new(password.into()));
        let logins = logins.into_iter().map(zeroizing).collect();
        Role::PlainServer(Admission::Logins(Arc::new(logins))).into()
    }

    /// Lets all in, whatever they say.
    pub fn allow_any(self) -> Security {
        Role::PlainServer(Admission::Any).into()
    }

    /// Asks this authoriser about each.
    pub fn ask(self, authoriser: impl Authoriser) -> Security {
        Role::PlainServer(Admission::Asked(Asked::new(authoriser))).into()
    }
}

impl Curve {
    /// Makes a client with this secret key, of the server that has this public key.
    pub fn client(secret: SecretKey, server: PublicKey) -> Security {
        let ours = secret.into();
        Role::CurveClient(Arc::new(CurveClient { ours, server })).into()
    }

    /// Begins a server with this secret key: it says next whom it lets in.
    pub fn server(secret: SecretKey) -> CurveServer {
        CurveServer(secret)
    }
}

impl CurveServer {
    /// Lets those in who prove that they hold the secret key to one of these. The key, in Z85, is their
    /// [user id](crate::PeerInfo::user).
    pub fn allow(self, keys: impl IntoIterator<Item = PublicKey>) -> Security {
        let keys = keys.into_iter().collect();
        Role::CurveServer(Arc::new(self.0.into()), Admission::Keys(Arc::new(keys))).into()
    }

    /// Lets all in who know this server's public key. The key that each proved to hold is its
    /// [user id](crate::PeerInfo::user).
    pub fn allow_any(self) -> Security {
        Role::CurveServer(Arc::new(self.0.into()), Admission::Any).into()
    }

    /// Asks this authoriser about each that has proved to hold its key.
    pub fn ask(self, authoriser: impl Authoriser) -> Security {
        Role::CurveServer(Arc::new(self.0.into()), Admission::Asked(Asked::new(authoriser))).into()
    }
}

/// What a socket is in its mechanism.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    Null(Admission),
    PlainClient(Arc<Login>),
    PlainServer(Admission),
    CurveClient(Arc<CurveClient>),
    CurveServer(Arc<KeyPair>, Admission),
}

/// What a PLAIN client says.
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: Zeroizing<String>,
}

/// What a CURVE client knows.
#[derive(Debug)]
pub(crate) struct CurveClient {
    pub(crate) ours: KeyPair,
    pub(crate) server: PublicKey,
}

/// Whom a server lets in.
#[derive(Clone)]
pub(crate) enum Admission {
    Any,
    Logins(Arc<BTreeMap<String, Zeroizing<String>>>),
    Keys(Arc<BTreeSet<PublicKey>>),
    Asked(Arc<Asked>),
}

/// Whether a peer may come in.
pub(crate) enum Judgement {
    Admit(Option<User>),
    /// Why not, in words for our side alone.
    Deny(String),
    /// Somebody else says so.
    Ask(Arc<Asked>),
}

impl Role {
    pub(crate) fn mechanism(&self) -> &'static str {
        match self {
            Role::Null(_) => "NULL",
            Role::PlainClient(_) | Role::PlainServer(_) => "PLAIN",
            Role::CurveClient(_) | Role::CurveServer(..) => "CURVE",
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Role::PlainServer(_) | Role::CurveServer(..))
    }

    /// Whether what peers show can be guessed.
    pub(crate) fn has_passwords(&self) -> bool {
        matches!(self, Role::PlainServer(_))
    }

    /// Whether peers have to show nothing, and nobody is asked about them.
    pub(crate) fn asks_nothing(&self) -> bool {
        matches!(self, Role::Null(Admission::Any))
    }

    /// Whether all that is sent is sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self, Role::CurveClient(_) | Role::CurveServer(..))
    }

    /// Whether who has shown this may come in.
    pub(crate) fn judge(&self, credentials: &Credentials) -> Judgement {
        let (Role::Null(admission) | Role::PlainServer(admission) | Role::CurveServer(_, admission)) = self else {
            return Judgement::Deny("this socket lets nobody in".to_owned());
        };
        match (admission, credentials) {
            (Admission::Any, Credentials::Null | Credentials::Plain { .. }) => Judgement::Admit(None),
            (Admission::Any, Credentials::Curve(key)) => Judgement::Admit(Some(User::new(key.to_string()))),
            (Admission::Logins(logins), Credentials::Plain { username, password }) => {
                let known = std::str::from_utf8(username)
                    .ok()
                    .and_then(|name| logins.get_key_value(name));
                // Compared also if there is no such name: how long it takes does not tell.
                let is_right = is_same(password, known.map_or(&[], |(_, password)| password.as_bytes()));
                match known.filter(|_| is_right) {
                    Some((name, _)) => Judgement::Admit(Some(User::new(name))),
                    None => Judgement::Deny(format!(
                        "there is no user \"{}\" with this password",
                        printable(username)
                    )),
                }
            }
            (Admission::Keys(keys), Credentials::Curve(key)) if keys.contains(key) => {
                Judgement::Admit(Some(User::new(key.to_string())))
            }
            (Admission::Keys(_), Credentials::Curve(key)) => {
                Judgement::Deny(format!("the key {key} is none of those that are allowed"))
            }
            (Admission::Asked(authoriser), _) => Judgement::Ask(Arc::clone(authoriser)),
            (Admission::Logins(_) | Admission::Keys(_), _) => Judgement::Deny("it has shown something else".to_owned()),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?}, ..)", self.username)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Admission::Any => f.write_str("Any"),
            Admission::Logins(logins) => f.debug_set().entries(logins.keys()).finish(),
            Admission::Keys(keys) => f.debug_set().entries(keys.iter()).finish(),
            Admission::Asked(_) => f.write_str("Asked"),
        }
    }
}

impl Default for Role {
    fn default() -> Self {
        Role::Null(Admission::Any)
    }
}

impl From<Role> for Security {
    fn from(role: Role) -> Self {
        Security {
            role,
            addresses: Addresses::default(),
        }
    }
}

/// Bytes of a name, and of a password.
pub(crate) const LONGEST: usize = 255;
