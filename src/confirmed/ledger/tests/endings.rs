//! How deliveries end, and what becomes of the task.

use super::*;

#[test]
fn what_is_done_is_settled_once() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    assert_eq!(world.done(1, &[1, 1, 7]), ["1 done"]);
    assert_eq!(world.done(1, &[1]), [""; 0]);
    let counts = world.ledger.counts();
    assert_eq!((counts.done, counts.ignored, world.ledger.here()), (1, 3, 0));
    assert_eq!(world.deadline(), None);
}

/// 5.1: "whoever of those to whom it was delivered says so".
#[test]
fn only_who_was_sent_a_task_can_have_done_it() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 0);
    assert_eq!(world.done(1, &[1]), [""; 0]);
    world.hello(2, 1);
    assert_eq!(world.done(1, &[1]), [""; 0]);
    assert_eq!((world.ledger.here(), world.ledger.counts().ignored), (1, 2));
}

#[test]
fn who_has_given_a_task_up_cannot_have_done_it() {
    let mut world = World::new();
    world.tasks(2);
    world.hello(1, 2);
    world.failed(1, 1, FailureKind::Retry, 0);
    world.returned(1, &[2]);
    assert_eq!(world.done(1, &[1, 2]), [""; 0]);
}

/// A worker goes on with what it has while its connection is made anew.
#[test]
fn what_was_sent_on_an_earlier_connection_may_be_done() {
    let mut world = World::new();
    world.tasks(1);
    world.hello_of(1, 7, 1, &[]);
    world.lost(1);
    world.hello(2, 1);
    world.hello_of(3, 7, 0, &[]);
    assert_eq!(world.done(3, &[1]), ["2: cancel 1", "1 done"]);
}

#[test]
fn of_more_than_sixteen_that_had_a_task_the_first_is_forgotten() {
    let mut world = World::new();
    world.tasks(1);
    for worker in 1..=17 {
        world.hello(worker, 1);
        world.pass(1000);
    }
    assert_eq!(world.done(1, &[1]), [""; 0]);
    let told = world.done(2, &[1]);
    assert_eq!((told.len(), told.last().unwrap().as_str()), (16, "1 done"));
}

/// 5.2: "queued again before all that were not delivered yet, in the order of the ids, and marked".
#[test]
fn what_is_lost_goes_to_another_first_and_marked() {
    let mut world = World::new();
    world.tasks(5);
    world.hello(1, 3);
    world.lost(1);
    let told = [
        "2: welcome",
        "2: again 1 attempt 2",
        "2: again 2 attempt 2",
        "2: again 3 attempt 2",
        "2: task 4",
    ];
    assert_eq!(world.hello(2, 4), told);
    assert_eq!((world.ledger.counts().lost, world.ledger.counts().again), (3, 3));
}

#[test]
fn a_lease_that_is_over_loses_the_task_but_not_the_worker() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    assert_eq!(world.deadline(), Some(1000));
    assert_eq!(world.pass(999), [""; 0]);
    assert_eq!(world.pass(1), [""; 0]);
    assert_eq!(world.hello(2, 1), ["2: welcome", "2: again 1 attempt 2"]);
    assert_eq!(world.done(1, &[1]), ["2: cancel 1", "1 done"], "it is late, and taken");
    assert_eq!(world.done(2, &[1]), [""; 0], "it crossed with CANCEL");
    assert_eq!((world.ledger.counts().done, world.ledger.counts().leases_over), (1, 1));
}

#[test]
fn who_is_late_is_told_when_another_has_done_it() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    world.pass(1000);
    world.hello(2, 1);
    world.pass(1000);
    world.hello(3, 1);
    assert_eq!(world.done(3, &[1]), ["1: cancel 1", "2: cancel 1", "1 done"]);
}

#[test]
fn what_is_late_may_go_to_the_same_worker_again() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 2);
    assert_eq!(world.pass(1000), ["1: again 1 attempt 2"]);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
}

/// What is late and queued again is settled where it waits.
#[test]
fn a_late_done_settles_what_is_queued_or_delayed_too() {
    let mut world = World::new();
    world.tasks(2);
    world.hello(1, 2);
    world.pass(1000);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
    assert_eq!(world.hello(2, 1), ["2: welcome", "2: again 2 attempt 2"]);
    world.failed(2, 2, FailureKind::Retry, 0);
    assert_eq!(world.done(1, &[2]), ["2 done"]);
    assert_eq!(world.deadline(), None);
}

/// 5.6.
#[test]
fn extend_begins_the_lease_anew() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    world.pass(900);
    let extend = |lease_ms| FromWorker::Extend { id: id(1), lease_ms };
    world.says(1, extend(5000));
    assert_eq!(world.deadline(), Some(5900));
    world.says(1, extend(200));
    assert_eq!(world.deadline(), Some(1100), "also a shorter one");
    world.hello(2, 0);
    world.says(2, extend(9000));
    assert_eq!(world.deadline(), Some(1100), "only who has it");
    world.pass(200);
    world.says(1, extend(9000));
    assert_eq!(world.deadline(), None, "what is over is over");
}

