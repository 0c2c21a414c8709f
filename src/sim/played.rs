//! What is played in the world: each a test of the engine and its hubs, as they ship.

mod clock;
mod counting;
mod cuts;
mod ends;
mod equals;
mod groups;
mod in_band;
mod life;
mod marks;
mod newest;
mod pair;
mod pipeline;
mod publish;
mod request;
mod router;
mod service;
mod strangers;
mod stream;
