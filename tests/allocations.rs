//! Sending lent slices costs no allocation each, once the buffers have grown. The receiver is a process of its own, so
//! that all allocations here are the sender's: its thread's and its loop's.

use peermq::{Context, Event, Pull, Push};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// More than this in a million messages is an allocation that comes with messages.
const ALLOWED: u64 = 1000;
const MESSAGES: usize = 1_000_000;
const WARM_UP: usize = 100_000;
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_million_lent_slices_cost_no_allocation_each() {
    for size in [64, 4096] {
        let slice = vec![7; size];
        let mut receiver = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_receiving_process", "--nocapture"])
            .env(ROLE, "pull")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(receiver.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let endpoint = lines
            .find_map(|line| Some(line.split_once("endpoint ")?.1.to_owned()))
            .unwrap();

        let context = Context::new().unwrap();
        let push = Push::new(&context);
        push.connect(endpoint.as_str()).unwrap();
        let send = |messages: usize| (0..messages).for_each(|_| push.send_timeout(&slice[..], LIMIT).unwrap());
        send(WARM_UP);
        let before = (here(), everywhere());
        send(MESSAGES);
        let (thread, process) = (here() - before.0, everywhere() - before.1);
        assert!(push.close().unwrap().is_confirmed());
        assert!(receiver.wait().unwrap().success());

        println!(
            "{MESSAGES} slices of {size} bytes: {thread} allocations of the sending thread, {process} of its process"
        );
        assert!(
            thread < ALLOWED,
            "{size} bytes: {thread} allocations of the sending thread"
        );
        assert!(
            process < ALLOWED,
            "{size} bytes: {process} allocations of the sending process"
        );
    }
}

/// Large ones are copied before a lock is taken, but not for a call that is refused.
#[test]
fn a_large_slice_that_is_refused_costs_no_allocation() {
    let slice = vec![7; 1 << 20];
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    let before = here();
    let refused = push.try_send(&slice);
    assert_eq!(here() - before, 0);
    assert!(refused.is_err());

    // Many are gathered in one vector, which may shrink to what is given back; there are no copies beside it.
    let slices = [&slice[..]; 10];
    let before = here();
    let refused = push.try_send_many(slices);
    assert!(here() - before <= 2);
    assert!(refused.is_err());
}

/// Not a test of its own: the other end of the one above.
#[test]
fn the_receiving_process() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    println!("\nendpoint {}", pull.bind("tcp://127.0.0.1:0").unwrap());
    for _ in 0..WARM_UP + MESSAGES {
        pull.recv_timeout(LIMIT).unwrap();
    }
    // The sender's end comes first: only then is it confirmed.
    while !matches!(monitor.recv_timeout(LIMIT).unwrap(), Event::Disconnected { .. }) {}
}

const ROLE: &str = "PEERMQ_ALLOCATIONS_ROLE";

struct Counting;

static EVERYWHERE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
}

fn here() -> u64 {
    HERE.get()
}

fn everywhere() -> u64 {
    EVERYWHERE.load(Ordering::Relaxed)
}

fn count() {
    HERE.set(HERE.get() + 1);
    EVERYWHERE.fetch_add(1, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go to the system's allocator as they came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}
