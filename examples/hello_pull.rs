//! Hello in two programs, the receiving one: waits for one message and prints it. The other is `hello_push`.

use peermq::{Context, Pull};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1);
    let endpoint = endpoint.as_deref().unwrap_or("tcp://127.0.0.1:5555");

    let context = Context::new()?;
    let pull = Pull::new(&context);
    let here = pull.bind(endpoint)?;
    println!("listening on {here}");
    println!("received {}", pull.recv()?.to_str()?);
    Ok(())
}
