//! Confirmed delivery: a source keeps each task until a worker says that it is done. `docs/confirmed.md` is the protocol.
//!
//! Floors, each above those below it:
//!
//! | module | what is there |
//! |---|---|
//! | `ledger` | what a source knows of its tasks and workers, and what it does next |
//! | `wire` | what the two sides say, as octets |
//!
//! Both are values: they know no socket, no clock, no thread and no chance.

mod ledger;
mod wire;
