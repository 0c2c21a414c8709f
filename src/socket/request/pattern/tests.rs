//! What REQ does, told by its pattern alone.

use super::*;
use crate::batch::{Batch, Tally};
use crate::chance::SplitMix64;
use crate::options::Mark;
use std::time::Duration;

fn new(options: Options) -> (ReqPattern, Peers) {
    let mark = Mark {
        messages: 8,
        bytes: 1 << 20,
    };
    (ReqPattern::new(&options, 7), Peers::new(mark, mark))
}

/// Its connection ends, with so much of this batch written, and it with it.
fn lose(pattern: &mut ReqPattern, peers: &mut Peers, id: PeerId, batch: Option<(Batch, usize)>) {
    let (unwritten, _) = peers.disconnected(id, batch, "lost".into());
    drop(pattern.disconnected(peers, id, unwritten, DropReason::PeerLost));
    pattern.detached(peers, id);
    peers.detach(id);
}

fn accepted(pattern: &mut ReqPattern, peers: &mut Peers) -> PeerId {
    let id = peers.attach(PeerKind::Accepted, "from somewhere");
    pattern.attached(peers, id);
    drop(peers.connected(id, None));
    pattern.connected(peers, id);
    id
}

#[test]
fn a_probe_goes_with_its_peer_and_is_taken_for_no_request() {
    let (mut pattern, mut peers) = new(Options::default().correlate(false).probe(true));
    let first = accepted(&mut pattern, &mut peers);
    let asked = pattern.ask(&mut peers, &mut "question".into()).unwrap();
    assert_eq!(peers.outgoing(first), 2, "the probe is before the request");

    lose(&mut pattern, &mut peers, first, None);
    assert!(peers.stats().out.is_conserved());
    assert_eq!(peers.stats().out.dropped.of(DropReason::PeerLost), 1);

    let second = accepted(&mut pattern, &mut peers);
    assert_eq!(peers.outgoing(second), 2, "its own probe, and the request");
    assert!(
        pattern.take(&mut peers, asked).is_none(),
        "it is neither answered nor lost"
    );
}

#[test]
fn a_request_that_was_not_written_outlives_its_peer_until_the_next_one_comes() {
    let (mut pattern, mut peers) = new(Options::default());
    let first = accepted(&mut pattern, &mut peers);
    let asked = pattern.ask(&mut peers, &mut "question".into()).unwrap();

    lose(&mut pattern, &mut peers, first, None);

    assert!(
        pattern.take(&mut peers, asked).is_none(),
        "it is neither answered nor lost"
    );
    let second = accepted(&mut pattern, &mut peers);
    let batch = peers.collect(second, Tally::default(), Vec::new()).unwrap();
    let mut run = batch.into_run();
    pattern.deliver(&mut peers, second, &mut run);
    assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::Replied(message)) if message == "question"));
    assert!(peers.stats().out.is_conserved());
}

// -- once more

const AFTER: Duration = Duration::from_millis(100);

fn retrying(times: u32) -> (ReqPattern, Peers, Instant) {
    let (pattern, mut peers) = new(Options::default().retry(AFTER, times));
    let start = Instant::now();
    peers.clock(start);
    (pattern, peers, start)
}

fn ask(pattern: &mut ReqPattern, peers: &mut Peers, question: &str) -> u32 {
    let id = pattern.ask(peers, &mut question.into()).unwrap();
    if let Some(now) = peers.now() {
        pattern.begin_waiting(id, now);
    }
    id
}

/// Writes all that is queued for a peer, and gives it.
fn write(peers: &mut Peers, id: PeerId) -> Vec<Message> {
    let mut written = Vec::new();
    while let Some(batch) = peers.collect(id, Tally::default(), Vec::new()) {
        peers.moved(id, batch.tally());
        let mut run = batch.into_run();
        written.extend(std::iter::from_fn(|| run.pop()));
    }
    written
}

fn reply(pattern: &mut ReqPattern, peers: &mut Peers, from: PeerId, message: &Message) {
    let mut batch = Batch::default();
    batch.push(&[], &mut message.into());
    pattern.deliver(peers, from, &mut batch.into_run());
}

fn wait(pattern: &mut ReqPattern, peers: &mut Peers, now: Instant) {
    pattern.on_alarm(peers, now);
    assert!(peers.stats().out.is_conserved());
}

