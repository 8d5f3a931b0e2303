//! The one task that owns a unit: it tells the core what happens and does what the core says.
//!
//! It never waits on egress: an attempt starts only with a permit in hand, and the queue of
//! outcomes has two places for each permit. Whatever takes time (reading, the ledger,
//! replies, sinks in this process) is a future of its own, a bounded number of them; the actor
//! waits for the first thing that happens, does all that follows from it, and waits again.

mod attempts;
mod control;
mod dead_letter;
mod drops;
mod forwards;
mod progress;
mod reading;
mod replies;
mod sides;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use futures_util::{
    FutureExt as _,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Sleep, sleep_until},
};
use tracing::error;
use volley_channel::{
    Clock, Cursor, Epoch, Health, LedgerError, PoolId, Position, PublishError, Publisher,
    ReadError, SideKey, Span, Stored, Tally, Unit,
};

use self::{
    attempts::{Flight, Sinks},
    control::Drain,
    drops::Drops,
    forwards::{Batch, Forwarded},
    progress::Progress,
    replies::Replies,
    telling::{Asked, Told},
};
pub(crate) use self::{
    control::{Control, UnitReport},
    telling::Teller,
};
use crate::{
    budget::Memory,
    core::{AttemptKey, Core, Settings, Slot},
    egress::Notice,
    exits::Exits,
    limits::{Limits, Turns},
    meters::Meters,
    places::Places,
    scheduler::Granted,
};

/// How many turns an actor takes before it lets others on its core have one.
const IN_A_ROW: u64 = 8;
/// How much of what is done one turn takes, and after how many events that are not new others on
/// its core have one.
const AT_ONCE: usize = 16;

/// What an actor needs of its surroundings.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) publisher: Publisher,
    pub(crate) clock: Clock,
    pub(crate) exits: Exits,
    /// What Triggers may do in all units of the Broker together, where it has several.
    pub(crate) limits: Option<Arc<Limits>>,
    /// Which Brokers this process serves: sinks that are published to directly.
    pub(crate) places: Places,
    /// How much memory what is pending may take in this process.
    pub(crate) memory: Memory,
    /// How much memory the bodies of events may take in this process.
    pub(crate) bodies: Memory,
    /// The bounds of a Trigger while there are enough.
    pub(crate) usual: Settings,
    pub(crate) seed: u64,
    pub(crate) teller: Teller,
}

/// Work that takes time, when it is done.
pub(crate) enum Done {
    Pass(usize, Option<Box<dyn Cursor>>, Result<Span, ReadError>),
    Fetched(Vec<Position>, Result<Vec<Option<Stored>>, ReadError>),
    Reply(AttemptKey, Result<(), PublishError>),
    Forwarded(Forwarded),
    /// What took too long to be waited for is published.
    Late(PoolId),
    Delta(Result<(), LedgerError>),
    Image(Result<(), LedgerError>),
    Pause,
}

type Work = volley_channel::Fut<'static, Done>;

/// A read of the head that is under way, with its cursor.
type HeadRead = volley_channel::Fut<'static, (Box<dyn Cursor>, Result<Span, ReadError>)>;

/// The owner of one unit.
pub(crate) struct Actor {
    unit: Unit,
    core: Core,
    around: Surroundings,
    tally: Arc<Tally>,
    meters: Arc<Meters>,
    head: Option<HeadRead>,
    work: FuturesUnordered<Work>,
    alarm: Alarm,
    outcomes: (mpsc::Sender<Notice>, mpsc::Receiver<Notice>),
    granted: (mpsc::Sender<Granted>, mpsc::Receiver<Granted>),
    /// Slots whose subscriber is a Broker that is not here.
    awaiting: BTreeSet<Slot>,
    arrivals: watch::Receiver<u64>,
    /// Slots that stand in line for a permit, each with the ticket of its application.
    in_line: BTreeMap<Slot, u64>,
    turns: Turns,
    tickets: u64,
    control: mpsc::Receiver<Control>,
    health: watch::Receiver<Health>,
    /// By serial. Only looked up.
    flights: HashMap<u64, Flight, BuildHasherDefault<Serial>>,
    sinks: Sinks,
    /// What this turn sends to Brokers of this process.
    forwards: Vec<Batch>,
    /// Batches whose publish has not ended.
    publishing: usize,
    /// Of these, by where they go, those that nobody waits for any more.
    late: BTreeMap<PoolId, usize>,
    /// Events that were caught up, fetched or forwarded since others had a turn.
    handled: usize,
    progress: Progress,
    replies: Replies,
    passes: [reading::PassReader; crate::core::PASSES],
    rng: Rng,
    drain: Option<Drain>,
    reading: bool,
    stopped: bool,
    /// Bytes that what is pending here took when that was last told, and bodies.
    held: usize,
    held_bodies: usize,
    /// Attempts that somebody looks on at whose reply is being stored.
    told_replies: BTreeMap<AttemptKey, Box<Told>>,
    /// Deliveries whose end was told already.
    told_finished: Vec<(u128, Position)>,
    asked: Asked,
    drops: Drops,
}

