//! A CURVE server that admits one of two clients: what each of the three sees.
//!
//! Each has a pair of keys. The server lists the public keys that may come in, and a client knows the server's. Whoever is
//! not on the list is refused, and both sides know why; whoever listens between them reads nothing.

use peermq::{Context, Curve, Event, Monitor, Options, Pull, Push, SecretKey, User};
use std::error::Error;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(word) = std::env::args().nth(1) {
        println!("secure: a CURVE server and two clients, one of which it admits; no arguments");
        return match word.as_str() {
            "-h" | "--help" => Ok(()),
            _ => Err(format!("{word}: no such argument").into()),
        };
    }
    // In earnest each side makes its own (`cargo run --example keygen`), and only public keys are passed around.
    let (server, alice, mallory) = (SecretKey::generate()?, SecretKey::generate()?, SecretKey::generate()?);
    let (server_public, alice_public) = (server.public(), alice.public());
    println!(
        "server   {server_public}\nalice    {alice_public}\nmallory  {}",
        mallory.public()
    );

    let context = Context::new()?;
    let security = Curve::server(server).allow([alice_public]);
    let pull = Pull::with_options(&context, Options::default().security(security))?;
    let at_server = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?;

    let push = Push::with_options(
        &context,
        Options::default().security(Curve::client(alice, server_public)),
    )?;
    push.connect(endpoint.clone())?;
    push.send_timeout("a secret", PATIENCE)?;
    let (message, peer) = pull.recv_from_timeout(PATIENCE)?;
    println!(
        "the server got {:?} from {}",
        message.first().escape_ascii().to_string(),
        peer.user().map_or("nobody", User::id)
    );

    let push = Push::with_options(
        &context,
        Options::default().security(Curve::client(mallory, server_public)),
    )?;
    let at_mallory = push.monitor();
    push.connect(endpoint)?;
    println!(
        "the server says   {}",
        told(&at_server, |event| matches!(event, Event::HandshakeFailed { .. }))?
    );
    println!(
        "mallory is told   {}",
        told(&at_mallory, |event| matches!(event, Event::GaveUp { .. }))?
    );
    println!("and can ask       {}", push.explain());
    Ok(())
}

/// The next of such events.
fn told(monitor: &Monitor, is_it: impl Fn(&Event) -> bool) -> Result<Event, Box<dyn Error>> {
    loop {
        let event = monitor.recv_timeout(PATIENCE)?;
        if is_it(&event) {
            return Ok(event);
        }
    }
}
