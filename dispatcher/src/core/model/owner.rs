//! A process that owns the unit, and what is around its core: attempts, reads and writes under way.

use std::collections::BTreeMap;

use uuid::Uuid;
use volley_channel::Position;
use volley_spec::report::{OTHER, TriggerPhase};

use super::{
    Altered,
    ledger::{Queue, Step},
    truth::Truth,
};
use crate::core::{Core, Ending, PASSES, Part, ReplyToStore, Roll, Start, trigger::Reading};

/// One process that runs the unit, or still believes that it does.
pub(super) struct Owner {
    pub(super) core: Core,
    pub(super) epoch: u64,
    pub(super) flying: Vec<Start>,
    pub(super) fetches: Vec<Position>,
    pub(super) replies: Vec<ReplyToStore>,
    pub(super) passes: [Option<Position>; PASSES],
    pub(super) steps: Queue,
    pub(super) side: Vec<u128>,
    /// Finishes that no step covers yet.
    pub(super) uncovered: BTreeMap<u128, u64>,
    /// Triggers noted by it whose start is not durable yet.
    pub(super) unready: Vec<(u128, u64)>,
    pub(super) ticks_left: Option<u32>,
    /// Endings that it told of, by Trigger and name.
    pub(super) told: BTreeMap<u128, BTreeMap<&'static str, u64>>,
}

impl Owner {
    pub(super) fn new(core: Core, epoch: u64) -> Self {
        Self {
            core,
            epoch,
            flying: Vec::new(),
            fetches: Vec::new(),
            replies: Vec::new(),
            passes: [None; PASSES],
            steps: Queue::new(),
            side: Vec::new(),
            uncovered: BTreeMap::new(),
            unready: Vec::new(),
            ticks_left: None,
            told: BTreeMap::new(),
        }
    }

    /// Queues the steps of an image, in the order that is safe, or in an altered one.
    pub(super) fn checkpoint(&mut self, limit: usize, altered: Option<Altered>) {
        let keep = self.core.keep();
        let (image, side) = self.core.checkpoint(limit).encode(limit);
        let gone = self
            .side
            .iter()
            .filter(|key| !side.iter().any(|(kept, _)| kept == *key) && !Roll::is_key(**key));
        let gone: Vec<_> = gone.map(|key| Step::RemoveSide(*key)).collect();
        self.side = side.iter().map(|(key, _)| *key).collect();
        let puts = side
            .into_iter()
            .filter_map(|(key, bytes)| Some(Step::Side(key, bytes?)));
        let puts: Vec<_> = puts.collect();
        let image = [Step::Image(image)];
        match altered {
            Some(Altered::BaseBeforeExceptions) => {
                self.steps.extend(image.into_iter().chain(puts).chain(gone))
            }
            Some(Altered::ExceptionRemovedEarly) => {
                self.steps.extend(gone.into_iter().chain(puts).chain(image))
            }
            _ => self.steps.extend(puts.into_iter().chain(image).chain(gone)),
        }
        self.cover(keep);
    }

    pub(super) fn append_delta(&mut self) {
        if let Some(delta) = self.core.take_delta() {
            self.steps.push_back(Step::Delta(delta.encode()));
            // A recovery reads again from the image's base, whatever the deltas say.
            self.cover(Position(0));
        }
    }

    pub(super) fn cover(&mut self, keep: Position) {
        let already: BTreeMap<u128, u64> =
            self.steps.iter().fold(BTreeMap::new(), |mut sum, step| {
                if let Step::Covered { finishes, .. } = step {
                    for (uid, count) in finishes {
                        *sum.entry(*uid).or_default() += count;
                    }
                }
                sum
            });
        let fresh = self
            .uncovered
            .iter()
            .map(|(uid, count)| (*uid, count - already.get(uid).copied().unwrap_or(0)));
        let finishes = fresh.filter(|(_, count)| *count > 0).collect();
        self.steps.push_back(Step::Covered {
            keep,
            finishes,
            noted: self.unready.clone(),
        });
    }

    /// Tells the truth what ended.
    pub(super) fn collect(&mut self, truth: &mut Truth) -> Result<(), String> {
        let zombie = self.ticks_left.is_some();
        for finished in self.core.take_finished() {
            let (uid, ending) = (finished.uid, finished.ending);
            *self.uncovered.entry(uid).or_default() += 1;
            let name = match ending {
                Ending::Delivered => "delivered",
                Ending::DeadLettered => "deadLettered",
                Ending::Dropped(why) => why.name(),
            };
            *self.told.entry(uid).or_default().entry(name).or_default() += 1;
            truth.ended(uid, finished.position, ending, zombie)?;
        }
        Ok(())
    }

    /// Where a Trigger stands that reads by itself.
    pub(super) fn detached(&self, uid: u128) -> Option<Position> {
        let slot = self.core.by_uid.get(&uid)?;
        match self.core.triggers[*slot as usize].as_ref()?.reading {
            Reading::Detached { read, .. } => Some(read),
            _ => None,
        }
    }

    pub(super) fn filter_from(&self, uid: u128) -> Option<Position> {
        let slot = self.core.by_uid.get(&uid)?;
        self.core.triggers[*slot as usize].as_ref()?.filter_from
    }

    /// The three laws of the books, and that each number is what happened.
    pub(super) fn check_books(&self, truth: &Truth, stored: u64) -> Result<(), String> {
        for row in self.core.account(Part::WHOLE, stored, 0).triggers {
            if row.name == OTHER {
                continue;
            }
            let uid = Uuid::parse_str(&row.uid)
                .expect("a row names its Trigger")
                .as_u128();
            let told = |name| {
                self.told
                    .get(&uid)
                    .and_then(|told| told.get(name))
                    .copied()
                    .unwrap_or(0)
            };
            let dropped = |name| row.dropped.get(name).copied().unwrap_or(0);
            let ends = row.delivered + row.dead_lettered + row.dropped.values().sum::<u64>();
            let first =
                row.before + row.seen + row.unread == stored || row.state == TriggerPhase::Deleted;
            let second = row.seen == row.filtered + row.matched;
            let third = row.recovered + row.matched == ends + row.pending;
            let each = row.delivered == told("delivered")
                && row.dead_lettered == told("deadLettered")
                && dropped("retriesExhausted") == told("retriesExhausted")
                && dropped("ttl") == told("ttl")
                && dropped("overflow") >= told("overflow");
            let wanted = truth.wanted(uid, row.before, row.seen);
            let matched = if truth.something_taken_away() {
                true
            } else if self.epoch == 0 {
                row.matched == wanted
            } else {
                row.matched <= wanted
            };
            if !(first && second && third && each && matched) {
                return Err(format!(
                    "the books are wrong: {row:?}, {stored} stored, {wanted} wanted, told {:?}",
                    self.told.get(&uid)
                ));
            }
        }
        Ok(())
    }
}
