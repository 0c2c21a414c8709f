//! Statistics of sockets and contexts, and their text for Prometheus, read by a parser that allows nothing else.

mod common;

use common::{LONG, transport_suite, wait_connected};
use peermq::{Context, DropReason, Identity, Options, Pull, Push, Rep, Req, SocketType};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

// -- the text

/// A sample: its labels, and its value.
type Samples = Vec<(BTreeMap<String, String>, f64)>;

/// The exposition format 0.0.4, as strictly as it can be read: each family is described once and stands together, no
/// series comes twice, histograms add up. Gives the samples by their name.
fn parse(text: &str) -> BTreeMap<String, Samples> {
    assert!(text.ends_with('\n'), "the last line ends, too");
    let mut families = BTreeMap::<String, String>::new();
    let mut samples = BTreeMap::<String, Samples>::new();
    let mut series = BTreeSet::new();
    let (mut described, mut family) = (None, None);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(is_name(name) && !help.is_empty() && !help.contains('\\'), "{line}");
            assert!(!families.contains_key(name), "{name} is described twice");
            described = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(described.take().as_deref(), Some(name), "help and type stand together");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            families.insert(name.to_owned(), kind.to_owned());
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, labels, value) = sample(line);
            let (family, kind) = family.as_ref().expect("a family before its samples");
            let suffix = name.strip_prefix(&**family).expect("a sample stands in its family");
            match &**kind {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                _ => assert_eq!(suffix, "", "{line}"),
            }
            assert!(series.insert((name.clone(), labels.clone())), "twice: {line}");
            samples.entry(name).or_default().push((labels, value));
        }
    }
    for (name, _) in families.iter().filter(|(_, kind)| *kind == "histogram") {
        check_histogram(name, &samples);
    }
    samples
}

fn check_histogram(name: &str, samples: &BTreeMap<String, Samples>) {
    for (labels, count) in &samples[&format!("{name}_count")] {
        let is_mine = |other: &BTreeMap<String, String>| labels.iter().all(|(k, v)| other.get(k) == Some(v));
        let buckets = samples[&format!("{name}_bucket")]
            .iter()
            .filter(|(other, _)| is_mine(other));
        let buckets: Vec<(f64, f64)> = buckets
            .map(|(labels, count)| (labels["le"].parse().expect("an end (or +Inf)"), *count))
            .collect();
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)));
        let sum = samples[&format!("{name}_sum")].iter().find(|(other, _)| is_mine(other));
        assert!(sum.is_some_and(|(_, sum)| *sum >= 0.0));
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        loop {
            // Behind the brace, or behind a comma.
            rest = &rest[1..];
            let (label, behind) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (value, behind) = quoted(behind);
            assert!(
                labels.insert(label.to_owned(), value).is_none(),
                "{label} twice: {line}"
            );
            rest = behind;
            if let Some(behind) = rest.strip_prefix('}') {
                rest = behind;
                break;
            }
            assert!(rest.starts_with(','), "{line}");
        }
    }
    let value = rest.strip_prefix(' ').expect("one space");
    (name.to_owned(), labels, value.parse().expect(line))
}

/// What stands up to the closing quote, and what is behind it.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().expect("an escaped character").1 {
                'n' => '\n',
                known @ ('\\' | '"') => known,
                other => panic!("\\{other} is no escape"),
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}")
}

/// The one sample with these labels among its own.
fn value(samples: &BTreeMap<String, Samples>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |has: &BTreeMap<String, String>| labels.iter().all(|(k, v)| has.get(*k).is_some_and(|has| has == v));
    let found: Vec<_> = samples[name].iter().filter(|(has, _)| fits(has)).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].1
}

