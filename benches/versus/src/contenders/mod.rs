//! Who takes part: a file each, and a line each in [`ALL`], the first being whom the others are compared with.
//!
//! A variant is one more line: with another parameter, if it only sets other options (`peermq::Variant`), or with another
//! type, if it calls other verbs (`peermq::Many`). It names the workload that it says something about.

mod peermq;
mod raw;

#[cfg(feature = "libzmq")]
mod libzmq;
#[cfg(feature = "monocoque")]
mod monocoque;
#[cfg(feature = "nng")]
mod nng;
#[cfg(feature = "omq")]
mod omq;
#[cfg(feature = "rzmq")]
mod rzmq;
#[cfg(feature = "zeromq")]
mod zeromq;

use crate::contender::About;
use crate::process::play;
use crate::roles;

pub struct Contender {
    pub name: &'static str,
    pub about: fn() -> About,
    /// Of a variant: in which workload it takes part without being named.
    pub only: Option<&'static str>,
    /// Plays the roles that these words name, and never returns.
    pub play: fn(&[String]),
}

pub const ALL: &[Contender] = &[
    blocking::<peermq::Peermq<peermq::Defaults>>("peermq"),
    blocking::<peermq::Peermq<peermq::NoSpin>>("peermq-no-spin").only("latency"),
    blocking::<peermq::Many>("peermq-many").only("throughput"),
    #[cfg(feature = "libzmq")]
    blocking::<libzmq::Libzmq>("libzmq"),
    #[cfg(feature = "omq")]
    blocking::<omq::Blocking>("omq-blocking"),
    #[cfg(feature = "omq")]
    awaiting::<omq::Current>("omq"),
    #[cfg(feature = "rzmq")]
    awaiting::<rzmq::Rzmq>("rzmq"),
    #[cfg(feature = "zeromq")]
    awaiting::<zeromq::Zeromq>("zeromq"),
    #[cfg(feature = "monocoque")]
    awaiting::<monocoque::Monocoque>("monocoque"),
    #[cfg(feature = "nng")]
    blocking::<nng::Nng>("nng"),
    blocking::<raw::Raw>("raw"),
];

const fn blocking<C: crate::contender::blocking::Contender>(name: &'static str) -> Contender {
    fn play_all<C: crate::contender::blocking::Contender>(words: &[String]) {
        let context = C::context();
        play(words, |spec, port| {
            let context = context.clone();
            std::thread::spawn(|| roles::blocking::run::<C>(context, spec, port));
        });
    }
    Contender {
        name,
        about: C::about,
        only: None,
        play: play_all::<C>,
    }
}

/// Each role in a current-thread runtime of its own, its whole life one future.
#[cfg(feature = "tokio")]
const fn awaiting<C: crate::contender::awaiting::Contender>(name: &'static str) -> Contender {
    fn play_all<C: crate::contender::awaiting::Contender>(words: &[String]) {
        let context = C::context();
        play(words, |spec, port| {
            let context = context.clone();
            std::thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime
                    .expect("a runtime")
                    .block_on(roles::awaiting::run::<C>(context, spec, port));
            });
        });
    }
    Contender {
        name,
        about: C::about,
        only: None,
        play: play_all::<C>,
    }
}

impl Contender {
    const fn only(mut self, workload: &'static str) -> Self {
        self.only = Some(workload);
        self
    }
}

pub fn named(name: &str) -> Option<&'static Contender> {
    ALL.iter().find(|contender| contender.name == name)
}
