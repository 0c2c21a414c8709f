//! What the processes do, each loop written once and stamped twice: see `contender.rs`.
//!
//! A sender says hello until it is told to go, so that all who receive are there; its last message is the end, which it
//! repeats if many must get one each. A process that has told its figures goes on until it is killed: nobody waits for
//! it, and what it has used can still be read.

use crate::contender::{DATA, END, HELLO, Kind, Place, topic};
use crate::process::Port;
use std::iter::repeat_n;
use std::time::{Duration, Instant};

/// As words: `push connect tcp://127.0.0.1:1 1 send 64 2 once`; under CURVE it begins with `sealed-push`.
pub struct Spec {
    pub kind: Kind,
    pub is_sealed: bool,
    pub place: Place,
    pub job: Job,
}

pub enum Job {
    Send {
        size: usize,
        duration: Duration,
        ends: Ends,
    },
    Publish {
        duration: Duration,
    },
    Receive {
        senders: usize,
    },
    Ask {
        size: usize,
        duration: Duration,
    },
    Answer,
    Drain,
    Greet {
        clients: usize,
        duration: Duration,
    },
    Hold,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Once,
    Repeated,
}

impl Spec {
    pub fn read(words: &[String]) -> Self {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [kind, end, endpoint, peers, job @ ..] = words.as_slice() else {
            panic!("no role: {words:?}");
        };
        let endpoint = String::from(*endpoint);
        let place = match *end {
            "bind" => Place::Bind {
                endpoint,
                peers: number(peers),
            },
            _ => Place::Connect { endpoint },
        };
        let unsealed = kind.strip_prefix("sealed-");
        Spec {
            kind: Kind::read(unsealed.unwrap_or(kind)),
            is_sealed: unsealed.is_some(),
            place,
            job: Job::read(job),
        }
    }
}

impl Job {
    fn read(words: &[&str]) -> Self {
        match words {
            ["send", size, seconds, ends] => Job::Send {
                size: number(size),
                duration: seconds_of(seconds),
                ends: if *ends == "once" { Ends::Once } else { Ends::Repeated },
            },
            ["publish", seconds] => Job::Publish {
                duration: seconds_of(seconds),
            },
            ["receive", senders] => Job::Receive {
                senders: number(senders),
            },
            ["ask", size, seconds] => Job::Ask {
                size: number(size),
                duration: seconds_of(seconds),
            },
            ["answer"] => Job::Answer,
            ["drain"] => Job::Drain,
            ["greet", clients, seconds] => Job::Greet {
                clients: number(clients),
                duration: seconds_of(seconds),
            },
            ["hold"] => Job::Hold,
            _ => panic!("no such job: {words:?}"),
        }
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| panic!("{word}: not a number"))
}

fn seconds_of(word: &str) -> Duration {
    Duration::from_secs_f64(word.parse().unwrap_or_else(|_| panic!("{word}: not a number")))
}

/// 1,000 messages of 64 bytes. Of their topics, every tenth is one of the first 10,000.
fn publications() -> Vec<Vec<u8>> {
    let message = |number: usize| {
        let chosen = (number * 7919) % 10_000;
        let topic = topic(if number.is_multiple_of(10) {
            chosen
        } else {
            10_000 + chosen * 9
        });
        let mut message = topic.into_bytes();
        message.resize(64, DATA);
        message
    };
    (0..1000).map(message).collect()
}

