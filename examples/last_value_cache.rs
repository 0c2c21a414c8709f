//! Last value cache: who subscribes late gets the newest value of each of its topics at once, not at the next change.
//!
//! The pattern is "Last Value Caching" in chapter 5 of the ZeroMQ Guide: a proxy between publishers and subscribers that
//! remembers, and that sees the subscriptions, because its back is an XPUB.
//!
//! Simpler here: a publisher does it itself with one option, `Options::last_values`. For those who need a cache of their
//! own (on disk, or with a time to live) the Guide's way is here too, but for two things: a subscription comes with its
//! `Subscriber`, so that the old value goes to the newcomer alone and not to everybody; and it counts from when the proxy
//! says so (`Options::manual`), so that no change falls between the old value and the new ones.

use peermq::{Context, Endpoint, Interest, Message, Options, Poller, Pub, Pull, Push, Sub, Upstream, XPub, XSub};
use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    by_option()?;
    by_proxy()
}

/// A publisher that keeps the last values.
fn by_option() -> Outcome {
    let context = Context::new()?;
    let publisher = Pub::with_options(&context, Options::default().last_values(TOPICS))?;
    let endpoint = publisher.bind("tcp://127.0.0.1:0")?;
    publish_all(&publisher)?;

    check(&newcomer(&context, &endpoint)?)?;
    println!("check: by Options::last_values, a newcomer gets the last value of its topic");
    Ok(())
}

/// A plain publisher, and a proxy that keeps the last values.
fn by_proxy() -> Outcome {
    let context = Context::new()?;
    let front = XSub::new(&context);
    let back = XPub::with_options(&context, Options::default().manual(true))?;
    let publisher = Pub::new(&context);
    front.connect(publisher.bind("tcp://127.0.0.1:0")?)?;
    front.subscribe_confirmed("", PATIENCE)?;
    let endpoint = back.bind("tcp://127.0.0.1:0")?;

    // Only for the check: says when the cache has heard all.
    let (filled, told) = (Pull::new(&context), Push::new(&context));
    told.connect(filled.bind("inproc://filled")?)?;
    thread::scope(|scope| {
        let proxy = scope.spawn(|| cache(&front, &back, &told));
        let outcome = (|| {
            publish_all(&publisher)?;
            filled.recv_timeout(PATIENCE)?;
            check(&newcomer(&context, &endpoint)?)?;
            check(&newcomer(&context, &endpoint)?)
        })();
        front.close()?; // ends the proxy
        proxy.join().expect("no panic")?;
        outcome
    })?;
    println!("check: by a proxy with an XPUB, each of two newcomers gets it, once");
    Ok(())
}

/// Passes messages on, remembers the newest of each topic, and gives it to who subscribes to the topic. Ends when the
/// front is closed.
fn cache(front: &XSub, back: &XPub, told: &Push) -> Outcome {
    let mut newest = HashMap::new();
    let mut poller = Poller::new();
    let from_front = poller.add(front, Interest::Readable)?;
    poller.add(back, Interest::Readable)?;
    loop {
        for ready in poller.wait(None)? {
            if ready.closed {
                return Ok(());
            }
            if ready.key == from_front {
                let message = front.try_recv()?;
                if message.first() == topic(TOPICS).as_bytes() {
                    told.send("all is here")?;
                }
                back.send(&message)?;
                newest.insert(message.first().to_vec(), message.detach());
                continue;
            }
            match back.try_recv()? {
                Upstream::Subscribe { topic, from } => {
                    if let Some(message) = newest.get(&topic[..]) {
                        from.send(message)?;
                    }
                    from.subscribe(topic);
                }
                Upstream::Cancel { topic, from } => drop(from.cancel(topic)),
                _ => {}
            }
        }
    }
}

/// Publishes each topic several times, and one more at the end.
fn publish_all(publisher: &Pub) -> Outcome {
    for change in 1..=CHANGES {
        for number in 0..TOPICS {
            publisher.send([topic(number), format!("change {change}")])?;
        }
    }
    publisher.send([topic(TOPICS), String::from("the last")])?;
    Ok(())
}

/// Subscribes to one topic and then to another, and gives what comes first of each.
fn newcomer(context: &Context, endpoint: &Endpoint) -> Outcome<[Message; 2]> {
    let sub = Sub::new(context);
    sub.connect(endpoint)?;
    let ask = |number| {
        sub.subscribe(topic(number))?;
        Ok::<_, Box<dyn Error + Send + Sync>>(sub.recv_timeout(PATIENCE)?)
    };
    Ok([ask(7)?, ask(42)?])
}

fn check(heard: &[Message; 2]) -> Outcome {
    let expected = [7, 42].map(|number| Message::from([topic(number), format!("change {CHANGES}")]));
    match *heard == expected {
        true => Ok(()),
        false => Err(format!("{heard:?} came, not {expected:?}").into()),
    }
}

fn topic(number: usize) -> String {
    format!("topic {number:03}")
}

const TOPICS: usize = 100;
const CHANGES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
