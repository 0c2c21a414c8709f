//! A load-balancing broker: each request goes to a worker that has said that it is free, never to one that is busy.
//!
//! The pattern is "The Load Balancing Pattern" in chapter 3 of the ZeroMQ Guide: a ROUTER for the clients, a ROUTER for the
//! workers, and between them a list of free workers, the one that has been free longest first. A worker is a REQ: its
//! first request says READY, each further one is the answer to its last job, and the reply to either is its next job.
//!
//! Simpler here: `recv` gives the identity apart from the frames; an unknown worker is an error and not a lost job; and
//! the poller is told to leave the clients alone while nobody is free, so that their requests wait where they came from.
//!
//! One client asks for a long job. The check: all other jobs are done while that one still runs, whereas a broker that
//! deals them out in turn leaves a third of them behind it.

use bytes::Bytes;
use peermq::{Context, Endpoint, Identity, Interest, Message, Poller, Req, RequestError, Router};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let context = Context::new()?;
    let (clients, workers) = (Router::new(&context), Router::new(&context));
    let to_clients = clients.bind("tcp://127.0.0.1:0")?;
    let to_workers = workers.bind("tcp://127.0.0.1:0")?;
    thread::spawn(move || broker(&clients, &workers).expect("a broker that does not fail"));

    let outside = Context::new()?;
    let (finish, unfinished) = mpsc::channel();
    let unfinished = Arc::new(Mutex::new(unfinished));
    let workers = [(); WORKERS].map(|()| {
        let (outside, to_workers, unfinished) = (outside.clone(), to_workers.clone(), Arc::clone(&unfinished));
        thread::spawn(move || worker(&outside, &to_workers, &unfinished))
    });
    let ask = |job: &'static str, times| {
        let (outside, to_clients) = (outside.clone(), to_clients.clone());
        thread::spawn(move || client(&outside, &to_clients, job, times))
    };

    let long = ask(LONG, 1);
    for client in [(); CLIENTS].map(|()| ask("short", REQUESTS)) {
        client.join().expect("no panic")?;
    }
    println!("{} short jobs are done; the long one is not", CLIENTS * REQUESTS);
    assert!(!long.is_finished());
    finish.send(())?;
    long.join().expect("no panic")?;

    outside.shutdown();
    let mut done = Vec::new();
    for worker in workers {
        done.push(worker.join().expect("no panic")?);
    }
    println!("jobs by worker: {done:?}");
    assert_eq!(done.iter().sum::<usize>(), CLIENTS * REQUESTS + 1);
    println!("check: nobody waited for a busy worker");
    Ok(())
}

/// Gives each request to the worker that has been free longest, and each answer to the client that it is for.
fn broker(clients: &Router, workers: &Router) -> Outcome {
    // Who it is, and the envelope that its REQ wants to see in front of its next job.
    let mut free: VecDeque<(Identity, Vec<Bytes>)> = VecDeque::new();
    let mut poller = Poller::new();
    let from_workers = poller.add(workers, Interest::Readable)?;
    let mut from_clients = None;
    loop {
        for ready in poller.wait(None)? {
            if ready.closed {
                return Ok(());
            }
            if ready.key == from_workers {
                let (worker, message) = workers.try_recv()?;
                let (envelope, answer) = open(message);
                free.push_back((worker, envelope));
                if let Some((client, answer)) = answer.split_first()
                    && !answer.is_empty()
                {
                    // A client that has left in the meantime has no use for its answer.
                    let _ = clients.send_to(
                        &Identity::from_received(client)?,
                        Message::from_frames(answer.to_vec())?,
                    );
                }
            } else if let Some((worker, mut job)) = free.pop_front() {
                let (client, request) = clients.try_recv()?;
                job.push(Bytes::copy_from_slice(client.as_bytes()));
                job.extend(request.into_frames());
                workers.send_to(&worker, Message::from_frames(job)?)?;
            }
        }
        // While nobody is free, requests wait where they are.
        match from_clients {
            None if !free.is_empty() => from_clients = Some(poller.add(clients, Interest::Readable)?),
            Some(key) if free.is_empty() => {
                poller.remove(key)?;
                from_clients = None;
            }
            _ => {}
        }
    }
}

/// Takes a message apart, behind the empty frame that ends the envelope of a REQ.
fn open(message: Message) -> (Vec<Bytes>, Vec<Bytes>) {
    let mut envelope = message.into_frames();
    let end = envelope.iter().position(Bytes::is_empty).map_or(0, |empty| empty + 1);
    let content = envelope.split_off(end);
    (envelope, content)
}

/// Says that it is free, does what it is told, and answers by saying that it is free again. Gives how many jobs it did.
fn worker(context: &Context, broker: &Endpoint, unfinished: &Mutex<Receiver<()>>) -> Outcome<usize> {
    let req = Req::new(context);
    req.connect(broker)?;
    let mut answer = Message::from(READY);
    for done in 0.. {
        // For whom it is, the envelope of that client, and the job itself.
        let mut frames = match req.request(answer) {
            Ok(job) => job.into_frames(),
            Err(RequestError::Closed) => return Ok(done),
            Err(error) => return Err(error.into()),
        };
        if frames.pop().is_some_and(|job| job == LONG) {
            unfinished.lock().expect("no panic").recv_timeout(PATIENCE)?;
        }
        frames.push(Bytes::from_static(b"done"));
        answer = Message::from_frames(frames)?;
    }
    unreachable!("there are not so many jobs")
}

fn client(context: &Context, broker: &Endpoint, job: &str, times: usize) -> Outcome {
    let req = Req::new(context);
    req.connect(broker)?;
    for _ in 0..times {
        let answer = req.request_timeout(job, PATIENCE)?;
        if answer != "done" {
            return Err(format!("{job} was answered by {answer:?}").into());
        }
    }
    Ok(())
}

const READY: &str = "READY";
const LONG: &str = "long";
const WORKERS: usize = 3;
const CLIENTS: usize = 4;
const REQUESTS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(30);
