//! The worker's side.

mod desk;
