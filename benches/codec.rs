//! The floors without a kernel: messages made, and passed through the queues of an inproc pair on one thread, with
//! nanoseconds and heap allocations a message.

#[path = "support/allocations.rs"]
mod allocations;
mod support;

use allocations::allocations;
use bytes::Bytes;
use peermq::{Context, Message, Options, Pull, Push};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::Args;

/// Messages that are sent before they are received: both queues hold them.
const RUN: usize = 500;

fn main() {
    let args = Args::read();
    let duration = args.duration() / 4;
    println!("{:<36} {:>8} {:>12} {:>12}", "", "size", "ns/message", "allocations");
    let mut rows = Vec::new();
    let mut row = |name: &str, size: usize, (nanos, allocations): (f64, f64)| {
        println!("{name:<36} {:>8} {nanos:12.1} {allocations:12.4}", support::bytes(size));
        rows.push(support::json_object(&[
            ("name", format!("\"{name}\"")),
            ("bytes", size.to_string()),
            ("ns_per_message", format!("{nanos:.2}")),
            ("allocations_per_message", format!("{allocations:.5}")),
        ]));
    };

    for size in [0, 16, 64, 65, 1024] {
        let payload = vec![7_u8; size];
        let shared = Bytes::from(payload.clone());
        let message = Message::from(&payload[..]);
        row(
            "message of a slice",
            size,
            measure(duration, || each(|| Message::from(&payload[..]))),
        );
        row(
            "message of shared bytes",
            size,
            measure(duration, || each(|| Message::from(shared.clone()))),
        );
        row(
            "message of three frames",
            size,
            measure(duration, || each(|| Message::from([&payload[..]; 3]))),
        );
        row("message cloned", size, measure(duration, || each(|| message.clone())));
        row(
            "message detached",
            size,
            measure(duration, || each(|| message.detach())),
        );
    }
    for size in [0, 16, 64, 256, 1024, 4096, 65_536] {
        let (_context, push, pull) = pair();
        let payload = vec![7_u8; size];
        let shared = Bytes::from(payload.clone());
        let message = Message::from([&payload[..]; 3]);
        let receive = || (0..RUN).for_each(|_| drop(black_box(pull.try_recv().expect("a message"))));
        let mut through = |name, send: &dyn Fn()| {
            let pass = || {
                (0..RUN).for_each(|_| send());
                receive();
            };
            row(name, size, measure(duration, pass));
        };
        through("through inproc, slice", &|| push.try_send(&payload[..]).expect("room"));
        through("through inproc, shared bytes", &|| {
            push.try_send(shared.clone()).expect("room")
        });
        through("through inproc, three frames", &|| {
            push.try_send(&message).expect("room")
        });
    }
    support::write_json(&args, "codec", &rows);
}

fn pair() -> (Context, Push, Pull) {
    let context = Context::new().expect("a context");
    let pull = Pull::with_options(&context, Options::default().recv_mark(RUN)).expect("options");
    let push = Push::with_options(&context, Options::default().send_mark(RUN)).expect("options");
    pull.bind("inproc://codec").expect("bind");
    push.connect("inproc://codec").expect("connect");
    (context, push, pull)
}

fn each<T>(make: impl Fn() -> T) {
    for _ in 0..RUN {
        black_box(make());
    }
}

/// Nanoseconds and allocations a message of passes of `RUN` messages, after one pass to warm up.
fn measure(duration: Duration, pass: impl Fn()) -> (f64, f64) {
    pass();
    let (begin, before) = (Instant::now(), allocations());
    let mut passes = 0;
    while begin.elapsed() < duration {
        pass();
        passes += 1;
    }
    let (elapsed, messages) = (begin.elapsed(), f64::from(passes) * RUN as f64);
    let allocations = allocations() - before;
    (elapsed.as_nanos() as f64 / messages, allocations as f64 / messages)
}
