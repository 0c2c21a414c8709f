//! Heads there and back, cut, changed, at their limits, and made by chance.

use super::*;
use crate::sim::chance::Chance;

fn id(number: u64) -> TaskId {
    TaskId(NonZeroU64::new(number).unwrap())
}

fn ids(count: usize) -> Vec<TaskId> {
    (1..=count as u64).map(id).collect()
}

fn from_workers() -> Vec<FromWorker> {
    vec![
        FromWorker::Hello {
            session: Session([7; 16]),
            source: SourceId::NONE,
            credit: 64,
            done: ids(3),
        },
        FromWorker::Credit { more: 1 },
        FromWorker::Done { ids: ids(2) },
        FromWorker::Failed {
            id: id(u64::MAX),
            kind: FailureKind::Reject,
            after_ms: 0,
            reason: "gr\u{fc}n".to_owned(),
        },
        FromWorker::Extend {
            id: id(9),
            lease_ms: 30_000,
        },
        FromWorker::Return { ids: ids(1) },
        FromWorker::Beat,
        FromWorker::Bye,
    ]
}

fn from_sources() -> Vec<FromSource> {
    vec![
        FromSource::Welcome {
            source: SourceId([9; 16]),
            lease_ms: 30_000,
            silence_ms: 0,
        },
        FromSource::Task(TaskHead {
            id: id(1 << 40),
            attempt: 2,
            is_again: true,
            lease_ms: 1,
            left_ms: u64::MAX,
            key: Bytes::from_static(b"order-42"),
            headers: Bytes::from_static(b"\0\xff"),
        }),
        FromSource::Cancel { ids: ids(2) },
        FromSource::Bye,
        FromSource::Who,
    ]
}

fn worker_octets(said: &FromWorker) -> Vec<u8> {
    let mut out = Vec::new();
    said.put(&mut out);
    out
}

fn source_octets(said: &FromSource) -> Vec<u8> {
    let mut out = Vec::new();
    said.put(&mut out);
    out
}

/// All heads above, as octets.
fn heads() -> Vec<Vec<u8>> {
    let workers = from_workers().iter().map(worker_octets).collect::<Vec<_>>();
    let sources = from_sources().iter().map(source_octets).collect::<Vec<_>>();
    [workers, sources].concat()
}

/// What is understood says the same octets again; true if either side understands it.
fn is_exact(octets: &[u8]) -> bool {
    let worker = FromWorker::parse(octets);
    let source = FromSource::parse(octets);
    assert!(worker.is_err() || source.is_err(), "no command is both sides'");
    if let Ok(said) = &worker {
        assert_eq!(worker_octets(said), octets);
    }
    if let Ok(said) = &source {
        assert_eq!(source_octets(said), octets);
    }
    worker.is_ok() || source.is_ok()
}

fn refused(octets: &[u8]) -> &'static str {
    let parsed = match octets.get(3) {
        Some(0x80..) => FromSource::parse(octets).map(drop),
        _ => FromWorker::parse(octets).map(drop),
    };
    match parsed {
        Err(Malformed::Form(why)) => why,
        other => panic!("{}: {other:?}", octets.escape_ascii()),
    }
}

/// A head of these parts.
fn head(command: u8, fields: &[&[u8]]) -> Vec<u8> {
    [&[b'C', b'D', 1, command], &fields.concat()[..]].concat()
}

#[test]
fn each_command_goes_there_and_back() {
    for said in from_workers() {
        assert_eq!(FromWorker::parse(&worker_octets(&said)), Ok(said));
    }
    for said in from_sources() {
        assert_eq!(FromSource::parse(&source_octets(&said)), Ok(said));
    }
}

/// The octets of the page, not only ours of ours.
#[test]
fn octets_are_those_of_the_page() {
    let failed = FromWorker::Failed {
        id: id(258),
        kind: FailureKind::Retry,
        after_ms: 1000,
        reason: "no".to_owned(),
    };
    assert_eq!(
        worker_octets(&failed),
        b"CD\x01\x04\0\0\0\0\0\0\x01\x02\0\0\0\x03\xe8\x02no"
    );
    let task = FromSource::Task(TaskHead {
        id: id(1),
        attempt: 3,
        is_again: true,
        lease_ms: 256,
        left_ms: 0,
        key: Bytes::from_static(b"k"),
        headers: Bytes::from_static(b"hh"),
    });
    assert_eq!(
        source_octets(&task),
        b"CD\x01\x82\0\0\0\0\0\0\0\x01\0\x03\x01\0\0\x01\0\0\0\0\0\0\0\0\0\x01k\0\x02hh"
    );
}

#[test]
fn a_head_that_is_cut_or_goes_on_is_refused() {
    for octets in heads() {
        for cut in 0..octets.len() {
            assert!(!is_exact(&octets[..cut]), "{} at {cut}", octets.escape_ascii());
        }
        assert!(!is_exact(&[&octets[..], b"\0"].concat()), "{}", octets.escape_ascii());
    }
}

#[test]
fn a_head_with_any_octet_replaced_is_exact_or_refused() {
    for octets in heads() {
        for at in 0..octets.len() {
            for octet in 0..=255 {
                let mut changed = octets.clone();
                changed[at] = octet;
                let is_head = is_exact(&changed);
                assert!(at > 2 || octet == octets[at] || !is_head, "its name or version");
            }
        }
    }
}

