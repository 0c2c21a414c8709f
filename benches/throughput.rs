//! PUSH to PULL between two processes: messages and bytes a second, and processor time a message on both sides.
//!
//! `cargo bench --bench throughput -- [--seconds S] [--transport tcp|ipc] [--sizes 16,64] [--json FILE]`.
//! The clock runs from the first message to the last; the slices are lent, their bytes were written before.

mod support;

use peermq::{Context, Pull, Push};
use std::time::{Duration, Instant};
use support::{Args, Role};

const SIZES: &str = "16,64,256,1024,4096,8192,65536,1048576";

fn main() {
    let args = Args::read();
    match args.value("--role") {
        Some("pull") => pull(args.value("--at").expect("--at")),
        Some("push") => push(
            args.value("--to").expect("--to"),
            args.number("--size").expect("--size"),
            args.duration(),
        ),
        _ => all(&args),
    }
}

fn all(args: &Args) {
    let transport = args.value("--transport").unwrap_or("tcp");
    let path = std::env::temp_dir().join(format!("peermq-throughput-{}.sock", std::process::id()));
    let at = match transport {
        "ipc" => format!("ipc://{}", path.display()),
        _ => String::from("tcp://127.0.0.1:0"),
    };
    let seconds = args.duration().as_secs_f64().to_string();
    println!("PUSH to PULL over {transport}, two processes; processor nanoseconds a message");
    println!(
        "{:>8} {:>12} {:>10} {:>10} {:>10}",
        "size", "messages/s", "MB/s", "cpu push", "cpu pull"
    );
    let mut rows = Vec::new();
    for size in args.value("--sizes").unwrap_or(SIZES).split(',') {
        let mut pull = Role::start(None, &["--role", "pull", "--at", &at]);
        let endpoint = pull.line();
        let push = Role::start(
            None,
            &[
                "--role",
                "push",
                "--to",
                &endpoint,
                "--size",
                size,
                "--seconds",
                &seconds,
            ],
        );
        // The sender's end first: if it fails, the receiver waits for ever.
        push.end();
        let [count, elapsed, cpu_push, cpu_pull] = pull.numbers();
        pull.end();
        let size: usize = size.parse().expect("a size");
        let rate = count / (elapsed / 1e9);
        let megabytes = rate * size as f64 / 1e6;
        let (cpu_push, cpu_pull) = (cpu_push / count, cpu_pull / count);
        let size_text = support::bytes(size);
        println!("{size_text:>8} {rate:12.0} {megabytes:10.1} {cpu_push:10.0} {cpu_pull:10.0}");
        rows.push(support::json_object(&[
            ("transport", format!("\"{transport}\"")),
            ("bytes", size.to_string()),
            ("messages", count.to_string()),
            ("messages_per_second", format!("{rate:.0}")),
            ("megabytes_per_second", format!("{megabytes:.1}")),
            ("cpu_ns_per_message_push", format!("{cpu_push:.1}")),
            ("cpu_ns_per_message_pull", format!("{cpu_pull:.1}")),
        ]));
    }
    support::write_json(args, "throughput", &rows);
}

/// Counts until a message of two frames: the end, and what the sender's process has used.
fn pull(at: &str) {
    let context = Context::new().expect("a context");
    let pull = Pull::new(&context);
    println!("{}", pull.bind(at).expect("bind"));
    pull.recv().expect("the first message");
    let (begin, cpu) = (Instant::now(), support::cpu_ns());
    let mut count = 0_u64;
    loop {
        let message = pull.recv().expect("a message");
        if let Some(used) = message.frame(1) {
            let used = std::str::from_utf8(used).expect("a number");
            let elapsed = begin.elapsed().as_nanos();
            println!("{count} {elapsed} {used} {}", support::cpu_ns() - cpu);
            return;
        }
        count += 1;
    }
}

fn push(to: &str, size: usize, duration: Duration) {
    let context = Context::new().expect("a context");
    let push = Push::new(&context);
    push.connect(to).expect("connect");
    let payload = vec![7; size];
    let between_looks = (65_536 / size.max(1)).clamp(1, 256);
    push.send(&payload[..]).expect("send");
    let (cpu, end) = (support::cpu_ns(), Instant::now() + duration);
    while Instant::now() < end {
        for _ in 0..between_looks {
            push.send(&payload[..]).expect("send");
        }
    }
    let used = (support::cpu_ns() - cpu).to_string();
    push.send([&b"end"[..], used.as_bytes()]).expect("send");
    push.close().expect("close");
}
