//! The ways in which a socket of ours and one of theirs are connected.

use crate::ours::Ours;
use crate::peer::{LIMIT, Peer, with_peer};
use peermq::Context;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(crate) const TRANSPORTS: [&str; 2] = ["tcp", "ipc"];

/// One connection between a socket of ours and one of theirs.
pub(crate) struct Way {
    pub(crate) context: Context,
    /// What their socket is called.
    pub(crate) name: String,
    pub(crate) we_bind: bool,
    place: Place,
}

/// Runs this over each transport, with either side to bind. `theirs` is the type of their socket, with its options.
pub(crate) fn for_each_way(theirs: &str, run: impl Fn(&mut Peer, &Way)) {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            for we_bind in [true, false] {
                let way = Way {
                    context: Context::new().unwrap(),
                    name: unique(),
                    we_bind,
                    place: Place::new(transport),
                };
                peer.about = format!(
                    "{theirs} over {transport}, we {}",
                    if we_bind { "bind" } else { "connect" }
                );
                println!("{}", peer.about);
                peer.ask(format_args!("open {} {theirs}", way.name));
                run(peer, &way);
                peer.ask(format_args!("close {}", way.name));
            }
        }
    });
}

impl Way {
    /// Connects the two, and gives where.
    pub(crate) fn link(&self, peer: &mut Peer, ours: &dyn Ours) -> String {
        if self.we_bind {
            let endpoint = ours.bind(&self.place.ours());
            peer.ask(format_args!("connect {} {endpoint}", self.name));
            endpoint
        } else {
            let endpoint = peer.ask(format_args!("bind {} {}", self.name, self.place.theirs()));
            ours.connect(&endpoint);
            endpoint
        }
    }
}

/// Their socket's name, and where it is bound. `theirs` is its type, with its options.
pub(crate) fn they_bind(peer: &mut Peer, theirs: impl Display, place: &Place) -> (String, String) {
    let name = unique();
    peer.ask(format_args!("open {name} {theirs}"));
    let endpoint = peer.ask(format_args!("bind {name} {}", place.theirs()));
    (name, endpoint)
}

/// Their socket's name, which connects to this. `theirs` is its type, with its options.
pub(crate) fn they_connect(peer: &mut Peer, theirs: impl Display, to: impl Display) -> String {
    let name = unique();
    peer.ask(format_args!("open {name} {theirs}"));
    peer.ask(format_args!("connect {name} {to}"));
    name
}

/// Where to bind: a port that the system chooses, or a file that is removed in the end.
pub(crate) struct Place(Option<PathBuf>);

impl Place {
    pub(crate) fn new(transport: &str) -> Self {
        let file = format!("peermq-{}-{}.sock", std::process::id(), unique());
        Place((transport == "ipc").then(|| std::env::temp_dir().join(file)))
    }

    pub(crate) fn ours(&self) -> String {
        self.file("tcp://127.0.0.1:0")
    }

    pub(crate) fn theirs(&self) -> String {
        self.file("tcp://127.0.0.1:*")
    }

    fn file(&self, or: &str) -> String {
        self.0
            .as_ref()
            .map_or(or.to_owned(), |path| format!("ipc://{}", path.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(crate) fn unique() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// libzmq closes a listener some time after `close` has returned.
pub(crate) fn wait_until_free(endpoint: &str) {
    let deadline = Instant::now() + LIMIT;
    let is_taken = || match endpoint.strip_prefix("tcp://") {
        Some(address) => std::net::TcpStream::connect(address).is_ok(),
        None => std::os::unix::net::UnixStream::connect(endpoint.trim_start_matches("ipc://")).is_ok(),
    };
    while is_taken() {
        assert!(Instant::now() < deadline, "{endpoint} is not freed");
        std::thread::yield_now();
    }
}
