//! The two ends of the bridge's test: a source that sends numbered tasks, and a consumer that looks whether all have come.
//!
//! `trial send ENDPOINT N LEN` sends, and in their middle one of LEN bytes, which is to be rejected; says how many are done, and
//! ends when all are. `trial check AMQP-URL QUEUE N` empties the
//! queue, counts, and fails if one of the N is missing.

use lapin::options::BasicGetOptions;
use lapin::{Connection, ConnectionProperties};
use peermq::Context;
use peermq::confirmed::{Death, Receipt, Source, Task, Unconfirmed};
use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["send", endpoint, number, len] => send(endpoint, number.parse()?, len.parse()?),
        ["check", url, queue, number] => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(check(url, queue, number.parse()?)),
        _ => Err("usage: trial send ENDPOINT N LEN | trial check AMQP-URL QUEUE N".into()),
    }
}

fn send(endpoint: &str, number: usize, too_long: usize) -> Result<(), Box<dyn Error>> {
    let context = Context::new()?;
    let source = Source::builder(&context).bind(endpoint)?.build()?;
    println!("bound");
    let mut open: VecDeque<Receipt> = VecDeque::new();
    let mut rejected = None;
    for at in 0..number + WINDOW {
        if at == number / 2 {
            rejected = Some(source.send(vec![b'x'; too_long])?);
        }
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
    let rejected = rejected.ok_or("nothing was too long")?.wait(Duration::from_secs(120));
    if !matches!(rejected, Err(Unconfirmed::Dead(Death::Rejected { .. }))) {
        return Err(format!("what is too long was not rejected: {rejected:?}").into());
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

async fn check(url: &str, queue: &str, number: usize) -> Result<(), Box<dyn Error>> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut came = vec![0_usize; number];
    let (mut unmarked, mut marked) = (0, 0);
    while let Some(got) = channel
        .basic_get(queue.into(), BasicGetOptions { no_ack: true })
        .await?
    {
        let id = got
            .properties
            .message_id()
            .as_ref()
            .ok_or("a message without an id")?
            .as_str();
        assert_eq!(got.data, format!("task {id}").into_bytes());
        let headers = got.properties.headers().as_ref().ok_or("a message without headers")?;
        let is_marked = headers
            .inner()
            .get("peermq-redelivered")
            .and_then(|value| value.as_bool())
            == Some(true);
        let times = came.get_mut(id.parse::<usize>()?).ok_or("an id that nobody has sent")?;
        *times += 1;
        if *times > 1 {
            *(if is_marked { &mut marked } else { &mut unmarked }) += 1;
        }
    }
    let missing: Vec<usize> = (0..number).filter(|at| came[*at] == 0).collect();
    println!(
        "{} of {number} have come; {marked} duplicates that are marked, {unmarked} that are not, all of them known by their id",
        number - missing.len()
    );
    if !missing.is_empty() {
        return Err(format!("{} are missing: {:?}", missing.len(), &missing[..missing.len().min(20)]).into());
    }
    Ok(())
}

/// How many tasks are sent and not done.
const WINDOW: usize = 1000;
