//! Hello in two programs, the sending one. The other is `hello_pull`; it may also be started a few seconds later.

use peermq::{Context, Push};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1);
    let endpoint = endpoint.as_deref().unwrap_or("tcp://127.0.0.1:5555");

    let context = Context::new()?;
    let push = Push::new(&context);
    push.connect(endpoint)?; // returns at once, and dials in the background
    push.send("hello")?;
    let report = push.close()?; // waits until it is sent, 5 s at most
    println!("{} written, {} dropped", report.written(), report.dropped());
    Ok(())
}