#[test]
fn a_request_without_a_reply_goes_to_the_next_peer_and_whichever_replies_first_wins() {
    for first_wins in [false, true] {
        let (mut pattern, mut peers, start) = retrying(1);
        let [one, two] = [(); 2].map(|()| accepted(&mut pattern, &mut peers));
        let asked = ask(&mut pattern, &mut peers, "question");
        let sent = write(&mut peers, one);
        assert_eq!(pattern.alarm, Some(start + AFTER));

        wait(&mut pattern, &mut peers, start + AFTER - Duration::from_millis(1));
        assert_eq!(peers.outgoing(two), 0, "not before its time");
        wait(&mut pattern, &mut peers, start + AFTER);
        let again = write(&mut peers, two);

        assert_eq!(again, sent, "all copies have one id");
        assert_eq!(peers.stats().retried_requests, 1);
        let (winner, loser) = if first_wins { (one, two) } else { (two, one) };
        reply(&mut pattern, &mut peers, winner, &sent[0]);
        assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::Replied(message)) if message == "question"));
        reply(&mut pattern, &mut peers, loser, &sent[0]);
        assert_eq!(peers.stats().incoming.dropped.of(DropReason::StaleReply), 1);
    }
}

#[test]
fn with_one_peer_it_is_asked_again_as_often_as_was_said_and_then_no_more() {
    let (mut pattern, mut peers, start) = retrying(2);
    let only = accepted(&mut pattern, &mut peers);
    let asked = ask(&mut pattern, &mut peers, "question");
    for n in 0..10 {
        write(&mut peers, only);
        wait(&mut pattern, &mut peers, start + AFTER * n);
    }
    write(&mut peers, only);
    assert_eq!((peers.stats().retried_requests, peers.stats().out.passed), (2, 3));
    assert!(
        pattern.take(&mut peers, asked).is_none(),
        "it waits on for a reply to any of them"
    );
    assert!(pattern.due.is_empty());

    lose(&mut pattern, &mut peers, only, None);

    assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::PeerLost)));
}

#[test]
fn a_lost_peers_request_is_sent_again_at_once_and_fails_when_all_are_lost() {
    let (mut pattern, mut peers, _) = retrying(1);
    let [one, two] = [(); 2].map(|()| accepted(&mut pattern, &mut peers));
    let asked = ask(&mut pattern, &mut peers, "question");
    write(&mut peers, one);

    lose(&mut pattern, &mut peers, one, None);
    assert_eq!(write(&mut peers, two).len(), 1);
    assert!(pattern.take(&mut peers, asked).is_none());

    lose(&mut pattern, &mut peers, two, None);
    assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::PeerLost)));
    assert!(peers.stats().out.is_conserved());
}

/// It was asked before, and is still there: the last one's end is not the request's.
#[test]
fn a_peer_that_was_asked_earlier_may_reply_after_the_last_one_is_lost() {
    let (mut pattern, mut peers, start) = retrying(1);
    let [one, two] = [(); 2].map(|()| accepted(&mut pattern, &mut peers));
    let asked = ask(&mut pattern, &mut peers, "question");
    let sent = write(&mut peers, one);
    wait(&mut pattern, &mut peers, start + AFTER);
    write(&mut peers, two);

    lose(&mut pattern, &mut peers, two, None);

    assert!(pattern.take(&mut peers, asked).is_none(), "one of two is left");
    reply(&mut pattern, &mut peers, one, &sent[0]);
    assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::Replied(_))));
}

#[test]
fn what_finds_no_room_waits_for_it_and_goes_with_its_caller() {
    for comes_to_an_end in [false, true] {
        let (mut pattern, mut peers, start) = retrying(5);
        let only = accepted(&mut pattern, &mut peers);
        let ids: Vec<u32> = (0..8).map(|_| ask(&mut pattern, &mut peers, "question")).collect();
        assert!(pattern.ask(&mut peers, &mut "one too many".into()).is_none());

        wait(&mut pattern, &mut peers, start + AFTER);
        assert_eq!(peers.stats().out.queued, 16, "one more of each");
        assert_eq!(peers.outgoing(only), 8, "the mark holds");

        if comes_to_an_end {
            for id in ids {
                drop(pattern.forget(&mut peers, id));
                assert!(peers.stats().out.is_conserved());
            }
            assert_eq!(peers.stats().out.dropped.of(DropReason::Abandoned), 16);
            assert_eq!(peers.stats().out.queued, 0);
            assert!(pattern.is_ready(Awaited::Writable) || !peers.wants.is_empty());
        } else {
            while peers.stats().out.queued > 0 {
                write(&mut peers, only);
                pattern.has_room(&mut peers, only);
            }
            assert_eq!(peers.stats().out.passed, 16);
        }
    }
}

