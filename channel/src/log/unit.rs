//! One unit in memory: where its events lie, the newest of them, and its progress.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{Notify, watch};

use super::{
    format::position,
    index::{Run, Settled},
    progress::Progress,
};
use crate::{Bounds, Health, Position, ReadError, Stored, Unit};

/// A unit of the log.
#[derive(Debug)]
pub(super) struct UnitState {
    pub(super) unit: Unit,
    /// What each segment holds of it, oldest first.
    pub(super) runs: VecDeque<Held>,
    /// How far it is safe: what readers see.
    pub(super) settled: Settled,
    /// How far it is written, safe or not.
    pub(super) written: Settled,
    /// Everything below is gone.
    pub(super) removed: u64,
    /// Nothing below is needed by a dispatcher.
    pub(super) keep: u64,
    /// Nothing below is kept for anybody.
    pub(super) floor: u64,
    /// The newest events, without a gap to `written`.
    pub(super) recent: VecDeque<Recent>,
    /// The frame that it was noted in last as having something to settle.
    pub(super) touched: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) health: watch::Sender<Health>,
    pub(super) progress: Progress,
}

/// A run, and the bytes of it that are kept for somebody.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) run: Run,
    pub(super) needed: u64,
}

/// An event in memory.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) stored: Stored,
    /// What its unit is charged for it.
    pub(super) charge: u64,
}

impl UnitState {
    /// A unit that never held anything.
    pub(super) fn new(unit: Unit) -> Self {
        Self {
            unit,
            runs: VecDeque::new(),
            settled: Settled::default(),
            written: Settled::default(),
            removed: 0,
            keep: 0,
            floor: 0,
            recent: VecDeque::new(),
            touched: 0,
            wake: Arc::default(),
            health: watch::Sender::default(),
            progress: Progress::default(),
        }
    }

    /// The address behind the last safe event.
    pub(super) fn end(&self) -> u64 {
        if self.settled.last == 0 {
            0
        } else {
            self.settled.last + 1
        }
    }

    /// Runs with something safe in them.
    fn settled_runs(&self) -> impl Iterator<Item = &Run> {
        let runs = self.runs.iter().map(|held| &held.run);
        runs.filter(|run| run.first().record <= self.settled.last)
    }

    /// What is kept on disk and safe.
    pub(super) fn bounds(&self) -> Bounds {
        let first = self.settled_runs().next().map(Run::first);
        Bounds {
            first: position(first.map_or(self.end(), |entry| entry.record)),
            first_ordinal: first.map_or(self.settled.next_ordinal, |entry| entry.ordinal),
            next: position(self.end()),
            next_ordinal: self.settled.next_ordinal,
        }
    }

    /// Whether a place can still be read.
    pub(super) fn check(&self, at: Position) -> Result<(), ReadError> {
        if at.0 < self.removed {
            let bounds = self.bounds();
            return Err(ReadError::Truncated {
                first: bounds.first,
                first_ordinal: bounds.first_ordinal,
            });
        }
        Ok(())
    }

    /// The run that holds the first safe event at or behind an address, with the ordinal behind
    /// the run before it.
    pub(super) fn run_at(&self, address: u64) -> Option<&Run> {
        if address > self.settled.last || self.settled.last == 0 {
            return None;
        }
        let index = self.runs.partition_point(|held| held.run.last < address);
        self.runs.get(index).map(|held| &held.run)
    }

    /// What a segment holds of the unit.
    pub(super) fn run_of(&self, base: u64) -> Option<&Run> {
        let index = self.runs.partition_point(|held| held.run.base < base);
        let run = &self.runs.get(index)?.run;
        (run.base == base).then_some(run)
    }

    /// Bytes needed of what a segment holds of the unit.
    pub(super) fn needed_of(&self, base: u64) -> u64 {
        let run = self.runs_from(base).next();
        run.filter(|held| held.run.base == base)
            .map_or(0, |held| held.needed)
    }

    /// What a segment holds of the unit, as far as it is safe.
    pub(super) fn safe_run(&self, base: u64, safe: u64) -> Option<Run> {
        let run = self.run_of(base)?;
        let unsafe_bytes: u64 = self
            .recent
            .iter()
            .rev()
            .take_while(|recent| recent.stored.position.0 >= safe.max(base))
            .filter(|recent| recent.stored.position.0 <= run.last)
            .map(|recent| recent.charge)
            .sum();
        run.until(safe, self.settled, run.bytes.saturating_sub(unsafe_bytes))
    }

