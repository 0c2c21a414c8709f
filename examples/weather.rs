//! Weather: a server publishes the temperatures of many places, each client hears of its own and averages them.
//!
//! The pattern is publish and subscribe, "Getting the Message Out" in chapter 1 of the ZeroMQ Guide. A client subscribes
//! by a prefix of the first frame; the server sends only what somebody has asked for.
//!
//! Simpler here: the Guide's client loses what is published before its subscription arrives (the "slow joiner", for which
//! the Guide sleeps a second). `wait_for_subscribers` waits for the subscriptions themselves. So the clients hear every
//! report from the first one on, and their averages equal the server's to the last digit, which this checks.
//!
//! ```text
//! weather                              a server and two clients
//! weather server ENDPOINT              reports for ever
//! weather client ENDPOINT PLACE        averages a hundred reports
//! ```

use peermq::{Context, Pub, Sub};
use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => both(),
        ["server", endpoint] => server(endpoint),
        ["client", endpoint, place] => Context::new()
            .map_err(Into::into)
            .and_then(|context| client(&context, endpoint, place))
            .map(|average| println!("{place}: {average:.2} degrees on average")),
        _ => {
            eprintln!("weather [server ENDPOINT | client ENDPOINT PLACE]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weather: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Subscribes to one place, and averages what is reported of it.
fn client(context: &Context, endpoint: &str, place: &str) -> Outcome<f64> {
    let sub = Sub::new(context);
    sub.subscribe(place)?;
    sub.connect(endpoint)?;

    let mut sum = 0;
    for _ in 0..REPORTS {
        let report = sub.recv_timeout(PATIENCE)?;
        if report.first() != place.as_bytes() {
            return Err(format!("{report:?} is not of {place}").into());
        }
        let degrees = report.frame(1).ok_or("a report without a temperature")?;
        sum += std::str::from_utf8(degrees)?.parse::<i64>()?;
    }
    Ok(sum as f64 / REPORTS as f64)
}

/// Reports once of every place. A place is one frame, its temperature the next.
fn report(publisher: &Pub, weather: &mut Weather) -> Outcome {
    for place in PLACES {
        publisher.send([place, weather.degrees().to_string().as_str()])?;
    }
    Ok(())
}

fn server(endpoint: &str) -> Outcome {
    let context = Context::new()?;
    let publisher = Pub::new(&context);
    println!("listening on {}", publisher.bind(endpoint)?);
    let mut weather = Weather(1);
    loop {
        report(&publisher, &mut weather)?;
        // How often the weather is measured; nothing waits for it.
        thread::sleep(Duration::from_millis(10));
    }
}

/// The server and two clients, and a check that each client has heard what the server said of its place, all of it.
fn both() -> Outcome {
    let context = Context::new()?;
    let publisher = Pub::new(&context);
    let endpoint = publisher.bind("tcp://127.0.0.1:0")?.to_string();

    thread::scope(|scope| {
        let ask = |place| {
            let (context, endpoint) = (&context, &endpoint);
            scope.spawn(move || client(context, endpoint, place))
        };
        let clients = WATCHED.map(ask);
        for place in WATCHED {
            publisher.wait_for_subscribers(place, 1, PATIENCE)?;
        }

        let mut weather = Weather(1);
        for _ in 0..REPORTS {
            report(&publisher, &mut weather)?;
        }

        let heard = clients.map(|client| client.join().expect("a client that does not panic"));
        for (place, average) in WATCHED.into_iter().zip(heard) {
            let (average, expected) = (average?, expected(place));
            println!("{place}: {average:.2} degrees on average of {REPORTS} reports");
            if average != expected {
                return Err(format!("the server said {expected:.2} of {place}").into());
            }
        }
        println!("check: the clients heard every report, and of no other place");
        Ok(())
    })
}

/// The average of what the server says of a place, reckoned without any messages.
fn expected(place: &str) -> f64 {
    let mut weather = Weather(1);
    let mut sum = 0;
    for _ in 0..REPORTS {
        for other in PLACES {
            let degrees = weather.degrees();
            sum += if other == place { degrees } else { 0 };
        }
    }
    sum as f64 / REPORTS as f64
}

/// Weather by chance, the same for the same seed.
struct Weather(u64);

impl Weather {
    /// From -20 to 39.
    fn degrees(&mut self) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as i64 % 60 - 20
    }
}

const PLACES: [&str; 6] = ["berlin", "lima", "nairobi", "osaka", "quebec", "tromso"];
const WATCHED: [&str; 2] = ["nairobi", "tromso"];
const REPORTS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);
