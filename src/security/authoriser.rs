//! Who decides about those who ask to come in, what they are told, and what they say.

use super::LONGEST;
use crate::cipher::is_equal;
use crate::keys::PublicKey;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::thread;
use tracing::warn;
use zeroize::Zeroizing;

/// Decides who may come in.
///
/// Called on a thread that the context has for this alone, one claim after the other: it may take its time, but others wait
/// meanwhile, of all sockets of the context, unless it keeps the [`Answer`] for later. Who has none within
/// [`handshake_timeout`](crate::Options::handshake_timeout) is turned away, and a panic turns away too.
///
/// It is dropped on a thread of its own, once the last socket that has it is gone. A closure that takes a claim and gives a
/// [`Verdict`] is an authoriser:
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

/// Where an [`Authoriser`] says what it has decided, once. Dropped without a word it is [`NotNow`](Verdict::NotNow). Of a peer
/// that has gone meanwhile it comes too late, and is dropped.
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
    /// again, unless it has [`retry_refused`](crate::Options::retry_refused). ZAP's status 400. With PLAIN it is told so
    /// after 100 ms.
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
    /// What the topics begin with that it may subscribe to. `None`: with anything.
    topics: Option<Arc<[Box<[u8]>]>>,
}

impl User {
    /// Makes a user with this id.
    pub fn new(id: impl Into<String>) -> Self {
        User {
            id: id.into().into(),
            metadata: Arc::new([]),
            topics: None,
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

    /// Limits what the user may subscribe to, at sockets that publish: topics, or groups, that begin with one of these.
    /// Without a limit these are all.
    ///
    /// A subscription to another topic is not taken: [`Event::SubscriptionRefused`](crate::Event::SubscriptionRefused)
    /// tells of it here, [`SocketStats::refused_subscriptions`](crate::SocketStats::refused_subscriptions) counts it, and
    /// the connection goes on. ZMTP has no words for it: the subscriber hears nothing, and
    /// [`subscribe_confirmed`](crate::Sub::subscribe_confirmed) says that the subscription was dealt with, not that it was
    /// taken. Whoever may have `news.` may not have all, nor `news`, of which that is a part.
    ///
    /// It is about what peers ask for. With [`Options::invert_matching`](crate::Options::invert_matching) a subscription
    /// takes away, so that who has none gets everything: there this limits nothing that is sent. Nor does it bind the
    /// application of an XPUB that [decides itself](crate::Options::manual), or a
    /// [`welcome_message`](crate::Options::welcome_message). Peers over inproc are no users, nor are those that the
    /// publishing socket knows as a client of PLAIN or CURVE: they may subscribe to anything.
    ///
    /// ```
    /// use peermq::{Claim, Context, Curve, Options, Pub, SecretKey, User, Verdict};
    ///
    /// let decide = |claim: &Claim| match claim.key() {
    ///     Some(key) => Verdict::Admit(User::new(key.to_string()).limit_topics(["news.", "weather."])),
    ///     None => Verdict::deny("it has no key"),
    /// };
    /// let security = Curve::server(SecretKey::generate()?).ask(decide);
    /// let publisher = Pub::with_options(&Context::new()?, Options::default().security(security))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit_topics<T: AsRef<[u8]>>(self, beginnings: impl IntoIterator<Item = T>) -> Self {
        let topics = beginnings.into_iter().map(|it| it.as_ref().into()).collect();
        User {
            topics: Some(topics),
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

    /// Returns whether it may subscribe to this topic, or join this group.
    pub fn may_subscribe(&self, topic: &[u8]) -> bool {
        let Some(topics) = &self.topics else { return true };
        topics.iter().any(|beginning| topic.starts_with(beginning))
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

/// An authoriser. It is dropped on a thread of its own: the last to hold it may be one that drives the loop.
pub(crate) struct Asked(Option<Box<dyn Authoriser>>);

impl Asked {
    pub(super) fn new(authoriser: impl Authoriser) -> Arc<Self> {
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

/// Whether two passwords are the same: compared as what they are padded to, so that the time does not tell their lengths.
pub(super) fn is_same(said: &[u8], right: &[u8]) -> bool {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// T25: all of a password is compared, and its length with it.
    #[test]
    fn threat_25_a_password_is_right_only_as_a_whole() {
        let long = [b'x'; LONGEST + 1];
        let most = &long[..LONGEST];
        for right in [&b""[..], b"a", b"secret", b"secret\0", most] {
            for said in [&b""[..], b"a", b"secre", b"secret", b"secret\0", b"Secret", most] {
                assert_eq!(is_same(said, right), said == right, "{}", said.escape_ascii());
            }
        }
        assert!(!is_same(most, &long), "what cannot be said is not right");
    }
}
