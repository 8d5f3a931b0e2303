//! What is counted when a producer or the channel goes away half-way.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, duplex},
    sync::watch,
    time::sleep,
};
use volley_channel::{
    Bounds, Caps, Channel, Clock, Cursor, Fut, Health, Ledger, PoolId, PoolSpec, PoolState,
    Position, PublishError, Put, ReadError, SharedChannel, Space, Start, Stored, Unit,
    memory::{MemoryChannel, MemoryOptions},
};

use super::{Client, EVENT, Stage, post, status};
use crate::ingress::{IngressOptions, Kind};

/// A channel in memory whose publishes take a second and may be told how to end.
struct Slow {
    memory: Arc<MemoryChannel>,
    /// Errors for the next events, in their order; then none.
    errors: Mutex<Vec<Option<PublishError>>>,
}

impl Slow {
    fn failing(errors: Vec<Option<PublishError>>) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryChannel::new(MemoryOptions::new(64 << 20, Clock::simulated(1))),
            errors: Mutex::new(errors),
        })
    }
}

impl Channel for Slow {
    fn caps(&self) -> &Caps {
        self.memory.caps()
    }
    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        self.memory.prepare(pool)
    }
    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        self.memory.retire(pool)
    }
    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>> {
        Box::pin(async move {
            sleep(Duration::from_secs(1)).await;
            let mut errors = std::mem::take(&mut *self.errors.lock().unwrap()).into_iter();
            let mut answers = Vec::new();
            for put in batch {
                match errors.next().flatten() {
                    Some(error) => answers.push(Err(error)),
                    None => answers.append(&mut self.memory.publish(vec![put]).await),
                }
            }
            answers
        })
    }
    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>> {
        self.memory.open(unit, from)
    }
    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>> {
        self.memory.fetch(unit, at)
    }
    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>> {
        self.memory.bounds(unit)
    }
    fn keep(&self, unit: Unit, from: Position) {
        self.memory.keep(unit, from);
    }
    fn ledger(&self) -> &dyn Ledger {
        self.memory.ledger()
    }
    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        self.memory.health(unit)
    }
    fn space(&self, pool: PoolId) -> Space {
        self.memory.space(pool)
    }
}

async fn stage(errors: Vec<Option<PublishError>>) -> Stage {
    let channel: SharedChannel = Slow::failing(errors);
    Stage::over(IngressOptions::default(), channel).await
}

fn down() -> PublishError {
    PublishError::Down {
        retry_after: Duration::from_millis(1_500),
        reason: "no\r\nx: y".into(),
    }
}

const BATCH: &str = "content-type: application/cloudevents-batch+json\r\n";
const THREE: &str = r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},
    {"specversion":"1.0","id":"2","source":"/s","type":"t"},
    {"specversion":"1.0","id":"3","source":"/s","type":"t"}]"#;

#[tokio::test(start_paused = true)]
async fn a_producer_that_goes_away_while_its_event_is_stored_did_not_hear() {
    let mut stage = stage(vec![]).await;
    let mut client = stage.connect();
    client.send(post("/ns/b", EVENT, "x")).await;
    sleep(Duration::from_millis(500)).await;
    drop(client);
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 1));
    assert_eq!(stage.door.counts().of(Kind::Unheard), 1);
    assert_eq!(stage.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_only_closes_its_side_hears() {
    let mut stage = stage(vec![]).await;
    let mut client = stage.connect();
    client.send(post("/ns/b", EVENT, "x")).await;
    client.0.shutdown().await.expect("half close");
    assert_eq!(status(&client.rest().await), 202);
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_stuck_when_the_producer_goes_away_was_not_heard() {
    let mut stage = stage(vec![]).await;
    // So little fits into the pipe that the answer can't leave as a whole.
    let (here, there) = duplex(64);
    stage.serve(there);
    let mut client = Client(here);
    client.send(post("/ns/b", EVENT, "1")).await;
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 0));
    drop(client);
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 1));
    assert_eq!(stage.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answers_is_given_up() {
    let mut stage = stage(vec![]).await;
    let (here, there) = duplex(64);
    stage.serve(there);
    let mut client = Client(here);
    client.send(post("/ns/b", EVENT, "1")).await;
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_settles_what_it_owes() {
    let mut stage = Stage::new().await;
    let (here, there) = duplex(16);
    stage.serve(there);
    let mut client = Client(here);
    client.send(post("/ns/b", EVENT, "1")).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 0));
    stage.tasks.shutdown().await;
    assert_eq!((stage.accepted(), stage.unheard()), (1, 1));
}

#[tokio::test]
async fn a_producer_that_disconnects_anywhere_in_its_request_leaves_nothing() {
    let request = post("/ns/b", EVENT, &"x".repeat(64));
    for cut in 0..request.len() {
        let mut stage = Stage::new().await;
        let mut client = stage.connect();
        client.send(&request[..cut]).await;
        drop(client);
        stage.ended().await;
        assert_eq!(stage.accepted(), 0, "cut at {cut}");
        assert!(stage.stored().await.is_empty(), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_stored_in_part_is_503_and_says_how_many() {
    let mut stage = stage(vec![None, Some(down())]).await;
    let answer = stage.ask(post("/ns/b", BATCH, THREE)).await;
    assert_eq!(status(&answer), 503);
    assert!(
        answer.contains("2 of the batch's 3 events are stored"),
        "{answer}"
    );
    assert!(answer.contains("retry-after: 2\r\n"), "{answer}");
    assert!(!answer.contains("\nx: y"), "one line: {answer}");
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_the_channel_has_its_answer() {
    let wait = Duration::from_secs(3);
    for (error, wanted, kind) in [
        (
            PublishError::Full { retry_after: wait },
            503,
            Kind::Unavailable,
        ),
        (
            PublishError::Crowded {
                size: 9,
                share: 8,
                retry_after: wait,
            },
            503,
            Kind::Unavailable,
        ),
        (
            PublishError::Unknown { retry_after: wait },
            503,
            Kind::Unavailable,
        ),
        (down(), 503, Kind::Unavailable),
        (
            PublishError::Refused {
                cause: "not authorised to write to topic kn".to_owned(),
            },
            503,
            Kind::Unavailable,
        ),
        (
            PublishError::TooLarge { size: 9, limit: 8 },
            413,
            Kind::TooLarge,
        ),
        (PublishError::Gone, 404, Kind::NotFound),
    ] {
        for (headers, body) in [(EVENT, "x"), (BATCH, THREE)] {
            let errors = vec![Some(error.clone()); 3];
            let mut stage = stage(errors).await;
            let answer = stage.ask(post("/ns/b", headers, body)).await;
            assert_eq!(status(&answer), wanted, "{answer}");
            assert_eq!(answer.contains("retry-after: "), wanted == 503, "{answer}");
            stage.ended().await;
            assert_eq!((stage.accepted(), stage.unheard()), (0, 0));
            assert_eq!(stage.door.counts().of(kind), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_coding_that_nobody_serves_is_the_producers_mistake() {
    let mut stage = stage(vec![None]).await;
    let request =
        "POST /ns/b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = stage.ask(request).await;
    assert_eq!(status(&answer), 501, "{answer}");
    stage.ended().await;
    let of = |kind| stage.door.counts().of(kind);
    assert_eq!((of(Kind::Invalid), of(Kind::Unavailable)), (1, 0));
}
