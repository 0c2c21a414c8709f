//! Clone: many programs share one table of keys and values, which any of them may change, and which all see alike.
//!
//! The pattern is the "Reliable Pub-Sub (Clone Pattern)" of chapter 5 of the ZeroMQ Guide. Changes go to a server by PUSH; it
//! gives each the next number and publishes it. A program that comes later subscribes first, and then asks for a snapshot,
//! which says the number of the last change in it: changes that came meanwhile, up to that number, are in the snapshot
//! already and are passed over.
//!
//! Simpler here: a message of many frames arrives whole or not at all, so the snapshot is one plain reply, not a stream with
//! an end to wait for. `subscribe_confirmed` says when changes are really on their way. And a subscriber that cannot keep up
//! is disconnected rather than misled (`AtMark::Disconnect`); one that finds a number missing begins again.

use peermq::{AtMark, Context, Endpoint, Interest, Message, Options, Poller, Pub, Pull, Push, Rep, Req, Sub};
use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The number of the last change, and what there is after it.
#[derive(Default, PartialEq, Debug)]
struct Table {
    number: u64,
    values: BTreeMap<String, String>,
}

fn main() -> Outcome {
    let context = Context::new()?;
    let (changes, snapshots) = (Pull::new(&context), Rep::new(&context));
    let updates = Pub::with_options(&context, Options::default().at_mark(AtMark::Disconnect))?;
    let at = At {
        changes: changes.bind("tcp://127.0.0.1:0")?,
        snapshots: snapshots.bind("tcp://127.0.0.1:0")?,
        updates: updates.bind("tcp://127.0.0.1:0")?,
    };
    let server = thread::spawn(move || server(&changes, &snapshots, &updates));

    // One is there before the first change, and one more comes whenever a writer is halfway through: amid changes.
    let early = Replica::join(&context, &at)?;
    println!("early: from change {} on", early.table.number);
    let early = thread::spawn(move || early.follow());
    let writers = [0, 1, 2].map(|writer| {
        let (context, at) = (context.clone(), at.clone());
        thread::spawn(move || -> Outcome<Table> {
            let push = Push::new(&context);
            push.connect(&at.changes)?;
            write(&push, writer, 0..CHANGES / 2)?;
            let late = thread::spawn(move || {
                let late = Replica::join(&context, &at)?;
                println!("late: from change {} on", late.table.number);
                late.follow()
            });
            write(&push, writer, CHANGES / 2..CHANGES)?;
            push.close()?;
            late.join().expect("no panic")
        })
    });

    let mut tables = Vec::new();
    for replica in writers {
        tables.push(replica.join().expect("no panic")?);
    }
    tables.push(early.join().expect("no panic")?);
    context.shutdown();
    let original = server.join().expect("no panic")?;
    println!(
        "{} changes, {} keys, {} replicas",
        original.number,
        original.values.len(),
        tables.len()
    );
    assert_eq!(original.number, ALL);
    for table in tables {
        assert_eq!(table, original);
    }
    println!("check: all replicas equal the original");
    Ok(())
}

/// Numbers changes and publishes them, and gives a snapshot to who asks. Gives the table when its context is shut down.
fn server(changes: &Pull, snapshots: &Rep, updates: &Pub) -> Outcome<Table> {
    let mut table = Table::default();
    let mut poller = Poller::new();
    let from_changes = poller.add(changes, Interest::Readable)?;
    poller.add(snapshots, Interest::Readable)?;
    loop {
        for ready in poller.wait(None)? {
            if ready.closed {
                return Ok(table);
            }
            if ready.key == from_changes {
                let change = changes.try_recv()?;
                let (key, value) = (text(&change, 0)?, text(&change, 1)?);
                table.number += 1;
                updates.send([&*table.number.to_string(), key, value])?;
                table.values.insert(key.to_string(), value.to_string());
            } else if let Ok(request) = snapshots.try_recv() {
                let number = table.number.to_string();
                let pairs = table.values.iter().flat_map(|(key, value)| [key.as_str(), value]);
                // Who has left meanwhile needs none.
                let _ = request.reply(Message::from_frames([&*number].into_iter().chain(pairs))?);
            }
        }
    }
}

/// A copy of the table, kept up by updates.
struct Replica {
    updates: Sub,
    table: Table,
}

impl Replica {
    /// Updates first, the snapshot after: no change is in neither.
    fn join(context: &Context, at: &At) -> Outcome<Replica> {
        let updates = Sub::new(context);
        updates.connect(&at.updates)?;
        updates.subscribe_confirmed("", PATIENCE)?;

        let req = Req::new(context);
        req.connect(&at.snapshots)?;
        let snapshot = req.request_timeout("all, please", PATIENCE)?;
        let mut table = Table {
            number: text(&snapshot, 0)?.parse()?,
            values: BTreeMap::new(),
        };
        for index in (1..snapshot.frame_count()).step_by(2) {
            let (key, value) = (text(&snapshot, index)?, text(&snapshot, index + 1)?);
            table.values.insert(key.to_string(), value.to_string());
        }
        Ok(Replica { updates, table })
    }

    /// Makes every change, until the last. (One that goes on for ever would `join` anew where this fails.)
    fn follow(mut self) -> Outcome<Table> {
        while self.table.number < ALL {
            let update = self.updates.recv_timeout(PATIENCE)?;
            let number: u64 = text(&update, 0)?.parse()?;
            if number <= self.table.number {
                continue; // is in the snapshot
            }
            if number != self.table.number + 1 {
                return Err(format!("change {number} came after {}", self.table.number).into());
            }
            self.table.number = number;
            let (key, value) = (text(&update, 1)?, text(&update, 2)?);
            self.table.values.insert(key.to_string(), value.to_string());
        }
        Ok(self.table)
    }
}

/// Changes few keys often: the same ones that the other writers change.
fn write(push: &Push, writer: u64, numbers: std::ops::Range<u64>) -> Outcome {
    for number in numbers {
        push.send([format!("key {}", number % 20), format!("{number} of writer {writer}")])?;
    }
    Ok(())
}

fn text(message: &Message, index: usize) -> Outcome<&str> {
    let frame = message.frame(index).ok_or("a frame is missing")?;
    Ok(std::str::from_utf8(frame)?)
}

/// Where the server is.
#[derive(Clone)]
struct At {
    changes: Endpoint,
    snapshots: Endpoint,
    updates: Endpoint,
}

/// By each of three writers.
const CHANGES: u64 = 200;
const ALL: u64 = 3 * CHANGES;
const PATIENCE: Duration = Duration::from_secs(30);
