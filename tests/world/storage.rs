//! The channel of a world: the real one in memory behind a door that takes time, fails when the
//! schedule says so, and notes what was stored. A simulated disk belongs here.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::watch, time::sleep};
use volley_channel::{
    Bounds, Caps, Channel, Class, Clock, Cursor, Fut, Health, Ledger, PoolId, PoolSpec, PoolState,
    Position, PublishError, Put, ReadError, SharedChannel, Space, Start, Stored, Unit,
};

use crate::{
    schedule::Schedule,
    trace::{Fact, Seen, Trace},
};

/// The longest that a write takes on its way in, and an answer on its way out.
const WRITE_US: u64 = 3_000;

/// A channel that is watched.
pub(crate) struct Storage {
    real: SharedChannel,
    clock: Clock,
    trace: Trace,
    down: Vec<(Duration, Duration)>,
    rng: Mutex<Rng>,
}

impl Storage {
    pub(crate) fn over(
        real: SharedChannel,
        schedule: &Schedule,
        clock: Clock,
        trace: Trace,
    ) -> SharedChannel {
        Arc::new(Self {
            real,
            clock,
            trace,
            down: schedule.channel_down.clone(),
            rng: Mutex::new(Rng::with_seed(schedule.seed ^ 0x5707_a6e0)),
        })
    }

    async fn pause(&self) {
        let us = self.rng.lock().unwrap().u64(0..WRITE_US);
        sleep(Duration::from_micros(us)).await;
    }

    fn is_down(&self) -> bool {
        let now = self.clock.now();
        self.down
            .iter()
            .any(|(from, to)| (*from..*to).contains(&now))
    }

    async fn store(&self, batch: Vec<Put>) -> Vec<Result<(Unit, Position), PublishError>> {
        self.pause().await;
        let events: Vec<(Seen, bool)> = batch.iter().map(seen).collect();
        let producers = batch.iter().all(|put| put.class == Class::Producer);
        let answers = if producers && self.is_down() {
            let refusal = PublishError::Down {
                retry_after: Duration::from_secs(1),
                reason: "the schedule says so".to_owned(),
            };
            vec![Err(refusal); batch.len()]
        } else {
            self.real.publish(batch).await
        };
        for ((event, reply), answer) in events.into_iter().zip(&answers) {
            self.trace.note(match answer {
                Ok((unit, position)) => Fact::Stored {
                    unit: unit.part,
                    position: position.0,
                    event,
                    reply,
                },
                Err(error) => Fact::NotStored {
                    id: event.id,
                    why: name(error),
                    reply,
                },
            });
        }
        self.pause().await;
        answers
    }
}

fn seen(put: &Put) -> (Seen, bool) {
    let event = Seen {
        id: put.event.id().to_owned(),
        kind: put.event.kind().to_owned(),
        source: put.event.source().to_owned(),
        key: put.event.partition_key().map(str::to_owned),
    };
    (event, put.class == Class::Delivery)
}

fn name(error: &PublishError) -> &'static str {
    match error {
        PublishError::Full { .. } => "full",
        PublishError::TooLarge { .. } => "too large",
        PublishError::Down { .. } => "down",
        PublishError::Unknown { .. } => "unknown",
        _ => "gone",
    }
}

impl Channel for Storage {
    fn caps(&self) -> &Caps {
        self.real.caps()
    }

    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        self.real.prepare(pool)
    }

    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        self.real.retire(pool)
    }

    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>> {
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
        self.real.ledger()
    }

    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        self.real.health(unit)
    }

    fn space(&self, pool: PoolId) -> Space {
        self.real.space(pool)
    }
}