/// Nothing is over before it is found to be.
#[test]
fn what_is_heard_before_the_timeout_is_in_time() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    world.now += Duration::from_secs(60);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
    assert_eq!(world.pass(0), [""; 0]);
}

/// 5.3.
#[test]
fn what_failed_waits_twice_as_long_each_time_and_is_dead_in_the_end() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 9);
    assert_eq!(world.failed(1, 1, FailureKind::Retry, 0), [""; 0]);
    assert_eq!(world.deadline(), Some(100));
    assert_eq!(world.pass(100), ["1: again 1 attempt 2"]);
    world.failed(1, 1, FailureKind::Retry, 0);
    assert_eq!(world.deadline(), Some(300));
    assert_eq!(world.pass(200), ["1: again 1 attempt 3"]);
    assert_eq!(world.failed(1, 1, FailureKind::Retry, 0), ["1 failed"]);
    assert_eq!(world.ledger.counts().dead, 1);
}

#[test]
fn a_worker_may_ask_for_a_longer_wait_and_not_for_a_shorter_one() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 9);
    world.failed(1, 1, FailureKind::Retry, 5000);
    assert_eq!(world.deadline(), Some(5000));
    world.pass(5000);
    world.failed(1, 1, FailureKind::Retry, 1);
    assert_eq!(world.deadline(), Some(5200));
}

#[test]
fn what_is_rejected_is_dead_at_once_and_given_back() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    let reason = "no such order".to_owned();
    let failed = FromWorker::Failed {
        id: id(1),
        kind: FailureKind::Reject,
        after_ms: 0,
        reason: reason.clone(),
    };
    world.ledger.handle_said(world.now, WorkerId(1), failed, 0);
    let at = world.now;
    let outcome = Outcome::Dead(Box::new(Dead {
        why: Death::Rejected { reason: reason.clone() },
        attempts: 1,
        losses: 0,
        failures: vec![Failed { at, reason }],
        task: task(),
    }));
    let settled = Action::Settled { id: id(1), outcome };
    assert_eq!(world.ledger.poll_action(world.now), Some(settled));
}

/// 5.3: "Only who has the open delivery can say so."
#[test]
fn who_does_not_have_it_cannot_fail_it() {
    let mut world = World::new();
    world.tasks(1);
    world.hello(1, 1);
    world.pass(1000);
    world.hello(2, 1);
    world.failed(1, 1, FailureKind::Reject, 0);
    assert_eq!(world.ledger.here(), 1);
    assert_eq!(world.done(2, &[1]), ["1 done"], "who gave it up is not told");
}

/// 5.4.
#[test]
fn what_is_returned_is_no_attempt_and_goes_to_another_at_once() {
    let mut world = World::new();
    world.tasks(3);
    world.hello(1, 9);
    world.hello(2, 0);
    assert_eq!(world.returned(1, &[2, 3]), [""; 0], "not to who has returned it");
    assert_eq!(world.credit(2, 1), ["2: again 2 attempt 1"]);
    assert_eq!(world.credit(1, 1), ["1: again 3 attempt 1"]);
    assert_eq!(
        world.returned(2, &[1, 3]),
        [""; 0],
        "what others have is not its to return"
    );
    assert_eq!((world.ledger.counts().returned, world.ledger.counts().ignored), (2, 2));
}

/// 5.5.
#[test]
fn what_nobody_wants_any_more_is_dead_wherever_it_is() {
    let mut world = World::with(Settings {
        lease: Duration::from_millis(300),
        ..settings()
    });
    for starts_at in [None, None, None, None, world.at(5000)] {
        let too_late_at = world.at(1000);
        world.task(Task {
            starts_at,
            too_late_at,
            ..task()
        });
    }
    world.hello(1, 3);
    world.failed(1, 2, FailureKind::Retry, 3000);
    world.pass(300);
    world.hello(2, 1);
    let extend = |task| FromWorker::Extend {
        id: id(task),
        lease_ms: 5000,
    };
    world.says(2, extend(1));
    let told = world.pass(700);
    assert_eq!(
        told,
        [
            "1: cancel 1",
            "2: cancel 1",
            "1 too late",
            "2 too late",
            "1: cancel 3",
            "3 too late",
            "4 too late",
            "5 too late"
        ]
    );
    assert_eq!((world.deadline(), world.ledger.here()), (None, 0));
}

#[test]
fn what_is_too_late_is_not_delivered_even_if_nobody_has_looked() {
    let mut world = World::new();
    world.task(Task {
        too_late_at: world.at(10),
        ..task()
    });
    world.tasks(1);
    world.now += Duration::from_millis(10);
    assert_eq!(world.hello(1, 1), ["1: welcome", "1 too late", "1: task 2"]);
}

#[test]
fn a_task_that_workers_die_of_is_dead_if_the_settings_say_so() {
    let mut world = World::with(Settings {
        most_losses: Some(2),
        ..settings()
    });
    world.tasks(1);
    world.hello(1, 1);
    world.lost(1);
    world.hello(2, 1);
    assert_eq!(world.pass(1000), ["2: cancel 1", "1 lost"]);
}
