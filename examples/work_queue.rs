//! A work queue: a producer sends tasks, consumers do them and acknowledge each, and nothing is lost if one of them dies.
//!
//! The hello of every message queue's tutorial. A task is a text, and each dot in it stands for a tenth of a second of work.
//! Without a role, this starts a producer and three consumers as processes of their own, and kills one of the consumers while
//! it is at work: its task goes to another.

use peermq::Context;
use peermq::confirmed::{Source, Task, Worker};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

const HELP: &str = "\
A producer, consumers, and acknowledgements, without a broker.

  work_queue                              a producer and three consumers, one of which is killed
  work_queue producer ENDPOINT [TEXT...]  sends each text as a task, and ends when all are done
  work_queue consumer ENDPOINT            does tasks until it is stopped; each dot is a tenth of a second

Through cargo: cargo run --example work_queue -- producer 'tcp://*:7000' 'resize 17.png...' 'resize 18.png.'
";

const TEXTS: [&str; 9] = [
    "first......",
    "second..",
    "third...",
    "fourth.",
    "fifth..",
    "sixth.",
    "seventh...",
    "eighth.",
    "ninth..",
];

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => all(),
        ["producer", endpoint] => producer(endpoint, &TEXTS),
        ["producer", endpoint, texts @ ..] => producer(endpoint, texts),
        ["consumer", endpoint] => consumer(endpoint),
        _ => {
            print!("{HELP}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("work_queue: {error}");
            ExitCode::FAILURE
        }
    }
}

fn producer(endpoint: &str, texts: &[&str]) -> Outcome {
    let context = Context::new()?;
    let source = Source::builder(&context).bind(endpoint)?.build()?;
    say(&format!("producer at {}", source.endpoints()[0]))?;

    let mut receipts = Vec::new();
    for text in texts {
        receipts.push((text, source.send(Task::new(*text))?));
        say(&format!("sent {text}"))?;
    }
    for (text, receipt) in receipts {
        receipt.wait(Duration::from_secs(60))?;
        say(&format!("done {text}"))?;
    }
    let report = source.close(Duration::from_secs(1))?;
    say(&format!(
        "{} done, {} dead, {} left",
        report.done, report.dead, report.unsettled
    ))?;
    Ok(())
}

fn consumer(endpoint: &str) -> Outcome {
    let context = Context::new()?;
    // One at a time: while this one is busy, the others are for whoever is free.
    let worker = Worker::builder(&context).connect(endpoint)?.prefetch(1).build()?;
    while let Some(task) = worker.recv()? {
        let Ok(text) = task.message().to_str().map(str::to_owned) else {
            // Nobody can ever do it: it is not tried again, and its sender is told why.
            task.reject("it is no text")?;
            say("rejects what is no text")?;
            continue;
        };
        let again = if task.is_redelivered() { " again" } else { "" };
        say(&format!("begins {text}{again}"))?;
        thread::sleep(Duration::from_millis(100) * text.matches('.').count() as u32);
        say(&format!("ends {text}"))?;
        task.ack()?;
    }
    Ok(())
}

fn all() -> Outcome {
    let mut producer = start(&["producer", "tcp://127.0.0.1:*"])?;
    let mut said = BufReader::new(producer.0.stdout.take().ok_or("it says nothing")?).lines();
    let first = said.next().ok_or("it said nothing")??;
    let endpoint = first.strip_prefix("producer at ").ok_or("it is nowhere")?;
    println!("producer: {first}");

    let mut consumers = Vec::new();
    for number in 1..=3 {
        let mut consumer = start(&["consumer", endpoint])?;
        let mut said = BufReader::new(consumer.0.stdout.take().ok_or("it says nothing")?).lines();
        if number == 1 {
            // The first task is its own: nobody else is here. It dies of it.
            println!("consumer 1: {}", said.next().ok_or("it said nothing")??);
            drop(consumer);
            println!("consumer 1 is killed");
            continue;
        }
        thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                println!("consumer {number}: {line}");
            }
        });
        consumers.push(consumer);
    }
    for line in said {
        println!("producer: {}", line?);
    }
    if producer.0.wait()?.success() {
        Ok(())
    } else {
        Err("the producer failed".into())
    }
}

/// A process of this example; dropped, it is killed.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(words: &[&str]) -> io::Result<Process> {
    let child = Command::new(std::env::current_exe()?)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(Process(child))
}

/// A line, at once.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
