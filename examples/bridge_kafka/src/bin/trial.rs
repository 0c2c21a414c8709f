//! The two ends of the bridge's test: a source that sends numbered tasks, and a reader that says which have come.
//!
//! `trial send ENDPOINT N` sends, says how many are done, and ends when all are. `trial read BROKER TOPIC` reads the topic from
//! its beginning until nothing more comes, and says of each record its number and whether it is marked.

use peermq::Context;
use peermq::confirmed::{Receipt, Source, Task};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{OffsetAt, UnknownTopicHandling};
use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["send", endpoint, number] => send(endpoint, number.parse()?),
        ["read", broker, topic] => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(read(broker, topic)),
        _ => Err("usage: trial send ENDPOINT N | trial read BROKER TOPIC".into()),
    }
}

fn send(endpoint: &str, number: usize) -> Result<(), Box<dyn Error>> {
    let context = Context::new()?;
    let source = Source::builder(&context).bind(endpoint)?.build()?;
    println!("bound");
    let mut open: VecDeque<Receipt> = VecDeque::new();
    for at in 0..number + WINDOW {
        if at < number {
            let task = Task::new(format!("task {at}"))
                .key(at.to_string())
                .headers("of the trial");
            open.push_back(source.send(task)?);
        }
        if at >= WINDOW - 1
            && let Some(oldest) = open.pop_front()
        {
            oldest.wait(Duration::from_secs(120))?;
            let done = at + 2 - WINDOW;
            if done.is_multiple_of(100) {
                println!("done {done}");
            }
        }
    }
    let stats = source.stats();
    let report = source.close(Duration::from_secs(1))?;
    println!(
        "sent: {} done, {} dead, {} not settled; {} deliveries, {} of them again",
        report.done, report.dead, report.unsettled, stats.deliveries, stats.redeliveries
    );
    match report.done == number as u64 {
        true => Ok(()),
        false => Err("not all are done".into()),
    }
}

async fn read(broker: &str, topic: &str) -> Result<(), Box<dyn Error>> {
    let client = ClientBuilder::new(vec![broker.to_owned()]).build().await?;
    let topics = client.list_topics().await?;
    let found = topics
        .into_iter()
        .find(|one| one.name == topic)
        .ok_or("no such topic")?;
    for at in found.partitions {
        let partition = client.partition_client(topic, at, UnknownTopicHandling::Error).await?;
        let mut offset = partition.get_offset(OffsetAt::Earliest).await?;
        let mut quiet = 0;
        while quiet < 2 {
            if offset >= partition.get_offset(OffsetAt::Latest).await? {
                quiet += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            quiet = 0;
            let (records, _) = partition.fetch_records(offset, 1..1_000_000, 1_000).await?;
            for one in records {
                let key = one.record.key.ok_or("a record without a key")?;
                let key = String::from_utf8(key)?;
                assert_eq!(one.record.value, Some(format!("task {key}").into_bytes()));
                assert_eq!(one.record.headers["peermq-headers"], b"of the trial");
                let is_marked = one.record.headers["peermq-redelivered"] == b"true";
                println!("{key} {}", if is_marked { "marked" } else { "not" });
                offset = one.offset + 1;
            }
        }
    }
    Ok(())
}

/// How many tasks are sent and not done.
const WINDOW: usize = 1000;
