//! What workers say to a source, and sources to a worker; and a ledger that is told all of it in any order.

use super::input::Input;
use crate::confirmed::ledger::{Action, Ledger, Settings, Task, WorkerId};
use crate::confirmed::wire::{FailureKind, FromSource, FromWorker, Session, SourceId, TaskId};
use crate::message::Message;
use crate::transport::real::now;
use std::num::NonZeroU64;
use std::time::Duration;

/// What is understood says the same octets again; whatever workers say, and however time passes, each task that was accepted
/// is done, dead or here, and nothing is sent but to who has said HELLO, or hears WHO or WELCOME.
pub fn confirmed(bytes: &[u8]) {
    said_again(bytes);
    let mut input = Input::new(bytes);
    let settings = Settings {
        lease: Duration::from_millis(1 + u64::from(input.byte())),
        silence: input.flag().then(|| Duration::from_millis(100)),
        most_attempts: 1 + u16::from(input.byte() % 4),
        most_losses: input.flag().then_some(2),
        most_tasks: 1 + input.below(16),
        most_bytes: 1 + usize::from(input.short()),
        most_workers: 1 + input.below(3),
        most_offences: 3,
    };
    let source = SourceId([9; 16]);
    let mut ledger = Ledger::new(source, settings);
    let mut now = now();
    while !input.is_empty() {
        let worker = WorkerId(1 + input.below(4) as u64);
        match input.below(10) {
            0 => {
                let mut task = Task::new(Message::from(input.take(4)));
                task.order = input.flag().then(|| b"order".as_slice().into());
                task.starts_at = input.flag().then(|| now + Duration::from_millis(50));
                task.too_late_at = input.flag().then(|| now + Duration::from_millis(500));
                let _refused = ledger.handle_task(now, task);
            }
            1 => {
                if let Ok(id) = ledger.reserve(Task::new(Message::from("kept"))) {
                    match input.flag() {
                        true => assert!(ledger.handle_kept(now, id)),
                        false => assert!(ledger.handle_not_kept(id).is_some()),
                    }
                }
            }
            2 => {
                now += Duration::from_millis(input.short().into());
                ledger.handle_timeout(now);
            }
            3 => ledger.handle_lost(worker),
            4 if input.byte() == 0 => ledger.handle_drain(),
            5 if input.byte() == 0 => ledger.handle_stop(),
            6 => {
                let octets = input.bytes();
                match FromWorker::parse(octets) {
                    Ok(said) => ledger.handle_said(now, worker, said, 0),
                    Err(why) => ledger.handle_malformed(now, worker, why),
                }
            }
            _ => {
                let said = said(&mut input, source);
                let mut octets = Vec::new();
                said.put(&mut octets);
                assert_eq!(FromWorker::parse(&octets), Ok(said.clone()));
                ledger.handle_said(now, worker, said, u32::from(input.byte()) << 24);
            }
        }
        while let Some(action) = ledger.poll_action(now) {
            if let Action::Send { head, message, .. } = action {
                let mut octets = Vec::new();
                head.put(&mut octets);
                assert_eq!(FromSource::parse(&octets), Ok(head.clone()));
                assert_eq!(matches!(head, FromSource::Task(_)), message.is_some());
            }
        }
        assert!(ledger.is_conserved());
        let places = ledger.places();
        assert_eq!(ledger.here(), places.queued + places.open + places.delayed);
    }
}

fn said_again(bytes: &[u8]) {
    let mut octets = Vec::new();
    if let Ok(said) = FromWorker::parse(bytes) {
        said.put(&mut octets);
        assert_eq!(octets, bytes);
    }
    octets.clear();
    if let Ok(said) = FromSource::parse(bytes) {
        said.put(&mut octets);
        assert_eq!(octets, bytes);
    }
}

/// Something that a worker may say, of few tasks and sessions.
fn said(input: &mut Input<'_>, source: SourceId) -> FromWorker {
    let id = |input: &mut Input<'_>| TaskId(NonZeroU64::MIN.saturating_add(input.below(16) as u64));
    let ids = |input: &mut Input<'_>| (0..input.below(4)).map(|_| id(input)).collect();
    match input.below(8) {
        0 => FromWorker::Hello {
            session: Session([input.byte() % 3; 16]),
            source: input.one_of(&[source, SourceId::NONE, SourceId([1; 16])]),
            credit: input.one_of(&[0, 1, 2, 65_536]),
            done: ids(input),
        },
        1 => FromWorker::Credit {
            more: input.one_of(&[0, 1, 2, 65_536]),
        },
        2 => FromWorker::Done { ids: ids(input) },
        3 => FromWorker::Failed {
            id: id(input),
            kind: input.one_of(&[FailureKind::Retry, FailureKind::Reject]),
            after_ms: input.byte().into(),
            reason: String::from("r"),
        },
        4 => FromWorker::Extend {
            id: id(input),
            lease_ms: 1 + u32::from(input.byte()),
        },
        5 => FromWorker::Return { ids: ids(input) },
        6 => FromWorker::Beat,
        _ => FromWorker::Bye,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::chance::SplitMix64;

    #[test]
    fn whatever_is_said_in_any_order_each_task_is_done_dead_or_here() {
        for seed in 0..2_000 {
            println!("seed {seed}");
            let mut chance = SplitMix64::new(seed);
            let bytes: Vec<u8> = (0..400).map(|_| chance.next().to_be_bytes()[0]).collect();
            confirmed(&bytes);
        }
    }
}
