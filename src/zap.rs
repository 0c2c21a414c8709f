//! Asks a ZAP handler who may come in ([RFC 27](https://rfc.zeromq.org/spec/27/)): an authoriser made of a socket.
//!
//! Requests go out as they come, each with a number of its own, and replies are taken by a thread. A reply that breaks the
//! protocol decides nothing.

use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{ConnectError, RecvError};
use crate::message::Message;
use crate::options::{InvalidOptions, Options};
use crate::security::{Answer, Authoriser, Claim, Credentials, User, Verdict};
use crate::socket::dealer::Dealer;
use crate::sync::{Mutex, MutexGuard};
use crate::transport::real::now;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Asks a ZAP handler who may come in, as libzmq's servers do ([RFC 27](https://rfc.zeromq.org/spec/27/)).
///
/// A handler is a REP, ROUTER or SERVER that somebody has bound, by default to `inproc://zeromq.zap.01` of the same context;
/// one of another process can be asked too, by its endpoint. Where there is none, or it does not answer in time, who asks is
/// turned away and tries again; also where the handler says so (300). What it refuses (400), and where it or its reply is
/// broken (500), is told to the peer, which does not try again.
///
/// ```
/// use peermq::{Context, Options, Plain, Pull, Push, Rep, User, Zap};
///
/// let context = Context::new()?;
/// let handler = Rep::new(&context);
/// handler.bind("inproc://zeromq.zap.01")?;
/// std::thread::spawn(move || {
///     while let Ok(request) = handler.recv() {
///         // Version, number, domain, address, identity, mechanism, and what the peer has shown.
///         let asked: Vec<Vec<u8>> = request.message().frames().map(<[u8]>::to_vec).collect();
///         let status = if asked[6] == b"ann" { "200" } else { "400" };
///         let _ = request.reply([&asked[0][..], &asked[1], status.as_bytes(), b"", &asked[6], b""]);
///     }
/// });
///
/// let zap = Zap::new(&context).domain("tests").connect()?;
/// let pull = Pull::with_options(&context, Options::default().security(Plain::server().ask(zap)))?;
/// let push = Push::with_options(&context, Options::default().security(Plain::client("ann", "any")))?;
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("let in")?;
/// assert_eq!(pull.recv_from()?.1.user().map(User::id), Some("ann"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Zap {
    asking: Arc<Asking>,
}

/// A [`Zap`] that has still to be connected.
#[derive(Debug)]
#[must_use = "it asks once it is connected"]
pub struct ZapBuilder {
    context: Context,
    endpoint: String,
    domain: String,
    timeout: Duration,
}

#[derive(Debug)]
struct Asking {
    dealer: Dealer,
    domain: String,
    timeout: Duration,
    open: Mutex<Open>,
}

/// What is asked and not answered yet.
#[derive(Debug, Default)]
struct Open {
    /// The thread that takes the replies; it sleeps while nothing is open.
    listener: Option<Thread>,
    /// Nobody asks any more.
    is_over: bool,
    /// The last number.
    number: u64,
    /// By number, so oldest first; and since all may take as long, the first is the first that is too late. At most
    /// [`MOST`].
    waiting: BTreeMap<u64, (Option<Instant>, Answer)>,
}

impl Zap {
    /// Begins one that asks the handler at `inproc://zeromq.zap.01`, of no domain, and waits 5 s for an answer.
    #[expect(clippy::new_ret_no_self, reason = "it is connected last")]
    pub fn new(context: &Context) -> ZapBuilder {
        ZapBuilder {
            context: context.clone(),
            endpoint: HANDLER.to_owned(),
            domain: String::new(),
            timeout: Duration::from_secs(5),
        }
    }
}