/// What a new actor is given.
pub(crate) struct Birth {
    pub(crate) unit: Unit,
    pub(crate) namespace: Arc<str>,
    pub(crate) core: Core,
    pub(crate) epoch: Epoch,
    /// Side records that an earlier owner left.
    pub(crate) sides: Vec<SideKey>,
    pub(crate) cursor: Box<dyn Cursor>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) meters: Arc<Meters>,
}

impl Actor {
    pub(crate) fn new(birth: Birth, around: Surroundings) -> Self {
        let permits = around.exits.permits().max(1);
        let mut sides = birth.sides;
        sides.retain(|key| !birth.core.owns_side(*key));
        let channel = around.publisher.channel();
        let mut actor = Self {
            unit: birth.unit,
            core: birth.core,
            tally: around.publisher.tally(birth.unit.pool),
            meters: birth.meters,
            sinks: Sinks::new(&birth.namespace, around.limits.clone()),
            head: None,
            work: FuturesUnordered::new(),
            alarm: Alarm::new(around.clock),
            outcomes: mpsc::channel(2 * permits),
            granted: mpsc::channel(permits),
            awaiting: BTreeSet::new(),
            arrivals: around.places.arrivals(),
            in_line: BTreeMap::new(),
            turns: Turns::default(),
            tickets: 0,
            control: birth.control,
            health: channel.health(birth.unit),
            flights: HashMap::default(),
            forwards: Vec::new(),
            publishing: 0,
            late: BTreeMap::new(),
            handled: 0,
            progress: Progress::new(birth.epoch, channel.caps(), sides),
            replies: Replies::new(birth.namespace),
            passes: Default::default(),
            rng: Rng::with_seed(around.seed),
            drain: None,
            reading: true,
            stopped: false,
            held: 0,
            held_bodies: 0,
            told_replies: BTreeMap::new(),
            told_finished: Vec::new(),
            asked: Asked::default(),
            drops: Drops::default(),
            around,
        };
        actor.read_head(birth.cursor);
        actor
    }

    /// Runs until the unit is retired, drained, or owned by somebody else.
    pub(crate) async fn run(mut self) {
        let mut notices = Vec::with_capacity(64);
        self.health.mark_changed();
        let mut turns = 0_u64;
        while !self.stopped {
            let timer = self.next_timer();
            tokio::select! {
                biased;
                Some(control) = self.control.recv() => self.on_control(control).await,
                _ = self.outcomes.1.recv_many(&mut notices, 64) => {}
                Some(granted) = self.granted.1.recv() => self.on_granted(granted),
                () = self.turns.wait(), if self.around.limits.is_some() => self.on_turns(),
                (cursor, span) = next_span(&mut self.head), if self.head.is_some() => {
                    self.head = None;
                    self.head_was_read(cursor, span).await;
                }
                Some(done) = self.work.next(), if !self.work.is_empty() => self.on_all_done(done),
                Ok(()) = self.arrivals.changed(), if !self.awaiting.is_empty() => self.on_arrivals(),
                Ok(()) = self.health.changed() => self.on_health(),
                () = self.alarm.at(timer), if timer.is_some() => {}
                else => break,
            }
            self.turn(&mut notices).await;
            turns += 1;
            if turns.is_multiple_of(IN_A_ROW) || self.handled >= AT_ONCE {
                if self.handled >= AT_ONCE {
                    // Whoever catches up keeps a core busy: the log's writer may wait for it.
                    std::thread::yield_now();
                }
                self.handled = 0;
                // Who catches up may always have something to do: others on this core come between.
                tokio::task::yield_now().await;
            }
        }
        self.tell_drops(Duration::MAX);
        self.around.memory.moved(self.held, 0);
        self.around.bodies.moved(self.held_bodies, 0);
        self.finish_publishing().await;
    }

