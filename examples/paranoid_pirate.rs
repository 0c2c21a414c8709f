//! Paranoid pirate: a queue that notices when a worker dies or hangs, and gives its job to another one.
//!
//! The pattern is "Robust Reliable Queuing" in chapter 4 of the ZeroMQ Guide: a ROUTER for the clients, a ROUTER for the
//! workers, and heartbeats both ways. The workers are processes of their own. One of them crashes in the midst of a job; one
//! freezes (it is stopped, so that its connection stays up and nothing comes from it any more).
//!
//! Simpler here, because the library's heartbeats are enough. The Guide sends its own among the messages, which needs a timer
//! and a list of expiry times on both sides, and a worker that makes its sockets anew. Here the PINGs of ZMTP do that: a
//! connection whose other end says nothing for `heartbeat_timeout` ends like one whose other end has closed it, the worker
//! dials again by itself, and `router_notify` puts both news, a worker has come, a worker is gone, in the queue's hand in
//! their order with the messages. They show that the *process* and its connection live. A worker whose threads wait for each
//! other still answers PINGs: where that can happen, give jobs a time limit too.

use peermq::{Context, Dealer, Endpoint, Event, Identity, Interest, Message, Options, Poller, Req, Router};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io;
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => all(),
        ["worker", endpoint, fault] => worker(endpoint, fault),
        _ => Err("paranoid_pirate [worker ENDPOINT crashes|freezes|works]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paranoid_pirate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The queue, three clients, and three workers, of which one is left in the end.
fn all() -> Outcome {
    // A worker that cannot freeze ends instead, and would pass for one that has crashed.
    signal("0")?;
    let context = Context::new()?;
    let clients = Router::new(&context);
    let options = Options::default()
        .router_notify(true, true)
        .heartbeat(Duration::from_millis(100))
        .heartbeat_timeout(Duration::from_millis(400));
    let workers = Router::with_options(&context, options)?;
    let monitor = workers.monitor();
    let to_clients = clients.bind("tcp://127.0.0.1:0")?;
    let to_workers = workers.bind("tcp://127.0.0.1:0")?;
    let queue = thread::spawn(move || Queue::default().run(&clients, &workers));

    let started = ["crashes", "freezes", "works"].map(|fault| Worker::start(&to_workers, fault));
    let started: Vec<Worker> = started.into_iter().collect::<Outcome<_>>()?;
    let mut connected = 0; // only so that each gets a job: the one that works would do them all
    while connected < started.len() {
        connected += usize::from(matches!(monitor.recv_timeout(PATIENCE)?, Event::Connected { .. }));
    }

    let asking = [(); CLIENTS].map(|()| {
        let (context, to_clients) = (context.clone(), to_clients.clone());
        thread::spawn(move || client(&context, &to_clients))
    });
    for client in asking {
        client.join().expect("no panic")?;
    }
    context.shutdown();
    let again = queue.join().expect("no panic")?;
    println!(
        "{} requests answered; {again} jobs went to a second worker",
        CLIENTS * REQUESTS
    );
    assert!(again >= 2);
    println!("check: neither the crash nor the freeze cost a request");
    Ok(())
}

fn client(context: &Context, queue: &Endpoint) -> Outcome {
    let req = Req::new(context);
    req.connect(queue)?;
    for number in 0..REQUESTS {
        let answer = req.request_timeout(format!("question {number}"), PATIENCE)?;
        if answer != format!("answer to question {number}") {
            return Err(format!("question {number} was answered with {answer:?}").into());
        }
    }
    Ok(())
}

/// A client, and the frames of its request.
type Job = (Identity, Message);

#[derive(Default)]
struct Queue {
    /// Who has been free longest stands in front.
    free: VecDeque<Identity>,
    busy: BTreeMap<Identity, Job>,
    /// Jobs without a worker: those of workers that are gone, and at most one that has just come.
    waiting: VecDeque<Job>,
    given_again: usize,
}

impl Queue {
    /// Until the context is shut down. Gives how many jobs were given to a second worker.
    fn run(mut self, clients: &Router, workers: &Router) -> Outcome<usize> {
        let mut poller = Poller::new();
        let from_workers = poller.add(workers, Interest::Readable)?;
        let mut from_clients = None;
        loop {
            for ready in poller.wait(None)? {
                if ready.closed {
                    return Ok(self.given_again);
                }
                if ready.key == from_workers {
                    let (worker, message) = workers.try_recv()?;
                    self.hear(worker, message, clients);
                } else {
                    self.waiting.push_back(clients.try_recv()?);
                }
            }
            self.hand_out(workers);
            // While nobody is free, requests wait with their clients.
            match from_clients {
                None if !self.free.is_empty() => from_clients = Some(poller.add(clients, Interest::Readable)?),
                Some(key) if self.free.is_empty() => {
                    poller.remove(key)?;
                    from_clients = None;
                }
                _ => {}
            }
        }
    }

    /// An empty message is news of the worker itself: if it was not here, it has come, else it is gone.
    fn hear(&mut self, worker: Identity, message: Message, clients: &Router) {
        if let Some(job) = self.busy.remove(&worker) {
            if message == "" {
                self.waiting.push_front(job);
                self.given_again += 1;
            } else {
                // A client that has left has no use for its answer.
                let _ = clients.send_to(&job.0, message);
                self.free.push_back(worker);
            }
        } else if let Some(place) = self.free.iter().position(|free| *free == worker) {
            self.free.remove(place);
        } else {
            self.free.push_back(worker);
        }
    }

    fn hand_out(&mut self, workers: &Router) {
        while !self.waiting.is_empty()
            && let Some(worker) = self.free.pop_front()
            && let Some(job) = self.waiting.pop_front()
        {
            // One that is gone already cannot be sent to; the news of it is on its way, and brings the job back.
            let _ = workers.send_to(&worker, &job.1);
            self.busy.insert(worker, job);
        }
    }
}

/// A worker's process; ended with this value.
struct Worker(Child);

impl Worker {
    fn start(queue: &Endpoint, fault: &str) -> Outcome<Worker> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["worker", &queue.to_string(), fault])
            .stdin(Stdio::piped());
        Ok(Worker(command.spawn()?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers until its input ends, or its fault shows, at its first job.
fn worker(queue: &str, fault: &str) -> Outcome {
    let context = Context::new()?;
    let dealer = Dealer::new(&context);
    dealer.connect(queue)?;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        context.shutdown(); // ends `recv`
    });
    while let Ok(job) = dealer.recv() {
        match fault {
            "crashes" => process::exit(99),
            "freezes" => signal("STOP")?,
            _ => {}
        }
        // The envelope of the client, and the question.
        let mut frames = job.into_frames();
        let question = frames.pop().unwrap_or_default();
        let answer = [b"answer to ", &question[..]].concat();
        dealer.send(Message::from_frames(frames)?.and(answer))?;
    }
    Ok(())
}

/// Sends this process a signal; 0 is none, and asks whether one could be sent.
fn signal(signal: &str) -> Outcome {
    let sent = Command::new("sh")
        .args(["-c", "kill -$0 $1", signal, &process::id().to_string()])
        .status()
        .map_err(|error| format!("no worker can be frozen without `sh`: {error}"))?;
    match sent.success() {
        true => Ok(()),
        false => Err(format!("no worker can be frozen: the `kill` of `sh` ended with {sent}").into()),
    }
}

const CLIENTS: usize = 3;
const REQUESTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);
