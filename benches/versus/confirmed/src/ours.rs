//! peermq's part: a source, and a worker.

use crate::plan::{Contender, PREFETCH, Part, Workload};
use crate::task::{self, DATA, END, Open, PACE, Tally, Told};
use peermq::Context;
use peermq::confirmed::{Receipt, Source, Worker};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub fn produce(part: &Part) {
    let context = Context::new().expect("a context");
    let builder = Source::builder(&context)
        .bind("tcp://127.0.0.1:*")
        .expect("an endpoint");
    let builder = match part.contender {
        Contender::PeermqOutbox => {
            std::fs::create_dir_all(&part.name).expect("a folder");
            let store = std::path::Path::new(&part.name).join("outbox");
            builder.outbox(store).expect("an outbox")
        }
        _ => builder,
    };
    let source = Rc::new(builder.build().expect("a source"));
    println!("open {}", source.endpoints()[0]);
    task::wait_for_go();
    let told = match part.workload {
        Workload::Stream if part.contender == Contender::Peermq => stream(&source, part),
        // One thread alone would wait for the disk with each task, and no task would share its group.
        Workload::Stream => task::runtime().block_on(stream_async(&source, part)),
        Workload::Paced => paced(&source, part),
        Workload::Single => single(&source, part),
    };
    let last = source.send(task::body(END)).expect("the last");
    last.wait(Duration::MAX).expect("a worker that has done it");
    told.tell();
    loop {
        std::thread::park();
    }
}

pub fn consume(part: &Part) {
    let context = Context::new().expect("a context");
    let worker = Worker::builder(&context)
        .connect(part.address.as_str())
        .expect("an endpoint")
        .prefetch(PREFETCH as u32)
        .build()
        .expect("a worker");
    println!("open");
    let mut tally = Tally::default();
    while let Some(task) = worker.recv().expect("a task") {
        let is_last = tally.take(task.message().first());
        task.ack().expect("an ack");
        if is_last {
            break;
        }
    }
    tally.tell();
    loop {
        std::thread::park();
    }
}

fn stream(source: &Source, part: &Part) -> Told {
    let mut open: VecDeque<Receipt> = VecDeque::new();
    for (kind, duration) in task::phases(part.seconds) {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            if open.len() == part.window {
                let oldest = open.pop_front().expect("an oldest");
                oldest.wait(Duration::MAX).expect("a worker that has done it");
            }
            open.push_back(source.send(task::body(kind)).expect("room"));
        }
        for receipt in open.drain(..) {
            receipt.wait(Duration::MAX).expect("a worker that has done it");
        }
    }
    Told::default()
}

async fn stream_async(source: &Rc<Source>, part: &Part) -> Told {
    let mut open = Open::default();
    for (kind, duration) in task::phases(part.seconds) {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            open.wait_for_all_but(part.window - 1).await;
            let source = source.clone();
            open.begin(async move {
                let receipt = source.send_async(task::body(kind)).await.expect("room");
                receipt.await.expect("a worker that has done it");
            })
            .await;
        }
        open.wait_for_all_but(0).await;
    }
    Told::default()
}

/// A thread sends at its times, and another waits for what has become of each.
fn paced(source: &Source, part: &Part) -> Told {
    let (sent, receipts) = mpsc::channel::<(u8, Instant, Receipt)>();
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || {
            let mut done = Vec::new();
            for (kind, begin, receipt) in receipts {
                receipt.wait(Duration::MAX).expect("a worker that has done it");
                if kind == DATA {
                    done.push(task::ns(begin));
                }
            }
            done
        });
        let mut kept = Vec::new();
        for (kind, duration) in task::phases(part.seconds) {
            let start = Instant::now();
            let mut at = start;
            while start.elapsed() < duration {
                at += PACE;
                let begin = task::sleep_until(at);
                let receipt = source.send(task::body(kind)).expect("room");
                if kind == DATA {
                    kept.push(task::ns(begin));
                }
                sent.send((kind, begin, receipt)).expect("who waits");
            }
        }
        drop(sent);
        let done = waits.join().expect("what has become of them");
        Told { kept, done }
    })
}

fn single(source: &Source, part: &Part) -> Told {
    let mut told = Told::default();
    for (kind, duration) in task::phases(part.seconds) {
        let start = Instant::now();
        while start.elapsed() < duration {
            let begin = Instant::now();
            let receipt = source.send(task::body(kind)).expect("room");
            let kept = task::ns(begin);
            receipt.wait(Duration::MAX).expect("a worker that has done it");
            if kind == DATA {
                told.kept.push(kept);
                told.done.push(task::ns(begin));
            }
        }
    }
    told
}