impl ZapBuilder {
    /// Asks the handler at this endpoint. What is asked goes there in clear: passwords, too.
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        ZapBuilder {
            endpoint: endpoint.into(),
            ..self
        }
    }

    /// Sets the domain that the handler is asked about. Default: none.
    pub fn domain(self, domain: impl Into<String>) -> Self {
        ZapBuilder {
            domain: domain.into(),
            ..self
        }
    }

    /// Sets how long an answer may take. Default 5 s. It counts within
    /// [`handshake_timeout`](crate::Options::handshake_timeout).
    pub fn timeout(self, timeout: Duration) -> Self {
        ZapBuilder { timeout, ..self }
    }

    /// Connects to the handler, which may come later, and begins to ask.
    pub fn connect(self) -> Result<Zap, ZapError> {
        let options = Options::default().linger(Duration::ZERO);
        let dealer = Dealer::with_options(&self.context, options)?;
        dealer.connect(self.endpoint.parse::<Endpoint>().map_err(ConnectError::from)?)?;
        let asking = Arc::new(Asking {
            dealer,
            domain: self.domain,
            timeout: self.timeout,
            open: Mutex::default(),
        });
        let theirs = Arc::clone(&asking);
        let listener = thread::Builder::new()
            .name("peermq-zap".to_owned())
            .spawn(move || theirs.listen())
            .map_err(ZapError::Thread)?;
        asking.open.lock().listener = Some(listener.thread().clone());
        Ok(Zap { asking })
    }
}

/// Why a ZAP handler cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZapError {
    /// The socket was not made.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// It was not connected.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system has no thread to spare.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl Authoriser for Zap {
    fn authorise(&self, claim: Claim, answer: Answer) {
        self.asking.ask(&claim, answer);
    }
}

impl Drop for Zap {
    fn drop(&mut self) {
        // Ends the thread; what is open is dropped with it, unanswered.
        let _over = self.asking.dealer.close();
        let mut open = self.asking.open.lock();
        open.is_over = true;
        wake(open);
    }
}

impl Asking {
    fn ask(&self, claim: &Claim, answer: Answer) {
        let until = now().checked_add(self.timeout);
        let mut open = self.open.lock();
        if open.waiting.len() >= MOST {
            drop(open);
            answer.give(Verdict::NotNow(format!(
                "{MOST} questions wait for the ZAP handler already"
            )));
            return;
        }
        open.number += 1;
        let number = open.number;
        open.waiting.insert(number, (until, answer));
        wake(open);
        let question = self.question(number, claim);
        if self.dealer.try_send(question).is_err() {
            self.answer(
                number,
                Verdict::NotNow("the ZAP handler does not take questions".to_owned()),
            );
        }
    }

    fn question(&self, number: u64, claim: &Claim) -> Message {
        let number = number.to_be_bytes();
        let mut frames: Vec<&[u8]> = vec![
            b"",
            VERSION,
            &number,
            self.domain.as_bytes(),
            host_of(claim.address()).as_bytes(),
            b"",
            claim.mechanism().as_bytes(),
        ];
        match &claim.credentials {
            Credentials::Null => {}
            Credentials::Plain { username, password } => frames.extend([&username[..], password]),
            Credentials::Curve(key) => frames.push(key.as_bytes()),
        }
        Message::from_frames(frames).unwrap_or_else(|_| Message::empty())
    }

    /// Takes replies while something is open, until nobody asks any more or the socket is closed.
    fn listen(&self) {
        loop {
            let open = self.open.lock();
            let first = open.waiting.first_key_value().map(|(_, (until, _))| *until);
            let is_over = open.is_over;
            drop(open);
            let patience = match first {
                _ if is_over => break,
                None => {
                    thread::park();
                    continue;
                }
                Some(until) => until.map_or(Duration::MAX, |until| until.saturating_duration_since(now())),
            };
            match self.dealer.recv_timeout(patience) {
                Ok(reply) => self.reply(&reply),
                Err(RecvError::TimedOut) => {}
                Err(_) => break,
            }
            self.give_up();
        }
        // Dropped without the lock: each tells.
        let open = std::mem::take(&mut self.open.lock().waiting);
        drop(open);
    }

    fn reply(&self, reply: &Message) {
        let frames: Vec<&[u8]> = reply.frames().collect();
        let Some(number) = frames.get(2).and_then(|number| <[u8; 8]>::try_from(*number).ok()) else {
            tracing::debug!("a ZAP reply without a number of ours is nobody's");
            return;
        };
        let verdict = verdict(&frames).unwrap_or_else(|wrong| Verdict::Failed(format!("a broken ZAP reply: {wrong}")));
        self.answer(u64::from_be_bytes(number), verdict);
    }

    fn answer(&self, number: u64, verdict: Verdict) {
        let asked = self.open.lock().waiting.remove(&number);
        if let Some((_, answer)) = asked {
            answer.give(verdict);
        }
    }

