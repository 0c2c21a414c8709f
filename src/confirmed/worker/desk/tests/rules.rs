//! The rules of the protocol that concern a worker.

use super::*;

const NONE: [&str; 0] = [];

/// 3.1: "A worker SHALL say HELLO first on each connection, and MUST NOT say anything else before it has heard WELCOME."
#[test]
fn nothing_is_said_before_welcome_but_hello() {
    let mut world = World::greeted(4);
    world.task(1);
    world.task(2);
    let (one, two) = (world.take(), world.take());

    assert_eq!(world.reconnected(), ["hello 1"]);
    assert_eq!(world.done(one), NONE);
    assert_eq!(world.retry(two), NONE);
    assert_eq!(world.pass(Duration::from_secs(4)), NONE);

    // What has failed is not open here: the source has it again.
    assert_eq!(world.welcome(1), ["done 1", "credit 4"]);
}

/// 5.3: "Only who has the open delivery can say so."
#[test]
fn what_failed_and_was_not_said_is_nobodys_on_a_new_connection() {
    let mut world = World::greeted(4);
    world.task(1);
    let (number, serial) = world.take();
    let answer = Answer::Failed {
        kind: FailureKind::Reject,
        after_ms: 0,
        reason: String::new(),
    };
    world.desk.handle_answer(world.now, id(number), serial, answer);

    world.reconnected();

    assert_eq!(world.welcome(1), ["credit 4"]);
    world.task_again(1);
    assert_eq!(world.take().0, 1);
}

/// 3.1: "If WELCOME does not come it SHOULD say HELLO again, after five seconds or more."
#[test]
fn without_welcome_hello_is_said_again() {
    let mut world = World::new(4);
    assert_eq!(world.pass(HELLO_AGAIN * 3), ["hello 0"; 3]);

    assert_eq!(world.welcome(1), ["credit 4"]);
    assert_eq!(world.pass(HELLO_AGAIN * 3), NONE);
}

/// 3.2: "A worker that hears WHO SHALL say HELLO, unless it has, and WELCOME has not come yet."
#[test]
fn who_is_answered_with_hello_once() {
    let mut world = World::new(4);
    assert_eq!(world.hears(FromSource::Who), NONE);
    world.welcome(1);
    assert_eq!(world.task(1), NONE);

    assert_eq!(world.hears(FromSource::Who), ["hello 1"]);
    assert_eq!(world.hears(FromSource::Who), NONE);
    assert_eq!(world.welcome(1), ["credit 4"]);
    assert_eq!(world.take(), (0, 0), "the source sends it again");
}

/// 3.3: "Its ids are tasks that it has done for this source and does not know to be settled: the last 1,024."
#[test]
fn hello_says_what_may_not_have_been_heard() {
    let mut world = World::greeted(2);
    for number in 1..=3 {
        world.task(number);
        let task = world.take();
        assert_eq!(world.done(task)[0], format!("done {number}"));
    }
    assert_eq!(world.reconnected(), ["hello 1 done 1,2,3"]);
    assert_eq!(world.reconnected(), ["hello 1 done 1,2,3"], "it was not answered");
    assert_eq!(world.welcome(1), ["credit 2"]);
    world.task(4);
    let task = world.take();
    world.done(task);
    assert_eq!(world.reconnected(), ["hello 1 done 4"]);

    // One of two is answered, and nobody knows which.
    world.pass(HELLO_AGAIN);
    world.welcome(1);
    assert_eq!(world.reconnected(), ["hello 1 done 4"]);
}

#[test]
fn hello_says_the_last_1024() {
    let mut world = World::greeted(1);
    for number in 1..=1500 {
        world.task(number);
        let task = world.take();
        world.done(task);
    }
    let said = world.reconnected();
    let numbers: Vec<&str> = said[0].strip_prefix("hello 1 done ").unwrap().split(',').collect();
    assert_eq!((numbers.len(), numbers[0], numbers[1023]), (1024, "477", "1500"));
}

