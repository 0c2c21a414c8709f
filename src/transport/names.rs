//! Looking names up without waiting for the answer.
//!
//! The system's resolver blocks, for half a minute if it must, and cannot be called off. So it is asked on threads of
//! its own, a few at a time; nobody ever waits for one of them.

use super::Resolved;
use crate::sync::Mutex;
use std::collections::VecDeque;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// Asks the system; blocks.
pub(crate) fn look_up(host: &str, port: u16) -> Resolved {
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs().map_err(|error| error.to_string())? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(addresses)
}

/// Looks names up on at most [`MAX_THREADS`] threads, which end when there is nothing left to do.
pub(crate) struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    look_up: Box<LookUp>,
    lookups: Mutex<Lookups>,
}

type LookUp = dyn Fn(&str, u16) -> Resolved + Send + Sync;

#[derive(Default)]
struct Lookups {
    /// Oldest first. A dialer asks again only once it has its answer, so there are never more than there are dialers,
    /// and none is refused.
    waiting: VecDeque<Lookup>,
    /// Threads that will look here again before they end.
    threads: usize,
}

struct Lookup {
    host: String,
    port: u16,
    answer: Answer,
}

/// Called once, on any thread.
pub(crate) type Answer = Box<dyn FnOnce(Resolved) + Send>;

impl Resolver {
    pub(crate) fn new(look_up: impl Fn(&str, u16) -> Resolved + Send + Sync + 'static) -> Self {
        Resolver {
            shared: Arc::new(Shared {
                look_up: Box::new(look_up),
                lookups: Mutex::new(Lookups::default()),
            }),
        }
    }

    /// Begins to look a name up. The answer comes from another thread, or from this one if there can be no other.
    pub(crate) fn resolve(&self, host: &str, port: u16, answer: Answer) {
        let mut lookups = self.shared.lookups.lock();
        let host = host.to_owned();
        lookups.waiting.push_back(Lookup { host, port, answer });
        if lookups.threads == MAX_THREADS {
            return;
        }
        lookups.threads += 1;
        drop(lookups);

        let shared = Arc::clone(&self.shared);
        let name = "peermq-resolver".to_owned();
        if let Err(error) = thread::Builder::new().name(name).spawn(move || shared.work()) {
            self.shared.without_thread(&error.to_string());
        }
    }
}

/// Whoever wanted the answers that are still to come is gone too.
impl Drop for Resolver {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.shared.lookups.lock().waiting);
        drop(waiting);
    }
}

impl Shared {
    fn work(&self) {
        while let Some(Lookup { host, port, answer }) = self.next() {
            // A panic here would cost a thread for good, and in the end all names their answers.
            let _ = catch_unwind(AssertUnwindSafe(|| answer((self.look_up)(&host, port))));
        }
    }

    fn next(&self) -> Option<Lookup> {
        let mut lookups = self.lookups.lock();
        let next = lookups.waiting.pop_front();
        if next.is_none() {
            lookups.threads -= 1;
        }
        next
    }

    /// A thread that was counted could not start: what waits is left to the others, or answered if there are none.
    fn without_thread(&self, why: &str) {
        let mut lookups = self.lookups.lock();
        lookups.threads -= 1;
        if lookups.threads > 0 {
            return;
        }
        let given_up = std::mem::take(&mut lookups.waiting);
        drop(lookups);
        for lookup in given_up {
            (lookup.answer)(Err(format!("no thread to look the name up: {why}")));
        }
    }
}

/// As many names may be stuck in a resolver that does not answer before the others wait for them.
const MAX_THREADS: usize = 4;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(resolver: &Resolver, host: &str) -> Receiver<(Resolved, thread::ThreadId)> {
        let (sender, receiver) = channel();
        let answer = move |resolved| sender.send((resolved, thread::current().id())).unwrap();
        resolver.resolve(host, 7, Box::new(answer));
        receiver
    }

    #[test]
    fn localhost_is_found_on_another_thread() {
        let resolver = Resolver::new(look_up);

        let (resolved, thread) = ask(&resolver, "localhost").recv_timeout(LONG).unwrap();

        let addresses = resolved.unwrap();
        assert!(
            addresses.iter().all(|address| address.ip().is_loopback()),
            "{addresses:?}"
        );
        assert!(addresses.iter().all(|address| address.port() == 7), "{addresses:?}");
        assert_ne!(thread, thread::current().id());
    }

    /// RFC 6761: "Users may assume that queries for "invalid" names will always return NXDOMAIN responses."
    #[test]
    fn a_name_that_is_not_there_is_an_error() {
        let resolver = Resolver::new(look_up);

        let (resolved, thread) = ask(&resolver, "name.invalid").recv_timeout(LONG).unwrap();

        assert!(resolved.is_err(), "{resolved:?}");
        assert_ne!(thread, thread::current().id());
    }

    /// A resolver whose lookups say that they began, and end when they are let go.
    fn stuck_resolver() -> (Resolver, Receiver<String>, Sender<()>) {
        let (began_sender, began) = channel();
        let (go, go_receiver) = channel();
        let go_receiver = Mutex::new(go_receiver);
        let resolver = Resolver::new(move |host, port| {
            began_sender.send(host.to_owned()).unwrap();
            go_receiver.lock().recv().unwrap();
            assert_ne!(host, "panic");
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        });
        (resolver, began, go)
    }

    #[test]
    fn further_names_wait_behind_those_being_looked_up() {
        let (resolver, began, go) = stuck_resolver();
        let names = ["a", "b", "c", "d", "e", "f"];

        let answers = names.map(|name| ask(&resolver, name));

        let mut first: Vec<_> = (0..MAX_THREADS).map(|_| began.recv_timeout(LONG).unwrap()).collect();
        first.sort();
        assert_eq!(first, ["a", "b", "c", "d"]);
        assert_eq!(resolver.shared.lookups.lock().waiting.len(), 2);
        for _ in names {
            go.send(()).unwrap();
        }
        for answer in answers {
            assert!(answer.recv_timeout(LONG).unwrap().0.is_ok());
        }
    }

    #[test]
    fn a_panic_costs_one_answer_and_no_thread() {
        let (resolver, _began, go) = stuck_resolver();
        for _ in 0..MAX_THREADS + 1 {
            go.send(()).unwrap();
        }

        let lost = [(); MAX_THREADS].map(|()| ask(&resolver, "panic"));
        let answer = ask(&resolver, "a");

        for answer in lost {
            assert!(answer.recv_timeout(LONG).is_err());
        }
        assert!(answer.recv_timeout(LONG).unwrap().0.is_ok());
    }

    #[test]
    fn without_a_thread_the_answer_says_so() {
        let (resolver, began, _go) = stuck_resolver();
        let stuck = ask(&resolver, "a");
        began.recv_timeout(LONG).unwrap();
        let shared = &resolver.shared;
        let (sender, waiting) = channel();
        shared.lookups.lock().waiting.push_back(Lookup {
            host: "b".to_owned(),
            port: 7,
            answer: Box::new(move |resolved| sender.send(resolved).unwrap()),
        });

        shared.lookups.lock().threads += 1;
        shared.without_thread("why");
        assert!(waiting.try_recv().is_err(), "the other thread will take it");

        // As if the other thread had never started.
        shared.without_thread("why");
        let resolved = waiting.try_recv().unwrap();
        assert_eq!(resolved, Err("no thread to look the name up: why".to_owned()));
        shared.lookups.lock().threads += 1;
        drop(stuck);
    }
}
