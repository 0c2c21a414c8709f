//! No time that an option can be set to, however short or long, keeps the other sockets of a context from their work, or
//! the context from its end. (A wait of nothing between two attempts once was an endless loop.)

mod common;

use common::*;
use peermq::*;
use std::time::Duration;

type Set = fn(Options, Duration) -> Options;

const TIMES: [(&str, Set); 12] = [
    ("handshake_timeout", Options::handshake_timeout),
    ("connect_timeout", Options::connect_timeout),
    ("reconnect", |options, time| options.reconnect(time, time)),
    ("reconnect, later", |options, time| {
        options.reconnect(time, Duration::from_secs(1))
    }),
    ("retry_refused", Options::retry_refused),
    ("heartbeat", Options::heartbeat),
    ("heartbeat_timeout", |options, time| {
        options.heartbeat(Duration::from_millis(1)).heartbeat_timeout(time)
    }),
    ("heartbeat_ttl", |options, time| {
        options.heartbeat(Duration::from_millis(1)).heartbeat_ttl(time)
    }),
    ("keepalive", |options, time| options.keepalive(time, time, 1)),
    ("tcp_user_timeout", Options::tcp_user_timeout),
    ("retry", |options, time| options.retry(time, 9)),
    ("linger", Options::linger),
];

/// One who asks: somebody who answers, somebody of the wrong type, and nobody at all.
#[test]
fn no_time_stops_a_context() {
    for time in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::MAX,
    ] {
        for (name, set) in TIMES {
            let context = Context::new().unwrap();
            let req = match Req::with_options(&context, set(Options::default().linger(Duration::ZERO), time)) {
                Ok(req) => req,
                Err(refused) => {
                    println!("{name} of {time:?}: {refused}");
                    continue;
                }
            };
            let (rep, wrong) = (Rep::new(&context), Pub::new(&context));
            for there in ["tcp", "ipc", "inproc"] {
                req.connect(unused(there)).unwrap();
                req.connect(wrong.bind(endpoint(there)).unwrap()).unwrap();
                req.connect(rep.bind(endpoint(there)).unwrap()).unwrap();
            }
            let mut asked: Vec<_> = (0..9).map(|_| Box::pin(req.request_async("hello"))).collect();
            asked.iter_mut().for_each(|asked| drop(poll_once(asked)));

            let (push, pull) = (Push::new(&context), Pull::new(&context));
            push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
            for _ in 0..100 {
                push.send("work").unwrap();
                assert_eq!(pull.recv_timeout(LONG).unwrap(), "work", "{name} of {time:?}");
            }
            drop(asked);
            let (end, ended) = std::sync::mpsc::channel();
            let closing = std::thread::spawn(move || {
                context.shutdown();
                end.send(()).unwrap();
            });
            assert!(ended.recv_timeout(LONG).is_ok(), "{name} of {time:?}");
            closing.join().unwrap();
        }
    }
}
