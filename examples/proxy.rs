//! A broker in five lines: clients ask, whichever worker is free answers, and neither knows the other.
//!
//! The pattern is the "Shared Queue" of chapter 2 of the ZeroMQ Guide: a ROUTER for the clients, a DEALER for the workers,
//! and `zmq_proxy` between them. Both sides connect to the broker, which is all that has a fixed address.
//!
//! Simpler here: the proxy takes a request only when a worker has room for it, so that workers at their marks slow the
//! clients down instead of filling the broker. It ends when its sockets are closed, and says what has passed; a `Proxy` is
//! the same with a handle, to pause and stop it, and a third socket that gets a copy of everything.

use peermq::{Context, Dealer, Endpoint, RecvError, Rep, Req, Router, proxy};
use std::error::Error;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    // The broker.
    let home = Context::new()?;
    let (front, back) = (Router::new(&home), Dealer::new(&home));
    let (to_clients, to_workers) = (front.bind("tcp://127.0.0.1:0")?, back.bind("tcp://127.0.0.1:0")?);
    let broker = thread::spawn(move || proxy(&front, &back));

    let outside = Context::new()?;
    let workers = [(); WORKERS].map(|()| {
        let (outside, to_workers) = (outside.clone(), to_workers.clone());
        thread::spawn(move || worker(&outside, &to_workers))
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (outside, to_clients) = (outside.clone(), to_clients.clone());
            thread::spawn(move || client(&outside, &to_clients, number))
        })
        .collect();

    for client in clients {
        client.join().expect("no panic")?;
    }
    outside.shutdown();
    let mut served = Vec::new();
    for worker in workers {
        served.push(worker.join().expect("no panic")?);
    }
    home.shutdown(); // closes the sockets, and that ends the proxy
    let report = broker.join().expect("no panic")?;

    let (there, back) = (report.stats.forward.passed, report.stats.backward.passed);
    println!("{there} requests passed, {back} replies; by worker: {served:?}");
    assert_eq!(there, (CLIENTS * REQUESTS) as u64);
    assert_eq!(back, there);
    assert_eq!(served.iter().sum::<usize>(), CLIENTS * REQUESTS);
    println!("check: every client got the answers to its own questions");
    Ok(())
}

/// Squares numbers, until its context is shut down. Gives how many.
fn worker(context: &Context, broker: &Endpoint) -> Outcome<usize> {
    let rep = Rep::new(context);
    rep.connect(broker)?;
    let mut served = 0;
    loop {
        let request = match rep.recv() {
            Ok(request) => request,
            Err(RecvError::Closed) => return Ok(served),
            Err(error) => return Err(error.into()),
        };
        let number: usize = request.message().to_str()?.parse()?;
        request.reply((number * number).to_string())?;
        served += 1;
    }
}

/// Asks for the squares of numbers that nobody else asks for.
fn client(context: &Context, broker: &Endpoint, number: usize) -> Outcome {
    let req = Req::new(context);
    req.connect(broker)?;
    for asked in (0..REQUESTS).map(|request| number * REQUESTS + request) {
        let answer = req.request_timeout(asked.to_string(), PATIENCE)?;
        if answer != (asked * asked).to_string() {
            return Err(format!("the square of {asked} is not {answer:?}").into());
        }
    }
    Ok(())
}

const CLIENTS: usize = 4;
const WORKERS: usize = 3;
const REQUESTS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(30);
