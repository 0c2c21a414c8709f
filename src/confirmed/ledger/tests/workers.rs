//! Who comes, who goes, and who is no worker.

use super::*;

/// 3.2: "What else comes of who has not said HELLO on that connection it MUST ignore, and answer with WHO."
#[test]
fn who_has_not_said_hello_is_asked_to() {
    let mut world = World::new();
    world.tasks(1);
    assert_eq!(world.done(1, &[1]), ["1: who"]);
    assert_eq!(world.credit(1, 5), ["1: who"]);
    assert_eq!(world.hello(1, 1), ["1: welcome", "1: task 1"]);
    assert_eq!(world.ledger.counts().strangers, 2);
}

#[test]
fn welcome_says_who_the_source_is_and_its_times() {
    let mut world = World::with(Settings {
        silence: Some(Duration::from_secs(3)),
        ..settings()
    });
    let hello = FromWorker::Hello {
        session: Session([1; 16]),
        source: SourceId::NONE,
        credit: 1,
        done: Vec::new(),
    };
    world.ledger.handle_said(world.now, WorkerId(1), hello, 0);
    let welcome = Action::Send {
        to: WorkerId(1),
        head: FromSource::Welcome {
            source: OURS,
            lease_ms: 1000,
            silence_ms: 3000,
        },
        message: None,
    };
    assert_eq!(world.ledger.poll_action(world.now), Some(welcome));
}

/// 3.4: "A second HELLO of the same session on one connection grants anew, and loses nothing."
#[test]
fn a_second_hello_grants_anew_and_loses_nothing() {
    let mut world = World::new();
    world.hello(1, 5);
    world.tasks(1);
    world.told();
    assert_eq!(world.hello(1, 1), ["1: welcome"]);
    world.tasks(2);
    assert_eq!(world.told(), ["1: task 2"]);
    assert_eq!(world.done(1, &[1, 2]), ["1 done", "2 done"]);
}

/// 3.4.
#[test]
fn a_session_on_a_second_connection_ends_the_first() {
    let mut world = World::new();
    world.tasks(2);
    world.hello_of(1, 9, 2, &[]);
    let told = world.hello_of(2, 9, 1, &[1]);
    assert_eq!(told, ["1: close", "2: welcome", "1 done", "2: again 2 attempt 2"]);
    assert_eq!(world.done(1, &[2]), ["1: who"]);
}

#[test]
fn another_session_on_one_connection_is_another_worker() {
    let mut world = World::new();
    world.tasks(1);
    world.hello_of(1, 8, 1, &[]);
    assert_eq!(world.hello_of(1, 9, 1, &[]), ["1: welcome", "1: again 1 attempt 2"]);
    assert_eq!(
        world.hello_of(2, 8, 1, &[]),
        ["2: welcome"],
        "the session of before is free"
    );
}

/// It is not the one that has had the tasks of that ordering key.
#[test]
fn another_session_on_one_connection_is_bound_to_nothing() {
    let mut world = World::new();
    world.task(ordered("a"));
    world.hello_of(1, 8, 1, &[]);
    world.failed(1, 1, FailureKind::Retry, 0);
    world.hello_of(1, 9, 0, &[]);
    world.hello(2, 1);
    assert_eq!(world.pass(100), ["2: again 1 attempt 2"]);
}

/// 3.3: "If `source` is not its own it MUST ignore them."
#[test]
fn what_was_done_for_another_source_settles_nothing() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    world.lost(1);
    let hello = |source| FromWorker::Hello {
        session: Session([1; 16]),
        source,
        credit: 0,
        done: ids(&[1]),
    };
    assert_eq!(world.says(2, hello(SourceId([2; 16]))), ["2: welcome"]);
    assert_eq!(world.says(2, hello(SourceId::NONE)), ["2: welcome"]);
    assert_eq!(world.says(2, hello(OURS)), ["2: welcome", "1 done"]);
}

#[test]
fn who_says_bye_is_sent_nothing_and_what_it_has_is_lost() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 5);
    assert_eq!(world.says(1, FromWorker::Bye), [""; 0]);
    assert_eq!(world.hello(2, 1), ["2: welcome", "2: again 1 attempt 2"]);
}