// -- taken back

/// Peers, requests and callers that come and go by chance, against what each request should have become.
#[test]
fn requests_are_found_again_wherever_they_are_and_nobody_elses_is_dropped() {
    for seed in 0..400 {
        let mut chance = SplitMix64::new(seed);
        let mut below = |limit: usize| (chance.next() % limit as u64) as usize;
        let (mut pattern, mut peers, mut now) = retrying(1 + seed as u32 % 3);
        let mut live: Vec<PeerId> = Vec::new();
        let mut open: BTreeMap<u32, String> = BTreeMap::new();
        // Written, and not replied to.
        let mut with: Vec<(PeerId, Message)> = Vec::new();
        for step in 0..200 {
            match below(10) {
                0 if live.len() < 3 => live.push(accepted(&mut pattern, &mut peers)),
                1 | 2 => {
                    let question = format!("{seed}:{step}");
                    if let Some(id) = pattern.ask(&mut peers, &mut question.clone().into()) {
                        pattern.begin_waiting(id, now);
                        assert!(open.insert(id, question).is_none());
                    }
                }
                3 if !open.is_empty() => {
                    let id = *open.keys().nth(below(open.len())).unwrap();
                    drop(pattern.forget(&mut peers, id));
                    open.remove(&id);
                }
                4 | 5 if !live.is_empty() => {
                    let peer = live[below(live.len())];
                    with.extend(write(&mut peers, peer).into_iter().map(|message| (peer, message)));
                }
                6 if !with.is_empty() => {
                    let (peer, message) = with.swap_remove(below(with.len()));
                    reply(&mut pattern, &mut peers, peer, &message);
                }
                7 if !live.is_empty() => {
                    let peer = live.swap_remove(below(live.len()));
                    let batch = peers.collect(peer, Tally::default(), Vec::new());
                    let written = batch.as_ref().map_or(0, |batch| below(batch.wire_len() + 1));
                    lose(&mut pattern, &mut peers, peer, batch.map(|batch| (batch, written)));
                    with.retain(|(other, _)| *other != peer);
                }
                8 => {
                    now += AFTER / 3;
                    wait(&mut pattern, &mut peers, now);
                }
                _ => {
                    for id in open.keys().copied().collect::<Vec<_>>() {
                        match pattern.take(&mut peers, id) {
                            Some(Outcome::Replied(reply)) => {
                                assert_eq!(reply, *open[&id].as_bytes(), "seed {seed}")
                            }
                            Some(_) => {}
                            None => continue,
                        }
                        drop(pattern.forget(&mut peers, id));
                        open.remove(&id);
                    }
                }
            }
            for want in std::mem::take(&mut peers.wants) {
                if let Want::Room(id) = want {
                    pattern.has_room(&mut peers, id);
                }
            }
            let stats = peers.stats();
            assert!(
                stats.out.is_conserved() && stats.incoming.is_conserved(),
                "seed {seed}: {stats:#?}"
            );
        }
        // All who still wait are served by one that comes: none was dropped with another's.
        live.drain(..)
            .for_each(|peer| lose(&mut pattern, &mut peers, peer, None));
        let last = accepted(&mut pattern, &mut peers);
        for _ in 0..20 {
            for message in write(&mut peers, last) {
                reply(&mut pattern, &mut peers, last, &message);
            }
            pattern.has_room(&mut peers, last);
        }
        for (id, question) in open {
            match pattern.take(&mut peers, id) {
                Some(Outcome::Replied(reply)) => assert_eq!(reply, *question.as_bytes(), "seed {seed}"),
                Some(Outcome::PeerLost) => {}
                other => panic!("seed {seed}: {question} became {other:?}"),
            }
            drop(pattern.forget(&mut peers, id));
        }
        assert!(pattern.asked.is_empty() && pattern.due.is_empty(), "seed {seed}");
        assert_eq!(peers.stats().out.queued, 0, "seed {seed}");
    }
}

