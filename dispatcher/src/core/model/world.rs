//! The seeded world around the core: its log, its time and its steps.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use fastrand::Rng;
use volley_channel::{Position, Span, Stored};
use volley_spec::route::{Overflow, TriggerRoute};

use super::{
    Altered,
    ledger::{Durable, Step},
    owner::Owner,
    truth::Truth,
};
use crate::core::{Core, PASSES, Part, Settings};

/// What happens in a run besides events, crashes and failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    /// Authors change their Triggers.
    pub(super) changes: bool,
    /// Space runs out.
    pub(super) space: bool,
    /// The log loses events by its own retention.
    pub(super) retention: bool,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) mix: Mix,
    pub(super) now: Duration,
    pub(super) settings: Settings,
    pub(super) log: Vec<Stored>,
    pub(super) next: u64,
    /// The log has nothing below here.
    pub(super) kept: Position,
    pub(super) overflow: Overflow,
    pub(super) routes: BTreeMap<u128, Arc<TriggerRoute>>,
    /// Triggers that no file declares since a take-over, and whether the ledger knew them.
    pub(super) withheld: BTreeMap<u128, (Arc<TriggerRoute>, bool)>,
    /// Filters that wait for the head of the owner: Trigger, position, kind.
    pub(super) noted: Vec<(u128, Position, String)>,
    pub(super) truth: Truth,
    pub(super) durable: Durable,
    pub(super) owner: Owner,
    pub(super) zombies: Vec<Owner>,
    pub(super) altered: Option<Altered>,
    pub(super) failure_rate: f64,
    pub(super) image_limit: usize,
    trace: String,
    pub(super) takeovers: u32,
    /// Counts the times that a Trigger was noted as new.
    pub(super) tickets: u64,
}

pub(super) type Broken = String;

impl World {
    /// Runs one seed to its end. `Ok` is the number of (event, Trigger) pairs that ended.
    pub(super) fn run(seed: u64, altered: Option<Altered>) -> Result<u64, Broken> {
        let mut world = Self::new(seed, altered);
        world.play()?;
        world.truth.settle()
    }

    /// Everything that happened in one seed.
    pub(super) fn traced(seed: u64) -> String {
        let mut world = Self::new(seed, None);
        let end = world.play().and_then(|()| world.truth.settle());
        format!("{}{end:?}", world.trace)
    }

