//! RabbitMQ's part: a queue, a publisher with confirms, a consumer with acknowledgements.
//!
//! The client's calls return once their frame is written. Many are begun at once, so that neither side waits for its own socket.

use crate::plan::{Contender, PREFETCH, Part, Workload};
use crate::task::{self, DATA, END, HELLO, Open, PACE, Tally, Told};
use futures_core::Stream;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

pub fn produce(part: &Part) {
    task::runtime().block_on(async {
        let (_connection, channel) = connect(part).await;
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await.expect("confirms");
        println!("open");
        task::wait_for_go();
        let publisher = Publisher {
            channel,
            queue: part.name.clone(),
            properties: BasicProperties::default().with_delivery_mode(if is_durable(part) { 2 } else { 1 }),
        };
        let told = Rc::new(RefCell::new(Told::default()));
        match part.workload {
            Workload::Stream => stream(&publisher, part).await,
            Workload::Paced => paced(&publisher, part, &told).await,
            Workload::Single => single(&publisher, part, &told).await,
        }
        publisher.publish(END).await;
        told.take().tell();
        std::future::pending::<()>().await;
    });
}

pub fn consume(part: &Part) {
    task::runtime().block_on(async {
        let (_connection, channel) = connect(part).await;
        let mut arguments = FieldTable::default();
        if is_durable(part) {
            let is_quorum = part.contender == Contender::RabbitmqQuorum;
            let kind = AMQPValue::LongString(if is_quorum { "quorum" } else { "classic" }.into());
            arguments.insert("x-queue-type".into(), kind);
        }
        let options = QueueDeclareOptions {
            durable: is_durable(part),
            ..QueueDeclareOptions::default()
        };
        let queue = part.name.as_str();
        let declared = channel.queue_declare(queue.into(), options, arguments).await;
        declared.expect("a queue");
        let qos = BasicQosOptions::default();
        channel.basic_qos(PREFETCH as u16, qos).await.expect("a prefetch");
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
        let mut consumer = consumer.await.expect("a consumer");
        println!("open");

        let (mut tally, mut acks, mut unsaid) = (Tally::default(), Open::default(), 0);
        loop {
            let delivery = poll_fn(|context| Pin::new(&mut consumer).poll_next(context)).await;
            let delivery = delivery.expect("a consumer that goes on").expect("a delivery");
            let is_last = tally.take(&delivery.data);
            unsaid += 1;
            // A HELLO may be the last for now.
            if unsaid >= part.acks || is_last || delivery.data[0] == HELLO {
                let options = BasicAckOptions { multiple: unsaid > 1 };
                unsaid = 0;
                acks.begin(async move {
                    delivery.ack(options).await.expect("an ack");
                })
                .await;
                acks.wait_for_all_but(PREFETCH).await;
            }
            if is_last {
                break;
            }
        }
        acks.wait_for_all_but(0).await;
        tally.tell();
        let options = QueueDeleteOptions::default();
        channel
            .queue_delete(queue.into(), options)
            .await
            .expect("an end of the queue");
        println!("deleted");
        std::future::pending::<()>().await;
    });
}

async fn connect(part: &Part) -> (Connection, Channel) {
    let connection = Connection::connect(&part.address, ConnectionProperties::default());
    let connection = connection.await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

fn is_durable(part: &Part) -> bool {
    part.contender != Contender::RabbitmqTransient
}

#[derive(Clone)]
struct Publisher {
    channel: Channel,
    queue: String,
    properties: BasicProperties,
}

impl Publisher {
    /// Publishes one, and waits until the broker confirms it.
    async fn publish(&self, kind: u8) {
        let (queue, options) = (self.queue.as_str().into(), BasicPublishOptions::default());
        let body = task::body(kind);
        let confirm = self
            .channel
            .basic_publish("".into(), queue, options, &body, self.properties.clone());
        let confirm = confirm.await.expect("a publication").await.expect("a confirm");
        assert!(matches!(confirm, Confirmation::Ack(None)), "{confirm:?}");
    }

    /// Confirms may run ahead of the consumer. Waits until that has all of the queue, so that what is measured next is not
    /// behind it.
    async fn wait_for_consumer(&self) {
        loop {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let queue = self
                .channel
                .queue_declare(self.queue.as_str().into(), options, FieldTable::default());
            if queue.await.expect("the queue").message_count() == 0 {
                return;
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn stream(publisher: &Publisher, part: &Part) {
    let mut open = Open::default();
    for (kind, duration) in task::phases(part.seconds) {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            open.wait_for_all_but(part.window - 1).await;
            let publisher = publisher.clone();
            open.begin(async move { publisher.publish(kind).await }).await;
        }
        open.wait_for_all_but(0).await;
        publisher.wait_for_consumer().await;
    }
}

async fn paced(publisher: &Publisher, part: &Part, told: &Rc<RefCell<Told>>) {
    let here = tokio::task::LocalSet::new();
    let mut ticks = tokio::time::interval(PACE);
    for (kind, duration) in task::phases(part.seconds) {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            here.run_until(ticks.tick()).await;
            let (publisher, told) = (publisher.clone(), told.clone());
            here.spawn_local(async move {
                let begin = Instant::now();
                publisher.publish(kind).await;
                if kind == DATA {
                    told.borrow_mut().kept.push(task::ns(begin));
                }
            });
        }
    }
    here.await;
}

async fn single(publisher: &Publisher, part: &Part, told: &Rc<RefCell<Told>>) {
    for (kind, duration) in task::phases(part.seconds) {
        let start = Instant::now();
        while start.elapsed() < duration {
            let begin = Instant::now();
            publisher.publish(kind).await;
            if kind == DATA {
                told.borrow_mut().kept.push(task::ns(begin));
            }
        }
    }
}
