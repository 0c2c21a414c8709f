//! Lazy pirate: a client asks again when no answer comes, and so gets through to a server that fails and is started anew.
//!
//! The pattern is "Client-Side Reliability" in chapter 4 of the ZeroMQ Guide. The server is a process of its own. Its first
//! life ends with a crash, in the middle of request 3; this program starts it anew, as a supervisor would. In its second
//! life it leaves request 6 without an answer, as if it were overloaded.
//!
//! Simpler here: the Guide's client has to poll, and to close and reopen its socket, because a REQ that has no reply cannot
//! send. Here a call takes a time limit, and a request that is given up is in nobody's way: its late reply is dropped.
//! A server that dies is known at once, as `PeerLost`; only one that is silent takes the whole time limit. And with
//! `Options::retry` a plain `request_timeout` does all of it.

use peermq::{Context, Message, Options, RecvError, Rep, Req, RequestError};
use std::error::Error;
use std::fs;
use std::io;
use std::process::{self, Child, ChildStdin, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => both(),
        ["server", endpoint, life] => server(endpoint, life),
        _ => Err("lazy_pirate [server ENDPOINT first|second]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lazy_pirate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same twice: asking again by hand, and by option.
fn both() -> Outcome {
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    outlive("by hand", quick.clone(), by_hand)?;
    outlive("by Options::retry", quick.retry(LIMIT, ATTEMPTS), by_option)?;

    let context = Context::new()?;
    let nobody = Req::new(&context);
    nobody.connect("inproc://nobody")?;
    match nobody.request_timeout("anybody?", Duration::from_millis(10)) {
        Err(error) => println!("and where there is no server: {error}"),
        Ok(answer) => return Err(format!("nobody answered {answer:?}").into()),
    }
    println!("check: every request got its own answer");
    Ok(())
}

/// Asks ten questions, of a server that crashes and is silent meanwhile.
fn outlive(how: &str, options: Options, ask: fn(&Req, &str) -> Outcome<Message>) -> Outcome {
    // A path and not a port: while the server is down, nobody else can take it.
    let folder = std::env::temp_dir().join(format!("peermq-lazy-pirate-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let endpoint = format!("ipc://{}", folder.join("server").display());
    let first = Server::start(&endpoint, "first")?;
    let supervisor = thread::spawn(move || first.restart());

    let context = Context::new()?;
    let req = Req::with_options(&context, options)?;
    req.connect(&*endpoint)?;
    for number in 1..=10 {
        let answer = ask(&req, &format!("request {number}"))?;
        if answer != format!("answer to request {number}") {
            return Err(format!("request {number} was answered with {answer:?}").into());
        }
    }
    supervisor.join().expect("no panic")?.end()?;
    fs::remove_dir_all(folder)?;
    println!("{how}: 10 answers, of a server that crashed once and was silent once");
    Ok(())
}

/// Asks until there is an answer, or it has been asked often enough. Only for what may be done twice: a server that was
/// lost, or is late, may have done it.
fn by_hand(req: &Req, question: &str) -> Outcome<Message> {
    for _ in 0..ATTEMPTS {
        match req.request_timeout(question, LIMIT) {
            Ok(reply) => return Ok(reply),
            Err(failure @ (RequestError::PeerLost | RequestError::TimedOut)) => {
                println!("{question}: {failure}; asking again");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("the server seems to be gone: {ATTEMPTS} attempts, no answer").into())
}

/// The socket does all that: with several servers it asks the next one, and takes the first answer of any.
fn by_option(req: &Req, question: &str) -> Outcome<Message> {
    let before = req.stats().retried_requests;
    let reply = req.request_timeout(question, LIMIT * ATTEMPTS)?;
    match req.stats().retried_requests - before {
        0 => {}
        times => println!("{question}: was asked {times} more times"),
    }
    Ok(reply)
}

/// Answers until its input ends, or something else ends it.
fn server(endpoint: &str, life: &str) -> Outcome {
    let context = Context::new()?;
    let rep = Rep::new(&context);
    println!("listening on {}", rep.bind(endpoint)?);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        context.shutdown(); // wakes `recv`
    });

    let mut is_overloaded = life == "second";
    loop {
        let request = match rep.recv() {
            Ok(request) => request,
            Err(RecvError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match request.message().to_str()? {
            "request 3" if life == "first" => process::exit(CRASHED),
            "request 6" if is_overloaded => is_overloaded = false, // dropped, so never answered
            question => {
                let answer = format!("answer to {question}");
                // A client that does not wait any more is no reason to end.
                let _ = request.reply(answer);
            }
        }
    }
}

/// A server's process, and the input that keeps it alive.
struct Server {
    process: Child,
    input: Option<ChildStdin>,
    endpoint: String,
}

impl Server {
    fn start(endpoint: &str, life: &str) -> Outcome<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["server", endpoint, life])
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Server {
            input: process.stdin.take(),
            endpoint: endpoint.to_string(),
            process,
        })
    }

    /// Waits for its crash, and starts the next one in its place.
    fn restart(mut self) -> Outcome<Server> {
        let status = self.process.wait()?;
        match status.code() {
            Some(CRASHED) => Server::start(&self.endpoint, "second"),
            _ => Err(format!("the server ended with {status}").into()),
        }
    }

    fn end(mut self) -> Outcome {
        drop(self.input.take());
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the server ended with {status}").into()),
        }
    }
}

const CRASHED: i32 = 99;
const ATTEMPTS: u32 = 20;
const LIMIT: Duration = Duration::from_millis(500);
