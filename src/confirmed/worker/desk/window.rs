//! The ids that were done lately.

use crate::confirmed::wire::TaskId;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// So many ids, for so long; the oldest is forgotten first.
#[derive(Debug)]
pub(super) struct Window {
    most: usize,
    age: Duration,
    /// Each id once, oldest first.
    order: VecDeque<(Instant, TaskId)>,
    ids: HashSet<TaskId>,
}

impl Window {
    pub(super) fn new(most: usize, age: Duration) -> Self {
        Window {
            most,
            age,
            order: VecDeque::new(),
            ids: HashSet::new(),
        }
    }

    pub(super) fn insert(&mut self, now: Instant, id: TaskId) {
        self.forget_old(now);
        if self.most == 0 || !self.ids.insert(id) {
            return;
        }
        if self.order.len() >= self.most {
            self.forget_first();
        }
        self.order.push_back((now, id));
    }

    pub(super) fn has(&mut self, now: Instant, id: TaskId) -> bool {
        self.forget_old(now);
        self.ids.contains(&id)
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.ids.clear();
    }

    fn forget_old(&mut self, now: Instant) {
        let age = self.age;
        let is_old = |&(at, _): &(Instant, TaskId)| now.saturating_duration_since(at) >= age;
        while self.order.front().is_some_and(is_old) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    #[test]
    fn it_forgets_the_oldest_and_what_is_too_old() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let id = |number| TaskId(NonZeroU64::new(number).unwrap());
        let mut window = Window::new(2, Duration::from_millis(100));
        window.insert(at(0), id(1));
        window.insert(at(10), id(2));
        window.insert(at(20), id(2));
        assert!(window.has(at(20), id(1)) && window.has(at(20), id(2)));

        window.insert(at(30), id(3));

        let has = |window: &mut Window, ms| [1, 2, 3].map(|number| window.has(at(ms), id(number)));
        assert_eq!(has(&mut window, 30), [false, true, true]);
        assert_eq!(has(&mut window, 109), [false, true, true]);
        assert_eq!(has(&mut window, 110), [false, false, true]);
        assert_eq!(has(&mut window, 130), [false; 3]);
        assert!(window.order.is_empty() && window.ids.is_empty());
    }

    #[test]
    fn one_of_no_size_remembers_nothing() {
        let mut window = Window::new(0, Duration::MAX);
        let id = TaskId(NonZeroU64::MIN);
        window.insert(Instant::now(), id);
        assert!(!window.has(Instant::now(), id));
    }
}