#[test]
fn a_caller_that_waits_no_more_takes_its_request_back_and_those_around_it_stay() {
    let (mut pattern, mut peers) = new(Options::default());
    let first = accepted(&mut pattern, &mut peers);
    let mut ids: Vec<u32> = (0..4).map(|n| ask(&mut pattern, &mut peers, &n.to_string())).collect();
    let writing = peers.collect(first, Tally::default(), Vec::new()).unwrap();
    assert_eq!(writing.messages(), 4);
    ids.push(ask(&mut pattern, &mut peers, "4"));

    drop(pattern.forget(&mut peers, ids[0]));
    assert_eq!(peers.stats().out.dropped.total(), 0, "it is being written");
    drop(pattern.forget(&mut peers, ids[4]));
    assert_eq!(peers.stats().out.dropped.of(DropReason::Abandoned), 1);
    assert_eq!(peers.outgoing(first), 4);

    // The connection breaks before a byte is out: the others go on, but for the first, which nobody waits for.
    lose(&mut pattern, &mut peers, first, Some((writing, 0)));
    let second = accepted(&mut pattern, &mut peers);
    let bodies: Vec<_> = write(&mut peers, second)
        .iter()
        .map(|message| message.frame(2).unwrap().to_vec())
        .collect();
    assert_eq!(bodies, [b"1", b"2", b"3"]);
    assert_eq!(peers.stats().out.dropped.of(DropReason::Abandoned), 2);
    assert!(peers.stats().out.is_conserved());
}

#[test]
fn relaxed_a_new_request_abandons_the_one_that_waits_and_takes_it_back() {
    let (mut pattern, mut peers) = new(Options::default().correlate(false).relaxed(true));
    let [one, two] = [(); 2].map(|()| accepted(&mut pattern, &mut peers));
    let old = ask(&mut pattern, &mut peers, "old");
    let new = ask(&mut pattern, &mut peers, "new");

    assert!(matches!(pattern.take(&mut peers, old), Some(Outcome::Abandoned)));
    assert!(write(&mut peers, one).is_empty(), "it had not been on its way");
    let sent = write(&mut peers, two);
    reply(&mut pattern, &mut peers, one, &Message::from(["", "late"]));
    assert!(
        pattern.take(&mut peers, new).is_none(),
        "another peer was asked for this one"
    );
    reply(&mut pattern, &mut peers, two, &sent[0]);
    assert!(matches!(pattern.take(&mut peers, new), Some(Outcome::Replied(message)) if message == "new"));
    drop((pattern.forget(&mut peers, old), pattern.forget(&mut peers, new)));
    assert!(peers.stats().out.is_conserved());
    assert_eq!(peers.stats().out.dropped.of(DropReason::Abandoned), 1);
}

/// RFC 28: what has no empty frame, or nothing behind it, is no reply.
#[test]
fn what_is_no_reply_is_malformed_and_what_nobody_waits_for_is_stale() {
    for (correlate, good, bad) in [
        (
            true,
            vec!["\0\0\0\x07", "", "x"],
            vec![
                vec!["x"],
                vec!["", "x"],
                vec!["\0\0\0\x07", ""],
                vec!["\0\0\0\x07", "x", "y"],
            ],
        ),
        (false, vec!["", "x"], vec![vec![""], vec!["x"], vec!["x", "", "y"]]),
    ] {
        let (mut pattern, mut peers) = new(Options::default().correlate(correlate));
        let only = accepted(&mut pattern, &mut peers);
        reply(
            &mut pattern,
            &mut peers,
            only,
            &Message::from_frames(good.clone()).unwrap(),
        );
        let asked = ask(&mut pattern, &mut peers, "question");
        write(&mut peers, only);
        for frames in &bad {
            reply(
                &mut pattern,
                &mut peers,
                only,
                &Message::from_frames(frames.clone()).unwrap(),
            );
            assert!(pattern.take(&mut peers, asked).is_none());
        }
        reply(&mut pattern, &mut peers, only, &Message::from_frames(good).unwrap());
        assert!(matches!(pattern.take(&mut peers, asked), Some(Outcome::Replied(message)) if message == "x"));
        let dropped = peers.stats().incoming.dropped;
        assert_eq!(dropped.of(DropReason::StaleReply), 1);
        assert_eq!(dropped.of(DropReason::Malformed), bad.len() as u64);
    }
}