#[test]
fn a_context_tells_all_of_its_sockets_in_one_text() {
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let rep = Rep::new(&context);
    rep.bind("tcp://127.0.0.1:0").unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    for number in 0..100 {
        push.send(["frame", &number.to_string()]).unwrap();
    }
    for _ in 0..100 {
        pull.recv_timeout(LONG).unwrap();
    }

    let text = context.prometheus();
    let samples = parse(&text);

    let of = |name, direction| value(&samples, name, &[("type", "PULL"), ("direction", direction)]);
    assert_eq!(of("peermq_messages_total", "in"), 100.0);
    assert_eq!(of("peermq_frames_total", "in"), 200.0);
    assert_eq!(of("peermq_bytes_total", "in"), 100.0 * 5.0 + 190.0);
    assert_eq!(of("peermq_messages_total", "out"), 0.0);
    assert!(of("peermq_residence_seconds_count", "in") >= 1.0);
    assert!(of("peermq_queue_peak_messages", "in") >= 1.0);
    let push = [("socket", "1"), ("type", "PUSH"), ("direction", "out")];
    assert_eq!(value(&samples, "peermq_accepted_messages_total", &push), 100.0);
    let second = [push[0], push[1], push[2], ("window", "60s")];
    assert!((1.0..=2.0).contains(&value(&samples, "peermq_throughput_messages", &second)));
    assert_eq!(value(&samples, "peermq_listeners", &[]), 2.0);
    assert_eq!(value(&samples, "peermq_dialers", &[]), 1.0);
    assert_eq!(value(&samples, "peermq_connections", &[("stage", "ready")]), 2.0);
    assert!(value(&samples, "peermq_loop_turns_total", &[]) > 0.0);
    assert!(value(&samples, "peermq_loop_notes_total", &[]) >= 3.0);
    assert!(!text.contains("NaN"));
}

#[test]
fn what_a_peer_calls_itself_cannot_write_lines() {
    let hostile = "a\"} 1\n# TYPE evil counter\nevil{x=\"\\";
    let context = Context::new().unwrap();
    let rep = Rep::new(&context);
    let identity = Identity::new(hostile.as_bytes()).unwrap();
    let req = Req::with_options(&context, Options::default().identity(identity)).unwrap();
    let monitor = rep.monitor();
    req.connect(rep.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    wait_connected(&monitor);

    let text = rep
        .stats()
        .to_prometheus(&[("name", hostile), ("0 odd-name", "x"), ("", "y")]);

    let samples = parse(&text);
    let (labels, _) = &samples["peermq_peer_info"][0];
    assert_eq!(labels["name"], hostile);
    assert_eq!((&*labels["_0_odd_name"], &*labels["_"]), ("x", "y"));
    assert!(labels["identity"].contains("evil"));
    assert_eq!(labels["peer_type"], "REQ");
    assert!(!samples.contains_key("evil"));
    parse(&context.prometheus());
}

#[test]
fn a_thousand_peers_take_no_more_lines_than_a_hundred() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::ZERO)).unwrap();
    let lines = |peers: usize| {
        while push.stats().peers.len() < peers {
            push.connect("inproc://nobody").unwrap();
            push.send("waits").unwrap();
        }
        let text = push.stats().to_prometheus(&[]);
        let samples = parse(&text);
        let queued: f64 = samples["peermq_peer_queue_messages"]
            .iter()
            .map(|(_, value)| value)
            .sum();
        assert_eq!(queued, peers as f64, "the rest is summed");
        assert_eq!(value(&samples, "peermq_peers", &[("connected", "no")]), peers as f64);
        text.lines().count()
    };
    let (hundred, more) = (lines(100), lines(150));
    assert_eq!(lines(1_000), more);
    assert!(more - hundred < 20, "{hundred} {more}");
}

#[test]
fn drops_are_told_by_reason() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::ZERO)).unwrap();
    push.connect("inproc://nobody").unwrap();
    push.send("in vain").unwrap();
    push.close().unwrap();

    let samples = parse(&push.stats().to_prometheus(&[]));
    let labels = [("direction", "out"), ("reason", &*DropReason::Linger.to_string())];
    assert_eq!(value(&samples, "peermq_dropped_messages_total", &labels), 1.0);
}

