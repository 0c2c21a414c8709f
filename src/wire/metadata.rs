//! What the two sides say of themselves in READY: properties, each a name and a value.
//!
//! Names are compared without regard to case, and written as libzmq writes them, which does regard it.

use super::command::{malformed, put_short, split_short};
use super::mechanism::null::put_error;
use super::{Facts, Local};
use crate::failure::{Failure, METADATA, printable};
use crate::identity::{Identity, InvalidIdentity};
use crate::limit::Limit;
use crate::socket_type::SocketType;
use bytes::Bytes;

/// Our properties: the socket type, for types that are addressed by it the identity, which may be empty, and the others.
pub(super) fn put_metadata(out: &mut Vec<u8>, local: &Local) {
    put_property(out, SOCKET_TYPE, local.socket_type.as_str().as_bytes());
    if local.socket_type.has_identity() {
        let identity = local.identity.as_ref().map_or(&[][..], Identity::as_bytes);
        put_property(out, IDENTITY, identity);
    }
    for (name, value) in &local.metadata {
        put_property(out, name, value);
    }
}

/// What the peer's properties say, if our socket may speak with such a peer at all.
pub(super) fn facts(data: &[u8], version: (u8, u8), local: &Local) -> Result<Facts, Failure> {
    let limits = &local.limits;
    if data.len() > limits.metadata_bytes {
        return Err(over(Limit::MetadataBytes, limits.metadata_bytes, data.len()));
    }
    let mut socket_type = None;
    let mut identity = None;
    let mut metadata = Vec::new();
    let mut rest = data;
    let mut count = 0;
    while !rest.is_empty() {
        let (name, value);
        (name, value, rest) = split_property(rest)?;
        count += 1;
        if count > limits.properties {
            return Err(over(Limit::Properties, limits.properties, count));
        }
        if name.eq_ignore_ascii_case(SOCKET_TYPE) {
            once(&mut socket_type, value, "Socket-Type stands there twice")?;
        } else if name.eq_ignore_ascii_case(IDENTITY) {
            once(&mut identity, value, "Identity stands there twice")?;
        } else if !FOUND_OUT.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            metadata.push((name.to_owned(), Bytes::copy_from_slice(value)));
        }
    }
    let theirs = socket_type.ok_or_else(|| malformed(METADATA, "there is no Socket-Type"))?;
    let Some(socket_type) = SocketType::from_name(theirs).filter(|&theirs| local.socket_type.speaks_with(theirs))
    else {
        return Err(Failure::IncompatibleSocketType {
            ours: local.socket_type,
            theirs: printable(theirs),
        });
    };
    // RFC 37: "For all other socket types, the Identity property shall be ignored."
    let identity = match identity.filter(|_| socket_type.has_identity()).map(Identity::new) {
        None | Some(Err(InvalidIdentity::Empty)) => None,
        Some(Ok(identity)) => Some(identity),
        Some(Err(InvalidIdentity::TooLong(_))) => return Err(malformed(METADATA, "the Identity is over 255 bytes")),
        Some(Err(InvalidIdentity::Reserved)) => {
            return Err(malformed(
                METADATA,
                "the Identity begins with a zero byte, which is reserved",
            ));
        }
    };
    Ok(Facts {
        socket_type,
        identity,
        version,
        metadata,
        user: None,
    })
}

/// The same; if such a peer will never do, an ERROR that says why goes to `out`. Clients of PLAIN and CURVE say none.
pub(super) fn heard_facts(data: &[u8], version: (u8, u8), local: &Local, out: &mut Vec<u8>) -> Result<Facts, Failure> {
    facts(data, version, local).inspect_err(|failure| put_error(out, &failure.to_string()))
}

fn over(what: Limit, limit: usize, observed: usize) -> Failure {
    Failure::too_large(what, limit as u64, observed as u64)
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], twice: &'static str) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed(METADATA, twice)),
    }
}

fn put_property(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_short(out, name.as_bytes());
    // Ours are a socket type's name, an identity, or of a size that was checked: they fit in four bytes.
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// The first property, and what follows it.
fn split_property(bytes: &[u8]) -> Result<(&str, &[u8], &[u8]), Failure> {
    let (name, rest) = split_short(bytes).ok_or_else(|| malformed(METADATA, "a name is cut short"))?;
    if name.is_empty() {
        return Err(malformed(METADATA, "a property has no name"));
    }
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| name.bytes().all(is_name_byte))
        .ok_or_else(|| malformed(METADATA, "a name has characters that names do not have"))?;
    let cut = || malformed(METADATA, "a value is cut short");
    let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| cut())?;
    let (value, rest) = rest.split_at_checked(len).ok_or_else(cut)?;
    Ok((name, value, rest))
}

/// RFC 37: `name-char = ALPHA | DIGIT | "-" | "_" | "." | "+"`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
}

