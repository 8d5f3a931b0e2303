//! How many positions may be pending in the whole process (R13).
//!
//! A Trigger's window and its bound for waiting retries are generous by themselves; many dead
//! sinks at once would still fill the memory. From half of the budget on, both shrink in
//! proportion to what is left, never below [`LEAST`], and whoever has no room detaches, which
//! costs nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a Trigger may always have pending.
const LEAST: usize = 16;

/// The positions pending in this process. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Positions {
    /// At most about `most` positions.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            used: Arc::default(),
            most: most.max(1),
        }
    }

    /// One unit had `before` positions pending and has `now`.
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
            .clamp(LEAST.min(usual), usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_shrink_from_half_of_the_budget_on_and_never_below_the_least() {
        let positions = Positions::new(1000);
        positions.moved(0, 500);
        assert_eq!(positions.share(1024), 1024);
        positions.moved(500, 750);
        assert_eq!(positions.share(1024), 512);
        positions.moved(750, 5000);
        assert_eq!(positions.share(1024), LEAST);
        assert_eq!(positions.share(4), 4);
        positions.moved(5000, 0);
        assert_eq!(positions.share(1024), 1024);
    }
}
