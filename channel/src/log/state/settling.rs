//! How a commit ends: safe, given up, or the end of the log.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Batch, Chain, Open, State, Trouble};
use crate::log::{
    commit::{Commit, Outcome},
    unit::Recent,
};

/// What is to be told, outside the lock.
#[derive(Debug, Default)]
pub(in crate::log) struct Settlement {
    pub(in crate::log) commits: Vec<(Arc<Commit>, Outcome)>,
    pub(in crate::log) readers: Vec<Arc<Notify>>,
}

impl State {
    /// The frame is safe.
    pub(in crate::log) fn complete(&mut self, batch: Batch) -> Settlement {
        self.safe = batch.header.end();
        self.safe_chain = Chain {
            commit: batch.header.commit + 1,
            before: batch.header.crc,
        };
        self.counts.commits += 1;
        self.counts.bytes += u64::from(batch.header.length);
        if let Some(segment) = self.segments.get_mut(&batch.base) {
            segment.bytes += batch.charge;
        }
        self.fill_segments_before(batch.base);
        let mut settlement = Settlement::default();
        for (number, settled) in &batch.settled {
            if let Some(unit) = self.units.get_mut(number) {
                self.counts.events += settled.next_ordinal - unit.settled.next_ordinal;
                unit.settled = *settled;
                settlement.readers.push(Arc::clone(&unit.wake));
            }
        }
        for effect in batch.effects {
            self.apply(effect);
        }
        self.ease();
        self.reuse(batch.bytes);
        self.writing = false;
        self.kept.wanted |= self.wants_upkeep();
        settlement.commits.push((batch.commit, Outcome::Done));
        settlement
    }

    /// Segments below the one that is written now are full.
    fn fill_segments_before(&mut self, base: u64) {
        let older = self.segments.range(..base).rev();
        let filled: Vec<u64> = older
            .take_while(|(_, segment)| !segment.full)
            .map(|(base, _)| *base)
            .collect();
        for base in filled {
            if let Some(segment) = self.segments.get_mut(&base) {
                segment.full = true;
            }
            self.charge_dead(base);
            self.kept.wanted = true;
        }
    }

    /// The disk is full: nothing of the frame is stored, nor of what was written behind it.
    pub(in crate::log) fn give_up(&mut self, batch: Batch) -> Settlement {
        self.trouble = Some(Trouble::DiskFull);
        let reason = Trouble::DiskFull.reason();
        let settlement = self.take_back(batch, Outcome::Refused(reason));
        self.say_all();
        settlement
    }

    /// A write or a sync failed: whether the frame is stored is not known, and nothing more is
    /// ever written.
    pub(in crate::log) fn poison(&mut self, batch: Batch, reason: String) -> Settlement {
        self.end_writing(reason.clone());
        self.take_back(batch, Outcome::Unknown(reason))
    }

    /// Nothing more is ever written, for this reason.
    pub(in crate::log) fn end_writing(&mut self, reason: String) {
        self.trouble = Some(Trouble::Poisoned(reason));
        self.say_all();
    }

    /// Takes back what was written since and will never be safe, for the writer that has nothing
    /// in hand.
    pub(in crate::log) fn abandon(&mut self) -> Settlement {
        let reason = self
            .trouble
            .as_ref()
            .map(Trouble::reason)
            .unwrap_or_default();
        let batch = match self.queue.take() {
            Some(batch) => batch,
            None if self.open.is_empty() => return Settlement::default(),
            None => self.seal(false),
        };
        self.take_back(batch, Outcome::Refused(reason))
    }

    /// Takes back what was written and will never be safe.
    fn take_back(&mut self, batch: Batch, outcome: Outcome) -> Settlement {
        let behind = match &outcome {
            Outcome::Unknown(reason) => Outcome::Refused(reason.clone()),
            other => other.clone(),
        };
        let mut settlement = Settlement::default();
        let (base, address, header) = (batch.base, batch.header.address, batch.header);
        settlement.commits.push((batch.commit, outcome));
        if let Some(queued) = self.queue.take() {
            settlement.commits.push((queued.commit, behind.clone()));
            self.reuse(queued.bytes);
        }
        let open = Open::at(base, address, batch.bytes);
        let dropped = std::mem::replace(&mut self.open, open);
        settlement.commits.push((dropped.commit, behind));
        self.reuse(dropped.bytes);
        self.chain = Chain {
            commit: header.commit,
            before: header.before,
        };
        let touched: Vec<u32> = self
            .units
            .iter()
            .filter(|(_, unit)| unit.written != unit.settled || unit.touched >= address)
            .map(|(number, _)| *number)
            .collect();
        for number in touched {
            self.take_back_unit(number);
        }
        for unit in self.units.values_mut() {
            unit.progress.forget_notes();
        }
        self.writing = false;
        settlement
    }

    fn take_back_unit(&mut self, number: u32) {
        let Some(unit) = self.units.get_mut(&number) else {
            return;
        };
        let safe = unit.settled;
        let pool = unit.unit.pool;
        let mut charge = 0;
        let mut emptied = Vec::new();
        let is_unsafe = |recent: &Recent| recent.stored.position.0 > safe.last;
        while unit.recent.back().is_some_and(is_unsafe)
            && let Some(gone) = unit.recent.pop_back()
        {
            charge += gone.charge;
            self.recent_bytes -= gone.stored.event.size() + crate::log::RECENT_OVERHEAD;
            let Some(held) = unit.runs.back_mut() else {
                continue;
            };
            held.run.bytes -= gone.charge;
            let needed = held.needed.saturating_sub(gone.charge);
            if held.needed > 0 && needed == 0 {
                emptied.push(held.run.base);
            }
            held.needed = needed;
            held.run
                .entries
                .pop_if(|entry| entry.record == gone.stored.position.0);
            if held.run.entries.is_empty() {
                unit.runs.pop_back();
            }
        }
        if let Some(held) = unit.runs.back_mut() {
            held.run.last = safe.last.max(held.run.first().record);
            held.run.next_ordinal = safe.next_ordinal;
            held.run.last_ms = safe.last_ms;
        }
        unit.written = safe;
        unit.touched = 0;
        let mut bills = Vec::new();
        for base in emptied {
            bills.append(&mut self.pins.leave(base, pool));
        }
        self.settle(pool, charge, &bills);
    }

    fn reuse(&mut self, bytes: Vec<u8>) {
        // One that had to grow for a large event is not kept.
        if self.buffers.len() < 2 && bytes.capacity() <= self.options.commit_bytes * 2 {
            self.buffers.push(bytes);
        }
    }
}
