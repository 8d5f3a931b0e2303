//! The channel of a world: the real one behind a door that takes time, fails when the schedule
//! says so, and notes what was stored and how far the ledger is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use volley_channel::{
    Bounds, Caps, Channel, Claim, Class, Cursor, Epoch, Fut, Health, Ledger, LedgerError, NodeId,
    PoolId, PoolSpec, PoolState, Position, PublishError, Put, ReadError, SharedChannel, Side,
    Space, Start, Stored, Unit,
};

use volley_spec::{Identity, object::ObjectKind};

use crate::{
    schedule::{HEIR, MORTAL, Schedule},
    trace::{Fact, Seen, Trace},
};

/// The longest that a write takes on its way in, and an answer on its way out.
const WRITE_US: u64 = 3_000;

type Answers = Vec<Result<(Unit, Position), PublishError>>;

/// A channel that is watched.
pub(crate) struct Storage {
    real: SharedChannel,
    trace: Trace,
    down: Vec<(Duration, Duration)>,
    rng: Mutex<Rng>,
    /// Whose pools they are.
    brokers: Mutex<BTreeMap<PoolId, String>>,
    /// The pool of the first Broker that is called like the one that may be deleted.
    first_mortal: PoolId,
    /// Who asks that what is oldest be dropped is noted.
    notes_pressure: bool,
    tasks: Mutex<JoinSet<()>>,
}

impl Storage {
    pub(crate) fn over(real: SharedChannel, schedule: &Schedule, trace: Trace) -> SharedChannel {
        Arc::new(Self {
            real,
            trace,
            down: schedule.channel_down.clone(),
            rng: Mutex::new(Rng::with_seed(schedule.seed ^ 0x5707_a6e0)),
            brokers: Mutex::default(),
            first_mortal: PoolId(
                Identity::new(ObjectKind::Broker, "default", MORTAL)
                    .uid(1)
                    .as_u128(),
            ),
            notes_pressure: schedule.drops_oldest,
            tasks: Mutex::default(),
        })
    }

    async fn pause(&self) {
        let us = self
            .rng
            .lock()
            .expect("nobody panics with it")
            .u64(0..WRITE_US);
        sleep(Duration::from_micros(us)).await;
    }

    fn is_down(&self) -> bool {
        let now = self.trace.watch.now();
        self.down
            .iter()
            .any(|(from, to)| (*from..*to).contains(&now))
    }

    /// The name of the Broker that a pool is made for.
    fn broker(&self, pool: PoolId) -> String {
        let brokers = self.brokers.lock().expect("nobody panics with it");
        brokers.get(&pool).cloned().unwrap_or_default()
    }

    async fn store(&self, batch: Vec<Put>) -> Answers {
        self.pause().await;
        let Some(first) = batch.first() else {
            return self.real.publish(batch).await;
        };
        let (broker, reply) = (self.broker(first.pool), first.class == Class::Delivery);
        let events: Vec<Seen> = batch.iter().map(seen).collect();
        let hops: Vec<u8> = batch.iter().map(|put| put.event.hops()).collect();
        self.trace.note(Fact::Storing {
            broker: broker.clone(),
            events: events.clone(),
            hops: hops.clone(),
            reply,
        });
        let answers = if !reply && self.is_down() {
            let refusal = PublishError::Down {
                retry_after: Duration::from_secs(1),
                reason: "the schedule says so".to_owned(),
            };
            vec![Err(refusal); batch.len()]
        } else {
            self.real.publish(batch).await
        };
        self.note(&broker, reply, events.into_iter().zip(hops), &answers);
        self.pause().await;
        answers
    }

    fn note(
        &self,
        broker: &str,
        reply: bool,
        events: impl Iterator<Item = (Seen, u8)>,
        answers: &Answers,
    ) {
        for ((event, hops), answer) in events.zip(answers) {
            let broker = broker.to_owned();
            self.trace.note(match answer {
                Ok((unit, position)) => Fact::Stored {
                    broker,
                    unit: unit.part,
                    position: position.0,
                    event,
                    hops,
                    reply,
                },
                Err(error) => Fact::NotStored {
                    broker,
                    id: event.id,
                    hops,
                    why: name(error),
                    reply,
                },
            });
        }
    }

