//! What the processes do. Each prints its figures in one line of numbers.

use crate::contender::{Contender, Pub, Pull, Push, Rep, Req};
use crate::support::cpu_ns;
use std::time::{Duration, Instant};

/// The first byte of payload, and of the last message.
const DATA: u8 = 7;
const END: u8 = 0xFF;
const WARM_UP: usize = 500;

/// `words` are the role and its arguments.
pub fn run<C: Contender>(words: &[&str]) {
    match words {
        ["name"] => println!("{}", C::name()),
        ["pull", senders] => pull::<C>(number(senders)),
        ["push", to, size, seconds] => push(C::push(to), number(size), seconds_of(seconds)),
        ["pub", subscribers, size, seconds] => publish::<C>(number(subscribers), number(size), seconds_of(seconds)),
        ["sub", to] => receive(&mut C::sub(to), 1),
        ["rep"] => rep::<C>(),
        ["req", to, size, seconds] => req::<C>(to, number(size), seconds_of(seconds)),
        _ => panic!("no such role: {words:?}"),
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| panic!("{word}: not a number"))
}

fn seconds_of(word: &str) -> Duration {
    Duration::from_secs_f64(word.parse().unwrap_or_else(|_| panic!("{word}: not a number")))
}

fn pull<C: Contender>(senders: usize) {
    let (mut pull, endpoint) = C::pull();
    println!("{endpoint}");
    receive(&mut pull, senders);
}

/// The clock runs from the first message to the last one of each sender. Prints messages, nanoseconds, processor
/// nanoseconds.
fn receive(pull: &mut impl Pull, mut senders: usize) {
    let (size, _) = pull.recv();
    let (begin, cpu) = (Instant::now(), cpu_ns());
    let mut count = 0_u64;
    loop {
        let (len, first) = pull.recv();
        assert_eq!(len, size);
        if first == END {
            senders -= 1;
            if senders == 0 {
                break;
            }
        } else {
            count += 1;
        }
    }
    println!("{count} {} {}", begin.elapsed().as_nanos(), cpu_ns() - cpu);
}

fn publish<C: Contender>(subscribers: usize, size: usize, duration: Duration) {
    let (mut publisher, endpoint) = C::publisher();
    println!("{endpoint}");
    publisher.wait_for_subscribers(subscribers);
    push(publisher, size, duration);
}

/// Sends slices of memory that was written before. Prints messages and processor nanoseconds.
fn push(mut push: impl Push, size: usize, duration: Duration) {
    let mut payload = vec![DATA; size];
    let between_looks = (65_536 / size).clamp(1, 256);
    push.send(&payload);
    let (cpu, end) = (cpu_ns(), Instant::now() + duration);
    let mut count = 0_u64;
    while Instant::now() < end {
        for _ in 0..between_looks {
            push.send(&payload);
        }
        count += between_looks as u64;
    }
    payload[0] = END;
    push.send(&payload);
    push.close();
    println!("{count} {}", cpu_ns() - cpu);
}

/// Echoes until a message of one byte, which it echoes too.
fn rep<C: Contender>() {
    let (mut rep, endpoint) = C::rep();
    println!("{endpoint}");
    while rep.echo() > 1 {}
    rep.close();
}

/// Prints p50 and p99 in nanoseconds, and the count.
fn req<C: Contender>(to: &str, size: usize, duration: Duration) {
    let mut req = C::req(to);
    let payload = vec![DATA; size];
    for _ in 0..WARM_UP {
        req.request(&payload);
    }
    let mut samples = Vec::with_capacity(1 << 20);
    let end = Instant::now() + duration;
    let mut begin = Instant::now();
    while begin < end {
        assert_eq!(req.request(&payload), size);
        let now = Instant::now();
        samples.push(now.duration_since(begin).as_nanos() as u64);
        begin = now;
    }
    req.request(&[END]);
    samples.sort_unstable();
    let at = |part: f64| samples[((samples.len() - 1) as f64 * part) as usize];
    println!("{} {} {}", at(0.5), at(0.99), samples.len());
}