/// "Silent for too long": 3 s after it was heard last, whatever it said.
#[test]
fn who_is_silent_for_too_long_is_lost() {
    let mut world = World::with(Settings {
        silence: Some(Duration::from_secs(3)),
        lease: Duration::from_secs(60),
        ..settings()
    });
    world.tasks(1);
    world.hello(1, 1);
    world.pass(2000);
    world.says(1, FromWorker::Beat);
    assert_eq!(world.pass(2999), [""; 0]);
    world
        .ledger
        .handle_malformed(world.now, WorkerId(1), Malformed::Form("any"));
    assert_eq!(world.pass(2999), [""; 0]);
    assert_eq!(world.pass(1), ["1: close"]);
    assert_eq!(world.done(1, &[1]), ["1: who"], "what comes then is a stranger's");
    assert_eq!(world.hello(2, 1), ["2: welcome", "2: again 1 attempt 2"]);
    assert_eq!(world.ledger.counts().silent, 1);
}

#[test]
fn who_drains_accepts_nothing_and_delivers_what_is_here() {
    let mut world = World::new();
    world.tasks(2);
    world.ledger.handle_drain();
    assert_eq!(world.refused(task()), Refusal::Draining);
    assert_eq!(world.hello(1, 2), ["1: welcome", "1: task 1", "1: task 2"]);
    world.done(1, &[1, 2]);
    assert_eq!(world.ledger.here(), 0);
}

/// 6.
#[test]
fn who_stops_delivers_nothing_and_still_hears() {
    let mut world = World::new();
    world.tasks(3);
    world.hello(1, 2);
    world.ledger.handle_stop();
    world.ledger.handle_stop();
    assert_eq!(world.told(), ["1: bye"]);
    world.ledger.handle_drain();
    assert_eq!(world.refused(task()), Refusal::Draining);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
    assert_eq!(world.credit(1, 5), [""; 0]);
    assert_eq!(
        world.hello_of(2, 1, 5, &[2]),
        ["1: close", "2: welcome", "2: bye", "2 done"]
    );
    assert_eq!(world.ledger.here(), 1);
}

/// 2: "SHOULD end the connection of a worker from which a hundred such have come".
#[test]
fn a_hundred_malformed_heads_end_a_connection() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    for _ in 0..99 {
        let why = FromWorker::parse(b"CD\x01\x09").unwrap_err();
        world.ledger.handle_malformed(world.now, WorkerId(1), why);
        assert_eq!(world.told(), [""; 0]);
    }
    world
        .ledger
        .handle_malformed(world.now, WorkerId(1), Malformed::Form("any"));
    assert_eq!(world.told(), ["1: close"]);
    world
        .ledger
        .handle_malformed(world.now, WorkerId(2), Malformed::Form("any"));
    assert_eq!(world.told(), ["2: close"], "who begins so is no worker");
}

/// 2: "says its own WELCOME, and does not take its sender for a worker".
#[test]
fn who_says_hello_in_another_version_is_told_ours() {
    let mut world = World::new();
    world.tasks(1);
    world
        .ledger
        .handle_malformed(world.now, WorkerId(1), Malformed::OtherVersion(2));
    assert_eq!(world.told(), ["1: welcome"]);
    assert_eq!(world.ledger.counts().malformed, 1);
}

#[test]
fn who_comes_when_there_are_too_many_is_turned_away() {
    let mut world = World::with(Settings {
        most_workers: 1,
        ..settings()
    });
    world.tasks(1);
    world.hello(1, 1);
    world.lost(1);
    world.hello(2, 0);
    assert_eq!(
        world.hello_of(3, 3, 1, &[1]),
        ["3: close"],
        "and nothing it says is taken"
    );
    assert_eq!(
        world.hello_of(4, 2, 1, &[]),
        ["2: close", "4: welcome", "4: again 1 attempt 2"]
    );
    assert_eq!(world.ledger.counts().turned_away, 1);
}
