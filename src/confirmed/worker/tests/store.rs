//! A store that knows what was done.

use super::*;

#[derive(Default)]
struct Store {
    done: Mutex<BTreeSet<Vec<u8>>>,
    is_broken: std::sync::atomic::AtomicBool,
}

impl Seen for Arc<Store> {
    fn was_done(&self, key: &[u8]) -> Result<bool, BoxError> {
        self.check()?;
        Ok(self.done.lock().unwrap().contains(key))
    }

    fn done(&self, key: &[u8]) -> Result<(), BoxError> {
        self.check()?;
        self.done.lock().unwrap().insert(key.to_vec());
        Ok(())
    }
}

impl Store {
    fn check(&self) -> Result<(), BoxError> {
        match self.is_broken.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err("the disk is gone".into()),
            false => Ok(()),
        }
    }
}

#[test]
fn a_store_is_asked_of_what_comes_again_and_told_of_what_is_done() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let store = Arc::new(Store::default());
    store.done.lock().unwrap().insert(b"old".to_vec());
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.seen(Arc::clone(&store)).build().unwrap();
    source.greets(0);
    let keyed = |number, key: &'static str, is_again| TaskHead {
        key: Bytes::from_static(key.as_bytes()),
        is_again,
        ..head(number)
    };

    source.sends(keyed(1, "old", true));
    source.sends(keyed(2, "old", false));
    let task = next(&worker);
    assert!(!task.is_redelivered(), "the first one was known");
    task.ack().unwrap();
    source.sends(keyed(3, "new", true));
    next(&worker).ack().unwrap();
    source.hears_done_of(1..=3);
    assert!(store.done.lock().unwrap().contains(&b"new"[..]));
    assert_eq!(worker.stats().duplicates, 1);

    store.is_broken.store(true, std::sync::atomic::Ordering::SeqCst);
    source.sends(keyed(4, "new", true));
    assert!(matches!(worker.recv_timeout(LONG), Err(WorkerError::Store(_))));
    let FromWorker::Failed { reason, .. } = source.hears_of_tasks() else {
        panic!("it did not fail");
    };
    assert_eq!(reason, "the store of what was done has failed: the disk is gone");
    source.sends(keyed(5, "more", false));
    assert!(matches!(next(&worker).ack(), Err(AnswerError::Store(_))));
    source.hears_done_of(5..=5);
}
