//! Freelance: a client that knows several servers, with no broker between them, and gets its answers from any that works.
//!
//! The pattern is "Brokerless Reliability" in chapter 4 of the ZeroMQ Guide, which calls its two ways failover and shotgun.
//! Of the five servers here one is not there, one crashes at its first request, one takes requests and says nothing, and
//! two work.
//!
//! *Failover*: one REQ that is connected to all of them. A request goes to one; when that one is lost, or takes too long,
//! it is asked again, and goes to the next. *Shotgun*: a DEALER sends each request to all, and takes the first answer:
//! for what may be done many times, and must be done soon.
//!
//! Simpler here: the Guide opens a new socket for each attempt, or keeps its own list of servers with PINGs and times, in
//! an agent thread behind a ROUTER. Here the socket has that list: it passes over servers that are down
//! (`Options::connected_first`), fails a request as soon as its server is lost, and knows late answers for what they are.

use peermq::{Context, Dealer, Endpoint, Event, Options, Rep, Req, Request, RequestError};
use std::error::Error;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let home = Context::new()?;
    let servers = [
        "inproc://not-there".parse()?,
        start_crashing()?,
        start(&home, drop)?,
        start(&home, answer)?,
        start(&home, answer)?,
    ];
    failover(&servers)?;
    shotgun(&servers)?;
    home.shutdown();
    Ok(())
}

/// One server at a time, and the next one when it fails.
fn failover(servers: &[Endpoint]) -> Outcome {
    let context = Context::new()?;
    let req = Req::with_options(&context, Options::default().connected_first(true))?;
    let monitor = req.monitor();
    for server in servers {
        req.connect(server)?;
    }
    // Only so that what follows is the same each time: all are there, but for the first.
    let mut connected = 1;
    while connected < servers.len() {
        connected += usize::from(matches!(monitor.recv_timeout(PATIENCE)?, Event::Connected { .. }));
    }

    let (mut lost, mut late) = (0, 0);
    for number in 1..=REQUESTS {
        let reply = loop {
            match req.request_timeout(number.to_string(), LIMIT) {
                Ok(reply) => break reply,
                Err(RequestError::PeerLost) => lost += 1,
                Err(RequestError::TimedOut) => late += 1,
                Err(error) => return Err(error.into()),
            }
        };
        assert_eq!(reply, done(number));
    }
    println!("failover: {REQUESTS} answers; of the servers asked, {lost} was lost and {late} times one was silent");
    assert_eq!(lost, 1);
    assert!(late > 0);
    Ok(())
}

/// All servers at once, and the first answer.
fn shotgun(servers: &[Endpoint]) -> Outcome {
    let context = Context::new()?;
    // What waits for those that are not there is not worth waiting for in the end.
    let dealer = Dealer::with_options(&context, Options::default().linger(Duration::ZERO))?;
    for server in servers {
        dealer.connect(server)?;
    }

    let mut surplus = 0;
    for number in 1..=REQUESTS {
        let text = number.to_string();
        for _ in servers {
            dealer.send([&text, "", &text])?; // each goes to the next; what stands before the empty frame comes back
        }
        loop {
            let reply = dealer.recv_timeout(PATIENCE)?;
            if reply.first() == text.as_bytes() {
                assert_eq!(reply.frame(2), Some(done(number).as_bytes()));
                break;
            }
            surplus += 1; // of an earlier request
        }
    }
    println!("shotgun: {REQUESTS} answers, and {surplus} that came second");
    println!("check: every request got its own answer");
    Ok(())
}

/// A server that does this with each request, until its context is shut down.
fn start(context: &Context, serve: fn(Request)) -> Outcome<Endpoint> {
    let rep = Rep::new(context);
    let endpoint = rep.bind("tcp://127.0.0.1:0")?;
    thread::spawn(move || {
        while let Ok(request) = rep.recv() {
            serve(request);
        }
    });
    Ok(endpoint)
}

/// A server that takes all of itself down when the first request is here.
fn start_crashing() -> Outcome<Endpoint> {
    let context = Context::new()?;
    let rep = Rep::new(&context);
    let endpoint = rep.bind("tcp://127.0.0.1:0")?;
    thread::spawn(move || {
        let request = rep.recv();
        context.shutdown();
        drop(request);
    });
    Ok(endpoint)
}

fn answer(request: Request) {
    let number = request.message().to_str().ok().and_then(|text| text.parse().ok());
    if let Some(number) = number {
        // A client that is gone is no concern of ours.
        let _ = request.reply(done(number));
    }
}

fn done(number: usize) -> String {
    format!("{number} is done")
}

const REQUESTS: usize = 12;
/// How long a server may take. Too short costs a second request, no more.
const LIMIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);
