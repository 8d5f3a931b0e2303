//! What the records of a log say together: which pool a unit belongs to, whether an event is
//! missing, and whether snapshots and indexes say the same.

use std::collections::BTreeMap;

use crate::{
    PoolId, Unit,
    log::{
        index::{Place, Run, SegmentIndex},
        progress::{Effect, Made},
        snapshot::Snapshot,
    },
};

/// How often the reading was interrupted, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Breaks {
    /// Segments in between are used again: what was in them is gone in order.
    holes: u64,
    /// Something in between is damaged.
    damages: u64,
}

/// A pool that the log tells of.
#[derive(Debug)]
struct Pool {
    made: Made,
    /// When its first event was still to come, if that was read.
    since: Option<Breaks>,
}

/// The last event of a unit.
#[derive(Debug, Clone, Copy)]
struct Last {
    next_ordinal: u64,
    address: u64,
    at_ms: u64,
    seen: Breaks,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Books {
    breaks: Breaks,
    /// By the number of their first unit. Numbers are never given again.
    pools: BTreeMap<u32, Pool>,
    units: BTreeMap<u32, Last>,
    /// Of the segment that is read: what its index should say.
    runs: BTreeMap<u32, Run>,
    /// Damage when the segment was begun.
    begun: u64,
    /// Events missing where something is damaged.
    pub(super) missing: u64,
}

impl Books {
    /// What the snapshots tell of pools that were made in segments that are gone.
    pub(super) fn new(snapshots: &[Snapshot]) -> Self {
        let mut books = Self::default();
        for (made, _) in snapshots.iter().flat_map(|snapshot| &snapshot.pools) {
            books.pools.entry(made.first).or_insert_with(|| Pool {
                made: made.clone(),
                since: None,
            });
        }
        books
    }

    pub(super) fn pass_hole(&mut self) {
        self.breaks.holes += 1;
    }

    pub(super) fn pass_damage(&mut self) {
        self.breaks.damages += 1;
    }

    pub(super) fn begin_segment(&mut self) {
        self.runs.clear();
        self.begun = self.breaks.damages;
    }

    /// The unit of a number, and its pool's name.
    pub(super) fn unit(&self, number: u32) -> Option<(Unit, &str)> {
        let (first, pool) = self.pools.range(..=number).next_back()?;
        let part = number - first;
        let unit = Unit {
            pool: pool.made.pool,
            part,
        };
        (part < pool.made.parts).then_some((unit, pool.made.name.as_str()))
    }

    /// The name of a pool; of several with one number the newest.
    pub(super) fn name(&self, id: PoolId) -> Option<&str> {
        let pools = self.pools.values().rev();
        let mut named = pools.filter(|pool| pool.made.pool == id);
        named.next().map(|pool| pool.made.name.as_str())
    }

    pub(super) fn apply(&mut self, effect: &Effect) {
        if let Effect::Make(made) = effect {
            let since = Some(self.breaks);
            let made = made.clone();
            self.pools.insert(made.first, Pool { made, since });
        }
    }

    /// Takes an event up; what is wrong with its place in the order.
    pub(super) fn event(&mut self, number: u32, base: u64, place: Place) -> Option<String> {
        self.runs
            .entry(number)
            .and_modify(|run| run.note(place))
            .or_insert_with(|| Run::begin(base, place));
        let last = Last {
            next_ordinal: place.ordinal.saturating_add(1),
            address: place.record,
            at_ms: place.at_ms,
            seen: self.breaks,
        };
        let before = self.units.insert(number, last);
        let (due, seen) = match before {
            Some(before) => (before.next_ordinal, before.seen),
            None => {
                let pool = self.pools.range(..=number).next_back()?;
                (0, pool.1.since?)
            }
        };
        let at = place.ordinal;
        if before.is_some_and(|before| before.at_ms > place.at_ms) {
            return Some(format!("the time of event {at} goes back"));
        }
        if at < due {
            return Some(format!("event {at} of its unit follows event {}", due - 1));
        }
        if at == due || seen.holes != self.breaks.holes {
            return None;
        }
        if seen.damages != self.breaks.damages {
            self.missing += at - due;
            return None;
        }
        let lost = at - due;
        Some(format!(
            "events of its unit missing before event {at}: {lost}"
        ))
    }

    /// What a snapshot says that the log up to its address does not; `begun` is the first address
    /// that was read, `is_there` tells whether an address is in a segment that is still there.
    pub(super) fn compare(
        &self,
        snapshot: &Snapshot,
        begun: u64,
        is_there: impl Fn(u64) -> bool,
    ) -> Option<String> {
        for image in &snapshot.units {
            let settled = image.settled;
            let agrees = match self.units.get(&image.number) {
                Some(last) => {
                    last.next_ordinal == settled.next_ordinal && last.address == settled.last
                }
                None => settled.last < begun.max(1) || !is_there(settled.last),
            };
            if !agrees {
                let number = image.number;
                return Some(format!(
                    "the snapshot does not agree with the log: unit {number} should have {} events",
                    settled.next_ordinal
                ));
            }
        }
        None
    }

    /// What the index of the segment that was just read says that the segment does not.
    pub(super) fn compare_index(&self, index: &SegmentIndex) -> Option<String> {
        if self.begun != self.breaks.damages {
            // Damage is told where it is.
            return None;
        }
        let wrong = index
            .runs
            .iter()
            .find(|(number, run)| !self.runs.get(number).is_some_and(|seen| says(seen, run)));
        wrong.map(|(number, _)| {
            format!("the index does not agree with its segment about unit {number}")
        })
    }
}

/// Whether two runs say the same of where events are.
fn says(seen: &Run, told: &Run) -> bool {
    let ends = |run: &Run| (run.base, run.last, run.next_ordinal, run.last_ms);
    ends(seen) == ends(told) && seen.entries == told.entries
}