/// 4.2: "It SHOULD do so for several at once, but before it has nothing to do."
#[test]
fn credit_is_granted_for_several_at_once() {
    let mut world = World::greeted(8);
    (1..=8).for_each(|number| assert_eq!(world.task(number), NONE));
    let mut said = Vec::new();
    for _ in 0..6 {
        let task = world.take();
        said.extend(world.done(task));
    }
    assert_eq!(said, ["done 1,2,3,4", "credit 4"]);

    // All that is left is at work, and nobody takes what is not there: there is room for what comes next.
    let mut world = World::greeted(8);
    (1..=8).for_each(|number| drop(world.task(number)));
    let tasks = world.take_all();
    assert_eq!(world.done(tasks[0]), ["done 1", "credit 1"]);
    assert_eq!(world.done(tasks[1]), ["done 2", "credit 1"]);
}

/// 4.2: "With a credit of 1 it has one task at a time."
#[test]
fn with_a_prefetch_of_one_there_is_one_task_at_a_time() {
    let mut world = World::greeted(1);
    assert_eq!(world.task(1), NONE);
    let task = world.take();
    assert_eq!(world.pass(Duration::from_secs(9)), NONE);
    assert_eq!(world.retry(task), ["retry 1: busy", "credit 1"]);
}

/// 4.1: "A source MUST NOT send a TASK without credit."
#[test]
fn a_task_without_credit_is_not_taken() {
    let mut world = World::greeted(1);
    world.task(2);
    world.task(3);
    assert_eq!(world.take_all().iter().map(|task| task.0).collect::<Vec<_>>(), [2]);
    assert_eq!((world.desk.counts.malformed, world.desk.counts.received), (1, 1));
}

/// Its credit went back with HELLO, which may have crossed it.
#[test]
fn a_task_before_welcome_is_of_an_earlier_greeting() {
    let mut world = World::new(1);
    world.task(1);
    assert_eq!(world.take_all(), []);
    let counts = world.desk.counts();
    assert_eq!((counts.received, counts.lost, counts.malformed), (1, 1, 0));
}

/// 4.6: "A worker that is sent a task which it has at work, by the id, SHOULD go on with it and not begin it again; of one that
/// it has done, it SHOULD say DONE again. Either TASK has taken a credit like any other."
#[test]
fn what_comes_again_is_not_begun_again() {
    let mut world = World::greeted(4);
    world.task(1);
    let task = world.take();
    world.task_again(1);
    assert_eq!(world.take(), (0, 0));
    world.desk.check();
    assert_eq!(world.done(task), ["done 1", "credit 2"]);

    assert_eq!(world.task_again(1), ["done 1"]);
    assert_eq!(world.take(), (0, 0));
    let counts = world.desk.counts();
    assert_eq!((counts.received, counts.redelivered, counts.duplicates), (3, 2, 2));
}

#[test]
fn what_was_at_work_when_the_connection_ended_goes_on() {
    let mut world = World::greeted(2);
    world.task(1);
    world.task(2);
    let one = world.take();
    assert_eq!(world.reconnected(), ["hello 1"]);
    assert_eq!(world.welcome(1), ["credit 1"], "one is at work");
    assert!(world.desk.is_wanted(id(1), one.1));
    assert_eq!(world.take(), (0, 0), "what waited comes again");
    assert_eq!(world.desk.counts().lost, 1);

    assert_eq!(world.extend(one, 5), NONE, "it is not open here");
    assert_eq!(world.task_again(1), ["credit 1"]);
    assert_eq!(world.extend(one, 5), ["extend 1 5"]);
    assert_eq!(world.retry(one), ["retry 1: busy", "credit 1"]);
}

/// 5.4: "A worker that stops says RETURN for what it has not begun, also for what comes after that, DONE or FAILED for the
/// rest, and BYE."
#[test]
fn who_drains_returns_what_was_not_begun() {
    let mut world = World::greeted(4);
    (1..=3).for_each(|number| drop(world.task(number)));
    let one = world.take();

    world.desk.handle_drain();
    assert_eq!(world.said(), ["return 2,3"]);
    assert_eq!(world.task(4), ["return 4"]);
    assert_eq!(world.take(), (0, 0));
    assert_eq!(world.task(5), NONE, "there was no credit for it");
    assert!(!world.desk.is_answered());
    assert_eq!(world.done(one), ["done 1"]);
    assert!(world.desk.is_answered());
    world.desk.handle_leave();
    assert_eq!(world.said(), ["bye"]);
    assert!(world.desk.is_mute());
    assert_eq!(world.hears(FromSource::Who), NONE);
    assert_eq!(world.desk.counts().returned, 3);
}

