//! A peer made of bytes: what stands on the wire, said and heard one by one.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::common::{LONG, address, hello};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

pub const COMMAND: u8 = 4;
pub const LONG_FRAME: u8 = 2;
pub const MORE: u8 = 1;

pub struct Raw(pub TcpStream);

impl Raw {
    /// Connects, and says nothing.
    pub fn dial(endpoint: &peermq::Endpoint) -> Raw {
        Raw::of(TcpStream::connect(address(endpoint)).unwrap())
    }

    /// Takes a connection, and says nothing.
    pub fn accept(listener: &TcpListener) -> Raw {
        Raw::of(listener.accept().unwrap().0)
    }

    fn of(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(LONG)).unwrap();
        Raw(stream)
    }

    /// Goes through the handshake as this socket type.
    pub fn greet(mut self, socket_type: &str) -> Raw {
        self.say(&hello(socket_type));
        self.hear(64);
        let (flags, body) = self.frame();
        assert_eq!(flags, COMMAND);
        assert!(body.starts_with(b"\x05READY"), "{}", body.escape_ascii());
        self
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Says a message of these frames.
    pub fn send(&mut self, frames: &[&[u8]]) {
        let mut bytes = Vec::new();
        for (n, frame) in frames.iter().enumerate() {
            let more = u8::from(n + 1 < frames.len());
            match u8::try_from(frame.len()) {
                Ok(len) => bytes.extend([more, len]),
                Err(_) => {
                    bytes.push(more | LONG_FRAME);
                    bytes.extend((frame.len() as u64).to_be_bytes());
                }
            }
            bytes.extend_from_slice(frame);
        }
        self.say(&bytes);
    }

    /// Says a command.
    pub fn command(&mut self, name: &str, data: &[u8]) {
        self.say(&command(name, data));
    }

    pub fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame: its flags and body.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let flags = self.hear(1)[0];
        let len = match flags & LONG_FRAME {
            0 => usize::from(self.hear(1)[0]),
            _ => u64::from_be_bytes(self.hear(8).try_into().unwrap()) as usize,
        };
        (flags, self.hear(len))
    }

    /// The frames of the next message.
    pub fn message(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let (flags, body) = self.frame();
            assert_eq!(flags & COMMAND, 0, "a command: {}", body.escape_ascii());
            frames.push(body);
            if flags & MORE == 0 {
                return frames;
            }
        }
    }

    /// What comes until the other side ends the connection.
    pub fn hear_the_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.0.read(&mut chunk) {
                Ok(0) => return rest,
                Ok(n) => rest.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return rest,
                Err(error) => panic!("waiting for the end: {error}"),
            }
        }
    }

    pub fn ends(&mut self) -> bool {
        self.hear_the_rest().is_empty()
    }

    pub fn finish(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// A command's frame.
pub fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = vec![name.len() as u8];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    let mut frame = match u8::try_from(body.len()) {
        Ok(len) => vec![COMMAND, len],
        Err(_) => [&[COMMAND | LONG_FRAME][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    frame.append(&mut body);
    frame
}
