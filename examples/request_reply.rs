//! Requests and replies between two processes: one `Rep` served by four threads, one `Req` asked by four.
//!
//! Without a role, this starts the server as a process of its own and asks it. One request is never answered, to show
//! what a timeout looks like: the caller gets an error, and everybody else goes on.

use peermq::{Context, RecvError, Rep, Req, Request, RequestError};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

const HELP: &str = "\
Requests and replies between two processes.

  request_reply                       a server and a client, on this machine
  request_reply server --bind ENDPOINT    serves until its standard input ends
  request_reply client --to ENDPOINT
";

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => both(),
        ["server", "--bind", endpoint] => server(endpoint),
        ["client", "--to", endpoint] => client(endpoint),
        ["--help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("request_reply: cannot make sense of {words:?}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("request_reply: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Four threads take requests from one socket; whoever is free takes the next.
fn server(endpoint: &str) -> Outcome {
    let context = Context::new()?;
    let rep = Rep::new(&context);
    println!("{LISTENING}{}", rep.bind(endpoint)?);

    let rep = &rep;
    thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|number| scope.spawn(move || serve(rep, number)))
            .collect();
        // Wakes the four: they get `Closed`.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        context.shutdown();
        for thread in threads {
            thread.join().map_err(|_| "a server thread panicked")??;
        }
        Ok(())
    })
}

fn serve(rep: &Rep, thread: usize) -> Outcome {
    loop {
        match rep.recv() {
            Ok(request) => answer(request, thread)?,
            Err(RecvError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(request: Request, thread: usize) -> Outcome {
    if *request.message() == UNANSWERED {
        // Dropped without a reply: counted, and nothing is sent.
        return Ok(());
    }
    let shout = request.message().to_str()?.to_uppercase();
    let reply = [format!("thread {thread}"), shout];
    if let Err(error) = request.reply(reply) {
        eprintln!("a client did not get its reply: {error}");
    }
    Ok(())
}

/// Asks from four threads through one socket, and once for something that is never answered.
fn client(endpoint: &str) -> Outcome {
    let context = Context::new()?;
    let req = Req::new(&context);
    req.connect(endpoint)?;

    let req = &req;
    let served_by = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|number| scope.spawn(move || ask(req, number)))
            .collect();
        let mut served_by: BTreeMap<String, usize> = BTreeMap::new();
        for thread in threads {
            for server in thread.join().map_err(|_| "a client thread panicked")?? {
                *served_by.entry(server).or_default() += 1;
            }
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(served_by)
    })?;
    println!(
        "{} requests from {THREADS} threads, answered by {served_by:?}",
        served_by.values().sum::<usize>()
    );

    match req.request_timeout(UNANSWERED, Duration::from_millis(200)) {
        Err(RequestError::TimedOut) => println!("as expected: {}", RequestError::TimedOut),
        other => return Err(format!("a request that nobody answers gave {other:?}").into()),
    }
    let reply = req.request_timeout("still there?", PATIENCE)?;
    println!("and the next one: {reply:?}");
    Ok(())
}

/// Which server threads answered. Every answer must be that of its own question.
fn ask(req: &Req, thread: usize) -> Outcome<Vec<String>> {
    let mut servers = Vec::new();
    for number in 0..REQUESTS {
        let question = format!("question {number} of {thread}");
        let reply = req.request_timeout(&question, PATIENCE)?;
        if reply.frame(1) != Some(question.to_uppercase().as_bytes()) {
            return Err(format!("{question} was answered with {reply:?}").into());
        }
        servers.push(reply.to_str()?.to_string());
    }
    Ok(servers)
}

/// The server as a process of its own, and the client as another.
fn both() -> Outcome {
    let program = std::env::current_exe()?;
    let mut server = Command::new(&program)
        .args(["server", "--bind", "tcp://127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let mut output = BufReader::new(server.stdout.take().ok_or("a child without output")?);
    output.read_line(&mut line)?;
    let endpoint = line
        .trim_end()
        .strip_prefix(LISTENING)
        .ok_or("the server did not start")?;

    let client = Command::new(&program).args(["client", "--to", endpoint]).status()?;
    // Waiting closes the server's input first: that is its end.
    let server = server.wait()?;
    if client.success() && server.success() {
        Ok(())
    } else {
        Err(format!("the client ended with {client}, the server with {server}").into())
    }
}

const LISTENING: &str = "listening on ";
const UNANSWERED: &str = "do not answer";
const THREADS: usize = 4;
const REQUESTS: usize = 250;
const PATIENCE: Duration = Duration::from_secs(30);