    /// Passes on how a unit is, and notes what the channel asks of it: nobody hears of it otherwise.
    fn watched(&self, unit: Unit) -> watch::Receiver<Health> {
        let mut real = self.real.health(unit);
        let (tell, told) = watch::channel(real.borrow_and_update().clone());
        let (trace, broker) = (self.trace.clone(), self.broker(unit.pool));
        let mut tasks = self.tasks.lock().expect("nobody panics with it");
        tasks.spawn(async move {
            loop {
                let health = real.borrow_and_update().clone();
                if let Health::Filling { until, .. } | Health::Full { until, .. } = &health {
                    trace.note(Fact::Pressed {
                        broker: broker.clone(),
                        unit: unit.part,
                        until: until.0,
                    });
                }
                tell.send_replace(health);
                if real.changed().await.is_err() {
                    return;
                }
            }
        });
        told
    }

    /// Notes how a write of progress ended.
    fn progress(&self, unit: Unit, began: Duration, image: bool, done: bool) {
        self.trace.note(Fact::Progress {
            broker: self.broker(unit.pool),
            unit: unit.part,
            began,
            image,
            done,
        });
    }
}

fn seen(put: &Put) -> Seen {
    Seen {
        id: put.event.id().to_owned(),
        kind: put.event.kind().to_owned(),
        source: put.event.source().to_owned(),
        key: put.event.partition_key().map(str::to_owned),
    }
}

/// What the trace calls an answer that leaves open whether the event was stored.
pub(crate) const UNKNOWN: &str = "unknown";

fn name(error: &PublishError) -> &'static str {
    match error {
        PublishError::Full { .. } | PublishError::Crowded { .. } => "full",
        PublishError::TooLarge { .. } => "too large",
        PublishError::Down { .. } => "down",
        PublishError::Unknown { .. } => UNKNOWN,
        PublishError::Refused { .. } => "refused",
        _ => "gone",
    }
}

impl Ledger for Storage {
    fn claim(&self, unit: Unit, me: NodeId) -> Fut<'_, Result<Claim, LedgerError>> {
        self.real.ledger().claim(unit, me)
    }

    fn append(
        &self,
        unit: Unit,
        epoch: Epoch,
        delta: bytes::Bytes,
    ) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let began = self.trace.watch.now();
            let answer = self.real.ledger().append(unit, epoch, delta).await;
            self.progress(unit, began, false, answer.is_ok());
            answer
        })
    }

    fn write(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: bytes::Bytes,
        side: Vec<Side>,
    ) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let began = self.trace.watch.now();
            let answer = self.real.ledger().write(unit, epoch, image, side).await;
            self.progress(unit, began, true, answer.is_ok());
            answer
        })
    }
}

impl Channel for Storage {
    fn caps(&self) -> &Caps {
        self.real.caps()
    }

    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        let name = pool.name.rsplit('/').next().unwrap_or_default();
        let name = match (name == MORTAL, pool.pool == self.first_mortal) {
            (true, false) => HEIR,
            _ => name,
        };
        let mut brokers = self.brokers.lock().expect("nobody panics with it");
        brokers.insert(pool.pool, name.to_owned());
        drop(brokers);
        self.real.prepare(pool)
    }

    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        self.real.retire(pool)
    }

    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Answers> {
        Box::pin(self.store(batch))
    }

    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>> {
        self.real.open(unit, from)
    }

    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>> {
        self.real.fetch(unit, at)
    }

    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>> {
        self.real.bounds(unit)
    }

    fn keep(&self, unit: Unit, from: Position) {
        self.real.keep(unit, from);
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }

    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        match self.notes_pressure {
            true => self.watched(unit),
            false => self.real.health(unit),
        }
    }

    fn space(&self, pool: PoolId) -> Space {
        self.real.space(pool)
    }
}