    fn new(seed: u64, altered: Option<Altered>) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let settings = Settings {
            window: rng.usize(1..=6),
            waiting: rng.usize(1..=8),
            flying_bytes: 1 << 20,
            shelf_bytes: if rng.bool() {
                1 << 20
            } else {
                rng.usize(100..2000)
            },
        };
        let mut world = Self {
            owner: Owner::new(Core::new(settings.clone(), Position(0), 0), 0),
            mix: Mix {
                changes: rng.bool(),
                space: rng.u32(0..3) == 0,
                retention: rng.u32(0..6) == 0,
            },
            overflow: [Overflow::DropOldest, Overflow::BlockPublish][rng.usize(0..2)],
            noted: Vec::new(),
            now: Duration::ZERO,
            settings,
            log: Vec::new(),
            next: 0,
            kept: Position(0),
            routes: BTreeMap::new(),
            withheld: BTreeMap::new(),
            truth: Truth::default(),
            durable: Durable::default(),
            zombies: Vec::new(),
            altered,
            failure_rate: [0.0, 0.2, 0.5, 0.95][rng.usize(0..4)],
            image_limit: [usize::MAX, 60, 200][rng.usize(0..3)],
            trace: String::new(),
            takeovers: 0,
            tickets: 0,
            rng,
        };
        world.owner.core.altered = altered;
        for _ in 0..world.rng.usize(1..=6) {
            world.add_trigger();
        }
        world
    }

    fn play(&mut self) -> Result<(), Broken> {
        for _ in 0..self.rng.u32(150..600) {
            self.disturb()?;
            self.act()?;
        }
        // The faults stop: everything has to end, and soon.
        self.declare_again()?;
        self.give_subscribers_back()?;
        self.failure_rate = 0.0;
        for _ in 0..20_000 {
            if self.zombies.is_empty() && self.idle() {
                return self.owner.check_books(&self.truth, self.log.len() as u64);
            }
            self.act()?;
        }
        let account = self
            .owner
            .core
            .account(Part::WHOLE, self.log.len() as u64, 0);
        Err(format!("not everything ended: {:?}", account.triggers))
    }

    pub(super) fn trace(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.trace, "{line}").expect("a string takes every line");
    }

    fn idle(&self) -> bool {
        self.owner.core.is_done(self.log.len() as u64)
    }

    /// One random step of the owner, and one of each zombie.
    fn act(&mut self) -> Result<(), Broken> {
        self.now += Duration::from_millis(self.rng.u64(0..400));
        let mut zombies = std::mem::take(&mut self.zombies);
        for zombie in &mut zombies {
            self.step(zombie)?;
            zombie.ticks_left = zombie.ticks_left.map(|ticks| ticks.saturating_sub(1));
        }
        zombies.retain(|zombie| zombie.ticks_left != Some(0));
        self.zombies = zombies;
        let mut owner = std::mem::replace(
            &mut self.owner,
            Owner::new(Core::new(Settings::default(), Position(0), 0), 0),
        );
        let done = self.step(&mut owner);
        self.owner = owner;
        done?;
        if self.rng.u32(0..16) == 0 {
            self.owner.check_books(&self.truth, self.log.len() as u64)?;
        }
        Ok(())
    }

    fn step(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        let choice = self.rng.u32(0..9);
        match choice {
            0 | 1 => self.read_head(owner)?,
            2 => self.read_pass(owner)?,
            3 => self.end_attempt(owner)?,
            4 => self.serve_fetches(owner),
            5 => self.store_reply(owner),
            6 => self.durable_step(owner),
            7 if self.rng.u32(0..4) == 0 => owner.checkpoint(self.image_limit, self.altered),
            7 => owner.append_delta(),
            _ => owner.core.tick(self.now),
        }
        // What ended frees its lane before anything starts.
        owner.collect(&mut self.truth)?;
        self.start_attempts(owner)?;
        owner.collect(&mut self.truth)
    }

    /// Of the first event at or above `position`.
    fn index_of(&self, position: Position) -> usize {
        self.log
            .partition_point(|stored| stored.position < position)
    }

    fn span(&mut self, from: Position) -> Span {
        let most = self.rng.usize(1..=5);
        let start = self.index_of(from.max(self.kept));
        let events: Vec<_> = self.log[start..].iter().take(most).cloned().collect();
        let last = events.last();
        Span {
            next: last.map_or(Position(self.next + 1).max(from), |stored| {
                stored.position.following()
            }),
            next_ordinal: last.map_or(self.log.len() as u64, |stored| stored.ordinal + 1),
            at_head: last.is_none_or(|stored| stored.position.0 == self.next),
            events,
        }
    }

    /// Whether the log forgot events that a reader at `from` would have to see. A zombie that
    /// gets there is behind its successor: it ends. For the owner it is a violation.
    fn forgotten(&mut self, from: Position, owner: &mut Owner) -> Result<bool, Broken> {
        if self.index_of(from) >= self.index_of(self.kept) {
            return Ok(false);
        }
        if owner.ticks_left.is_none() && from < self.truth.taken_away {
            let first = self.log.get(self.index_of(self.kept));
            let (first, ordinal) = first.map_or((self.next + 1, self.log.len() as u64), |stored| {
                (stored.position.0, stored.ordinal)
            });
            owner.core.truncated(Position(first), ordinal);
            self.filters_taken_up(owner);
            return Ok(true);
        }
        if owner.ticks_left.is_none() && owner.core.keep() >= self.kept {
            // The Triggers that it was to be read for are deleted.
            return Ok(true);
        }
        if owner.ticks_left.is_none() {
            return Err(format!(
                "{from} is still to be read, but the log was told to forget it"
            ));
        }
        owner.ticks_left = Some(1);
        Ok(true)
    }

    fn read_head(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        if self.forgotten(owner.core.head(), owner)? {
            return Ok(());
        }
        let span = self.span(owner.core.head());
        owner.core.read(span);
        if owner.ticks_left.is_none() {
            self.filters_taken_up(owner);
        }
        Ok(())
    }

    fn read_pass(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        let which = self.rng.usize(0..PASSES);
        match owner.passes[which].take() {
            Some(at) => {
                if self.forgotten(at, owner)? {
                    owner.core.pass_failed(which);
                    return Ok(());
                }
                let span = self.span(at);
                owner.core.caught_up(which, span);
            }
            None => owner.passes[which] = owner.core.wants_pass(which),
        }
        Ok(())
    }

    fn durable_step(&mut self, owner: &mut Owner) {
        let Some(step) = owner.steps.pop_front() else {
            return;
        };
        let fenced = self.altered != Some(Altered::NoFencing);
        if !self.durable.take(&step, owner.epoch, fenced) {
            return;
        }
        if let Step::Covered {
            keep,
            finishes,
            noted,
        } = step
        {
            self.kept = self.kept.max(keep);
            owner.core.image_safe();
            owner.unready.retain(|ticket| !noted.contains(ticket));
            for (uid, count) in finishes {
                *owner.uncovered.entry(uid).or_default() -= count;
            }
        }
    }
}
