//! The one task that owns a unit: it tells the core what happens and does what the core says.
//!
//! It never waits on egress: an attempt starts only with a permit in hand, and the queue of
//! outcomes has as many places as there are permits. Whatever takes time (reading, the ledger,
//! replies, sinks in this process) is a future of its own, a bounded number of them; the actor
//! waits for the first thing that happens, does all that follows from it, and waits again.

mod attempts;
mod control;
mod progress;
mod reading;

use std::{collections::HashMap, sync::Arc, time::Duration};

use fastrand::Rng;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tracing::error;
use volley_channel::{
    Clock, Cursor, Epoch, Health, LedgerError, PublishError, Publisher, ReadError, Span, Stored,
    Tally, Unit,
};

pub(crate) use self::control::{Control, UnitReport};
use self::{
    attempts::{Flight, Sinks},
    control::Drain,
    progress::Progress,
};
use crate::{
    budget::Positions,
    core::{AttemptKey, Core, Settings, Slot},
    egress::Ended,
    exits::Exits,
    meters::Meters,
    places::Places,
    scheduler::Granted,
};

/// What an actor needs of its surroundings.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) publisher: Publisher,
    pub(crate) clock: Clock,
    pub(crate) exits: Exits,
    /// Which Brokers this process serves: sinks that are published to directly.
    pub(crate) places: Places,
    /// How many positions may be pending in this process.
    pub(crate) positions: Positions,
    /// The bounds of a Trigger while there are enough.
    pub(crate) usual: Settings,
    pub(crate) seed: u64,
}

/// Work that takes time, when it is done.
pub(crate) enum Done {
    Head(Box<dyn Cursor>, Result<Span, ReadError>),
    Pass(usize, Option<Box<dyn Cursor>>, Result<Span, ReadError>),
    Fetched(
        Vec<volley_channel::Position>,
        Result<Vec<Option<Stored>>, ReadError>,
    ),
    Reply(AttemptKey, Result<(), PublishError>),
    Local(AttemptKey, Duration, Result<(), PublishError>),
    Delta(Result<(), LedgerError>),
    Image(Result<(), LedgerError>),
    Pause,
}

type Work = volley_channel::Fut<'static, Done>;

/// The owner of one unit.
pub(crate) struct Actor {
    unit: Unit,
    core: Core,
    around: Surroundings,
    tally: Arc<Tally>,
    meters: Arc<Meters>,
    namespace: Arc<str>,
    work: FuturesUnordered<Work>,
    outcomes: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    granted: (mpsc::Sender<Granted>, mpsc::Receiver<Granted>),
    /// Slots that stand in line for a permit.
    in_line: HashMap<Slot, ()>,
    control: mpsc::Receiver<Control>,
    health: watch::Receiver<Health>,
    flights: HashMap<u64, Flight>,
    sinks: Sinks,
    progress: Progress,
    passes: [reading::PassReader; crate::core::PASSES],
    rng: Rng,
    drain: Option<Drain>,
    reading: bool,
    stopped: bool,
    /// Positions pending when they were last told.
    pending: usize,
}

/// What a new actor is given.
pub(crate) struct Birth {
    pub(crate) unit: Unit,
    pub(crate) namespace: Arc<str>,
    pub(crate) core: Core,
    pub(crate) epoch: Epoch,
    pub(crate) cursor: Box<dyn Cursor>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) meters: Arc<Meters>,
}

impl Actor {
    pub(crate) fn new(birth: Birth, around: Surroundings) -> Self {
        let permits = around.exits.permits().max(1);
        let channel = around.publisher.channel();
        let mut actor = Self {
            unit: birth.unit,
            core: birth.core,
            tally: around.publisher.tally(birth.unit.pool),
            meters: birth.meters,
            sinks: Sinks::new(&birth.namespace),
            namespace: birth.namespace,
            work: FuturesUnordered::new(),
            outcomes: mpsc::channel(permits),
            granted: mpsc::channel(permits),
            in_line: HashMap::new(),
            control: birth.control,
            health: channel.health(birth.unit),
            flights: HashMap::new(),
            progress: Progress::new(birth.epoch, channel.caps()),
            passes: Default::default(),
            rng: Rng::with_seed(around.seed),
            drain: None,
            reading: true,
            stopped: false,
            pending: 0,
            around,
        };
        actor.read_head(birth.cursor);
        actor
    }

    /// Runs until the unit is retired, drained, or owned by somebody else.
    pub(crate) async fn run(mut self) {
        let mut ended = Vec::with_capacity(64);
        self.health.mark_changed();
        while !self.stopped {
            let timer = self.next_timer();
            tokio::select! {
                biased;
                Some(control) = self.control.recv() => self.on_control(control).await,
                _ = self.outcomes.1.recv_many(&mut ended, 64) => {}
                Some(granted) = self.granted.1.recv() => self.on_granted(granted),
                Some(done) = self.work.next(), if !self.work.is_empty() => self.on_done(done),
                Ok(()) = self.health.changed() => self.on_health(),
                () = sleep_until(self.around.clock, timer), if timer.is_some() => {}
                else => break,
            }
            self.turn(&mut ended).await;
        }
        self.around.positions.moved(self.pending, 0);
    }

    /// Everything that follows from what happened, until there is nothing more to do.
    async fn turn(&mut self, ended: &mut Vec<Ended>) {
        let now = self.around.clock.now();
        for ended in ended.drain(..) {
            self.on_ended(now, ended);
        }
        while let Ok(ended) = self.outcomes.1.try_recv() {
            self.on_ended(now, ended);
        }
        self.core.tick(now);
        self.keep_within_budget();
        self.start_attempts(now);
        self.publish_replies();
        self.read_again();
        self.catch_up();
        self.record(now);
        self.check_drain().await;
    }

    fn on_done(&mut self, done: Done) {
        let now = self.around.clock.now();
        match done {
            Done::Head(cursor, span) => self.head_was_read(cursor, span),
            Done::Pass(which, cursor, span) => self.pass_was_read(which, cursor, span),
            Done::Fetched(at, found) => self.was_fetched(&at, found),
            Done::Reply(key, answer) => {
                let jitter = self.rng.f64();
                self.core.stored(now, key, &answer, jitter);
            }
            Done::Local(key, began, answer) => self.local_ended(now, key, began, answer),
            Done::Delta(answer) => self.delta_written(answer),
            Done::Image(answer) => self.image_written(answer),
            Done::Pause => {}
        }
    }

    /// Tells what is pending here, and takes over what a Trigger may have pending now.
    fn keep_within_budget(&mut self) {
        let (positions, usual) = (&self.around.positions, &self.around.usual);
        positions.moved(self.pending, self.core.pending());
        self.pending = self.core.pending();
        let (window, waiting) = (
            positions.share(usual.window),
            positions.share(usual.waiting),
        );
        self.core.set_bounds(window, waiting);
    }

    fn next_timer(&self) -> Option<Duration> {
        let timers = [
            self.core.next_timer(),
            self.progress.due(),
            self.drain.as_ref().map(|drain| drain.deadline),
        ];
        timers.into_iter().flatten().min()
    }

    fn later(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.work.push(Box::pin(work));
    }

    /// Another process owns the unit: nothing of ours counts any more.
    fn fenced(&mut self) {
        error!(unit = %self.unit, "another process has taken this unit over; this one stops working on it");
        self.stopped = true;
    }
}

async fn sleep_until(clock: Clock, at: Option<Duration>) {
    if let Some(at) = at {
        tokio::time::sleep_until(clock.instant(at)).await;
    }
}
