//! What both contenders do alike: tasks' bodies, and what is told of those that were sent and of those that came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

/// Sent before the clock runs, until everything is warm.
pub const HELLO: u8 = 0;
pub const DATA: u8 = 1;
/// The last.
pub const END: u8 = 2;

pub const SIZE: usize = 1024;
/// How long HELLOs are sent.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// Between two tasks of the paced workload.
pub const PACE: Duration = Duration::from_millis(1);

pub fn body(kind: u8) -> Vec<u8> {
    let mut body = vec![b'x'; SIZE];
    body[0] = kind;
    body[1..9].copy_from_slice(&now_ns().to_be_bytes());
    body
}

/// The system's clock, which both processes see.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Counts what comes, with the clock from the first DATA to the END.
#[derive(Default)]
pub struct Tally {
    begin: Option<Instant>,
    /// From being made to being here, in nanoseconds.
    ways: Vec<u64>,
}

impl Tally {
    /// Whether it was the last.
    pub fn take(&mut self, body: &[u8]) -> bool {
        assert_eq!(body.len(), SIZE);
        if body[0] == DATA {
            if self.begin.is_none() {
                self.begin = Some(Instant::now());
                println!("begin");
            }
            let sent_at = u64::from_be_bytes(body[1..9].try_into().expect("eight bytes"));
            self.ways.push(now_ns().saturating_sub(sent_at));
        }
        body[0] == END
    }

    /// To be called when the last is acknowledged.
    pub fn tell(mut self) {
        let elapsed = self.begin.expect("a first").elapsed();
        let [p50, p99] = percentiles(&mut self.ways);
        println!("done {} {} {p50} {p99}", self.ways.len(), elapsed.as_nanos());
    }
}

/// What a sender knows: when each task was kept, and, if it is told so, when each was done.
#[derive(Default)]
pub struct Told {
    pub kept: Vec<u64>,
    pub done: Vec<u64>,
}

impl Told {
    pub fn tell(mut self) {
        let [kept50, kept99] = percentiles(&mut self.kept);
        let [done50, done99] = percentiles(&mut self.done);
        println!("told {kept50} {kept99} {done50} {done99}");
    }
}

/// As JSON and Rust write what is not there.
fn percentiles(samples: &mut [u64]) -> [String; 2] {
    samples.sort_unstable();
    [0.5, 0.99].map(|part| match samples.len() {
        0 => String::from("NaN"),
        len => samples[((len - 1) as f64 * part) as usize].to_string(),
    })
}

/// Waits until the bench says that everybody is there.
pub fn wait_for_go() {
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
}

pub fn ns(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

/// Sleeps until then, and returns when it woke up. Who is late by then was kept by the task before: its time counts too.
pub fn sleep_until(at: Instant) -> Instant {
    let left = at.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return at;
    }
    std::thread::sleep(left);
    Instant::now()
}

/// The kinds of tasks to send, for so long as each lasts; then the end.
pub fn phases(seconds: f64) -> [(u8, Duration); 2] {
    [(HELLO, WARM_UP), (DATA, Duration::from_secs_f64(seconds))]
}

/// Futures that have begun, and are waited for in that order.
#[derive(Default)]
pub struct Open(VecDeque<Pin<Box<dyn Future<Output = ()>>>>);

impl Open {
    /// Polls it once: what it sends is sent.
    pub async fn begin(&mut self, future: impl Future<Output = ()> + 'static) {
        let mut future = Box::pin(future);
        let is_ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if !is_ready {
            self.0.push_back(future);
        }
    }

    /// Waits for the oldest until there are no more than these.
    pub async fn wait_for_all_but(&mut self, most: usize) {
        while self.0.len() > most
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.await;
        }
    }
}

/// One thread, for futures and times.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
