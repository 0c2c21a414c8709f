//! Every state that two workers and three tasks can come to, whatever is lost on the way.
//!
//! Each state that is not known is kept and gone on from, breadth first, so the path to a broken promise is one of the
//! shortest, and is printed.

use super::scene::{Scene, Step, Trouble};
use super::*;
use std::collections::{HashMap, VecDeque};

/// The step that first led to each state.
struct Paths {
    before: Vec<Option<(usize, Step)>>,
}

impl Paths {
    fn to(&self, state: usize) -> Vec<Step> {
        let mut path = Vec::new();
        let mut state = state;
        while let Some((before, step)) = self.before[state] {
            path.push(step);
            state = before;
        }
        path.reverse();
        path
    }
}

/// Prints the path if it is dropped by a panic.
struct Printed<'a>(&'a Paths, usize, Step);

impl Drop for Printed<'_> {
    fn drop(&mut self) {
        eprintln!("{:#?}\nand then {:?}", self.0.to(self.1), self.2);
    }
}

/// How many states there are. From each the end can be reached.
fn visit(first: Scene) -> usize {
    let mut known = HashMap::from([(first.print(), 0)]);
    let mut paths = Paths { before: vec![None] };
    let mut arrows: Vec<(usize, usize)> = Vec::new();
    let mut ends = Vec::new();
    let mut border = VecDeque::from([first]);
    let mut at = 0;
    while let Some(scene) = border.pop_front() {
        if scene.is_over() {
            ends.push(at);
            at += 1;
            continue;
        }
        for step in scene.steps() {
            let printed = Printed(&paths, at, step);
            let mut next = scene.clone();
            next.take(step);
            std::mem::forget(printed);
            let fresh = paths.before.len();
            let to = *known.entry(next.print()).or_insert(fresh);
            if to == fresh {
                paths.before.push(Some((at, step)));
                check(&next.ledger);
                border.push_back(next);
            }
            arrows.push((to, at));
        }
        at += 1;
    }

    let states = paths.before.len();
    arrows.sort_unstable();
    let mut reaches_end = vec![false; states];
    while let Some(state) = ends.pop() {
        if std::mem::replace(&mut reaches_end[state], true) {
            continue;
        }
        let from = arrows.partition_point(|&(to, _)| to < state);
        let before = arrows[from..].iter().take_while(|&&(to, _)| to == state);
        ends.extend(before.map(|&(_, before)| before));
    }
    let stuck = reaches_end.iter().position(|reaches| !reaches);
    assert_eq!(
        stuck.map(|stuck| paths.to(stuck)).map(|path| format!("{path:#?}")),
        None
    );
    states
}

const NONE: Trouble = Trouble {
    crashes: 0,
    cuts: 0,
    late: 0,
    failures: 0,
    returns: 0,
};

/// The tasks, how many a worker takes at once, and what goes wrong.
fn states(tasks: &[Task], takes: u32, trouble: Trouble) -> usize {
    let states = visit(Scene::new(tasks.to_vec(), takes, trouble));
    println!("{} tasks, {takes} at once, {trouble:?}: {states} states", tasks.len());
    states
}

/// Nothing is lost, and from each state the end can be reached in which all are settled.
#[test]
fn all_is_settled_whatever_is_lost() {
    let plain = vec![task(); 3];
    let trouble = |crashes, cuts| Trouble { crashes, cuts, ..NONE };
    assert_eq!(states(&plain, 1, NONE), 163);
    states(&plain, 1, trouble(0, 1));
    states(&plain, 1, trouble(1, 0));
    states(&plain[..2], 1, trouble(1, 1));
    if cfg!(debug_assertions) {
        return;
    }
    states(&plain[..2], 1, trouble(2, 1));
    states(&plain[..2], 1, trouble(1, 2));
    states(&plain, 1, trouble(1, 1));
}

#[test]
fn all_is_settled_whatever_fails_or_takes_too_long() {
    let plain = vec![task(); 3];
    let slow = Trouble { late: 1, ..NONE };
    let bad = Trouble { failures: 3, ..NONE };
    states(&plain, 1, slow);
    states(&plain[..2], 2, slow);
    states(&plain[..1], 1, bad);
    states(&plain, 1, Trouble { returns: 1, ..NONE });
    if cfg!(debug_assertions) {
        return;
    }
    let all = Trouble {
        late: 1,
        failures: 1,
        returns: 1,
        ..NONE
    };
    states(&plain, 1, bad);
    states(&plain, 2, all);
    states(&plain, 1, Trouble { crashes: 1, ..all });
    states(&plain, 1, Trouble { cuts: 1, ..all });
}

#[test]
#[ignore = "some million states take seven minutes and as many gigabytes"]
fn all_is_settled_after_two_crashes_and_two_cuts() {
    let plain = vec![task(); 3];
    let trouble = |crashes, cuts| Trouble { crashes, cuts, ..NONE };
    states(&plain, 2, trouble(1, 1));
    states(&plain[..2], 1, trouble(2, 2));
    let count = states(&plain, 1, trouble(2, 2));
    assert!(count > 5_000_000, "{count}");
}

/// Two tasks of one ordering key, and one of none.
#[test]
fn all_is_settled_in_the_order_of_a_key() {
    let keyed = [ordered("a"), task(), ordered("a")];
    let trouble = Trouble { cuts: 1, ..NONE };
    states(&keyed, 1, trouble);
    states(&keyed, 1, Trouble { late: 1, ..NONE });
    if cfg!(debug_assertions) {
        return;
    }
    states(&keyed, 2, Trouble { crashes: 1, ..trouble });
    let all = Trouble {
        late: 1,
        failures: 1,
        returns: 1,
        ..trouble
    };
    states(&keyed, 1, all);
}
