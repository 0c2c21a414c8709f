//! Carries tasks from peermq's sources to a queue of RabbitMQ, for those who outgrow a queue without a broker.
//!
//! `bridge_rabbitmq SOURCE AMQP-URL QUEUE [IN-FLIGHT [LONGEST]]`
//!
//! A task is acknowledged to its source only after the broker has confirmed that it keeps it. So it is always kept by one of the
//! two, and may for a moment be kept by both: it arrives at least once. While the broker is away the bridge is no worker at all,
//! and the tasks are their source's, which may give them to another bridge.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use peermq::Context;
use peermq::confirmed::{Delivery, Worker};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [source, url, queue, rest @ ..] = words.as_slice() else {
        return Err("usage: bridge_rabbitmq SOURCE AMQP-URL QUEUE [IN-FLIGHT [LONGEST]]".into());
    };
    let in_flight = rest.first().map_or(Ok(IN_FLIGHT), |number| number.parse())?;
    let longest = rest.get(1).map_or(Ok(LONGEST), |number| number.parse())?;
    let target = Target {
        queue: queue.clone(),
        longest,
    };
    let context = Context::new()?;
    let mut wait = SHORTEST_WAIT;
    loop {
        let began = Instant::now();
        match connect(url, &target.queue).await {
            Ok((connection, channel)) => {
                println!("there");
                let worker = Worker::builder(&context).connect(source.as_str())?.prefetch(in_flight);
                let why = carry(worker.build()?, &connection, &channel, &target, in_flight).await;
                println!("away: {why}");
            }
            Err(error) => println!("away: {error}"),
        }
        // A broker that was there for a while is not one that fails again and again.
        if began.elapsed() > LONGEST_WAIT {
            wait = SHORTEST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

/// Where tasks are carried to.
#[derive(Debug, Clone)]
struct Target {
    queue: String,
    /// What is longer the broker does not take.
    longest: usize,
}

/// A channel with confirms, and a queue that is there: as somebody has declared it, or else a durable one.
async fn connect(url: &str, queue: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let mut channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel
        .queue_declare(queue.into(), passive, FieldTable::default())
        .await;
    if found.is_err() {
        // The broker has closed the channel that asked.
        channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions::durable();
        channel
            .queue_declare(queue.into(), durable, FieldTable::default())
            .await?;
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// Carries as many tasks at once as the source may give, until the broker is away; returns why.
async fn carry(worker: Worker, connection: &Connection, channel: &Channel, target: &Target, in_flight: u32) -> Failure {
    let worker = Arc::new(worker);
    let mut hands = JoinSet::new();
    for _ in 0..in_flight {
        hands.spawn(carry_one_by_one(worker.clone(), channel.clone(), target.clone()));
    }
    let why = tokio::select! {
        Some(ended) = hands.join_next() => ended.unwrap_or_else(Failure::from),
        why = lost(connection) => why,
    };
    // Before the hands let go of their tasks: see below.
    worker.close(Duration::ZERO);
    hands.shutdown().await;
    why
}

/// One of many hands. It ends only with the connection, or the worker.
async fn carry_one_by_one(worker: Arc<Worker>, channel: Channel, target: Target) -> Failure {
    loop {
        let task = match worker.recv_async().await {
            Ok(Some(task)) => task,
            Ok(None) => return "the worker is closed".into(),
            Err(error) => return error.into(),
        };
        let len = task.message().byte_count();
        if len > target.longest {
            // The broker would end the channel, and with it all that is on its way.
            let reason = format!("its {len} bytes are over the {} that RabbitMQ takes", target.longest);
            if let Err(error) = task.reject(reason) {
                return error.into();
            }
            continue;
        }
        let answered = match publish(&channel, &target.queue, &task).await {
            Ok(Confirmation::Ack(None)) => task.ack(),
            // No queue of this name any more: the broker gives the message back, and only then confirms.
            Ok(Confirmation::Ack(Some(_))) => task.retry_after(LONGEST_WAIT, "RabbitMQ has no such queue"),
            Ok(_) => task.retry("RabbitMQ has refused it"),
            Err(error) => {
                // The broker may keep it or not. A worker that ends gives back what it has as lost, and the next
                // one begins when the broker is there: so a broker that is away for long kills no task.
                worker.close(Duration::ZERO);
                return error.into();
            }
        };
        if let Err(error) = answered {
            return error.into();
        }
    }
}

/// Publishes a task, and waits until the broker has said whether it keeps it.
///
/// `mandatory`: a message that no queue takes comes back, instead of being confirmed and dropped. Delivery mode 2: the broker
/// writes it to disk before it confirms.
async fn publish(channel: &Channel, queue: &str, task: &Delivery) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    // One frame is the body as it is. Of several, a header says how long they are.
    let (body, lengths) = match task.message().frame_count() {
        1 => (task.message().first().to_vec(), None),
        _ => {
            let lengths: Vec<String> = task.message().frames().map(|frame| frame.len().to_string()).collect();
            let frames: Vec<&[u8]> = task.message().frames().collect();
            (frames.concat(), Some(lengths.join(",")))
        }
    };
    let mut headers = FieldTable::default();
    headers.insert("peermq-attempt".into(), AMQPValue::LongUInt(task.attempt().into()));
    // It may be there already.
    headers.insert("peermq-redelivered".into(), AMQPValue::Boolean(task.is_redelivered()));
    if let Some(lengths) = lengths {
        headers.insert("peermq-frames".into(), AMQPValue::LongString(lengths.into()));
    }
    if !task.headers().is_empty() {
        headers.insert("peermq-headers".into(), AMQPValue::LongString(task.headers().into()));
    }
    let mut properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    // What consumers know a second copy by.
    if !task.key().is_empty() {
        properties = properties.with_message_id(text(task.key()).into());
    }
    let published = channel
        .basic_publish("".into(), queue.into(), options, &body, properties)
        .await?;
    published.await
}

/// A key as text, which a message's id has to be: itself if it is text, else in hexadecimal. 128 octets at most.
fn text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => key.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

/// Returns when the connection has ended, also if nothing is to be published.
async fn lost(connection: &Connection) -> Failure {
    while connection.status().connected() {
        tokio::time::sleep(LOOK).await;
    }
    "the connection has ended".into()
}

type Failure = Box<dyn Error + Send + Sync>;

const IN_FLIGHT: u32 = 256;
/// RabbitMQ's `max_message_size`, unless somebody has set it: up to 3.13, in bytes. A client is not told.
const LONGEST: usize = 128 << 20;
const LOOK: Duration = Duration::from_millis(500);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