    /// Everything that follows from what happened, until there is nothing more to do.
    async fn turn(&mut self, notices: &mut Vec<Notice>) {
        let now = self.around.clock.now();
        for notice in notices.drain(..) {
            self.on_notice(now, notice);
        }
        while let Ok(notice) = self.outcomes.1.try_recv() {
            self.on_notice(now, notice);
        }
        self.core.tick(now);
        self.keep_within_budget();
        self.replies.tell(self.core.keep());
        self.start_attempts(now);
        self.forward(now);
        self.publish_replies();
        self.read_again();
        self.catch_up();
        self.record(now);
        self.check_drain().await;
    }

    /// Takes what is done, with what else is done by now: a turn for each would cost more than it.
    fn on_all_done(&mut self, done: Done) {
        self.on_done(done);
        for _ in 1..AT_ONCE {
            if self.handled >= AT_ONCE {
                break;
            }
            let Some(Some(done)) = self.work.next().now_or_never() else {
                break;
            };
            self.on_done(done);
        }
    }

    fn on_done(&mut self, done: Done) {
        let now = self.around.clock.now();
        match done {
            Done::Pass(which, cursor, span) => self.pass_was_read(which, cursor, span),
            Done::Fetched(at, found) => self.was_fetched(&at, found),
            Done::Reply(key, answer) => {
                let jitter = self.rng.f64();
                self.core.stored(now, key, &answer, jitter);
                match answer {
                    Ok(()) => self.replies.stored(),
                    Err(error) if error.is_no_room() && !self.replies.refused(key) => {
                        self.core.let_reply_go(now, key, jitter);
                    }
                    Err(_) => {}
                }
                if !self.core.is_replying(key) {
                    self.replies.release(key);
                }
                self.tell_replied(now, key);
            }
            Done::Forwarded(forwarded) => self.was_forwarded(now, forwarded),
            Done::Delta(answer) => self.delta_written(answer),
            Done::Image(answer) => self.image_written(now, answer),
            Done::Late(pool) => self.was_late(pool),
            Done::Pause => {}
        }
    }

    /// Tells what is held here, and takes over what a Trigger may have pending now.
    fn keep_within_budget(&mut self) {
        let (memory, bodies) = (&self.around.memory, &self.around.bodies);
        let held = self.core.held_bytes();
        memory.moved(self.held, held);
        self.held = held;
        let held = self.core.near_bytes() + self.sinks.flying_bytes();
        bodies.moved(self.held_bodies, held);
        self.held_bodies = held;
        let usual = &self.around.usual;
        self.core.set_bounds(Settings {
            window: memory.share(usual.window),
            waiting: memory.share(usual.waiting),
            flying_bytes: bodies.share(usual.flying_bytes),
            shelf_bytes: bodies.share(usual.shelf_bytes),
        });
    }

    fn next_timer(&self) -> Option<Duration> {
        let timers = [
            self.core.next_timer(),
            self.progress.due(),
            self.drain.as_ref().map(|drain| drain.deadline),
            self.drops.due(),
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

/// Waits for the read that is under way.
async fn next_span(head: &mut Option<HeadRead>) -> (Box<dyn Cursor>, Result<Span, ReadError>) {
    match head {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// The actor's one timer. It is moved only when something is due before it, which under load is
/// seldom: a new timer for each turn would cost more than the turn.
struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    fn new(clock: Clock) -> Self {
        let sleep = Box::pin(sleep_until(clock.instant(clock.now())));
        Self { clock, sleep }
    }

    /// Waits until `at`, for ever if there is none.
    async fn at(&mut self, at: Option<Duration>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        let due = self.clock.instant(at);
        loop {
            if self.sleep.is_elapsed() || self.sleep.deadline() > due {
                self.sleep.as_mut().reset(due);
            }
            self.sleep.as_mut().await;
            if self.clock.now() >= at {
                return;
            }
        }
    }
}

/// A serial number is its own hash: it is ours, and never repeats.
#[derive(Default)]
pub(crate) struct Serial(u64);

impl Hasher for Serial {
    fn finish(&self) -> u64 {
        // The table takes its place from the high bits too.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
