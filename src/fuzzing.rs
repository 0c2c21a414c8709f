//! What has to hold whatever the bytes: the bodies of the fuzz targets, compiled for them and for tests only.
//!
//! Each takes bytes as they come, and asserts: no panic, no more memory than what came, one outcome however it is cut. For
//! each there is a target of the same name in `fuzz/fuzz_targets`, and a folder in `fuzz/corpus` of inputs that are worth
//! keeping; a test takes all of these through the same functions, without a fuzzer.

mod calls;
mod confirmed;
mod curve;
mod datagrams;
mod handshakes;
mod input;
mod played;
mod replies;
mod setters;
mod talk;
mod texts;
mod words;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod seeds;

pub use calls::calls;
pub use confirmed::confirmed;
pub use curve::curve;
pub use datagrams::datagrams;
pub use handshakes::{frames, greeting, null, plain};
pub use replies::{socks5, zap};
pub use setters::options;
pub use texts::{certificates, endpoints};

/// What a fuzzer calls.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 13] = [
    ("calls", calls),
    ("certificates", certificates),
    ("confirmed", confirmed),
    ("curve", curve),
    ("datagrams", datagrams),
    ("endpoints", endpoints),
    ("frames", frames),
    ("greeting", greeting),
    ("null", null),
    ("options", options),
    ("plain", plain),
    ("socks5", socks5),
    ("zap", zap),
];
