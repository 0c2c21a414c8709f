//! Watches a socket: who came, who went and why, and what was counted.

use peermq::{Context, Event, Pull, Push};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new()?;
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0")?;

    let push = Push::new(&context);
    push.connect(&here)?;
    push.send("first")?;
    push.send("second")?;
    println!("received {} and {}", pull.recv()?.to_str()?, pull.recv()?.to_str()?);
    let report = push.close()?;
    println!(
        "closed: {} written, confirmed: {}",
        report.written(),
        report.is_confirmed()
    );

    loop {
        match monitor.recv_timeout(Duration::from_secs(30))? {
            Event::Listening { endpoint } => println!("listening on {endpoint}"),
            Event::Connected { peer, .. } => println!("connected: {peer}"),
            Event::Disconnected { peer, failure, .. } => {
                println!("disconnected: {peer}, {failure} (fault: {:?})", failure.fault());
                break;
            }
            other => println!("{other:?}"),
        }
    }

    let stats = pull.stats();
    println!(
        "in: {} arrived, {} received",
        stats.incoming.taken, stats.incoming.passed
    );
    assert!(stats.incoming.is_conserved());
    Ok(())
}
