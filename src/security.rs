//! How a socket proves who it is, and whom it lets in: words. What goes over the wire is said in `wire::mechanism`.
//!
//! A server that does not say whom it lets in cannot be written down: only saying it gives a [`Security`].

use crate::cipher::is_equal;
use crate::failure::printable;
use crate::keys::{KeyPair, PublicKey, SecretKey};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::thread;
use tracing::warn;
use zeroize::Zeroizing;

/// Says how a socket proves who it is, and whom it lets in ([`Options::security`](crate::Options::security)). The default is
/// NULL: nobody proves anything, all are let in, and everything goes in clear.
///
/// Made by [`Plain`] and [`Curve`]. Both sides of a connection must have the same mechanism, one as its client and the other as
/// its server; which of them binds and which connects does not matter. Over inproc there is none: who is in the process is
/// trusted.
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

impl Null {
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
    /// Lets those in who say one of these names, and its password. The name is their [user id](crate::PeerInfo::user).
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

/// Decides who may come in.
///
/// Called on a thread that the context has for this alone, one claim after the other: it may take its time, but others wait
/// meanwhile, of all sockets of the context, unless it keeps the [`Answer`] for later. Who has none within
/// [`handshake_timeout`](crate::Options::handshake_timeout) is turned away, and a panic turns away too.
///
/// It is dropped on a thread of its own, once the last socket that has it is gone. A closure that takes a claim and gives a [`Verdict`] is an authoriser:
///
/// ```
/// use peermq::{Claim, Context, Options, Plain, Pull, User, Verdict};
///
/// let decide = |claim: &Claim| match claim.username() {
///     Some(b"ann") if claim.has_password("secret") => Verdict::Admit(User::new("ann")),
///     _ => Verdict::deny("who is that?"),
/// };
/// let security = Plain::server().ask(decide);
/// let pull = Pull::with_options(&Context::new()?, Options::default().security(security))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Authoriser: Send + Sync + 'static {
    /// Decides about one, by giving the answer: here, or later from any thread.
    fn authorise(&self, claim: Claim, answer: Answer);
}

impl<F: Fn(&Claim) -> Verdict + Send + Sync + 'static> Authoriser for F {
    fn authorise(&self, claim: Claim, answer: Answer) {
        answer.give(self(&claim));
    }
}

/// Where an [`Authoriser`] says what it has decided, once. Dropped without a word it is [`NotNow`](Verdict::NotNow). Of a peer that has
/// gone meanwhile it comes too late, and is dropped.
pub struct Answer {
    tell: Option<Box<dyn FnOnce(Verdict) + Send>>,
}

impl Answer {
    pub(crate) fn new(tell: impl FnOnce(Verdict) + Send + 'static) -> Self {
        Answer {
            tell: Some(Box::new(tell)),
        }
    }

    /// Tells what was decided. Does not wait.
    pub fn give(mut self, verdict: Verdict) {
        if let Some(tell) = self.tell.take() {
            tell(verdict);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Verdict::NotNow("nobody has answered".to_owned()));
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

/// Who asks to be let in.
#[derive(Debug)]
pub struct Claim {
    pub(crate) credentials: Credentials,
    pub(crate) address: Arc<str>,
}

/// What an [`Authoriser`] decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It comes in, as this user.
    Admit(User),
    /// It does not, for this reason, which our monitor is told and the peer is not. A client of this library does not try
    /// again, unless it has [`retry_refused`](crate::Options::retry_refused). ZAP's status 400.
    Deny(String),
    /// It does not now, for this reason: it is turned away without a word, and tries again later. ZAP's status 300.
    NotNow(String),
    /// Nothing was decided, for this reason. The peer is told so, and does not try again, as with [`Deny`](Verdict::Deny).
    /// ZAP's status 500.
    Failed(String),
}

impl Verdict {
    /// Makes a verdict against who asks, for this reason.
    pub fn deny(why: impl Into<String>) -> Self {
        Verdict::Deny(why.into())
    }
}

/// Whom a peer was taken for by those who let it in. Every message tells it ([`PeerInfo::user`](crate::PeerInfo::user)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    id: Arc<str>,
    metadata: Arc<[(String, Bytes)]>,
}

