//! Interop with libzmq, through pyzmq: one Python process, told what to do by lines (`peer.py`).
//!
//! `PEERMQ_PYTHON` names the Python; else `.venv/bin/python`, else `python3`. Without pyzmq the tests say so and pass,
//! unless `PEERMQ_INTEROP=required`.

#[path = "../common/mod.rs"]
mod common;

mod closing;
mod confirmed;
mod cuts;
mod heartbeats;
mod latest;
mod matrix;
mod metadata;
mod ours;
mod peer;
mod proxies;
mod raw;
mod refusals;
mod requests;
mod restarts;
mod restarts_of_ours;
mod routers;
mod security;
mod shapes;
mod streams;
mod subscriptions;
mod ways;
mod zap;
