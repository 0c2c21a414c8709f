//! The way through a SOCKS5 proxy, as a value: bytes in, bytes to answer out.
//!
//! [RFC 1928](https://www.rfc-editor.org/rfc/rfc1928), and a name and password as
//! [RFC 1929](https://www.rfc-editor.org/rfc/rfc1929) has them. It knows no socket and no clock. A reply has at most
//! [`LONGEST_REPLY`] bytes, and no byte behind it is taken: those are the peer's.

use crate::endpoint::{Host, Tcp};
use crate::failure::{Failure, PROXY_REFUSED};
use crate::options::Credentials;
use bytes::Bytes;

/// A connection to a proxy that is to become one to a peer.
#[derive(Debug)]
pub(crate) struct Socks5 {
    target: Tcp,
    credentials: Option<Credentials>,
    awaits: Awaits,
    /// What came of the reply that is awaited; at most [`LONGEST_REPLY`] bytes.
    reply: Vec<u8>,
    /// What is to be said next.
    output: Vec<u8>,
}

/// Which reply of the proxy is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Method,
    Credentials,
    Connection,
    /// The peer speaks from here on.
    Nothing,
}

impl Socks5 {
    /// Our first words are ready to go.
    pub(crate) fn new(target: Tcp, credentials: Option<Credentials>) -> Self {
        let output = match credentials {
            None => vec![VERSION, 1, NO_CREDENTIALS],
            Some(_) => vec![VERSION, 2, NO_CREDENTIALS, NAME_AND_PASSWORD],
        };
        Socks5 {
            target,
            credentials,
            awaits: Awaits::Method,
            reply: Vec::new(),
            output,
        }
    }

    /// Takes of `input` what is the proxy's, from its front. `true`: the peer speaks from here on.
    pub(crate) fn handle_received(&mut self, input: &mut Bytes) -> Result<bool, Failure> {
        while self.awaits != Awaits::Nothing {
            let missing = self.reply_len()?.saturating_sub(self.reply.len());
            if missing > 0 && input.is_empty() {
                return Ok(false);
            }
            let taken = input.split_to(missing.min(input.len()));
            self.reply.extend_from_slice(&taken);
            // A refusal may be all that comes.
            self.check()?;
            if self.reply.len() == self.reply_len()? {
                self.next();
                self.reply.clear();
            }
        }
        Ok(true)
    }

    /// Bytes that are to go out now.
    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        let output = std::mem::take(&mut self.output);
        (!output.is_empty()).then(|| output.into())
    }

    /// Bytes that are held of a reply that is not whole.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.reply.len()
    }

    /// How long the awaited reply is, as far as can be told from what came of it.
    fn reply_len(&self) -> Result<usize, Failure> {
        let length = match self.awaits {
            Awaits::Nothing => 0,
            Awaits::Method | Awaits::Credentials => 2,
            Awaits::Connection => match self.reply.as_slice() {
                [_, _, _, IPV4, ..] => HEAD + 4 + PORT,
                [_, _, _, IPV6, ..] => HEAD + 16 + PORT,
                [_, _, _, NAME, length, ..] => HEAD + 1 + usize::from(*length) + PORT,
                [_, _, _, NAME] => HEAD + 1,
                [_, _, _, ..] if self.reply.len() > 3 => return Err(malformed("an unknown type of address")),
                _ => HEAD,
            },
        };
        debug_assert!(length <= LONGEST_REPLY);
        Ok(length)
    }

    /// What is wrong with the reply so far, if anything is.
    fn check(&self) -> Result<(), Failure> {
        let version = match self.awaits {
            Awaits::Credentials => CREDENTIALS_VERSION,
            _ => VERSION,
        };
        if self.reply.first().is_some_and(|&first| first != version) {
            return Err(malformed("it is of another version"));
        }
        let Some(&answer) = self.reply.get(1) else {
            return Ok(());
        };
        match (self.awaits, answer) {
            (Awaits::Method, NO_CREDENTIALS) | (Awaits::Credentials | Awaits::Connection, 0) | (Awaits::Nothing, _) => {
                Ok(())
            }
            (Awaits::Method, NAME_AND_PASSWORD) if self.credentials.is_some() => Ok(()),
            (Awaits::Method, NO_METHOD) if self.credentials.is_some() => {
                Err(refused("it takes neither a name and password nor none"))
            }
            (Awaits::Method, NO_METHOD) => Err(refused("it wants to know who we are")),
            (Awaits::Method, _) => Err(malformed("a method that was not offered")),
            (Awaits::Credentials, _) => Err(refused("it does not take this name and password")),
            (Awaits::Connection, code) => Err(refused(match code {
                1 => "general failure",
                2 => "its rules do not allow this connection",
                3 => "network unreachable",
                4 => "host unreachable",
                5 => PROXY_REFUSED,
                6 => "the peer is too many hops away",
                7 => "it does not connect to peers",
                8 => "it does not know this type of address",
                _ => "it failed for an unknown reason",
            })),
        }
    }

    /// The reply is whole, and as it should be.
    fn next(&mut self) {
        self.awaits = match (self.awaits, self.reply.get(1), &self.credentials) {
            (Awaits::Method, Some(&NAME_AND_PASSWORD), Some(credentials)) => {
                self.output.push(CREDENTIALS_VERSION);
                put_short(&mut self.output, credentials.name.as_bytes());
                put_short(&mut self.output, credentials.password.as_bytes());
                Awaits::Credentials
            }
            (Awaits::Method | Awaits::Credentials, ..) => {
                put_request(&mut self.output, &self.target);
                Awaits::Connection
            }
            (Awaits::Connection | Awaits::Nothing, ..) => Awaits::Nothing,
        };
    }
}

