//! Events whose sink is a Broker of this process: they enter it without HTTP, together with what
//! else goes there in the same turn. A publish for each would cost more than all the rest of it.

use std::time::Duration;

use futures_util::StreamExt as _;
use uuid::Uuid;
use volley_channel::{
    Class, Fut, PoolId, PublishError, Put,
    planted::{self, Planted},
};

use super::{
    Actor, Done,
    attempts::{subscriber, wire_format},
    dead_letter,
};
use crate::{
    core::{AttemptKey, Slot, Start, Work},
    egress::Ended,
    limits::Turns,
    outcome::{Answer, Outcome},
};

/// Events of one publish, and their bytes, at most. Others have a turn after each.
const EVENTS: usize = 64;
const BYTES: usize = 1 << 20;
/// How long an attempt takes, at most, at a Broker that is late with others.
const REFUSED: Duration = Duration::from_secs(1);

/// What one publish takes.
pub(super) struct Batch {
    pool: PoolId,
    timeout: Duration,
    keys: Vec<AttemptKey>,
    puts: Vec<Put>,
    bytes: usize,
}

/// What became of a batch, event by event.
pub(crate) struct Forwarded {
    keys: Vec<AttemptKey>,
    began: Duration,
    answers: Vec<Result<(), PublishError>>,
    /// The publish, if it was not waited for to its end, and where to.
    late: Option<(PoolId, Publish)>,
}

type Publish = Fut<'static, Vec<Result<(), PublishError>>>;

impl Batch {
    fn takes(&self, timeout: Duration, bytes: usize) -> bool {
        self.timeout == timeout && self.puts.len() < EVENTS && self.bytes + bytes <= BYTES
    }
}

impl Actor {
    /// Takes an attempt along whose sink is a Broker of this process; it leaves with
    /// [`forward`](Self::forward).
    pub(super) fn publish_to(&mut self, start: &Start, uid: Uuid, now: Duration) {
        let Some(pool) = self.around.places.of(uid) else {
            // It has gone since the attempt was let start.
            let gone = Forwarded {
                keys: vec![start.key],
                began: now,
                answers: vec![Err(PublishError::Gone)],
                late: None,
            };
            self.publishing += 1;
            return self.later(std::future::ready(Done::Forwarded(gone)));
        };
        let event = &start.event.event;
        let format = start.route.delivery.format.map(wire_format);
        let most = self.around.publisher.channel().caps().max_event;
        let (event, class) = match &start.work {
            Work::Deliver => (dead_letter::in_format(event, format, most), Class::Producer),
            Work::DeadLetter(failure) => (
                dead_letter::event(event, format, most, subscriber(start), failure),
                Class::Delivery,
            ),
        };
        let spent = 1 + u8::from(planted::is(Planted::HopsSpentTwice));
        let hops = start.event.event.hops().saturating_sub(spent);
        let (timeout, bytes) = (start.route.delivery.timeout, event.size());
        let put = Put {
            pool,
            key: event.partition_key().map(|key| key.to_owned().into()),
            dedupe: None,
            class,
            origin: Some((self.unit, start.key.position)),
            event: event.with_hops(hops),
        };
        let batch = self.batch_for(pool, timeout, bytes);
        batch.keys.push(start.key);
        batch.puts.push(put);
        batch.bytes += bytes;
    }

    /// Only the newest batch for a pool may have room: what came first leaves first.
    fn batch_for(&mut self, pool: PoolId, timeout: Duration, bytes: usize) -> &mut Batch {
        let newest = self.forwards.iter().rposition(|batch| batch.pool == pool);
        let at = match newest.filter(|at| self.forwards[*at].takes(timeout, bytes)) {
            Some(at) => at,
            None => {
                self.forwards.push(Batch {
                    pool,
                    timeout,
                    keys: Vec::new(),
                    puts: Vec::new(),
                    bytes: 0,
                });
                self.forwards.len() - 1
            }
        };
        &mut self.forwards[at]
    }

    /// Sends off what was taken along in this turn.
    pub(super) fn forward(&mut self, now: Duration) {
        for batch in std::mem::take(&mut self.forwards) {
            self.publishing += 1;
            if self.late.contains_key(&batch.pool) {
                self.refuse(batch, now);
            } else {
                self.publish(batch, now);
            }
        }
    }

    fn publish(&mut self, batch: Batch, now: Duration) {
        let publisher = self.around.publisher.clone();
        let (keys, pool, puts) = (batch.keys, batch.pool, batch.puts);
        let mut publish: Publish = Box::pin(async move {
            let tally = publisher.tally(pool);
            let answers = publisher.publish(&tally, puts).await;
            answers.into_iter().map(|it| it.map(|_| ())).collect()
        });
        self.later(async move {
            let in_time = tokio::time::timeout(batch.timeout, &mut publish).await;
            let (mut answers, late) = match in_time {
                Ok(answers) => (answers, None),
                Err(_) => (in_doubt(keys.len()), Some((pool, publish))),
            };
            answers.resize_with(keys.len(), || Err(PublishError::Gone));
            Done::Forwarded(Forwarded {
                keys,
                began: now,
                answers,
                late,
            })
        });
    }