#[test]
fn who_drains_grants_nothing_on_a_new_connection_either() {
    let mut world = World::greeted(4);
    world.desk.handle_drain();
    assert_eq!(world.reconnected(), ["hello 1"]);
    assert_eq!(world.welcome(1), NONE);
}

#[test]
fn who_leaves_does_not_wait_for_what_is_at_work() {
    let mut world = World::greeted(4);
    (1..=2).for_each(|number| drop(world.task(number)));
    let one = world.take();
    world.desk.handle_leave();
    assert_eq!(world.said(), ["return 2", "bye"]);
    assert_eq!(world.done(one), NONE);
}

/// 5.6: "EXTEND begins the open delivery's lease anew."
/// Else it would be another's as well, and in the end be taken for what workers die of.
#[test]
fn what_waits_keeps_its_lease_as_long_as_others_are_answered() {
    let ms = Duration::from_millis;
    let mut world = World::greeted(8);
    (1..=4).for_each(|number| drop(world.task(number)));
    let first = world.take();
    let extends = ["extend 2 1000", "extend 3 1000", "extend 4 1000"];
    assert_eq!(world.pass(ms(900)), extends);

    assert_eq!(world.done(first), [""; 0]);
    let second = world.take();
    assert_eq!(world.said(), ["extend 2 1000"]);
    assert_eq!(world.pass(ms(99)), ["done 1"]);
    assert_eq!(world.pass(ms(1)), extends[1..]);
    assert_eq!(world.pass(ms(60_000)), extends[1..], "it seems to be stuck");
    assert_eq!(world.pass(ms(60_000)), [""; 0]);

    assert_eq!(world.done(second), extends[1..], "it is not");
    world.take_all();
    world.said();
    assert!(!world.pass(ms(60_000)).concat().contains("extend"), "nothing waits");
}

#[test]
fn the_last_extension_is_said() {
    let mut world = World::greeted(4);
    world.task(1);
    let one = world.take();
    world.desk.handle_extend(world.now, id(1), one.1, 10);
    assert_eq!(world.extend(one, 20), ["extend 1 20"]);
    assert_eq!(world.extend(one, 30), ["extend 1 30"]);
    world.done(one);
    assert_eq!(world.extend(one, 40), NONE);
}

/// 5.7: "On CANCEL a worker SHOULD stop, and MUST NOT say anything of that task any more. It may be told so of a task that it
/// does not have."
#[test]
fn nothing_is_said_of_what_is_cancelled() {
    let mut world = World::greeted(4);
    (1..=4).for_each(|number| drop(world.task(number)));
    let (one, two) = (world.take(), world.take());
    assert_eq!(world.done(two), NONE);

    assert_eq!(world.cancel(&[1, 2, 3, 9]), ["credit 3"]);

    assert!(!world.desk.is_wanted(id(1), one.1));
    assert_eq!(world.retry(one), NONE);
    assert_eq!(world.take().0, 4);
    assert_eq!(world.pass(DONE_WAITS), NONE);
    assert_eq!(world.reconnected(), ["hello 1"]);
    assert_eq!(world.desk.counts().cancelled, 2);
}

#[test]
fn what_waits_is_swept_of_what_is_cancelled() {
    let mut world = World::greeted(2);
    for number in 1..=1000 {
        world.task(number);
        world.cancel(&[number]);
    }
    assert!(world.desk.order.len() <= FEW_STALE);
    world.task(1001);
    assert_eq!(world.take().0, 1001);
}

