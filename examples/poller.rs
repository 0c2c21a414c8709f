//! One thread waits for work, for news, and for a descriptor of the system's, whichever comes first.
//!
//! The pattern is "Handling Multiple Sockets" in chapter 2 of the ZeroMQ Guide, `zmq_poll`. Work comes by PULL, news by
//! SUB, and the order to stop by a pipe, as it might from a signal handler or a terminal.
//!
//! Simpler here: what is ready is told by key, with no array to keep in step. Where other threads would do, no poller is
//! needed at all: a socket may be used by many at once. Who has a loop already asks each socket for its `pollable()`.

use peermq::{Context, Interest, Poller, Pub, Pull, Push, Sub};
use std::error::Error;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let context = Context::new()?;
    let (work, news) = (Pull::new(&context), Sub::new(&context));
    let (mut stop, stopper) = std::io::pipe()?;
    let publisher = Pub::new(&context);
    let to_work = work.bind("tcp://127.0.0.1:0")?;
    news.connect(publisher.bind("tcp://127.0.0.1:0")?)?;
    news.subscribe_confirmed("news", PATIENCE)?;

    let feeder = thread::spawn(move || feed(to_work, publisher, stopper));

    let descriptor = stop.try_clone()?;
    let mut poller = Poller::new();
    let from_work = poller.add(&work, Interest::Readable)?;
    let from_news = poller.add(&news, Interest::Readable)?;
    let from_pipe = poller.add_fd(&descriptor, Interest::Readable)?;

    let (mut tasks, mut heard, mut is_stopped) = (0, 0, false);
    while !is_stopped || tasks < MESSAGES || heard < MESSAGES {
        let all = poller.wait(Some(PATIENCE))?;
        if all.is_empty() {
            return Err(format!("nothing more came after {tasks} tasks and {heard} news").into());
        }
        for ready in all {
            if ready.key == from_work {
                work.try_recv()?;
                tasks += 1;
            } else if ready.key == from_news {
                news.try_recv()?;
                heard += 1;
            } else {
                assert_eq!(ready.key, from_pipe);
                let mut word = [0; 4];
                stop.read_exact(&mut word)?;
                assert_eq!(&word, b"stop");
                is_stopped = true;
                poller.remove(from_pipe)?; // or its end would be told each time
            }
        }
    }
    feeder.join().expect("no panic")?;

    println!("{tasks} tasks, {heard} news, and a word from the pipe, all on one thread");
    assert_eq!((tasks, heard), (MESSAGES, MESSAGES));
    assert!(poller.wait(Some(Duration::ZERO))?.is_empty());
    println!("check: nothing is left");
    Ok(())
}

/// Everything that the poller is to hear of, from another thread.
fn feed(to_work: peermq::Endpoint, publisher: Pub, mut stopper: std::io::PipeWriter) -> Outcome {
    let context = Context::new()?;
    let push = Push::new(&context);
    push.connect(to_work)?;
    for number in 0..MESSAGES {
        push.send(format!("task {number}"))?;
        publisher.send(["news", "it happened again"])?;
    }
    push.close()?;
    stopper.write_all(b"stop")?;
    // Publishing does not wait, and nor does the drop of the publisher: this flushes it.
    publisher.close()?;
    Ok(())
}

const MESSAGES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);
