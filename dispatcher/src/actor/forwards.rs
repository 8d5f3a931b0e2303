//! Events whose sink is a Broker of this process: they enter it without HTTP, together with what
//! else goes there in the same turn. A publish for each would cost more than all the rest of it.

use std::time::Duration;

use uuid::Uuid;
use volley_channel::{
    Class, PoolId, PublishError, Put,
    planted::{self, Planted},
};

use super::{Actor, Done, attempts::subscriber, dead_letter};
use crate::{
    core::{AttemptKey, Start, Work},
    egress::Ended,
    outcome::{Answer, Outcome},
};

/// Events of one publish, and their bytes, at most. Others have a turn after each.
const EVENTS: usize = 64;
const BYTES: usize = 1 << 20;

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
}

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
            let gone = Forwarded {
                keys: vec![start.key],
                began: now,
                answers: vec![Err(PublishError::Gone)],
            };
            return self.later(std::future::ready(Done::Forwarded(gone)));
        };
        let event = &start.event.event;
        let (event, class) = match &start.work {
            Work::Deliver => (event.clone(), Class::Producer),
            Work::DeadLetter(failure) => (
                dead_letter::event(event, subscriber(start), failure),
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
            let publisher = self.around.publisher.clone();
            self.later(async move {
                let tally = publisher.tally(batch.pool);
                let publish = publisher.publish(&tally, batch.puts);
                let mut answers: Vec<_> = match tokio::time::timeout(batch.timeout, publish).await {
                    Ok(answers) => answers.into_iter().map(|it| it.map(|_| ())).collect(),
                    Err(_) => batch.keys.iter().map(|_| Err(in_doubt())).collect(),
                };
                answers.resize_with(batch.keys.len(), || Err(PublishError::Gone));
                Done::Forwarded(Forwarded {
                    keys: batch.keys,
                    began: now,
                    answers,
                })
            });
        }
    }

    /// A batch has its answers.
    pub(super) fn was_forwarded(&mut self, now: Duration, forwarded: Forwarded) {
        let took = now.saturating_sub(forwarded.began);
        self.forwarded += forwarded.keys.len();
        for (key, answer) in forwarded.keys.into_iter().zip(forwarded.answers) {
            let outcome = outcome_of(answer);
            let ended = Ended {
                key,
                outcome,
                took,
                hold: None,
            };
            self.on_ended(now, ended);
        }
    }
}

fn in_doubt() -> PublishError {
    PublishError::Unknown {
        retry_after: Duration::ZERO,
    }
}

fn outcome_of(answer: Result<(), PublishError>) -> Outcome {
    match answer {
        Ok(()) => Outcome::status(202),
        Err(PublishError::Gone) => Outcome::status(404),
        Err(PublishError::TooLarge { .. }) => Outcome::status(413),
        Err(error) => Outcome::Answered {
            status: 503,
            retry_after: None,
            answer: Answer::Nothing,
            excerpt: error.to_string().into(),
        },
    }
}