// -- the numbers

transport_suite!(peaks_and_frames_and_rates_are_of_both_sides);

fn peaks_and_frames_and_rates_are_of_both_sides(transport: &str) {
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let here = pull.bind(common::endpoint(transport)).unwrap();
    push.connect(here).unwrap();
    for _ in 0..50 {
        push.send([&b"two"[..], b"frames"]).unwrap();
    }
    for _ in 0..50 {
        pull.recv_timeout(LONG).unwrap();
    }
    let (out, incoming) = (push.stats(), pull.stats());
    assert_eq!((out.out.frames, incoming.incoming.frames), (100, 100));
    assert!((1..=50).contains(&out.out.queued_peak) && (1..=50).contains(&incoming.incoming.queued_peak));
    assert!(incoming.incoming.queued_peak_bytes >= 9 && incoming.incoming.queued_peak_bytes <= 450);
    assert!(incoming.incoming_residence.count() >= 1);
    assert!(incoming.incoming_residence.sum() < LONG);
    let rate = incoming.incoming_rate.minute;
    assert!(
        (0..=1).contains(&rate.messages) && (7..=8).contains(&rate.bytes),
        "{rate:?}"
    );
    let [peer] = &incoming.peers[..] else {
        panic!("one peer")
    };
    assert_eq!((peer.socket_type, peer.is_dialed), (Some(SocketType::Push), false));
    assert_eq!(peer.incoming, incoming.incoming);
    assert_eq!(peer.incoming_rate, pull.stats().peers[0].incoming_rate);
}

/// Time passes by itself here: what is compared is that it did.
#[test]
fn a_full_queue_counts_its_time() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(1).linger(Duration::ZERO)).unwrap();
    push.connect("inproc://nobody").unwrap();
    push.send("fills it").unwrap();
    let begin = Instant::now();
    assert!(push.send_timeout("in vain", Duration::from_millis(20)).is_err());

    let full_for = push.stats().out.full_for;
    assert!(full_for >= Duration::from_millis(20), "{full_for:?}");
    assert!(full_for <= begin.elapsed() + LONG);
    assert!(push.stats().peers[0].out.full_for >= full_for);
}

#[test]
fn a_context_counts_what_its_queues_hold_and_its_loop_has() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::ZERO)).unwrap();
    push.connect("inproc://nobody").unwrap();
    push.send(&[7; 100]).unwrap();
    let pull = Pull::new(&context);

    let stats = context.stats();
    let types: Vec<_> = stats
        .sockets
        .iter()
        .map(|socket| (socket.number, socket.socket_type))
        .collect();
    assert_eq!(types, [(0, SocketType::Push), (1, SocketType::Pull)]);
    assert_eq!(stats.queued_weight(), 164);
    assert_eq!(stats.event_loop.expect("it is there").connections.total(), 0);

    drop(pull);
    context.shutdown();
    let stats = context.stats();
    assert_eq!((stats.sockets.len(), stats.event_loop), (0, None));
    assert_eq!(context.prometheus(), "");
}

/// "Never waits on the loop's own thread": a waker asks.
#[test]
fn a_waker_may_ask_a_context() {
    struct Asks(Context, std::sync::mpsc::SyncSender<bool>);
    impl std::task::Wake for Asks {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.1.send(self.0.stats().event_loop.is_some());
        }
    }
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(10);
    let waker = std::task::Waker::from(std::sync::Arc::new(Asks(context.clone(), tell)));
    let mut receiving = Box::pin(pull.recv_async());
    let pending = receiving.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    assert!(pending.is_pending());
    push.connect(here).unwrap();
    push.send("wakes it").unwrap();
    assert!(
        !told.recv_timeout(LONG).unwrap(),
        "the loop cannot be asked there, and nothing hangs"
    );
}
