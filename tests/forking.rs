//! A child that was forked off has no loop: what would wait there says so, at whatever moment it was forked, and its parent
//! goes on.
#![cfg(target_os = "linux")]

mod common;

use common::LONG;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use peermq::confirmed::{Source, Worker};
use peermq::{Context, ContextOptions, Options, Pair, RecvError};
use std::cell::Cell;
use std::pin::pin;
use std::task::{Context as Polling, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

/// Whether it is as said in a child, too, and the child did not hang.
fn holds_in_a_child(is_as_said: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses its copy of memory that no other thread was about to change, and ends without running more.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            unsafe { libc::alarm(10) };
            let status = i32::from(!is_as_said());
            unsafe { libc::_exit(status) }
        }
        ForkResult::Parent { child } => waitpid(child, None).unwrap() == WaitStatus::Exited(child, 0),
    }
}

/// Between any two calls: right after one that has just found out in which process it is, and when it has been long.
#[test]
fn a_child_waits_for_nothing_and_takes_nothing_from_its_parent() {
    for spin in [Duration::ZERO, Duration::from_micros(50)] {
        let context = || Context::with_options(ContextOptions::default().spin(spin)).unwrap();
        let (here, there) = (context(), context());
        let (a, b) = (Pair::new(&here), Pair::new(&there));
        a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    match b.recv_timeout(LONG).unwrap() {
                        ping if ping == "ping" => b.send("pong").unwrap(),
                        silence if silence == "silence" => {}
                        _ => return,
                    }
                }
            });
            for round in 0..200 {
                a.send("ping").unwrap();
                assert_eq!(a.recv_timeout(LONG).unwrap(), "pong");
                // The peer says nothing meanwhile: what is there already, a child has too.
                if round % 20 == 0 {
                    assert!(holds_in_a_child(|| a.recv() == Err(RecvError::Forked)));
                    // What is sent goes nowhere.
                    assert!(holds_in_a_child(|| a.send("stop").is_ok()));
                }
                if round % 20 == 10 {
                    a.send("silence").unwrap();
                    assert!(holds_in_a_child(|| a.recv_timeout(LONG) == Err(RecvError::Forked)));
                }
            }
            a.send("stop").unwrap();
        });
    }
}

#[test]
fn a_child_that_ends_takes_nothing_with_it() {
    let context = Context::new().unwrap();
    let (a, b) = (Pair::new(&context), Pair::new(&context));
    a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    a.send("before").unwrap();
    assert_eq!(b.recv_timeout(LONG).unwrap(), "before");

    let mut mine = Some((context, a));
    let is_over = holds_in_a_child(|| {
        drop(mine.take());
        true
    });
    let (_context, a) = mine.unwrap();

    assert!(is_over);
    a.send("after").unwrap();
    assert_eq!(b.recv_timeout(LONG).unwrap(), "after");
}

#[test]
fn a_child_has_contexts_of_its_own() {
    let parents = Context::new().unwrap();
    let pair = Pair::with_options(&parents, Options::default()).unwrap();
    assert_eq!(pair.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut));

    assert!(holds_in_a_child(|| {
        let context = Context::new().unwrap();
        let (a, b) = (Pair::new(&context), Pair::new(&context));
        a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        a.send("ping").unwrap();
        b.recv_timeout(LONG).is_ok_and(|message| message == "ping") && pair.recv() == Err(RecvError::Forked)
    }));
}

/// A child has a copy of the lock, and nobody there lets go of it.
#[test]
fn a_child_made_while_a_worker_was_locked_ends_nevertheless() {
    let context = Context::new().unwrap();
    let source = Source::builder(&context).bind("tcp://127.0.0.1:*").unwrap();
    let source = source.build().unwrap();
    let worker = Worker::builder(&context).connect(source.endpoints()[0].clone());
    let worker = worker.unwrap().build().unwrap();
    let receipt = source.send("what to do").unwrap();
    let mine = (worker.recv_timeout(LONG).unwrap().unwrap(), worker);

    let has_ended = Cell::new(None);
    let fork_once = || {
        if has_ended.get().is_none() {
            // SAFETY: the child ends without using them again.
            let end = || drop(unsafe { std::ptr::read(&raw const mine) });
            has_ended.set(Some(holds_in_a_child(|| {
                end();
                true
            })));
        }
    };
    let fork_once: &dyn Fn() = &fork_once;
    // SAFETY: it outlives the future, which has the only copy.
    let waker = unsafe { Waker::new((&raw const fork_once).cast(), &WHEN_CLONED) };
    // It is cloned where it is to stand in line, under the lock.
    assert!(
        pin!(mine.1.recv_async())
            .poll(&mut Polling::from_waker(&waker))
            .is_pending()
    );

    assert_eq!(has_ended.get(), Some(true));
    mine.0.ack().unwrap();
    assert_eq!(receipt.wait(LONG), Ok(()));
}

/// Of a waker that calls what it points to when it is cloned.
const WHEN_CLONED: RawWakerVTable = RawWakerVTable::new(
    |call| {
        // SAFETY: it was made of a reference to one.
        (unsafe { *call.cast::<&dyn Fn()>() })();
        RawWaker::new(call, &WHEN_CLONED)
    },
    |_| {},
    |_| {},
    |_| {},
);
