//! What is bound where everybody comes by: warned of, refused, or sealed.

mod common;

use common::*;
use peermq::*;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// How many warnings there were of binding to everywhere with these options.
fn warnings(options: Options) -> usize {
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, options).unwrap();
    let warnings = Warnings::default();
    let count = Arc::clone(&warnings.0);
    tracing::subscriber::with_default(warnings, || {
        pull.bind("tcp://127.0.0.1:0").unwrap();
        pull.bind("tcp://[::1]:0").unwrap();
        pull.bind("inproc://here").unwrap();
        pull.bind(endpoint("ipc")).unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 0, "nobody else gets there");
        pull.bind("tcp://0.0.0.0:0").unwrap();
    });
    count.load(Ordering::SeqCst)
}

fn sealed() -> Security {
    Curve::server(SecretKey::generate().unwrap()).allow_any()
}

fn plain() -> Security {
    Plain::server().allow([("admin", "secret")])
}

#[test]
fn a_bind_that_nothing_protects_is_warned_of_once() {
    assert_eq!(warnings(Options::default()), 1);
    assert_eq!(warnings(Options::default().security(plain())), 1);
    assert_eq!(warnings(Options::default().security(sealed())), 0);
    assert_eq!(warnings(Options::default().allow_insecure_bind(true)), 0);
}

#[test]
fn hardened_refuses_a_bind_that_nothing_protects() {
    let context = Context::new().unwrap();
    for (options, mechanism) in [
        (Options::hardened(), "NULL"),
        (Options::hardened().security(plain()), "PLAIN"),
        (Options::default().allow_insecure_bind(false), "NULL"),
    ] {
        let pull = Pull::with_options(&context, options).unwrap();
        let monitor = pull.monitor();
        let refused = pull.bind("tcp://*:0").unwrap_err();
        assert!(refused.to_string().contains("allow_insecure_bind(true)"), "{refused}");
        let BindError::Insecure {
            endpoint,
            mechanism: ours,
        } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!(ours, mechanism);
        // Nothing is left behind.
        TcpListener::bind(address(&endpoint)).unwrap();
        let opened = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(matches!(pull.bind_listener(opened), Err(BindError::Insecure { .. })));
        assert_eq!(pull.explain().endpoints.map(|all| all.len()), Some(0));
        assert_eq!(monitor.try_recv().unwrap_err(), RecvError::WouldBlock);

        pull.bind("tcp://127.0.0.1:0").unwrap();
        pull.bind("tcp://localhost:0").unwrap();
        pull.bind(common::endpoint("ipc")).unwrap();
    }
}

#[test]
fn hardened_binds_what_is_sealed_or_allowed_or_not_ours_to_seal() {
    let context = Context::new().unwrap();
    for options in [
        Options::hardened().security(sealed()),
        Options::hardened().allow_insecure_bind(true),
    ] {
        let pull = Pull::with_options(&context, options).unwrap();
        pull.bind("tcp://*:0").unwrap();
    }
    let stream = Stream::with_options(&context, Options::hardened()).unwrap();
    stream.bind("tcp://*:0").unwrap();
}

#[test]
fn hardened_sockets_speak_with_each_other() {
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, Options::hardened()).unwrap();
    let push = Push::with_options(&context, Options::hardened()).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("hello").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hello");
}