/// 5: "If `silence` is not 0, a worker MUST say BEAT when it has said nothing else for a third of it, at work or not."
#[test]
fn who_has_nothing_else_to_say_beats() {
    let mut world = World::new(1);
    assert_eq!(world.welcome_with(1, 300), ["credit 1"]);
    assert_eq!(world.pass(Duration::from_millis(250)), ["beat", "beat"]);
    world.task(1);
    let task = world.take();
    world.done(task);
    assert_eq!(world.pass(Duration::from_millis(99)), NONE);
    assert_eq!(world.pass(Duration::from_millis(1)), ["beat"]);

    assert_eq!(world.welcome_with(1, 0), NONE);
    assert_eq!(world.pass(Duration::from_secs(60)), NONE);
}

/// 6: "Workers say what they have to of open deliveries, and go on waiting for it to come back."
#[test]
fn a_source_that_says_bye_is_waited_for() {
    let mut world = World::greeted(2);
    world.task(1);
    let one = world.take();
    assert_eq!(world.hears(FromSource::Bye), NONE);
    assert_eq!(world.done(one), ["done 1", "credit 1"]);
    assert_eq!(world.reconnected(), ["hello 1 done 1"]);
}

/// 6: "a worker that hears another MUST forget all ids of the one before, and stop what it has of it at work, or never tell."
#[test]
fn nothing_is_told_to_another_source() {
    let mut world = World::greeted(4);
    (1..=4).for_each(|number| drop(world.task(number)));
    let tasks = world.take_all();
    world.done(tasks[0]);
    world.desk.handle_answer(world.now, id(2), tasks[1].1, Answer::Done);
    world.reconnected();
    world.done(tasks[2]);

    assert_eq!(world.welcome(2), ["credit 4"]);
    assert!(!world.desk.is_wanted(id(4), tasks[3].1));
    assert_eq!(world.done(tasks[3]), NONE);
    (1..=4).for_each(|number| drop(world.task(number)));
    assert_eq!(world.done(tasks[3]), NONE, "it is another's task 4");
    let theirs = world.take_all();
    assert_eq!(theirs.len(), 4);
    assert_eq!(world.done(theirs[0]), ["done 1", "credit 1"]);
    assert_eq!(world.reconnected(), ["hello 2 done 1"]);
}

/// 2: "A worker that hears a WELCOME of another version says nothing more."
#[test]
fn a_source_of_another_version_hears_no_more() {
    let mut world = World::new(4);
    world
        .desk
        .handle_heard(world.now, Err(Malformed::OtherVersion(2)), None);
    assert_eq!(world.pass(HELLO_AGAIN * 2), NONE);
    assert_eq!(world.welcome(1), NONE);
    assert_eq!(world.reconnected(), ["hello 0"]);
}

/// 2: "MUST ignore the message, count it, and go on."
#[test]
fn what_is_malformed_is_counted() {
    let mut world = World::greeted(4);
    let malformed = [
        (Err(Malformed::Form("")), None),
        (Ok(FromSource::Task(head(1, false))), None),
        (Ok(FromSource::Who), Some(Message::from("more"))),
    ];
    for (said, message) in malformed {
        world.desk.handle_heard(world.now, said, message);
        assert_eq!(world.said(), NONE);
    }
    assert_eq!(world.desk.counts().malformed, 3);
    assert!(world.desk.is_greeted());
}

#[test]
fn done_is_said_for_several_at_once_and_not_late() {
    let mut world = World::greeted(100);
    (1..=60).for_each(|number| drop(world.task(number)));
    let tasks: Vec<_> = (1..=10).map(|_| world.take()).collect();
    assert_eq!(world.done(tasks[0]), NONE);
    world.now += DONE_WAITS / 2;
    assert_eq!(world.done(tasks[1]), NONE);
    assert_eq!(world.pass(DONE_WAITS / 2), ["done 1,2"]);

    assert_eq!(world.done(tasks[2]), NONE);
    let rest = world.take_all();
    assert_eq!(world.done(rest[0]), ["done 3,11"], "nobody takes another meanwhile");
}

#[test]
fn no_done_says_more_than_1024() {
    let mut world = World::greeted(65_536);
    (1..=3000).for_each(|number| drop(world.task(number)));
    for task in world.take_all() {
        world.desk.handle_answer(world.now, id(task.0), task.1, Answer::Done);
    }
    let said = world.said();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0].split(',').count(), 1024);
}
