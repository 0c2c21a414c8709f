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
        let text = task.message().to_str()?.to_owned();
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
    let mut said = BufReader::new(producer.stdout.take().ok_or("it says nothing")?).lines();
    let first = said.next().ok_or("it said nothing")??;
    let endpoint = first.strip_prefix("producer at ").ok_or("it is nowhere")?;
    println!("producer: {first}");

    let mut consumers = Vec::new();
    for number in 1..=3 {
        let mut consumer = start(&["consumer", endpoint])?;
        let mut said = BufReader::new(consumer.stdout.take().ok_or("it says nothing")?).lines();
        if number == 1 {
            // The first task is its own: nobody else is here. It dies of it.
            println!("consumer 1: {}", said.next().ok_or("it said nothing")??);
            consumer.kill()?;
            consumer.wait()?;
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
    let is_fine = producer.wait()?.success();
    for consumer in &mut consumers {
        consumer.kill()?;
        consumer.wait()?;
    }
    if is_fine {
        Ok(())
    } else {
        Err("the producer failed".into())
    }
}

fn start(words: &[&str]) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
}

/// A line, at once.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
