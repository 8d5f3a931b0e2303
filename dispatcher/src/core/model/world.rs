//! The seeded world around the core.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use uuid::Uuid;
use volley_channel::{Bounds, Position, PublishError, Span, Stored};
use volley_event::Event;
use volley_filter::{Expr, Filter};
use volley_spec::route::{Backoff, Delivery, HttpTarget, ObjectKey, Order, Target, TriggerRoute};

use super::{
    Altered,
    ledger::{Durable, Queue, Step},
    truth::{Declared, Truth},
};
use crate::{
    core::{Change, Core, Delta, Image, PASSES, ReplyToStore, Settings, Start, Work},
    outcome::{Answer, FailedKind, Outcome},
};

const ZOMBIE_ALLOWANCE: u64 = 1000;

/// One process that runs the unit, or still believes that it does.
struct Owner {
    core: Core,
    epoch: u64,
    flying: Vec<Start>,
    fetches: Vec<Position>,
    replies: Vec<ReplyToStore>,
    passes: [Option<Position>; PASSES],
    steps: Queue,
    side: Vec<u128>,
    /// Finishes that no step covers yet.
    uncovered: BTreeMap<u128, u64>,
    /// Triggers noted by it whose start is not durable yet.
    unready: Vec<u128>,
    ticks_left: Option<u32>,
}

pub(super) struct World {
    rng: Rng,
    now: Duration,
    settings: Settings,
    log: Vec<Stored>,
    next: u64,
    kept: Position,
    routes: BTreeMap<u128, Arc<TriggerRoute>>,
    truth: Truth,
    durable: Durable,
    owner: Owner,
    zombies: Vec<Owner>,
    altered: Option<Altered>,
    failure_rate: f64,
    image_limit: usize,
    trace: String,
    takeovers: u32,
}