const SOCKET_TYPE: &str = "Socket-Type";
const IDENTITY: &str = "Identity";
/// By what name libzmq tells applications what it has found out of a peer: nobody says that of himself.
const FOUND_OUT: [&str; 3] = ["Peer-Address", "User-Id", "Routing-Id"];

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::wire::tests::local;

    fn properties(all: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in all {
            put_property(&mut out, name, value);
        }
        out
    }

    fn heard(data: &[u8]) -> Result<Facts, Failure> {
        facts(data, (3, 1), &local(SocketType::Router))
    }

    #[test]
    fn ours_are_understood() {
        let mut dealer = local(SocketType::Dealer);
        dealer.identity = Identity::new("me").ok();
        let mut out = Vec::new();
        put_metadata(&mut out, &dealer);

        let facts = heard(&out).unwrap();

        assert_eq!(
            (facts.socket_type, facts.identity),
            (SocketType::Dealer, dealer.identity)
        );
        assert!(facts.metadata.is_empty());
    }

    /// RFC 37: "property names SHALL be case-insensitive".
    #[test]
    fn names_are_compared_without_case_and_others_are_kept() {
        let data = properties(&[
            ("X-a", b"\0\xff"),
            ("SOCKET-type", b"REQ"),
            ("iDENTITY", b"me"),
            ("x-A", b""),
        ]);

        let facts = heard(&data).unwrap();

        assert_eq!(facts.identity, Identity::new("me").ok());
        let kept = [
            ("X-a".to_owned(), Bytes::from_static(b"\0\xff")),
            ("x-A".to_owned(), Bytes::new()),
        ];
        assert_eq!(facts.metadata, kept);
    }

    #[test]
    fn threat_12_garbled_properties_are_refused() {
        let good = properties(&[("Socket-Type", b"REQ")]);
        let mut cut_or_followed: Vec<_> = (1..good.len()).map(|cut| good[..cut].to_vec()).collect();
        cut_or_followed.push([&good[..], b"\x01"].concat());
        let others = [
            properties(&[]),
            properties(&[("Identity", b"")]),
            properties(&[("Socket-Type", b"REQ"), ("socket-type", b"REQ")]),
            properties(&[("Socket-Type", b"REQ"), ("Identity", b"a"), ("Identity", b"a")]),
            properties(&[("Socket-Type", b"REQ"), ("", b"a")]),
            properties(&[("Socket-Type", b"REQ"), ("a b", b"a")]),
            properties(&[("Socket-Type", b"REQ"), ("\u{e4}", b"a")]),
            properties(&[("Socket-Type", b"REQ"), ("Identity", b"\0a")]),
            properties(&[("Socket-Type", b"REQ"), ("Identity", &[b'a'; 256])]),
            b"\x0bSocket-Type\xff\xff\xff\xffREQ".to_vec(),
            b"\x0bSocket-Type\x80\0\0\0REQ".to_vec(),
        ];
        for data in cut_or_followed.iter().chain(&others) {
            let result = heard(data);
            assert!(
                matches!(result, Err(Failure::Malformed { what: METADATA, .. })),
                "{:?}: {result:?}",
                data.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn there_are_at_most_64_properties() {
        let mut all: Vec<(&str, &[u8])> = vec![("X", b"1"); 63];
        all.push(("Socket-Type", b"REQ"));
        assert_eq!(heard(&properties(&all)).unwrap().metadata.len(), 63);

        all.push(("X", b"1"));

        assert!(matches!(
            heard(&properties(&all)),
            Err(Failure::TooLarge { limit: 64, .. })
        ));
    }

    /// T12: nothing is taken apart of what is too much.
    #[test]
    fn threat_12_metadata_has_a_limit_in_bytes_and_in_number() {
        let data = properties(&[("Socket-Type", b"REQ"), ("X-a", &[7; 100])]);
        let mut narrow = local(SocketType::Router);
        narrow.limits.metadata_bytes = data.len();
        narrow.limits.properties = 2;
        assert!(facts(&data, (3, 1), &narrow).is_ok());

        narrow.limits.properties = 1;
        let failure = facts(&data, (3, 1), &narrow).unwrap_err();
        assert_eq!(failure, Failure::too_large(Limit::Properties, 1, 2));
        assert_eq!(failure.limit(), Some(Limit::Properties));

        narrow.limits.metadata_bytes -= 1;
        let len = data.len() as u64;
        let failure = facts(&data, (3, 1), &narrow).unwrap_err();
        assert_eq!(failure, Failure::too_large(Limit::MetadataBytes, len - 1, len));
    }

    /// T40: what a peer says of its own address, or of whom it was taken for, is not kept, nor taken for what is known of it.
    #[test]
    fn threat_40_nobody_says_himself_where_he_is_or_who() {
        let data = properties(&[
            ("Socket-Type", b"REQ"),
            ("Peer-Address", b"127.0.0.1"),
            ("X-Peer-Address", b"is the application's"),
            ("user-ID", b"admin"),
            ("Routing-Id", b"another"),
        ]);

        let facts = heard(&data).unwrap();

        let kept = ("X-Peer-Address".to_owned(), Bytes::from_static(b"is the application's"));
        assert_eq!((facts.metadata, facts.user, facts.identity), (vec![kept], None, None));
    }

    /// T15: the names that are made up for peers without one begin with a zero byte, and no peer calls itself so.
    #[test]
    fn threat_15_nobody_calls_himself_by_a_name_that_could_be_made_up() {
        for number in [0, 1, 0x0102_0304, u32::MAX] {
            let made_up = Identity::made_up(number);
            let data = properties(&[("Socket-Type", b"DEALER"), ("Identity", made_up.as_bytes())]);
            let failure = heard(&data).unwrap_err();
            assert!(failure.to_string().contains("which is reserved"), "{failure}");
        }
    }

    #[test]
    fn an_identity_of_255_bytes_is_taken() {
        let data = properties(&[("Socket-Type", b"REQ"), ("Identity", &[1; 255])]);
        assert_eq!(heard(&data).unwrap().identity, Identity::new([1; 255]).ok());
    }

    #[test]
    fn an_unknown_type_is_named_in_the_failure() {
        let failure = heard(&properties(&[("Socket-Type", b"RADIO\x1b")])).unwrap_err();
        assert_eq!(failure.to_string(), "a ROUTER socket does not speak with RADIO\\x1b");
    }
}
