//! Tasks of a source of ours, done by `examples/python_worker.py`.

use crate::common::until;
use crate::peer::with_python;
use peermq::Context;
use peermq::confirmed::{Source, Task};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A worker of theirs, with this prefetch. Killed when it is dropped.
struct Theirs(Child);

impl Theirs {
    fn start(python: &Path, source: &Source, prefetch: u32) -> Self {
        let child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python_worker.py"))
            .arg(source.endpoints()[0].to_string())
            .arg(prefetch.to_string())
            .stdout(Stdio::null())
            .spawn();
        Theirs(child.unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn source(context: &Context, silence: Duration) -> Source {
    let source = Source::builder(context).bind("tcp://127.0.0.1:*").unwrap();
    source.silence(silence).build().unwrap()
}

#[test]
fn a_worker_in_python_does_tasks_and_returns_the_rest_when_it_is_stopped() {
    with_python(|python| {
        let context = Context::new().unwrap();
        // It beats.
        let source = source(&context, Duration::from_secs(3));
        let mut worker = Theirs::start(python, &source, 8);
        let receipts: Vec<_> = (0..100)
            .map(|n| {
                source.send(
                    Task::new([format!("{n}"), String::from("and")])
                        .key(format!("{n}"))
                        .headers("h"),
                )
            })
            .collect();
        for receipt in receipts {
            assert_eq!(receipt.unwrap().wait(LONG), Ok(()));
        }
        assert_eq!((source.stats().workers, source.stats().redeliveries), (1, 0));

        worker.signal("-TERM");

        assert!(worker.0.wait().unwrap().success());
        until("its BYE is heard", || source.stats().workers == 0);
        let stats = source.stats();
        assert_eq!(
            (stats.done, stats.malformed, stats.ignored, stats.silent),
            (100, 0, 0, 0)
        );
    });
}

#[test]
fn what_a_killed_worker_in_python_had_is_done_by_another() {
    with_python(|python| {
        let context = Context::new().unwrap();
        let source = source(&context, Duration::from_secs(600));
        let first = Theirs::start(python, &source, 16);
        until("it is there", || source.stats().workers == 1);
        // It stands still, and has what it asked for.
        first.signal("-STOP");
        let receipts: Vec<_> = (0..40).map(|n| source.send(format!("{n}")).unwrap()).collect();
        until("it has its tasks", || source.stats().open == 16);
        let _second = Theirs::start(python, &source, 1);
        until("the second does the others", || source.stats().done == 24);

        drop(first);

        for receipt in &receipts {
            assert_eq!(receipt.wait(LONG), Ok(()));
        }
        let stats = source.stats();
        assert_eq!((stats.losses, stats.redeliveries, stats.malformed), (16, 16, 0));
    });
}

/// Its binding does not tell it of the new connection, and nothing makes it speak.
#[test]
fn an_idle_worker_in_python_is_found_by_a_source_that_was_started_anew() {
    with_python(|python| {
        let context = Context::new().unwrap();
        let build = |endpoint: &str| Source::builder(&context).bind(endpoint).unwrap().build().unwrap();
        let first = build("tcp://127.0.0.1:*");
        let here = first.endpoints()[0].to_string();
        let _worker = Theirs::start(python, &first, 1);
        until("it is there", || first.stats().workers == 1);
        first.close(Duration::ZERO).unwrap();
        drop(first);

        let second = build(&here);

        assert_eq!(second.send("hello").unwrap().wait(LONG), Ok(()));
    });
}