/// Asks to be connected. A name goes as it is: the proxy looks it up.
fn put_request(output: &mut Vec<u8>, target: &Tcp) {
    output.extend_from_slice(&[VERSION, CONNECT, 0]);
    match &target.host {
        Host::V4(ip) => {
            output.push(IPV4);
            output.extend_from_slice(&ip.octets());
        }
        Host::V6 { ip, .. } => {
            output.push(IPV6);
            output.extend_from_slice(&ip.octets());
        }
        Host::Name(name) => {
            output.push(NAME);
            put_short(output, name.as_bytes());
        }
        Host::Any => {
            debug_assert!(false, "it is not connected to");
            output.extend_from_slice(&[IPV4, 0, 0, 0, 0]);
        }
    }
    output.extend_from_slice(&target.port.to_be_bytes());
}

/// Behind its length. Names of hosts are shorter, and credentials are looked at before.
fn put_short(output: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = bytes.get(..bytes.len().min(255)).unwrap_or_default();
    output.push(bytes.len() as u8);
    output.extend_from_slice(bytes);
}

fn malformed(why: &'static str) -> Failure {
    Failure::Malformed {
        what: "reply of the SOCKS5 proxy",
        why,
    }
}

fn refused(why: &'static str) -> Failure {
    Failure::Proxy { why }
}

