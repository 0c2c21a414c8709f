//! NULL: each side says READY, and nobody proves anything.
//!
//! A peer says READY once, or ERROR if it does not want us; anything else before traffic ends the connection.

use crate::failure::Failure;
use crate::wire::command::{Command, ERROR, READY, put_command, put_short};
use crate::wire::metadata::{heard_facts, put_metadata};
use crate::wire::{Facts, Local};

/// Our READY, as a whole frame.
pub(in crate::wire) fn put_ready(out: &mut Vec<u8>, local: &Local) {
    let mut metadata = Vec::new();
    put_metadata(&mut metadata, local);
    put_command(out, READY, &[&metadata]);
}

/// Our ERROR, as a whole frame; of a long reason the first 255 bytes. All mechanisms have the same.
pub(in crate::wire) fn put_error(out: &mut Vec<u8>, reason: &str) {
    let mut data = Vec::new();
    put_short(&mut data, reason.as_bytes());
    put_command(out, ERROR, &[&data]);
}

/// What is awaited.
#[derive(Debug)]
pub(in crate::wire) enum Null {
    ExpectReady,
    /// Of a peer that has said this.
    ExpectAdmission(Box<Facts>),
}

/// The peer's one command.
pub(super) fn ready(
    command: &Command<'_>,
    version: (u8, u8),
    local: &Local,
    out: &mut Vec<u8>,
) -> Result<Facts, Failure> {
    match command.name {
        READY => heard_facts(command.data, version, local, out),
        ERROR => Err(command.refusal()),
        _ => Err(command.unexpected("READY")),
    }
}