    /// Ends what took too long.
    fn give_up(&self) {
        let now = now();
        loop {
            let mut open = self.open.lock();
            let is_late = |(_, (until, _)): (&u64, &(Option<Instant>, Answer))| until.is_some_and(|until| until <= now);
            if !open.waiting.first_key_value().is_some_and(is_late) {
                return;
            }
            let late = open.waiting.pop_first();
            drop(open);
            if let Some((_, (_, answer))) = late {
                let timeout = self.timeout;
                answer.give(Verdict::NotNow(format!(
                    "no ZAP handler has answered within {timeout:?}"
                )));
            }
        }
    }
}

/// The thread looks again at what is open.
fn wake(open: MutexGuard<'_, Open>) {
    let listener = open.listener.clone();
    drop(open);
    if let Some(listener) = listener {
        listener.unpark();
    }
}

/// What a reply says, or what is wrong with it.
pub(crate) fn verdict(frames: &[&[u8]]) -> Result<Verdict, &'static str> {
    let &[delimiter, version, _number, status, text, user, metadata] = frames else {
        return Err("it has not seven frames");
    };
    if !delimiter.is_empty() {
        return Err("it does not begin with an empty frame");
    }
    if version != VERSION {
        return Err("its version is not 1.0");
    }
    let why = || format!("the ZAP handler says {}", text.escape_ascii());
    Ok(match status {
        b"200" => Verdict::Admit(self::user(user, metadata)?),
        b"300" => Verdict::NotNow(why()),
        b"400" => Verdict::Deny(why()),
        b"500" => Verdict::Failed(why()),
        _ => return Err("its status is none of 200, 300, 400 and 500"),
    })
}

fn user(id: &[u8], metadata: &[u8]) -> Result<User, &'static str> {
    if id.len() > LONGEST_ID {
        return Err("its user id is over 255 bytes");
    }
    let id = std::str::from_utf8(id).map_err(|_| "its user id is not text")?;
    let mut user = User::new(id);
    let mut rest = metadata;
    while let Some((&name_len, more)) = rest.split_first() {
        let cut = "its metadata is cut short";
        let (name, more) = more.split_at_checked(usize::from(name_len)).ok_or(cut)?;
        let (value_len, more) = more.split_first_chunk().ok_or(cut)?;
        let value_len = usize::try_from(u32::from_be_bytes(*value_len)).map_err(|_| cut)?;
        let (value, more) = more.split_at_checked(value_len).ok_or(cut)?;
        let name = std::str::from_utf8(name).map_err(|_| "a name in its metadata is not text")?;
        user = user.with(name, value);
        rest = more;
    }
    Ok(user)
}

/// The host of a peer's address, without transport and port, as handlers compare it.
fn host_of(address: &str) -> &str {
    let Some(tcp) = address.strip_prefix("tcp://") else {
        return "";
    };
    let host = tcp.rsplit_once(':').map_or(tcp, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

const HANDLER: &str = "inproc://zeromq.zap.01";
const VERSION: &[u8] = b"1.0";
const LONGEST_ID: usize = 255;
/// Questions that are open at most: those of peers that have gone are, too, until they are answered or too late.
const MOST: usize = 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_without_their_ports() {
        for (address, host) in [
            ("tcp://127.0.0.1:5555", "127.0.0.1"),
            ("tcp://[::1]:5555", "::1"),
            ("tcp://[fe80::1%eth0]:1", "fe80::1%eth0"),
            ("ipc:///tmp/a", ""),
            ("", ""),
        ] {
            assert_eq!(host_of(address), host);
        }
    }

    #[test]
    fn a_reply_is_exact() {
        let good: [&[u8]; 7] = [b"", b"1.0", b"number", b"200", b"OK", b"me", b"\x03X-a\0\0\0\x01b"];
        let Ok(Verdict::Admit(user)) = verdict(&good) else {
            unreachable!("it is right")
        };
        assert_eq!((user.id(), user.property("x-A")), ("me", Some(&b"b"[..])));

        let changed: [(usize, &[u8]); 9] = [
            (0, b"x"),
            (1, b"1.1"),
            (3, b"20"),
            (3, b"201"),
            (3, b""),
            (5, &[b'x'; 256]),
            (5, b"\xff"),
            (6, b"\x03X-a\0\0\0\x02b"),
            (6, b"\x04"),
        ];
        for (at, frame) in changed {
            let mut reply = good;
            reply[at] = frame;
            assert!(verdict(&reply).is_err(), "{at} {}", frame.escape_ascii());
        }
        assert!(verdict(&good[..6]).is_err() && verdict(&[&good[..], &[b"more"]].concat()).is_err());
    }
}
