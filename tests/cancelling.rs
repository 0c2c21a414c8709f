//! Futures that are dropped at any moment, under two executors and by hand, beside threads that block: nothing is lost,
//! nothing comes twice.

mod common;

use common::*;
use peermq::*;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake};
use std::thread;
use std::time::Duration;

/// Futures that are dropped before they are ready, in each test.
const CANCELLED: u64 = 100_000;
const SENDERS: u64 = 4;
const RECEIVERS: u64 = 4;

/// Polls a future so many times, and then drops it.
struct Few<F>(Option<Pin<Box<F>>>, u64);

impl<F: Future> Future for Few<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.0 else {
            return Poll::Ready(None);
        };
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.1 == 0 => {
                self.0 = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.1 -= 1;
                // As if somebody else had something to do: it is polled again whether there is news or not.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// What all of them do together.
struct Crowd {
    push: Push,
    pull: Pull,
    seed: u64,
    cancelled: AtomicU64,
    /// Numbers that were sent for sure.
    sent: Mutex<Vec<u64>>,
    received: Mutex<Vec<u64>>,
    is_over: AtomicU64,
}

impl Crowd {
    fn new(transport: &str, seed: u64) -> Arc<Self> {
        println!("seed {seed}");
        let context = Context::new().unwrap();
        let options = Options::default().mark(4).send_buffer(8192).recv_buffer(8192);
        let push = Push::with_options(&context, options.clone()).unwrap();
        let pull = Pull::with_options(&context, options).unwrap();
        push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
        std::mem::forget(context); // as long as the sockets
        Arc::new(Crowd {
            push,
            pull,
            seed,
            cancelled: AtomicU64::new(0),
            sent: Mutex::default(),
            received: Mutex::default(),
            is_over: AtomicU64::new(0),
        })
    }

    fn is_cancelled_enough(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) >= CANCELLED
    }

    fn cancel(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    async fn send(self: Arc<Self>, who: u64) {
        let mut chance = Chance(self.seed ^ who);
        let mut number = who << 32;
        while !self.is_cancelled_enough() {
            let bytes = number.to_be_bytes();
            let sent = Few(Some(Box::pin(self.push.send_async(&bytes))), chance.below(3)).await;
            match sent {
                Some(sent) => {
                    sent.unwrap();
                    self.sent.lock().unwrap().push(number);
                    number += 1;
                }
                None => self.cancel(),
            }
        }
        self.is_over.fetch_add(1, Ordering::SeqCst);
    }

    async fn recv(self: Arc<Self>, who: u64) {
        let mut chance = Chance(!self.seed ^ who);
        while !self.is_cancelled_enough() {
            match Few(Some(Box::pin(self.pull.recv_async())), chance.below(3)).await {
                Some(message) => self.took(&message.unwrap()),
                None => self.cancel(),
            }
        }
        self.is_over.fetch_add(1, Ordering::SeqCst);
    }

    fn took(&self, message: &Message) {
        let number = u64::from_be_bytes(message.first().try_into().unwrap());
        self.received.lock().unwrap().push(number);
    }

    /// A thread that blocks, beside them.
    fn block(self: Arc<Self>) {
        while self.is_over.load(Ordering::SeqCst) < SENDERS + RECEIVERS {
            if let Ok(message) = self.pull.recv_timeout(Duration::from_millis(1)) {
                self.took(&message);
            }
        }
    }

    fn check(&self) {
        while let Ok(message) = self.pull.recv_timeout(Duration::from_millis(100)) {
            self.took(&message);
        }
        let (mut sent, mut received) = (self.sent.lock().unwrap(), self.received.lock().unwrap());
        sent.sort_unstable();
        received.sort_unstable();
        let (out, incoming) = (self.push.stats().out, self.pull.stats().incoming);
        assert!(out.is_conserved() && incoming.is_conserved());
        assert_eq!(out.taken, sent.len() as u64, "sent means accepted, dropped means not");
        assert_eq!(incoming.passed, received.len() as u64);
        assert_eq!(*sent, *received, "each once");
        assert!(self.cancelled.load(Ordering::Relaxed) >= CANCELLED);
    }
}

fn under(executor: impl Fn(Vec<Pin<Box<dyn Future<Output = ()> + Send>>>), seed: u64) {
    for transport in ["tcp", "inproc"] {
        let crowd = Crowd::new(transport, seed);
        let blocking = {
            let crowd = Arc::clone(&crowd);
            thread::spawn(move || crowd.block())
        };
        let senders =
            (0..SENDERS).map(|who| Box::pin(Arc::clone(&crowd).send(who)) as Pin<Box<dyn Future<Output = ()> + Send>>);
        let receivers = (0..RECEIVERS).map(|who| Box::pin(Arc::clone(&crowd).recv(who)) as _);
        executor(senders.chain(receivers).collect());
        blocking.join().unwrap();
        crowd.check();
    }
}

#[test]
fn nothing_is_lost_under_tokio() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let executor = |futures: Vec<_>| {
        let tasks: Vec<_> = futures.into_iter().map(|future| runtime.spawn(future)).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    };
    under(executor, 1);
}

#[test]
fn nothing_is_lost_under_smol() {
    let executor = |futures: Vec<_>| {
        let executor = Arc::new(smol::Executor::new());
        let tasks: Vec<_> = futures.into_iter().map(|future| executor.spawn(future)).collect();
        let all = async move {
            for task in tasks {
                task.await;
            }
        };
        let other = Arc::clone(&executor);
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let helper = thread::spawn(move || smol::block_on(other.run(stopped.recv())));
        smol::block_on(executor.run(all));
        drop(stop);
        let _closed = helper.join().unwrap();
    };
    under(executor, 2);
}

#[test]
fn nothing_is_lost_without_an_executor() {
    let executor = |futures: Vec<_>| {
        let threads: Vec<_> = futures
            .into_iter()
            .map(|future| thread::spawn(move || block_on(future)))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    under(executor, 3);
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