impl User {
    /// Makes a user with this id.
    pub fn new(id: impl Into<String>) -> Self {
        User {
            id: id.into().into(),
            metadata: Arc::new([]),
        }
    }

    /// Adds something that is known of the user.
    pub fn with(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        let more = (name.into(), Bytes::copy_from_slice(value.as_ref()));
        User {
            metadata: self.metadata.iter().cloned().chain([more]).collect(),
            ..self
        }
    }

    /// Returns the id. libzmq's `User-Id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns what is known of it under this name. Names are compared without regard to case.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.metadata.iter();
        all.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(&value[..]))
    }
}

impl Claim {
    /// Returns where the peer is: its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the mechanism: `NULL`, `PLAIN` or `CURVE`.
    pub fn mechanism(&self) -> &'static str {
        match &self.credentials {
            Credentials::Null => "NULL",
            Credentials::Plain { .. } => "PLAIN",
            Credentials::Curve(_) => "CURVE",
        }
    }

    /// Returns the name that the peer said, with PLAIN: any bytes, at most 255.
    pub fn username(&self) -> Option<&[u8]> {
        match &self.credentials {
            Credentials::Plain { username, .. } => Some(username),
            Credentials::Null | Credentials::Curve(_) => None,
        }
    }

    /// Whether this is the password that the peer said, with PLAIN. It takes as long wherever the two differ.
    pub fn has_password(&self, password: impl AsRef<[u8]>) -> bool {
        match &self.credentials {
            Credentials::Plain { password: said, .. } => is_same(said, password.as_ref()),
            Credentials::Null | Credentials::Curve(_) => false,
        }
    }

    /// Returns the key whose secret half the peer has proved to hold, with CURVE.
    pub fn key(&self) -> Option<PublicKey> {
        match &self.credentials {
            Credentials::Curve(key) => Some(*key),
            Credentials::Null | Credentials::Plain { .. } => None,
        }
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

/// An authoriser. It is dropped on a thread of its own: the last to hold it may be one that drives the loop.
pub(crate) struct Asked(Option<Box<dyn Authoriser>>);

impl Asked {
    fn new(authoriser: impl Authoriser) -> Arc<Self> {
        Arc::new(Asked(Some(Box::new(authoriser))))
    }

    pub(crate) fn authorise(&self, claim: Claim, answer: Answer) {
        if let Some(authoriser) = &self.0 {
            authoriser.authorise(claim, answer);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let authoriser = self.0.take();
        let thread = thread::Builder::new().name("peermq-drop".to_owned());
        if let Err(error) = thread.spawn(move || drop(authoriser)) {
            warn!(%error, "there was no thread to drop an authoriser on");
        }
    }
}

/// What a peer has shown of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Null,
    Plain { username: Bytes, password: Password },
    Curve(PublicKey),
}

/// A password as it came. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(Zeroizing<Vec<u8>>);

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
                let is_right = is_same(&password.0, known.map_or(&[], |(_, password)| password.as_bytes()));
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

impl Credentials {
    pub(crate) fn plain(username: &[u8], password: &[u8]) -> Self {
        Credentials::Plain {
            username: Bytes::copy_from_slice(username),
            password: Password(Zeroizing::new(password.to_vec())),
        }
    }
}

impl std::ops::Deref for Password {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
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
        Security { role }
    }
}

/// Whether two passwords are the same: compared as what they are padded to, so that the time does not tell their lengths.
fn is_same(said: &[u8], right: &[u8]) -> bool {
    let padded = |password: &[u8]| {
        let mut padded = Zeroizing::new([0; LONGEST + 1]);
        for (slot, byte) in padded.iter_mut().zip(password.iter().take(LONGEST)) {
            *slot = *byte;
        }
        if let Some(last) = padded.last_mut() {
            *last = u8::try_from(password.len()).unwrap_or(u8::MAX);
        }
        padded
    };
    is_equal(&padded(said)[..], &padded(right)[..]) && right.len() <= LONGEST
}

/// Bytes of a name, and of a password.
pub(crate) const LONGEST: usize = 255;
