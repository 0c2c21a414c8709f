//! peermq's part: a source, and a worker.

use crate::plan::{Contender, PREFETCH, Part, Workload};
use crate::task::{self, DATA, END, Open, PACE, Tally, Told};
use peermq::Context;
use peermq::confirmed::{Receipt, Source, Worker};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
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
        Workload::Paced => task::runtime().block_on(paced(&source, part)),
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

async fn paced(source: &Rc<Source>, part: &Part) -> Told {
    let told = Rc::new(RefCell::new(Told::default()));
    let here = tokio::task::LocalSet::new();
    let mut ticks = tokio::time::interval(PACE);
    for (kind, duration) in task::phases(part.seconds) {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            here.run_until(ticks.tick()).await;
            let (source, told) = (source.clone(), told.clone());
            here.spawn_local(async move {
                let begin = Instant::now();
                let receipt = source.send_async(task::body(kind)).await.expect("room");
                let kept = task::ns(begin);
                receipt.await.expect("a worker that has done it");
                if kind == DATA {
                    let mut told = told.borrow_mut();
                    told.kept.push(kept);
                    told.done.push(task::ns(begin));
                }
            });
        }
    }
    here.await;
    told.take()
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