#[test]
fn limits_are_exact() {
    let number = |number: u32| number.to_be_bytes();
    let one = 1u64.to_be_bytes();
    let listed = |count: u16| [&count.to_be_bytes()[..], &one.repeat(usize::from(count))].concat();
    let task = |key: usize, headers: u16| {
        let (key_len, headers_len) = ([key as u8], headers.to_be_bytes());
        let (key, text) = (vec![1; key], vec![2; usize::from(headers)]);
        let fixed: [&[u8]; 5] = [&one, &[0, 1], &[0], &number(1), &[0; 8]];
        head(TASK, &[&fixed[..], &[&key_len, &key, &headers_len, &text]].concat())
    };
    let sixteen = [1; 16];
    let hello = |credit, done| head(HELLO, &[&sixteen, &sixteen, &number(credit), &listed(done)]);
    let failed = |kind: u8, after, reason: &[u8]| {
        let fields: [&[u8]; 5] = [&one, &[kind], &number(after), &[reason.len() as u8], reason];
        head(FAILED, &fields)
    };
    let welcome = |lease, silence| head(WELCOME, &[&sixteen, &number(lease), &number(silence)]);
    let attempt = |attempt: u16, flags: u8| {
        let fields: [&[u8]; 6] = [&one, &attempt.to_be_bytes(), &[flags], &number(1), &[0; 8], &[0; 3]];
        head(TASK, &fields)
    };
    let extend = |lease| head(EXTEND, &[&one, &number(lease)]);
    let credit = |more| head(CREDIT, &[&number(more)]);

    for edge in [
        hello(65_536, 1024),
        hello(0, 0),
        credit(65_536),
        credit(0),
        head(DONE, &[&listed(1024)]),
        head(RETURN, &[&listed(1024)]),
        head(CANCEL, &[&listed(1024)]),
        failed(1, 86_400_000, &[b'a'; 255]),
        failed(0, 0, b""),
        extend(1),
        extend(86_400_000),
        welcome(86_400_000, 86_400_000),
        welcome(1, 0),
        task(64, 1024),
        task(0, 0),
        attempt(u16::MAX, 1),
    ] {
        assert!(is_exact(&edge), "{}", edge[..8].escape_ascii());
    }

    for (over, why) in [
        (hello(65_537, 0), "its credit is over 65,536"),
        (hello(0, 1025), "it has over 1,024 ids"),
        (credit(65_537), "its credit is over 65,536"),
        (head(DONE, &[&listed(1025)]), "it has over 1,024 ids"),
        (head(RETURN, &[&listed(u16::MAX)]), "it has over 1,024 ids"),
        (head(CANCEL, &[&listed(1025)]), "it has over 1,024 ids"),
        (head(DONE, &[&[0, 1], &[0; 8]]), "an id is 0"),
        (head(DONE, &[&[0, 2], &one]), "its ids are not as many as it says"),
        (failed(0, 86_400_001, b""), "it waits for over a day"),
        (failed(2, 0, b""), "its kind of failure is unknown"),
        (failed(0, 0, b"\xff"), "its reason is not text"),
        (extend(0), "its lease is 0"),
        (extend(u32::MAX), "its lease is over a day"),
        (welcome(0, 0), "its lease is 0"),
        (welcome(86_400_001, 0), "its lease is over a day"),
        (welcome(1, 86_400_001), "its silence is over a day"),
        (task(65, 0), "its key is over 64 octets"),
        (task(0, 1025), "its headers are over 1,024 octets"),
        (attempt(0, 0), "its attempt is 0"),
        (attempt(1, 2), "it has flags that are unknown"),
        (head(0, &[]), "no worker says such a command"),
        (head(9, &[]), "no worker says such a command"),
        (head(0x80, &[]), "no source says such a command"),
        (head(0x86, &[]), "no source says such a command"),
    ] {
        assert_eq!(refused(&over), why, "{}", over[..4].escape_ascii());
    }
}

/// "Whoever hears a HELLO or WELCOME of another version says its own."
#[test]
fn of_another_version_only_the_first_command_is_told_apart() {
    assert_eq!(FromWorker::parse(b"CD\x02\x01any"), Err(Malformed::OtherVersion(2)));
    assert_eq!(FromSource::parse(b"CD\x00\x81"), Err(Malformed::OtherVersion(0)));
    assert_eq!(
        FromWorker::parse(b"CD\x02\x07"),
        Err(Malformed::Form("it is of another version"))
    );
}

#[test]
fn a_hundred_thousand_heads_of_chance_are_exact_or_refused() {
    let mut chance = Chance::new(1);
    let known = heads();
    let mut understood = 0;
    for _ in 0..100_000 {
        let mut octets = if chance.once_in(8) {
            let len = chance.within(0..48);
            let command = chance.within(0..10) as u8 | (chance.next() as u8 & 0x80);
            let fields: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
            head(command, &[&fields])
        } else {
            known[chance.within(0..known.len())].clone()
        };
        for _ in 0..chance.within(0..4) {
            let at = chance.within(0..octets.len() + 1);
            match (chance.within(0..4), at < octets.len()) {
                (0, true) => drop(octets.remove(at)),
                (1, _) => octets.insert(at, chance.one_of(&[0, 1, 2, 64, 255])),
                (_, true) => octets[at] = chance.next() as u8,
                (_, false) => octets.truncate(at / 2),
            }
            if octets.is_empty() {
                octets.push(b'C');
            }
        }
        understood += usize::from(is_exact(&octets));
    }
    assert!((20_000..90_000).contains(&understood), "{understood}");
}
