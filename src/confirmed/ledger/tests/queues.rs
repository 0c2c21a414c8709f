//! What is accepted, and who gets which task.

use super::*;

#[test]
fn a_task_is_sent_whole_with_its_key_headers_and_time_left() {
    let mut world = World::new();
    let task = Task {
        key: Bytes::from_static(b"order-42"),
        headers: Bytes::from_static(b"{}"),
        too_late_at: world.at(1500),
        ..task()
    };
    world.task(task.clone());
    world.pass(499);
    world.now += Duration::from_nanos(1);
    world.ledger.handle_said(world.now, WorkerId(1), hello_head(1), 0);
    world.ledger.poll_action(world.now);
    let head = TaskHead {
        id: id(1),
        attempt: 1,
        is_again: false,
        lease_ms: 1000,
        // Rounded up: 0 would say that there is no limit.
        left_ms: 1001,
        key: task.key,
        headers: task.headers,
    };
    let sent = Action::Send {
        to: WorkerId(1),
        head: FromSource::Task(head),
        message: Some(task.message),
    };
    assert_eq!(world.ledger.poll_action(world.now), Some(sent));
}

/// 4.1, 4.2.
#[test]
fn each_task_takes_a_credit_and_only_credit_gives_it_back() {
    let mut world = World::new();
    world.tasks(5);
    assert_eq!(world.hello(1, 2), ["1: welcome", "1: task 1", "1: task 2"]);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
    assert_eq!(world.credit(1, 2), ["1: task 3", "1: task 4"]);
    assert_eq!(world.credit(1, 0), [""; 0]);
}

/// 4.1: "CREDIT with which more would be open and granted than may be is as malformed."
#[test]
fn more_credit_than_may_be_is_ignored_and_counted() {
    let mut world = World::new();
    world.hello(1, MOST_CREDIT - 1);
    world.credit(1, 2);
    assert_eq!(world.ledger.counts().malformed, 1);
    world.credit(1, 1);
    assert_eq!(world.ledger.counts().malformed, 1);
    world.tasks(3);
    world.told();
    world.credit(1, 1);
    assert_eq!(world.ledger.counts().malformed, 2, "open ones count, too");
    world.hello(1, MOST_CREDIT);
    assert_eq!(world.ledger.workers.get(WorkerId(1)).unwrap().credit, MOST_CREDIT - 3);
}

/// 4.3.
#[test]
fn the_most_credit_is_chosen_and_of_equals_who_waits_longest() {
    let mut world = World::new();
    world.hello(1, 1);
    world.hello(2, 3);
    world.hello(3, 2);
    world.tasks(6);
    let told = [
        "2: task 1",
        "3: task 2",
        "2: task 3",
        "1: task 4",
        "3: task 5",
        "2: task 6",
    ];
    assert_eq!(world.told(), told);
}

#[test]
fn a_delayed_task_starts_when_it_is_to_and_in_the_order_of_ids() {
    let mut world = World::new();
    let delayed = Task {
        starts_at: world.at(500),
        ..task()
    };
    world.task(delayed);
    world.tasks(1);
    assert_eq!(world.hello(1, 1), ["1: welcome", "1: task 2"]);
    world.tasks(1);
    assert_eq!(world.pass(500), [""; 0]);
    assert_eq!(world.credit(1, 2), ["1: task 1", "1: task 3"]);
    world.task(Task {
        starts_at: Some(world.start),
        ..task()
    });
    assert_eq!(world.credit(1, 1), ["1: task 4"], "a start that is over is none");
}

#[test]
fn one_of_each_ordering_key_is_at_work() {
    let mut world = World::new();
    for order in ["a", "a", "b", "a"] {
        world.task(ordered(order));
    }
    world.hello(1, 4);
    world.hello(2, 4);
    assert_eq!(world.done(1, &[1]), ["1 done", "1: task 2"]);
    assert_eq!(world.done(2, &[3]), [""; 0], "another was sent it");
    assert_eq!(world.done(1, &[2]), ["2 done", "1: task 4"]);
}

