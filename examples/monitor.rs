//! Watches a socket: who came, who went and why, and what was counted.

use peermq::{Context, Event, Pull, Push};
use std::error::Error;

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

    for event in &monitor {
        println!("{event}");
        if let Event::Disconnected { failure, .. } = event {
            println!("by whose fault: {:?}", failure.fault());
            break;
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
