use super::careful::{Stream, hsalsa20};
use super::*;
use crate::sim::chance::{Chance, with_seeds};
use ::dryoc::classic::crypto_box::{crypto_box_easy, crypto_box_open_easy};

const ALICE: &str = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const BOB: &str = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

/// From NaCl's "Cryptography in NaCl", sections 5 to 10, and its tests (`tests/box.c`, `tests/core*.c`).
const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
const AGREED: &str = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389";
const PLAIN: &str = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c\
    01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c\
    60902e52f0a089bc76897040e082f937763848645e0705";
const SEALED: &str = "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc1\
    7c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb373\
    2bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5";

/// Both ways to seal, whichever the features choose.
trait Backend {
    fn new(key: &[u8; 32], nonce_prefix: &[u8; 16]) -> Self;
    fn seal(&self, counter: u64, body: &mut [u8]) -> [u8; TAG_BYTES];
    fn open(&self, counter: u64, tag: &[u8; TAG_BYTES], body: &mut [u8]) -> bool;
}

macro_rules! backend {
    ($module:ident) => {
        impl Backend for super::$module::MessageKey {
            fn new(key: &[u8; 32], nonce_prefix: &[u8; 16]) -> Self {
                Self::new(key, nonce_prefix)
            }

            fn seal(&self, counter: u64, body: &mut [u8]) -> [u8; TAG_BYTES] {
                self.seal_in_place(counter, body)
            }

            fn open(&self, counter: u64, tag: &[u8; TAG_BYTES], body: &mut [u8]) -> bool {
                self.open_in_place(counter, tag, body)
            }
        }
    };
}

backend!(careful);
backend!(dryoc);

type Agreed = fn(&[u8; 32], &[u8; 32]) -> Option<Zeroizing<[u8; 32]>>;
const AGREEING: [Agreed; 2] = [super::careful::agreed, super::dryoc::agreed];
type Careful = super::careful::MessageKey;
type Dryoc = super::dryoc::MessageKey;

fn agreed(secret: &str, public: &PublicKey) -> BoxKey {
    BoxKey::agreed(&SecretKey::from_bytes(from_hex(secret)), public).expect("not of low order")
}

fn public(secret: &str) -> PublicKey {
    SecretKey::from_bytes(from_hex(secret)).public()
}

#[test]
fn the_box_of_nacl() {
    for key in [agreed(ALICE, &public(BOB)), agreed(BOB, &public(ALICE))] {
        assert_eq!(*key.0, from_hex(AGREED));
        let nonce = from_hex(NONCE);
        let mut sealed = b"before".to_vec();

        key.seal(&nonce, &hex(PLAIN), &mut sealed);

        assert_eq!(sealed.strip_prefix(b"before"), Some(&hex(SEALED)[..]));
        assert_eq!(*key.open(&nonce, &hex(SEALED)).expect("genuine"), hex(PLAIN));
    }
}

#[test]
fn both_backends_make_the_box_of_nacl() {
    fn check<B: Backend>() {
        let key = B::new(&from_hex(AGREED), &from_hex(&NONCE[..32]));
        let counter = u64::from_be_bytes(from_hex(&NONCE[32..]));
        let mut body = hex(PLAIN);

        let tag = key.seal(counter, &mut body);

        assert_eq!([&tag, &body[..]].concat(), hex(SEALED));
        assert!(key.open(counter, &tag, &mut body));
        assert_eq!(body, hex(PLAIN));
    }
    check::<Careful>();
    check::<Dryoc>();
}

/// Of all lengths around those at which an implementation turns to another way of its own, and long ones by chance; with
/// counters at which a half of them is full.
#[test]
fn each_backend_opens_what_the_other_sealed() {
    fn check<A: Backend, B: Backend>(key: &[u8; 32], prefix: &[u8; 16], counter: u64, plain: &[u8]) -> Vec<u8> {
        let (sealing, opening) = (A::new(key, prefix), B::new(key, prefix));
        let mut body = plain.to_vec();
        let tag = sealing.seal(counter, &mut body);
        let sealed = [&tag, &body[..]].concat();

        assert!(!opening.open(counter ^ 1, &tag, &mut body), "{} bytes", plain.len());
        assert_eq!(
            body,
            &sealed[TAG_BYTES..],
            "nothing is decrypted before the tag is verified"
        );
        assert!(opening.open(counter, &tag, &mut body), "{} bytes", plain.len());
        assert_eq!(body, plain);
        sealed
    }
    with_seeds(3, |seed| {
        let mut chance = Chance::new(seed);
        let (key, prefix) = (bytes(&mut chance), bytes(&mut chance));
        let text: Vec<u8> = (0..200_000).map(|_| chance.next() as u8).collect();
        let longer: Vec<usize> = (0..20).map(|_| chance.within(1100..text.len())).collect();
        for length in (0..1100).chain(longer) {
            let counters = [0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX, chance.next()];
            let counter = counters[chance.within(0..6)];
            let plain = &text[..length];
            let careful = check::<Careful, Dryoc>(&key, &prefix, counter, plain);
            let dryoc = check::<Dryoc, Careful>(&key, &prefix, counter, plain);
            assert_eq!(careful, dryoc, "{length} bytes");
        }
    });
}

/// "Cryptography in NaCl", section 8: the subkey of that key and nonce, and the first 32 bytes of its stream.
#[test]
fn the_subkey_and_the_stream_of_nacl() {
    let subkey = hsalsa20(&from_hex(AGREED), &from_hex(&NONCE[..32]));
    assert_eq!(
        *subkey,
        from_hex("dc908dda0b9344a953629b733820778880f3ceb421bb61b91cbd4c3e66256ce4")
    );

    let mut stream = Stream::new(&subkey, u64::from_be_bytes(from_hex(&NONCE[32..])));
    let mut text = [0; 32];
    stream.apply(&mut text);
    assert_eq!(
        text,
        from_hex("eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880")
    );
}

