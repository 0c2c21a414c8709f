//! Carries tasks from peermq's sources to a topic of Kafka, for those who outgrow a queue without a broker.
//!
//! `bridge_kafka SOURCE BROKER TOPIC [IN-FLIGHT]`
//!
//! A task is acknowledged to its source only after the broker has confirmed that all replicas in sync keep it (acks=all). So it
//! is always kept by one of the two, and may for a moment be kept by both: it arrives at least once. While the broker is away the
//! bridge is no worker at all, and the tasks are their source's, which may give them to another bridge.

mod murmur;

use peermq::Context;
use peermq::confirmed::{Delivery, Worker};
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::error::{Error as ClientError, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [source, broker, topic, rest @ ..] = words.as_slice() else {
        return Err("usage: bridge_kafka SOURCE BROKER TOPIC [IN-FLIGHT]".into());
    };
    let in_flight = rest.first().map_or(Ok(IN_FLIGHT), |number| number.parse())?;
    let context = Context::new()?;
    let mut wait = SHORTEST_WAIT;
    loop {
        let began = Instant::now();
        match timeout(PATIENCE, Target::find(broker, topic)).await {
            Ok(Ok(target)) => {
                println!("there");
                let worker = Worker::builder(&context).connect(source.as_str())?.prefetch(in_flight);
                let why = carry(worker.build()?, target, in_flight).await;
                println!("away: {why}");
            }
            Ok(Err(error)) => println!("away: {error}"),
            Err(_) => println!("away: no answer"),
        }
        // A broker that was there for a while is not one that fails again and again.
        if began.elapsed() > LONGEST_WAIT {
            wait = SHORTEST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

/// Where records go: the partitions of a topic.
struct Target {
    partitions: Vec<PartitionClient>,
    /// Which one takes the next record without a key.
    turn: AtomicUsize,
}

impl Target {
    /// The topic is there, or is made: with one partition, and replicas as the cluster likes.
    async fn find(broker: &str, topic: &str) -> Result<Target, Failure> {
        let client = ClientBuilder::new(vec![broker.to_owned()]).backoff_config(BackoffConfig {
            deadline: Some(PATIENCE / 2),
            ..BackoffConfig::default()
        });
        let client: Client = client.build().await?;
        let find = async || {
            client
                .list_topics()
                .await
                .map(|all| all.into_iter().find(|one| one.name == topic))
        };
        if find().await?.is_none() {
            let made = client
                .controller_client()?
                .create_topic(topic, 1, DEFAULT_REPLICAS, 5_000)
                .await;
            // Another bridge may have made it meanwhile.
            if find().await?.is_none() {
                made?;
            }
        }
        let found = find().await?.ok_or("the topic is not there")?;
        let mut partitions = Vec::new();
        for partition in found.partitions {
            partitions.push(
                client
                    .partition_client(topic, partition, UnknownTopicHandling::Error)
                    .await?,
            );
        }
        if partitions.is_empty() {
            return Err("the topic has no partition".into());
        }
        let turn = AtomicUsize::new(0);
        Ok(Target { partitions, turn })
    }

    /// The same key goes to the same partition, the one that Kafka's own clients choose.
    fn partition(&self, key: Option<&[u8]>) -> &PartitionClient {
        let at = match key {
            Some(key) => murmur::positive(key) as usize,
            None => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        &self.partitions[at % self.partitions.len()]
    }

    /// Produces a task, and waits until the broker has confirmed it. The client asks for acks=all, and tries again by itself for
    /// a while if the partition's leader has moved.
    async fn produce(&self, task: &Delivery) -> Result<(), ClientError> {
        let record = record(task);
        let partition = self.partition(record.key.as_deref());
        let produced = partition.produce(vec![record], Compression::NoCompression);
        match timeout(PATIENCE, produced).await {
            Ok(produced) => produced.map(|_offsets| ()),
            Err(_) => Err(ClientError::Timeout),
        }
    }
}

/// Carries as many tasks at once as the source may give, until the broker is away; returns why.
async fn carry(worker: Worker, target: Target, in_flight: u32) -> Failure {
    let (worker, target) = (Arc::new(worker), Arc::new(target));
    let mut hands = JoinSet::new();
    for _ in 0..in_flight {
        hands.spawn(carry_one_by_one(worker.clone(), target.clone()));
    }
    let ended = hands.join_next().await;
    // Before the hands let go of their tasks: see below.
    worker.close(Duration::ZERO);
    hands.shutdown().await;
    ended.map_or_else(
        || "nothing may be in flight".into(),
        |ended| ended.unwrap_or_else(Failure::from),
    )
}

/// One of many hands. It ends only with the broker, or the worker.
async fn carry_one_by_one(worker: Arc<Worker>, target: Arc<Target>) -> Failure {
    loop {
        let task = match worker.recv_async().await {
            Ok(Some(task)) => task,
            Ok(None) => return "the worker is closed".into(),
            Err(error) => return error.into(),
        };
        let answered = match target.produce(&task).await {
            Ok(()) => task.ack(),
            // No broker of this cluster will ever take it.
            Err(ClientError::ServerError { protocol_error, .. }) if is_final(protocol_error) => {
                task.reject(format!("Kafka has refused it: {protocol_error}"))
            }
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

fn is_final(error: ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge | ProtocolError::InvalidRecord
    )
}

/// The key is the task's, which consumers know a second copy by. One frame is the value as it is; of several, a header says how
/// long they are.
fn record(task: &Delivery) -> Record {
    let frames: Vec<&[u8]> = task.message().frames().collect();
    let mut headers = BTreeMap::from([
        (String::from("peermq-attempt"), task.attempt().to_string().into_bytes()),
        // It may be there already.
        (
            String::from("peermq-redelivered"),
            task.is_redelivered().to_string().into_bytes(),
        ),
    ]);
    if frames.len() > 1 {
        let lengths: Vec<String> = frames.iter().map(|frame| frame.len().to_string()).collect();
        headers.insert(String::from("peermq-frames"), lengths.join(",").into_bytes());
    }
    if !task.headers().is_empty() {
        headers.insert(String::from("peermq-headers"), task.headers().to_vec());
    }
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Record {
        key: Some(task.key().to_vec()).filter(|key| !key.is_empty()),
        value: Some(frames.concat()),
        headers,
        timestamp: DateTime::from_timestamp_millis(now.as_millis() as i64).unwrap_or_default(),
    }
}

type Failure = Box<dyn Error + Send + Sync>;

const IN_FLIGHT: u32 = 256;
/// To the broker: as the cluster is set.
const DEFAULT_REPLICAS: i16 = -1;
/// Below a source's lease, which is 30 s unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
