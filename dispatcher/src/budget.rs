//! How much memory what is pending may take in the whole process (R13), and how much the bodies of
//! events that are near or on their way (R2).
//!
//! A Trigger's window and its bound for waiting retries are generous by themselves; many dead
//! sinks at once would still fill the memory. From half of the budget on, both shrink in
//! proportion to what is left, never below [`LEAST`], and whoever has no room detaches, which
//! costs nothing. In the same way a unit keeps fewer events near, and a Trigger has fewer bytes in
//! flight, down to one event: what is not near is read again.
//!
//! It counts bytes and not positions: one that only waits takes a quarter of a byte to 20, one
//! that waits for a retry some 250. A body counts once for all its deliveries of a unit, twice
//! while it is both near and on its way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a Trigger may always have pending.
const LEAST: usize = 16;

/// The memory of what is pending in this process. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    used: Arc<AtomicUsize>,
    most: usize,
    /// What a bound never shrinks below.
    least: usize,
}

impl Memory {
    /// At most about `most` bytes of what is pending.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            used: Arc::default(),
            most: most.max(1),
            least: LEAST,
        }
    }

    /// At most about `most` bytes of bodies.
    pub(crate) fn of_bodies(most: usize) -> Self {
        Self {
            least: 0,
            ..Self::new(most)
        }
    }

    /// One unit took `before` bytes of it and takes `now`.
    pub(crate) fn moved(&self, before: usize, now: usize) {
        if now > before {
            self.used.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// What is left for a bound of `usual`.
    pub(crate) fn share(&self, usual: usize) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        let half = self.most / 2;
        if used <= half {
            return usual;
        }
        let left = self.most.saturating_sub(used);
        let share = usual as u128 * left as u128 / half.max(1) as u128;
        usize::try_from(share)
            .unwrap_or(usual)
            .clamp(self.least.min(usual), usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_shrink_from_half_of_the_budget_on_and_never_below_the_least() {
        let memory = Memory::new(1000);
        memory.moved(0, 500);
        assert_eq!(memory.share(1024), 1024);
        memory.moved(500, 750);
        assert_eq!(memory.share(1024), 512);
        memory.moved(750, 5000);
        assert_eq!(memory.share(1024), LEAST);
        assert_eq!(memory.share(4), 4);
        memory.moved(5000, 0);
        assert_eq!(memory.share(1024), 1024);
        let bodies = Memory::of_bodies(1000);
        bodies.moved(0, 1000);
        assert_eq!(bodies.share(1024), 0);
    }
}