    /// The run before the one of a segment.
    pub(super) fn run_before(&self, base: u64) -> Option<&Run> {
        let index = self.runs.partition_point(|held| held.run.base < base);
        self.runs.get(index.checked_sub(1)?).map(|held| &held.run)
    }

    /// The index in `recent` of the first event at or behind an address.
    pub(super) fn recent_at(&self, address: u64) -> usize {
        self.recent
            .partition_point(|recent| recent.stored.position.0 < address)
    }

    /// Whether everything from an address on is in memory.
    pub(super) fn remembers(&self, address: u64) -> bool {
        match self.recent.front() {
            Some(first) => {
                address >= first.stored.position.0 || {
                    // Nothing lies between the address and the first event in memory.
                    let before = self.runs.iter().rev().find_map(|held| {
                        (held.run.first().record < first.stored.position.0).then_some(&held.run)
                    });
                    before.is_none_or(|run| run.last < address)
                }
            }
            None => address >= self.end(),
        }
    }

    /// What keeping nothing below `floor` gives back, run by run.
    pub(super) fn release(&mut self, floor: u64) -> Vec<Released> {
        let mut released = Vec::new();
        if floor <= self.floor {
            return released;
        }
        self.floor = floor;
        let from = self.first_needed();
        for held in self.runs.iter_mut().skip(from) {
            if held.run.first().record >= floor {
                break;
            }
            // What came after everything was given back is counted exactly, and a run in steps.
            let needed = held.run.needed(floor).min(held.needed);
            if needed < held.needed {
                released.push(Released {
                    base: held.run.base,
                    bytes: held.needed - needed,
                    whole: needed == 0,
                });
            }
            held.needed = needed;
        }
        released
    }

    fn first_needed(&self) -> usize {
        self.runs.partition_point(|held| held.needed == 0)
    }

    /// The oldest segment of which it needs something.
    pub(super) fn oldest_needed(&self) -> Option<u64> {
        Some(self.runs.get(self.first_needed())?.run.base)
    }

    /// Bytes needed of its records in segments from `base` on.
    pub(super) fn needed_from(&self, base: u64) -> u64 {
        self.runs_from(base).map(|held| held.needed).sum()
    }

    fn runs_from(&self, base: u64) -> impl Iterator<Item = &Held> {
        let from = self.runs.partition_point(|held| held.run.base < base);
        self.runs.iter().skip(from)
    }

    /// The lowest position below which at least `bytes` of those in segments from `base` on are
    /// needed, or the end.
    pub(super) fn position_after(&self, base: u64, bytes: u64) -> Position {
        let mut freed = 0;
        for held in self.runs_from(base).filter(|held| held.needed > 0) {
            let rest = held.run.bytes;
            let below = |bytes_before: u64| held.needed.saturating_sub(rest - bytes_before);
            let enough = held.run.entries.iter().find(|entry| {
                entry.record >= self.floor && freed + below(entry.bytes_before) >= bytes
            });
            if let Some(entry) = enough {
                return position(entry.record);
            }
            freed += held.needed;
            if freed >= bytes {
                return position((held.run.last + 1).min(self.end()));
            }
        }
        position(self.end())
    }

    /// Takes away the run of a segment that is used again, and those before it: a reader can't
    /// tell a hole from the end.
    pub(super) fn remove_run(&mut self, base: u64) {
        let count = self.runs.partition_point(|held| held.run.base <= base);
        if self
            .runs
            .get(count.wrapping_sub(1))
            .is_none_or(|held| held.run.base != base)
        {
            return;
        }
        for held in self.runs.drain(..count) {
            self.removed = self.removed.max(held.run.last + 1);
        }
    }

    /// Tells the watchers, if it is news.
    pub(super) fn say(&self, health: Health) {
        self.health.send_if_modified(|said| {
            let news = *said != health;
            *said = health;
            news
        });
    }
}

/// What was given back of one segment.
#[derive(Debug)]
pub(super) struct Released {
    pub(super) base: u64,
    pub(super) bytes: u64,
    /// Whether the unit needs nothing of the segment any more.
    pub(super) whole: bool,
}
