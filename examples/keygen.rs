//! Makes a pair of CURVE keys: shows both, or writes them to files.
//!
//! ```text
//! cargo run --example keygen              shows the keys
//! cargo run --example keygen alice        writes alice.key and alice.key_secret here
//! ```
//!
//! The files are those of czmq and pyzmq. A file that is there already is not touched.

use peermq::{Certificate, IfExists, SecretKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(name) = std::env::args().nth(1) else {
        return show();
    };
    let certificate = Certificate::generate()?;
    let (public, secret) = (format!("{name}.key"), format!("{name}.key_secret"));
    certificate.save_public(&public, IfExists::Refuse)?;
    if let Err(error) = certificate.save_secret(&secret, IfExists::Refuse) {
        std::fs::remove_file(&public)?; // the half of a pair that is not there
        return Err(error.into());
    }
    println!("{public}: hand it to those who talk with {name}, in a way that nobody can change it on.");
    println!("{secret}: keep it; whoever has it is {name}.");
    Ok(())
}

fn show() -> Result<(), Box<dyn std::error::Error>> {
    let secret = SecretKey::generate()?;
    println!("Public key, to hand to those who talk with you, in a way that nobody can change it on:");
    println!("    {}", secret.public());
    println!("Secret key, to keep; whoever has it is you:");
    println!("    {}", secret.expose_z85());
    Ok(())
}
