//! Many idle connections to a PULL, as a PUSH with the NULL mechanism makes them (ZMTP 3.0), or one of NNG's: plain
//! sockets, the same for all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// So many at a time, well below any backlog.
const WAVE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(10);
/// For all of them.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    Zmtp,
    Sp,
}

/// That of this contender, if it has one.
pub fn handshake(contender: &str) -> Option<Handshake> {
    match contender {
        "raw" => None,
        "nng" => Some(Handshake::Sp),
        _ => Some(Handshake::Zmtp),
    }
}

/// Connected, and through the handshake. All of a wave say a thing before any waits for the answer: one at a time they would
/// time how fast a thread is woken, and that only of who says READY as the answer to ours (libzmq says it unasked).
pub fn gather(address: &str, handshake: Handshake, count: usize) -> Result<Vec<TcpStream>, String> {
    let mut crowd: Vec<TcpStream> = Vec::with_capacity(count);
    let end = Instant::now() + LIMIT;
    while crowd.len() < count {
        if Instant::now() > end {
            return Err(format!("out of time after {} connections", crowd.len()));
        }
        let begin = crowd.len();
        for _ in begin..count.min(begin + WAVE) {
            let stream = TcpStream::connect(address);
            crowd.push(stream.map_err(|error| format!("connection {}: {error}", crowd.len()))?);
        }
        for step in [greet, introduce, finish] {
            for (at, stream) in crowd[begin..].iter_mut().enumerate() {
                let done = step(stream, handshake);
                done.map_err(|error| format!("handshake {}: {error}", begin + at))?;
            }
        }
    }
    Ok(crowd)
}

fn greet(stream: &mut TcpStream, handshake: Handshake) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    if handshake == Handshake::Sp {
        // Zero, "SP", version 0, PUSH, reserved.
        return stream.write_all(b"\0SP\0\0\x50\0\0");
    }
    let mut bytes = [0; 64];
    bytes[0] = 0xFF;
    bytes[9] = 0x7F;
    bytes[10] = 3;
    bytes[12..16].copy_from_slice(b"NULL");
    stream.write_all(&bytes)
}

/// Reads the peer's greeting, and says READY.
fn introduce(stream: &mut TcpStream, handshake: Handshake) -> std::io::Result<()> {
    if handshake == Handshake::Sp {
        return stream.read_exact(&mut [0; 8]);
    }
    stream.read_exact(&mut [0; 64])?;
    stream.write_all(b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PUSH")
}

/// Reads the peer's READY.
fn finish(stream: &mut TcpStream, handshake: Handshake) -> std::io::Result<()> {
    if handshake == Handshake::Sp {
        return Ok(());
    }
    let mut frame = [0; 2 + 255];
    stream.read_exact(&mut frame[..2])?;
    let len = usize::from(frame[1]);
    stream.read_exact(&mut frame[2..2 + len])?;
    if frame[0] == 4 && frame[2..].starts_with(b"\x05READY") {
        Ok(())
    } else {
        Err(std::io::Error::other("no READY"))
    }
}