/// RFC 7748, section 5.2: two scalars and points.
#[test]
fn the_vectors_of_x25519() {
    let vectors = [
        [
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ],
        [
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ],
    ];
    for [scalar, point, shared] in vectors {
        let expected = hsalsa20(&from_hex(shared), &[0; 16]);
        for agreed in AGREEING {
            assert_eq!(agreed(&from_hex(scalar), &from_hex(point)).as_ref(), Some(&expected));
        }
    }
}

/// RFC 7748, section 5.2: a thousand times over.
#[test]
fn x25519_a_thousand_times() {
    let mut scalar: [u8; 32] = std::array::from_fn(|at| if at == 0 { 9 } else { 0 });
    let mut point = scalar;
    for _ in 0..1000 {
        (scalar, point) = (x25519_dalek::x25519(scalar, point), scalar);
    }
    assert_eq!(
        scalar,
        from_hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    );
}

/// The points of low order: by these, what two sides agree on is known to everybody. All encodings there are: seven below
/// 2^255 (<https://cr.yp.to/ecdh.html#validate>), and those with the highest bit, which X25519 does not look at (RFC 7748:
/// "MUST mask the most significant bit in the final byte").
pub(crate) fn low_orders() -> impl Iterator<Item = [u8; 32]> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .into_iter()
    .flat_map(|point| {
        let point: [u8; 32] = from_hex(point);
        let mut with_highest = point;
        with_highest[31] |= 0x80;
        [point, with_highest]
    })
}

#[test]
fn points_of_low_order_are_refused() {
    for point in low_orders() {
        for secret in [ALICE, BOB] {
            for agreed in AGREEING {
                assert!(agreed(&from_hex(secret), &point).is_none(), "{point:x?}");
            }
            let secret = SecretKey::from_bytes(from_hex(secret));
            assert!(BoxKey::agreed(&secret, &PublicKey::from_bytes(point)).is_none());
        }
    }
}

#[test]
fn any_bit_that_is_flipped_is_seen() {
    let key = BoxKey::from_bytes([7; 32]);
    let nonce = [9; 24];
    let plain = *b"forty bytes of text, neither more or les";
    let mut sealed = Vec::new();
    key.seal(&nonce, &plain, &mut sealed);
    assert_eq!(sealed.len(), 56);

    for bit in 0..8 * sealed.len() {
        let mut other = sealed.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(&nonce, &other).is_none(), "bit {bit}");
        is_not_opened::<Careful>(&other);
        is_not_opened::<Dryoc>(&other);
    }
    for bit in 0..8 * nonce.len() {
        let mut other = nonce;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(&other, &sealed).is_none(), "bit {bit} of the nonce");
    }
    for length in 0..sealed.len() {
        assert!(key.open(&nonce, &sealed[..length]).is_none(), "{length} bytes");
    }
    assert_eq!(key.open(&nonce, &sealed).as_deref(), Some(&plain.to_vec()));
}

fn is_not_opened<B: Backend>(sealed: &[u8]) {
    let (tag, body) = sealed.split_first_chunk().unwrap();
    let mut opened = body.to_vec();
    let counter = u64::from_be_bytes([9; 8]);
    assert!(!B::new(&[7; 32], &[9; 16]).open(counter, tag, &mut opened));
    assert_eq!(opened, body, "nothing is decrypted before the tag is verified");
}

#[test]
fn another_implementation_opens_what_was_sealed() {
    with_seeds(500, |seed| {
        let mut chance = Chance::new(seed);
        let (mine, theirs) = (bytes(&mut chance), bytes(&mut chance));
        let nonce: [u8; 24] = bytes(&mut chance);
        let length = [16, 64, 300, 5000][chance.within(0..4)];
        let length = chance.within(0..length);
        let plain: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        let public = |secret: [u8; 32]| SecretKey::from_bytes(secret).public();

        let ours = BoxKey::agreed(&SecretKey::from_bytes(mine), &public(theirs)).expect("not of low order");
        for agreed in AGREEING {
            assert_eq!(agreed(&theirs, public(mine).as_bytes()).as_ref(), Some(&ours.0));
        }
        let mut sealed = Vec::new();
        ours.seal(&nonce, &plain, &mut sealed);

        let mut other = vec![0; TAG_BYTES + length];
        crypto_box_easy(&mut other, &plain, &nonce, public(mine).as_bytes(), &theirs).unwrap();
        assert_eq!(other, sealed);
        let mut opened = vec![0; length];
        crypto_box_open_easy(&mut opened, &sealed, &nonce, public(mine).as_bytes(), &theirs).unwrap();
        assert_eq!(opened, plain);
        assert_eq!(ours.open(&nonce, &sealed).as_deref(), Some(&plain));
    });
}

#[test]
fn what_is_equal() {
    assert!(is_equal(b"", b""));
    assert!(is_equal(b"cookie", b"cookie"));
    assert!(!is_equal(b"cookie", b"cookif"));
    assert!(!is_equal(b"cookie", b"cooki"));
}

#[test]
fn random_bytes_are_not_alike() {
    let (mut one, mut other) = ([0; 24], [0; 24]);
    random(&mut one).unwrap();
    random(&mut other).unwrap();
    assert_ne!(one, other);
}

fn bytes<const N: usize>(chance: &mut Chance) -> [u8; N] {
    std::array::from_fn(|_| chance.next() as u8)
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn from_hex<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}