type Broken = String;

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
            now: Duration::ZERO,
            settings,
            log: Vec::new(),
            next: 0,
            kept: Position(0),
            routes: BTreeMap::new(),
            truth: Truth::default(),
            durable: Durable::default(),
            zombies: Vec::new(),
            altered,
            failure_rate: [0.0, 0.2, 0.5, 0.95][rng.usize(0..4)],
            image_limit: [usize::MAX, 60, 200][rng.usize(0..3)],
            trace: String::new(),
            takeovers: 0,
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
            self.disturb();
            self.act()?;
        }
        // The faults stop: everything has to end, and soon.
        self.failure_rate = 0.0;
        for _ in 0..20_000 {
            if self.zombies.is_empty() && self.idle() {
                return Ok(());
            }
            self.act()?;
        }
        Err(format!("not everything ended: {:?}", self.owner.core))
    }

    fn trace(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.trace, "{line}").expect("a string takes every line");
    }

    fn idle(&self) -> bool {
        let account = self.owner.core.account(self.log.len() as u64);
        let idle = |row: &volley_spec::report::TriggerAccount| row.pending == 0 && row.unread == 0;
        account.head_ordinal == self.log.len() as u64
            && account.triggers.iter().all(|(row, _)| idle(row))
    }

    /// Things that happen to the world: events, changes, crashes.
    fn disturb(&mut self) {
        match self.rng.u32(0..1000) {
            0..250 => self.publish_some(),
            250..255 => self.add_trigger(),
            255..258 => self.remove_trigger(),
            258..268 if self.takeovers < 6 => self.take_over(),
            _ => {}
        }
    }

    fn publish_some(&mut self) {
        for _ in 0..self.rng.u32(1..=4) {
            let kind = format!("t{}", self.rng.u32(0..3));
            let key = self.rng.bool().then(|| format!("k{}", self.rng.u32(0..4)));
            self.publish(&kind, key.as_deref(), 3);
        }
    }

    fn publish(&mut self, kind: &str, key: Option<&str>, hops: u8) {
        self.next += self.rng.u64(1..=2);
        let position = Position(self.next);
        let mut event = Event::builder()
            .id(self.next.to_string())
            .source("/model")
            .kind(kind);
        if let Some(key) = key {
            event = event.attribute("partitionkey", key);
        }
        let event = event
            .build()
            .expect("the model's events are valid")
            .with_hops(hops);
        self.truth.published(position, kind, key);
        self.log.push(Stored {
            position,
            ordinal: self.log.len() as u64,
            at_ms: self.next,
            event,
        });
    }

    fn add_trigger(&mut self) {
        let uid = u128::from(self.rng.u64(1..u64::MAX));
        let kind = format!("t{}", self.rng.u32(0..3));
        let order = [Order::None, Order::Key, Order::Partition][self.rng.usize(0..3)];
        let (retry, dead_letter) = (self.rng.u32(0..=3), self.rng.bool());
        let concurrency = self.rng.u32(1..=5);
        let route = Arc::new(route(uid, &kind, order, retry, dead_letter, concurrency));
        let lanes = match order {
            Order::None => None,
            Order::Key => Some(true),
            Order::Partition => Some(false),
        };
        self.truth.triggers.insert(
            uid,
            Declared {
                kind,
                from: Position(u64::MAX),
                first: Position(u64::MAX),
                removed: false,
                retry,
                dead_letter,
                lanes,
            },
        );
        self.routes.insert(uid, Arc::clone(&route));
        self.note_new(route);
    }

    /// The current owner notes a Trigger at the end of the log, and writes that down at once.
    fn note_new(&mut self, route: Arc<TriggerRoute>) {
        let (uid, at) = (route.uid.as_u128(), Position(self.next + 1));
        self.owner
            .core
            .note(Change::Upsert(route), at, self.log.len() as u64, self.now);
        let declared = self
            .truth
            .triggers
            .get_mut(&uid)
            .expect("declared before it is noted");
        declared.from = at;
        declared.first = declared.first.min(at);
        self.owner.unready.push(uid);
        self.owner.checkpoint(self.image_limit, self.altered);
    }

    fn remove_trigger(&mut self) {
        if self.routes.len() < 2 {
            return;
        }
        let at = self.rng.usize(0..self.routes.len());
        let uid = *self.routes.keys().nth(at).expect("within the length");
        self.routes.remove(&uid);
        self.truth.triggers.get_mut(&uid).expect("declared").removed = true;
        self.owner.core.note(
            Change::Remove(uid),
            Position(self.next + 1),
            self.log.len() as u64,
            self.now,
        );
    }

    /// The owner crashes, or is deposed and does not know it; another one goes on.
    fn take_over(&mut self) {
        self.takeovers += 1;
        self.truth.crashed();
        for (uid, finishes) in &self.owner.uncovered {
            self.truth.allow(*uid, *finishes);
        }
        for start in &self.owner.flying {
            self.truth.allow(start.route.uid.as_u128(), 1);
        }
        for reply in &self.owner.replies {
            if let Some(uid) = self.owner.core.uid_of(reply.key.slot) {
                self.truth.allow(uid, 1);
            }
        }
        self.durable.epoch += 1;
        let next = self.recover();
        let mut old = std::mem::replace(&mut self.owner, next);
        let unready: Vec<_> = old
            .unready
            .iter()
            .filter(|uid| self.routes.contains_key(uid))
            .copied()
            .collect();
        if self.rng.bool() {
            for uid in self.truth.triggers.keys().copied().collect::<Vec<_>>() {
                self.truth.allow(uid, ZOMBIE_ALLOWANCE);
            }
            old.ticks_left = Some(self.rng.u32(1..200));
            self.zombies.push(old);
        }
        for uid in unready {
            self.note_new(Arc::clone(&self.routes[&uid]));
        }
        let epoch = self.durable.epoch;
        self.trace(format_args!("take-over {epoch}"));
    }

    fn recover(&mut self) -> Owner {
        let side: Vec<_> = self
            .durable
            .side
            .iter()
            .map(|(key, bytes)| (*key, bytes.clone()))
            .collect();
        let image = self
            .durable
            .image
            .as_ref()
            .map_or_else(Image::default, |image| {
                Image::decode(image, &side).expect("the ledger gives back what was written")
            });
        let delta =
            |bytes: &Bytes| Delta::decode(bytes).expect("the ledger gives back what was written");
        let deltas: Vec<_> = self.durable.deltas.iter().map(delta).collect();
        let known = self
            .routes
            .iter()
            .filter(|(uid, _)| !self.owner.unready.contains(uid));
        let known = known.map(|(_, route)| Arc::clone(route)).collect();
        let first = self.log.iter().find(|stored| stored.position >= self.kept);
        let bounds = Bounds {
            first: first.map_or(Position(self.next + 1), |stored| stored.position),
            first_ordinal: first.map_or(self.log.len() as u64, |stored| stored.ordinal),
            next: Position(self.next + 1),
            next_ordinal: self.log.len() as u64,
        };
        let mut core = Core::recover(
            self.settings.clone(),
            image,
            &deltas,
            known,
            bounds,
            self.now,
        );
        core.altered = self.altered;
        let mut owner = Owner::new(core, self.durable.epoch);
        owner.side = side.iter().map(|(key, _)| *key).collect();
        owner
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
        done
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

    fn span(&mut self, from: Position) -> Span {
        let most = self.rng.usize(1..=5);
        let all = self
            .log
            .iter()
            .filter(|stored| stored.position >= from && stored.position >= self.kept);
        let events: Vec<_> = all.take(most).cloned().collect();
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
    fn forgotten(&self, from: Position, owner: &mut Owner) -> Result<bool, Broken> {
        let gone = |stored: &Stored| stored.position >= from && stored.position < self.kept;
        if !self.log.iter().any(gone) {
            return Ok(false);
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
        Ok(())
    }

    fn read_pass(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        let which = self.rng.usize(0..PASSES);
        match owner.passes[which].take() {
            Some(at) if self.forgotten(at, owner)? => owner.core.pass_failed(which),
            Some(at) => {
                let span = self.span(at);
                owner.core.caught_up(which, span);
            }
            None => owner.passes[which] = owner.core.wants_pass(which),
        }
        Ok(())
    }

    fn start_attempts(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        for _ in 0..self.rng.u32(0..4) {
            let Some(slot) = owner.core.next_ready() else {
                break;
            };
            if owner.core.startable(slot, self.now).is_none() {
                continue;
            }
            if let Some(start) = owner.core.start(slot, self.now) {
                let uid = start.route.uid.as_u128();
                let dead = matches!(start.work, Work::DeadLetter(_));
                self.trace(format_args!(
                    "e{} start {uid} {} dead={dead}",
                    owner.epoch, start.key.position
                ));
                // A zombie may start what its successor has ended; it is judged by what it ends.
                self.truth.starts(uid, start.key.position, dead)?;
                owner.flying.push(start);
            }
            owner.core.not_yet(slot);
        }
        owner.fetches.extend(owner.core.take_fetch());
        owner.replies.extend(owner.core.take_replies());
        Ok(())
    }

    fn end_attempt(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        if owner.flying.is_empty() {
            return Ok(());
        }
        let start = owner
            .flying
            .swap_remove(self.rng.usize(0..owner.flying.len()));
        let (uid, position) = (start.route.uid.as_u128(), start.key.position);
        let outcome = self.outcome(&start);
        let taken = matches!(
            &outcome,
            Outcome::Answered {
                status: 200..=299,
                ..
            }
        );
        if taken && start.work == Work::Deliver {
            let reply = matches!(
                &outcome,
                Outcome::Answered {
                    answer: Answer::Reply(_),
                    ..
                }
            );
            self.truth
                .taken(uid, position, reply && start.event.event.hops() > 1);
        } else if taken {
            self.truth.dead_letter_taken(uid, position);
        }
        self.trace(format_args!(
            "e{} end {uid} {position} {}",
            owner.epoch,
            outcome.code_class()
        ));
        let jitter = self.rng.f64();
        owner.core.ended(self.now, start.key, &outcome, jitter);
        Ok(())
    }

    fn outcome(&mut self, start: &Start) -> Outcome {
        if self.rng.f64() < self.failure_rate {
            return match self.rng.u32(0..4) {
                0 => Outcome::status(503),
                1 => Outcome::status(400),
                2 => Outcome::failed(FailedKind::Refused, "refused"),
                _ => Outcome::failed(FailedKind::TimedOut, "no answer"),
            };
        }
        let replies =
            self.failure_rate > 0.0 && start.work == Work::Deliver && self.rng.u32(0..6) == 0;
        if !replies {
            return Outcome::status(200);
        }
        let kind = format!("t{}", self.rng.u32(0..4));
        let reply = Event::builder()
            .id("r")
            .source("/reply")
            .kind(&kind)
            .build()
            .expect("a valid reply");
        Outcome::Answered {
            status: 200,
            retry_after: None,
            answer: Answer::Reply(Box::new(reply)),
            excerpt: Bytes::new(),
        }
    }

    fn serve_fetches(&mut self, owner: &mut Owner) {
        let wanted = std::mem::take(&mut owner.fetches);
        let current = owner.ticks_left.is_none();
        let found: Vec<_> = wanted
            .iter()
            .map(|position| self.fetch(*position))
            .collect();
        if !current && found.iter().any(Option::is_none) {
            // Its successor is ahead of it: what it would do now, nobody waits for.
            owner.ticks_left = Some(1);
            return;
        }
        // One that is gone ends as dropped, and the truth knows that nothing may.
        owner.core.fetched(&wanted, found);
    }

    fn fetch(&self, position: Position) -> Option<Stored> {
        let at = self
            .log
            .binary_search_by_key(&position, |stored| stored.position)
            .ok()?;
        (position >= self.kept).then(|| self.log[at].clone())
    }

    fn store_reply(&mut self, owner: &mut Owner) {
        if owner.replies.is_empty() {
            return;
        }
        let ReplyToStore { key, event } = owner
            .replies
            .swap_remove(self.rng.usize(0..owner.replies.len()));
        let refused = self.rng.f64() < self.failure_rate / 2.0;
        let answer = if refused {
            Err(PublishError::Full {
                retry_after: Duration::from_secs(1),
            })
        } else {
            self.publish(event.kind(), event.partition_key(), event.hops());
            if let Some(uid) = owner.core.uid_of(key.slot) {
                self.truth.reply_stored(uid, key.position);
            }
            Ok(())
        };
        let jitter = self.rng.f64();
        owner.core.stored(self.now, key, &answer, jitter);
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
            owner.unready.retain(|uid| !noted.contains(uid));
            for (uid, count) in finishes {
                *owner.uncovered.entry(uid).or_default() -= count;
            }
        }
    }
}

impl Owner {
    fn new(core: Core, epoch: u64) -> Self {
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
        }
    }

    /// Queues the steps of an image, in the order that is safe, or in an altered one.
    fn checkpoint(&mut self, limit: usize, altered: Option<Altered>) {
        let keep = self.core.keep();
        let (image, side) = self.core.checkpoint().encode(limit);
        let gone = self
            .side
            .iter()
            .filter(|key| !side.iter().any(|(kept, _)| kept == *key));
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

    fn append_delta(&mut self) {
        if let Some(delta) = self.core.take_delta() {
            self.steps.push_back(Step::Delta(delta.encode()));
            // A recovery reads again from the image's base, whatever the deltas say.
            self.cover(Position(0));
        }
    }

    fn cover(&mut self, keep: Position) {
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

    fn collect(&mut self, truth: &mut Truth) -> Result<(), Broken> {
        for finished in self.core.take_finished() {
            *self.uncovered.entry(finished.uid).or_default() += 1;
            truth.ended(finished.uid, finished.position, finished.ending)?;
        }
        Ok(())
    }
}

fn route(
    uid: u128,
    kind: &str,
    order: Order,
    retry: u32,
    dead_letter: bool,
    concurrency: u32,
) -> TriggerRoute {
    let sink = |name: &str| {
        Target::Http(HttpTarget {
            url: format!("http://{name}/"),
            ca_certs: None,
        })
    };
    TriggerRoute {
        uid: Uuid::from_u128(uid),
        key: ObjectKey::new("default", format!("t{uid:x}")),
        filter: Some(Filter::compile(&Expr::exact([("type", kind)])).expect("a valid filter")),
        subscriber: Some(sink("subscriber")),
        dead_letter: dead_letter.then(|| sink("dead")),
        delivery: Delivery {
            retry,
            backoff: Backoff::Exponential,
            delay: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
            format: None,
        },
        order,
        concurrency,
        rate: None,
        overflow: None,
        hold_when_refused: false,
    }
}