fn percentile(sorted: &[u64], part: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

const WARM_UP: usize = 500;
const AGAIN: usize = 2000;
const PAUSE: Duration = Duration::from_millis(1);

macro_rules! roles {
    ($module:ident, [$($async:tt)?], [$($await:tt)*], $pause:path) => {
        pub mod $module {
            use super::*;
            use crate::contender::$module::{Contender, Socket};
            use crate::contender::Cannot;

            /// A job, and whom to tell about it.
            pub struct Role {
                port: Port,
                job: Job,
            }

            /// Waits until it is told to start. Meant for a thread of its own.
            pub $($async)? fn run<C: Contender>(context: C::Context, spec: Spec, port: Port) {
                port.wait();
                let Spec { kind, is_sealed, place, job } = spec;
                let role = Role { port: port.clone(), job };
                let done = if let Job::Greet { clients, duration } = role.job {
                    greet::<C>(&port, context, place.endpoint(), clients, duration)$($await)*
                } else if is_sealed {
                    C::open_sealed(context, kind, place, role)$($await)*
                } else {
                    C::open(context, kind, place, role)$($await)*
                };
                if let Err(Cannot) = done {
                    port.say("cannot");
                }
                // The socket's end is the process's: some libraries wait long for theirs.
                loop {
                    port.wait();
                }
            }

            impl Role {
                /// Who connects can now do so.
                pub fn opened(&self) {
                    self.port.say_once("open");
                }

                pub $($async)? fn run(self, mut socket: impl Socket) {
                    self.opened();
                    let socket = &mut socket;
                    match self.job {
                        Job::Send { size, duration, ends } => send(&self.port, socket, size, duration, ends)$($await)*,
                        Job::Publish { duration } => publish(&self.port, socket, duration)$($await)*,
                        Job::Receive { senders } => receive(&self.port, socket, senders)$($await)*,
                        Job::Ask { size, duration } => ask(&self.port, socket, size, duration)$($await)*,
                        Job::Answer => loop {
                            socket.echo()$($await)*;
                        },
                        Job::Drain => loop {
                            socket.recv()$($await)*;
                        },
                        Job::Greet { .. } => unreachable!("has many sockets"),
                        Job::Hold => {}
                    }
                    // The socket stays, and what it does by itself goes on.
                    loop {
                        $pause(PAUSE)$($await)*;
                    }
                }
            }

            $($async)? fn hello(port: &Port, socket: &mut impl Socket, message: &[u8]) {
                while !port.told() {
                    socket.send(message)$($await)*;
                    socket.flush()$($await)*;
                    $pause(PAUSE)$($await)*;
                }
            }

            $($async)? fn end(socket: &mut impl Socket, message: &[u8], ends: Ends) {
                loop {
                    socket.send(message)$($await)*;
                    socket.flush()$($await)*;
                    $pause(PAUSE)$($await)*;
                    while ends == Ends::Once {
                        $pause(PAUSE)$($await)*;
                    }
                }
            }

            /// Sends slices of memory that was written before. Tells messages and nanoseconds.
            $($async)? fn send(port: &Port, socket: &mut impl Socket, size: usize, duration: Duration, ends: Ends) {
                let mut payload = vec![DATA; size];
                payload[0] = HELLO;
                hello(port, socket, &payload)$($await)*;
                payload[0] = DATA;
                let between_looks = (65_536 / size).clamp(1, 256);
                let begin = Instant::now();
                let mut count = 0_u64;
                while begin.elapsed() < duration {
                    socket.send_all(repeat_n(&payload[..], between_looks))$($await)*;
                    count += between_looks as u64;
                }
                port.say(format_args!("{count} {}", begin.elapsed().as_nanos()));
                payload[0] = END;
                end(socket, &payload, ends)$($await)*;
            }

            /// As `send`, but one message in ten has a topic of the first 10,000.
            $($async)? fn publish(port: &Port, socket: &mut impl Socket, duration: Duration) {
                hello(port, socket, &[HELLO; 64])$($await)*;
                let messages = publications();
                let begin = Instant::now();
                let mut count = 0_u64;
                while begin.elapsed() < duration {
                    socket.send_all(messages.iter().map(Vec::as_slice))$($await)*;
                    count += messages.len() as u64;
                }
                port.say(format_args!("{count} {}", begin.elapsed().as_nanos()));
                end(socket, &[END; 64], Ends::Repeated)$($await)*;
            }

            /// The clock runs from the first payload to the last end. Tells messages and nanoseconds.
            $($async)? fn receive(port: &Port, socket: &mut impl Socket, mut senders: usize) {
                let (size, mut first) = socket.recv()$($await)*;
                port.say("ready");
                while first == HELLO {
                    (_, first) = socket.recv()$($await)*;
                }
                let begin = Instant::now();
                let mut count = 0_u64;
                loop {
                    match first {
                        DATA => count += 1,
                        END if senders == 1 => break,
                        END => senders -= 1,
                        _ => assert_eq!(first, HELLO),
                    }
                    let len;
                    (len, first) = socket.recv()$($await)*;
                    assert_eq!(len, size);
                }
                port.say(format_args!("{count} {}", begin.elapsed().as_nanos()));
                loop {
                    socket.recv()$($await)*;
                }
            }

            /// Wave after wave of clients. Tells how many there were, and nanoseconds.
            $($async)? fn greet<C: Contender>(
                port: &Port,
                context: C::Context,
                endpoint: &str,
                clients: usize,
                duration: Duration,
            ) -> Result<(), Cannot> {
                port.say("open");
                C::greet(&context, endpoint, clients)$($await)*?;
                port.say("ready");
                port.wait();
                let begin = Instant::now();
                let mut count = 0;
                while begin.elapsed() < duration {
                    C::greet(&context, endpoint, clients)$($await)*?;
                    count += clients;
                }
                port.say(format_args!("{count} {}", begin.elapsed().as_nanos()));
                Ok(())
            }

            /// Tells p50 and p99 in nanoseconds, and the count. Told again, asks as often as it then tells.
            $($async)? fn ask(port: &Port, socket: &mut impl Socket, size: usize, duration: Duration) {
                let payload = vec![DATA; size];
                for _ in 0..WARM_UP {
                    socket.ask(&payload)$($await)*;
                }
                port.say("ready");
                port.wait();
                let mut samples = Vec::with_capacity(1 << 20);
                let mut begin = Instant::now();
                let end = begin + duration;
                while begin < end {
                    assert_eq!(socket.ask(&payload)$($await)*, (size, DATA));
                    let now = Instant::now();
                    samples.push(now.duration_since(begin).as_nanos() as u64);
                    begin = now;
                }
                samples.sort_unstable();
                let [p50, p99] = [0.5, 0.99].map(|part| percentile(&samples, part));
                port.say(format_args!("{p50} {p99} {}", samples.len()));
                port.wait();
                for _ in 0..AGAIN {
                    socket.ask(&payload)$($await)*;
                }
                port.say(AGAIN);
            }
        }
    };
}

roles!(blocking, [], [], std::thread::sleep);
#[cfg(feature = "tokio")]
roles!(awaiting, [async], [.await], tokio::time::sleep);
