//! How much a ledger holds: full at its limits, and with room again at half of both.

/// Tasks and their octets.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    most_tasks: usize,
    /// The task that reaches it is taken whole: an empty backlog takes one of any size.
    most_bytes: usize,
    tasks: usize,
    bytes: usize,
    is_full: bool,
}

impl Backlog {
    pub(super) fn new(most_tasks: usize, most_bytes: usize) -> Self {
        Backlog {
            most_tasks,
            most_bytes,
            tasks: 0,
            bytes: 0,
            is_full: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.tasks += 1;
        self.bytes += bytes;
        self.is_full = self.tasks >= self.most_tasks || self.bytes >= self.most_bytes;
    }

    /// Whether there is room since now. At half, so that who waits is not woken for one task.
    pub(super) fn remove(&mut self, bytes: usize) -> bool {
        self.tasks -= 1;
        self.bytes -= bytes;
        let has_room = self.tasks <= self.most_tasks / 2 && self.bytes <= self.most_bytes / 2;
        has_room && std::mem::take(&mut self.is_full)
    }
}
