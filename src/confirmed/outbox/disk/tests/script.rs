//! A life of an outbox that a seed decides, and what is kept after each of its calls.

use super::memory::Step;
use super::{FRESH, KeptTask, Message, Outbox, task};
use crate::chance::SplitMix64;
use bytes::Bytes;

/// One call of `store`, and what is kept once it has returned.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) accepted: Vec<KeptTask>,
    pub(super) settled: Vec<u64>,
    pub(super) kept: Vec<KeptTask>,
    pub(super) highest: u64,
}

/// So many calls. The first is none: nothing is kept.
pub(super) fn script(seed: u64, calls: usize) -> Vec<Call> {
    let mut chance = SplitMix64::new(seed);
    let mut kept: Vec<KeptTask> = Vec::new();
    let mut highest = 0;
    let first = Call {
        accepted: vec![],
        settled: vec![],
        kept: vec![],
        highest,
    };
    let mut script = vec![first];
    for _ in 0..calls {
        let mut below = |limit: u64| chance.next() % limit;
        let mut accepted = Vec::new();
        for _ in 0..[0, 1, 1, 3, 9][below(5) as usize] {
            highest += 1 + below(50) / 49 * 3;
            let size = [0, 9, 120, 300, 5000][below(5).min(below(6)) as usize];
            accepted.push(any_task(highest, size, &mut below));
        }
        let share = if kept.len() > 40 { 2 } else { 4 };
        let settled: Vec<u64> = kept.iter().map(|task| task.id).filter(|_| below(share) == 0).collect();
        // Now and then all that there is.
        let settled = if below(40) == 0 {
            kept.iter().map(|task| task.id).collect()
        } else {
            settled
        };
        kept.extend(accepted.iter().cloned());
        kept.retain(|task| !settled.contains(&task.id));
        script.push(Call {
            accepted,
            settled,
            kept: kept.clone(),
            highest,
        });
    }
    script
}

/// Plays it on a new outbox. Returns the disk as it was before, and what was done to it; `Returned(n)` stands behind all of
/// call n.
pub(super) fn play(script: &[Call]) -> (Vec<u8>, Vec<Step>) {
    let memory = super::new_memory();
    let mut outbox = super::on(&memory);
    outbox.load(FRESH).expect("an empty one");
    let begin = memory.octets();
    memory.record();
    for (number, call) in script.iter().enumerate() {
        outbox.store(&call.accepted, &call.settled).expect("room");
        memory.mark(Step::Returned(number));
    }
    (begin, memory.steps())
}

pub(super) fn any_task(id: u64, size: usize, below: &mut impl FnMut(u64) -> u64) -> KeptTask {
    let mut task = task(id, size);
    if below(4) == 0 {
        task.message = Message::from(["", "two"]).and(vec![below(256) as u8; size]);
        task.key = Bytes::from(vec![1; below(65) as usize]);
        task.headers = Bytes::from(vec![2; below(100) as usize]);
        task.order = (below(2) == 0).then(|| Bytes::from(vec![3; below(65) as usize]));
    }
    task
}
