//! Confirmed delivery: a source keeps each task until a worker says that it is done. `docs/confirmed.md` is the protocol.
//!
//! Floors, each above those below it:
//!
//! | module | what is there |
//! |---|---|
//! | `wire` | what the two sides say, as octets |
//!
//! It is a value: it knows no socket, no clock, no thread and no chance.

mod wire;