/// Also when another has more credit; but not when it is gone.
#[test]
fn an_ordering_key_stays_with_its_worker_while_that_is_there() {
    let mut world = World::new();
    for _ in 0..4 {
        world.task(ordered("a"));
    }
    world.tasks(1);
    assert_eq!(world.hello(1, 1), ["1: welcome", "1: task 1"]);
    assert_eq!(world.hello(2, 9), ["2: welcome", "2: task 5"]);
    assert_eq!(world.done(1, &[1]), ["1 done"], "it waits for the worker's credit");
    assert_eq!(world.credit(1, 1), ["1: task 2"]);
    assert_eq!(world.done(1, &[2]), ["2 done"]);
    assert_eq!(world.lost(1), ["2: task 3"], "what waited for it goes to another");
    assert_eq!(world.done(2, &[3]), ["3 done", "2: task 4"]);
    world.done(2, &[4]);
    assert_eq!(
        world.ledger.queue.lanes().count(),
        0,
        "an ordering key is forgotten with its last task"
    );
}

/// Those behind it wait while it waits to be tried again, whoever has lost it.
#[test]
fn an_ordering_key_keeps_its_order_over_failures_losses_and_leases() {
    let mut world = World::new();
    world.task(ordered("a"));
    world.task(ordered("a"));
    world.hello(1, 9);
    assert_eq!(world.failed(1, 1, FailureKind::Retry, 0), [""; 0]);
    assert_eq!(world.pass(100), ["1: again 1 attempt 2"]);
    world.hello(2, 9);
    assert_eq!(
        world.pass(1000),
        ["2: again 1 attempt 3"],
        "its lease over, it is another's"
    );
    assert_eq!(world.lost(2), ["1: again 1 attempt 4"]);
    assert_eq!(world.returned(1, &[1]), [""; 0]);
    assert_eq!(world.hello(3, 1), ["3: welcome", "3: again 1 attempt 4"]);
    assert_eq!(world.failed(3, 1, FailureKind::Reject, 0), ["1 rejected"]);
    assert_eq!(world.credit(3, 1), ["3: task 2"]);
}

#[test]
fn what_waits_behind_an_ordering_key_can_be_too_late() {
    let mut world = World::new();
    world.task(ordered("a"));
    world.task(Task {
        too_late_at: world.at(10),
        ..ordered("a")
    });
    world.task(ordered("a"));
    world.hello(1, 9);
    assert_eq!(world.pass(10), ["2 too late"]);
    assert_eq!(world.done(1, &[1]), ["1 done", "1: task 3"]);
}

/// Fresh tasks of an ordering key and those for anybody share a worker's credit in the order of their ids.
#[test]
fn what_is_bound_to_a_worker_takes_its_turn_among_the_others() {
    let mut world = World::new();
    world.hello(1, 1);
    world.task(ordered("a"));
    world.tasks(1);
    world.task(ordered("a"));
    world.tasks(1);
    world.told();
    world.done(1, &[1]);
    assert_eq!(world.credit(1, 3), ["1: task 2", "1: task 3", "1: task 4"]);
}

#[test]
fn a_full_backlog_has_room_again_at_half() {
    let mut world = World::with(Settings {
        most_tasks: 4,
        ..settings()
    });
    world.tasks(4);
    assert_eq!(world.refused(task()), Refusal::Full);
    world.hello(1, 4);
    assert_eq!(world.done(1, &[1]), ["1 done"]);
    assert_eq!(world.refused(task()), Refusal::Full);
    assert_eq!(world.done(1, &[2]), ["2 done", "room"]);
    world.tasks(2);
    assert_eq!(world.refused(task()), Refusal::Full);
}

#[test]
fn a_backlog_is_full_in_octets_too_but_takes_one_task_of_any_size() {
    let mut world = World::with(Settings {
        most_bytes: 10,
        ..settings()
    });
    world.tasks(2);
    world.task(Task::new(Message::from(vec![0; 1000])));
    assert_eq!(world.refused(task()), Refusal::Full);
    world.hello(1, 9);
    assert_eq!(world.done(1, &[1, 2]), ["1 done", "2 done"]);
    assert_eq!(world.refused(task()), Refusal::Full);
    assert_eq!(world.done(1, &[3]), ["3 done", "room"]);
}

#[test]
fn keys_and_headers_over_their_limits_are_refused() {
    let mut world = World::new();
    let octets = |len| Bytes::from(vec![b'a'; len]);
    let most = Task {
        key: octets(64),
        headers: octets(LONGEST_HEADERS),
        order: Some(octets(64)),
        ..task()
    };
    world.task(most.clone());
    let key = octets(65);
    for over in [
        Task {
            key: key.clone(),
            ..most.clone()
        },
        Task {
            headers: octets(LONGEST_HEADERS + 1),
            ..most.clone()
        },
        Task {
            order: Some(key.clone()),
            ..most.clone()
        },
    ] {
        assert_eq!(world.refused(over), Refusal::TooLong);
    }
}