const VERSION: u8 = 5;
const CREDENTIALS_VERSION: u8 = 1;
const NO_CREDENTIALS: u8 = 0;
const NAME_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xFF;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Version, answer, a zero, and the type of an address.
const HEAD: usize = 4;
const PORT: usize = 2;
pub(crate) const LONGEST_REPLY: usize = HEAD + 1 + 255 + PORT;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::endpoint::{Endpoint, Kind};

    fn target(text: &str) -> Tcp {
        match text.parse::<Endpoint>().unwrap().kind() {
            Kind::Tcp(tcp) => tcp.clone(),
            _ => panic!("{text}"),
        }
    }

    fn credentials() -> Option<Credentials> {
        Some(Credentials {
            name: "me".into(),
            password: "secret".into(),
        })
    }

    fn said(socks: &mut Socks5) -> Vec<u8> {
        socks.poll_transmit().unwrap_or_default().to_vec()
    }

    fn hear(socks: &mut Socks5, bytes: &[u8]) -> Result<bool, Failure> {
        let mut input = Bytes::copy_from_slice(bytes);
        let is_through = socks.handle_received(&mut input)?;
        assert!(input.is_empty());
        Ok(is_through)
    }

    /// A reply to the request, with an address of each kind.
    fn replies() -> [Vec<u8>; 4] {
        let name = |name: &[u8]| [&[5, 0, 0, 3, name.len() as u8], name, &[0x15, 0xB3]].concat();
        [
            vec![5, 0, 0, 1, 127, 0, 0, 1, 0x15, 0xB3],
            [&[5, 0, 0, 4][..], &[0xFE; 16], &[0, 1]].concat(),
            name(b""),
            name(&[b'n'; 255]),
        ]
    }

    #[test]
    fn without_credentials_two_replies_lead_through() {
        for reply in replies() {
            let mut socks = Socks5::new(target("tcp://name.test:5555"), None);
            assert_eq!(said(&mut socks), [5, 1, 0]);

            assert_eq!(hear(&mut socks, &[5, 0]), Ok(false));
            assert_eq!(said(&mut socks), b"\x05\x01\x00\x03\x09name.test\x15\xB3");
            assert_eq!(hear(&mut socks, &reply), Ok(true));

            assert_eq!(socks.poll_transmit(), None);
        }
    }

    /// RFC 1929: "The VER field contains the current version of the subnegotiation, which is X'01'."
    #[test]
    fn credentials_are_given_to_who_asks_for_them() {
        let mut socks = Socks5::new(target("tcp://1.2.3.4:1"), credentials());
        assert_eq!(said(&mut socks), [5, 2, 0, 2]);

        assert_eq!(hear(&mut socks, &[5, 2]), Ok(false));
        assert_eq!(said(&mut socks), b"\x01\x02me\x06secret");
        assert_eq!(hear(&mut socks, &[1, 0]), Ok(false));
        assert_eq!(said(&mut socks), [5, 1, 0, 1, 1, 2, 3, 4, 0, 1]);
        assert_eq!(hear(&mut socks, &replies()[0]), Ok(true));

        let mut socks = Socks5::new(target("tcp://[::1]:258"), credentials());
        said(&mut socks);
        assert_eq!(hear(&mut socks, &[5, 0]), Ok(false));
        let ip = [&[0; 15][..], &[1]].concat();
        assert_eq!(said(&mut socks), [&[5, 1, 0, 4][..], &ip, &[1, 2]].concat());
    }

    #[test]
    fn replies_can_be_cut_anywhere_and_what_is_behind_them_is_left() {
        for last in replies() {
            let all = [&[5, 2, 1, 0][..], &last, b"\xFFgreeting"].concat();
            for cut in 0..all.len() {
                for second in cut..all.len() {
                    let mut socks = Socks5::new(target("tcp://name.test:5555"), credentials());
                    let mut rest = Bytes::new();
                    let mut is_through = false;
                    for part in [&all[..cut], &all[cut..second], &all[second..]] {
                        rest = [&rest, part].concat().into();
                        is_through = socks.handle_received(&mut rest).unwrap();
                    }
                    assert!(is_through);
                    assert_eq!(rest, b"\xFFgreeting"[..]);
                }
            }
        }
    }

    #[test]
    fn a_reply_that_is_not_whole_is_waited_for() {
        for last in replies() {
            let all = [&[5, 0][..], &last].concat();
            for cut in 0..all.len() {
                let mut socks = Socks5::new(target("tcp://name.test:5555"), None);
                assert_eq!(hear(&mut socks, &all[..cut]), Ok(false));
                assert!(socks.reply.len() < LONGEST_REPLY);
            }
        }
    }

    #[test]
    fn every_refusal_says_why() {
        let table: [(&[u8], bool, &str); 13] = [
            (&[5, 0xFF], false, "it wants to know who we are"),
            (&[5, 0xFF], true, "it takes neither a name and password nor none"),
            (&[5, 2, 1, 1], true, "it does not take this name and password"),
            (&[5, 2, 1, 0xFF], true, "it does not take this name and password"),
            (&[5, 0, 5, 1], false, "general failure"),
            (&[5, 0, 5, 2], false, "its rules do not allow this connection"),
            (&[5, 0, 5, 3], false, "network unreachable"),
            (&[5, 0, 5, 4], false, "host unreachable"),
            (&[5, 0, 5, 5], false, "connection refused"),
            (&[5, 0, 5, 6], false, "the peer is too many hops away"),
            (&[5, 0, 5, 7, 0, 9], false, "it does not connect to peers"),
            (&[5, 0, 5, 8], false, "it does not know this type of address"),
            (&[5, 0, 5, 9], false, "it failed for an unknown reason"),
        ];
        for (bytes, with_credentials, why) in table {
            let credentials = credentials().filter(|_| with_credentials);
            let mut socks = Socks5::new(target("tcp://name.test:5555"), credentials);
            assert_eq!(hear(&mut socks, bytes), Err(Failure::Proxy { why }));
        }
    }

    #[test]
    fn what_is_no_reply_is_malformed() {
        let table: [(&[u8], &str); 7] = [
            (b"HTTP/1.1 400", "it is of another version"),
            (&[4, 0], "it is of another version"),
            (&[5, 1], "a method that was not offered"),
            (&[5, 2], "a method that was not offered"),
            (&[5, 0, 4], "it is of another version"),
            (&[5, 0, 5, 0, 0, 2], "an unknown type of address"),
            (&[5, 0, 5, 0, 0, 0, 1, 2, 3], "an unknown type of address"),
        ];
        for (bytes, why) in table {
            let mut socks = Socks5::new(target("tcp://name.test:5555"), None);
            let mut input = Bytes::copy_from_slice(bytes);
            assert_eq!(socks.handle_received(&mut input), Err(malformed(why)), "{bytes:?}");
        }
        let mut socks = Socks5::new(target("tcp://name.test:5555"), credentials());
        assert_eq!(hear(&mut socks, &[5, 2, 5]), Err(malformed("it is of another version")));
    }

    #[test]
    fn no_password_is_shown() {
        let shown = format!("{:?}", Socks5::new(target("tcp://name.test:5555"), credentials()));
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
    }
}