    /// A Broker that is late with what it has gets no more: nothing piles up in front of it, and
    /// nothing passes what is there.
    fn refuse(&mut self, batch: Batch, now: Duration) {
        self.later(async move {
            let pause = batch.timeout.min(REFUSED);
            tokio::time::sleep(pause).await;
            let late = PublishError::Down {
                retry_after: Duration::ZERO,
                reason: "it is late with events that came before".to_owned(),
            };
            Done::Forwarded(Forwarded {
                answers: vec![Err(late); batch.keys.len()],
                keys: batch.keys,
                began: now,
                late: None,
            })
        });
    }

    /// A batch has its answers.
    pub(super) fn was_forwarded(&mut self, now: Duration, mut forwarded: Forwarded) {
        let took = now.saturating_sub(forwarded.began);
        self.handled += forwarded.keys.len();
        self.go_on_publishing(&mut forwarded);
        for (key, answer) in forwarded.keys.into_iter().zip(forwarded.answers) {
            if answer == Err(PublishError::Gone) {
                self.withdraw(now, key);
                continue;
            }
            let is_full = answer.as_ref().is_err_and(PublishError::is_no_room);
            let stored = answer.is_ok();
            let outcome = outcome_of(answer);
            let ended = Ended {
                key,
                outcome,
                took,
                hold: None,
            };
            self.on_ended(now, ended);
            if is_full {
                self.core.no_room(now, key);
            } else if stored {
                self.core.room_again(now);
            }
        }
    }

    /// The Broker that an attempt was for is not here: it was none.
    fn withdraw(&mut self, now: Duration, key: AttemptKey) {
        self.end_flight(key);
        self.core.withdrawn(now, key);
    }

    /// Whether the Broker that a sink is is here. Where it is not, the Trigger waits until one
    /// comes, or its route changes; a dead letter waits alone, and leaves the others their turn.
    pub(super) fn is_here(&mut self, slot: Slot, uid: Uuid, dead: bool, now: Duration) -> bool {
        if self.around.places.of(uid).is_some() {
            return true;
        }
        if dead {
            self.core.set_aside(slot, now);
            self.core.not_yet(slot);
        } else {
            self.awaiting.insert(slot);
        }
        false
    }

    /// A Broker has come: what waits for one looks again.
    pub(super) fn on_arrivals(&mut self) {
        for slot in std::mem::take(&mut self.awaiting) {
            self.core.not_yet(slot);
        }
    }

    /// What took too long goes on: what it stores is counted, although nobody waits for it.
    fn go_on_publishing(&mut self, forwarded: &mut Forwarded) {
        let Some((pool, publish)) = forwarded.late.take() else {
            self.publishing -= 1;
            return;
        };
        *self.late.entry(pool).or_default() += 1;
        self.later(async move {
            publish.await;
            Done::Late(pool)
        });
    }

    /// What took too long has its answers, at last.
    pub(super) fn was_late(&mut self, pool: PoolId) {
        self.publishing -= 1;
        if let Some(batches) = self.late.get_mut(&pool) {
            *batches -= 1;
            if *batches == 0 {
                self.late.remove(&pool);
            }
        }
    }

    /// Waits, after the end of this unit, for what it publishes to others: they count it.
    pub(super) async fn finish_publishing(&mut self) {
        // Whoever still asks hears that nobody is here, and permits are for others.
        self.control.close();
        while self.control.try_recv().is_ok() {}
        self.flights.clear();
        self.turns = Turns::default();
        self.granted.1.close();
        while self.granted.1.try_recv().is_ok() {}
        while self.publishing > 0 {
            match self.work.next().await {
                Some(Done::Forwarded(mut forwarded)) => self.go_on_publishing(&mut forwarded),
                Some(Done::Late(pool)) => self.was_late(pool),
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn in_doubt(events: usize) -> Vec<Result<(), PublishError>> {
    let retry_after = Duration::ZERO;
    vec![Err(PublishError::Unknown { retry_after }); events]
}

fn outcome_of(answer: Result<(), PublishError>) -> Outcome {
    match answer {
        Ok(()) => Outcome::status(202),
        Err(PublishError::TooLarge { .. }) => Outcome::status(413),
        Err(error) => Outcome::Answered {
            status: 503,
            retry_after: None,
            answer: Answer::Nothing,
            excerpt: error.to_string().into(),
        },
    }
}
