//! Events, and the steps that many contracts share.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;
use volley_event::{Event, Form};

use super::Random;
use crate::{
    Budget, Class, Cursor, PoolId, PoolSpec, Position, PublishError, Put, Retention, SharedChannel,
    Start, Stored, Unit,
};

/// How long a read waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pool of most contracts.
pub(super) const POOL: PoolId = PoolId(0x0123_4567_89ab_cdef);

/// A small event.
pub(super) fn event(id: impl Display) -> Event {
    event_from("/contract", id, Bytes::from_static(b"{}"))
}

/// An event of any source with any data.
pub(super) fn event_from(source: &str, id: impl Display, data: Bytes) -> Event {
    let event = Event::builder()
        .id(id.to_string())
        .source(source)
        .kind("volley.contract");
    event
        .untyped_data(data)
        .build()
        .expect("the parts are valid")
}

/// An event of exactly `size` bytes.
pub(super) fn event_of_size(id: impl Display, size: usize) -> Event {
    let id = id.to_string();
    let empty = event_from("/contract", &id, Bytes::new()).size();
    let event = event_from("/contract", &id, vec![b'x'; size - empty].into());
    assert_eq!(event.size(), size);
    event
}

/// An event with everything that an event can have.
pub(super) fn any_event(random: &mut Random, body: usize) -> Event {
    let mut builder = Event::builder()
        .id(text(random, 40))
        .kind(text(random, 40))
        .source(format!("/s/{}", random.number()));
    builder = builder
        .attribute("subject", text(random, 300))
        .attribute("time", "2026-02-03T04:05:06.789+01:00");
    for _ in 0..random.below(12) {
        let length = *random.pick(&[1, 5, 20, 64]);
        let value = text(random, 2_000);
        builder = builder.attribute(name(random, length), value);
    }
    if random.once_in(2) {
        builder = builder.header(
            "traceparent",
            random
                .bytes(32)
                .iter()
                .map(|byte| b'a' + byte % 26)
                .collect::<Vec<_>>(),
        );
    }
    let hops = u8::try_from(random.below(256)).expect("it is below 256");
    let event = builder
        .hops(hops)
        .data("application/octet-stream", random.bytes(body))
        .build();
    let event = event.expect("the parts are valid");
    if random.once_in(2) {
        return event;
    }
    let (attributes, headers) = (
        event.attribute_block().clone(),
        event.header_block().clone(),
    );
    let structured = Event::from_stored(
        attributes,
        headers,
        event.body().clone(),
        Form::Structured,
        hops,
    );
    structured.expect("the blocks were just made")
}

/// A name that no attribute of the specification has.
fn name(random: &mut Random, length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letters = (1..length).map(|_| char::from(*random.pick(LETTERS)));
    std::iter::once('x').chain(letters).collect()
}

/// One to `limit` characters of all widths, none of them a control character.
fn text(random: &mut Random, limit: usize) -> String {
    const LETTERS: &[char] = &[
        'a', 'Z', '0', ' ', '%', '"', '\\', ',', ';', 'ü', 'ß', '€', '日', '\u{200d}', '🦀',
    ];
    (0..=random.below(limit))
        .map(|_| *random.pick(LETTERS))
        .collect()
}

/// `event` for the usual pool, from a producer, without a key.
pub(super) fn put(event: Event) -> Put {
    Put {
        pool: POOL,
        key: None,
        dedupe: None,
        class: Class::Producer,
        origin: None,
        event,
    }
}

/// `event` with a key.
pub(super) fn put_keyed(key: impl Display, event: Event) -> Put {
    Put {
        key: Some(key.to_string().into()),
        ..put(event)
    }
}

/// Makes the usual pool ready.
pub(super) async fn prepare(channel: &SharedChannel, parts: u32) -> Vec<Unit> {
    let spec = PoolSpec {
        retention: Retention::default(),
        pool: POOL,
        name: "contract".to_owned(),
        parts,
    };
    channel
        .prepare(&spec)
        .await
        .expect("a pool can be made")
        .units
}

/// Makes the usual pool ready with one unit.
pub(super) async fn prepare_one(channel: &SharedChannel) -> Unit {
    *prepare(channel, 1)
        .await
        .first()
        .expect("a pool has a unit")
}

/// Publishes and expects every event to be stored.
pub(super) async fn store(channel: &SharedChannel, batch: Vec<Put>) -> Vec<(Unit, Position)> {
    let expected = batch.len();
    let answers = channel.publish(batch).await;
    assert_eq!(answers.len(), expected, "an answer for each event");
    answers
        .into_iter()
        .map(|answer| answer.expect("there is room, and nothing is down"))
        .collect()
}

/// Publishes one event.
pub(super) async fn publish_one(
    channel: &SharedChannel,
    put: Put,
) -> Result<(Unit, Position), PublishError> {
    let mut answers = channel.publish(vec![put]).await;
    assert_eq!(answers.len(), 1, "an answer for each event");
    answers.pop().expect("there is one")
}

/// Publishes small events with these ids, in batches of different sizes.
pub(super) async fn store_ids(
    channel: &SharedChannel,
    random: &mut Random,
    ids: std::ops::Range<u64>,
) -> Vec<Position> {
    let mut positions = Vec::new();
    let mut rest: Vec<u64> = ids.collect();
    while !rest.is_empty() {
        let size = 1 + random.below(100.min(rest.len()));
        let batch = rest.drain(..size).map(|id| put(event(id))).collect();
        positions.extend(
            store(channel, batch)
                .await
                .into_iter()
                .map(|(_, position)| position),
        );
    }
    positions
}

/// A budget of `events` that does not wait.
pub(super) fn at_once(events: usize) -> Budget {
    Budget {
        events,
        bytes: usize::MAX,
        wait: Duration::ZERO,
    }
}

/// A budget of `events` that waits for what must come.
pub(super) fn patient(events: usize) -> Budget {
    Budget {
        wait: PATIENCE,
        ..at_once(events)
    }
}

/// A reader of `unit`.
pub(super) async fn open(channel: &SharedChannel, unit: Unit, from: Start) -> Box<dyn Cursor> {
    channel
        .open(unit, from)
        .await
        .expect("the unit exists and keeps its start")
}

/// Reads `count` events, or fails when they don't come.
pub(super) async fn read(cursor: &mut dyn Cursor, count: usize) -> Vec<Stored> {
    let mut events: Vec<Stored> = Vec::with_capacity(count);
    let mut empty = 0;
    while events.len() < count {
        let span = cursor
            .next(patient(count - events.len()))
            .await
            .expect("what is kept can be read");
        empty = if span.events.is_empty() { empty + 1 } else { 0 };
        assert!(
            empty < 3,
            "{} of {count} events came, then nothing more",
            events.len()
        );
        events.extend(span.events);
    }
    events
}

/// Reads what there is now.
pub(super) async fn read_all(channel: &SharedChannel, unit: Unit) -> Vec<Stored> {
    let mut cursor = open(channel, unit, Start::Oldest).await;
    let mut events = Vec::new();
    loop {
        let span = cursor
            .next(at_once(1_000))
            .await
            .expect("what is kept can be read");
        events.extend_from_slice(&span.events);
        if span.at_head {
            return events;
        }
        if span.events.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The ids of events.
pub(super) fn ids(events: &[Stored]) -> Vec<&str> {
    events.iter().map(|stored| stored.event.id()).collect()
}

/// Checks that the ids are the numbers of a range in order.
pub(super) fn expect_ids(events: &[Stored], expected: std::ops::Range<u64>) {
    let expected: Vec<String> = expected.map(|id| id.to_string()).collect();
    assert_eq!(ids(events), expected);
}

/// Checks what holds for any run of events read from one unit: positions grow, ordinals grow by
/// one, time does not go back.
pub(super) fn expect_run(events: &[Stored]) {
    for pair in events.windows(2) {
        assert!(
            pair[0].position < pair[1].position,
            "positions grow: {pair:?}"
        );
        assert_eq!(pair[0].ordinal + 1, pair[1].ordinal, "ordinals grow by one");
        assert!(pair[0].at_ms <= pair[1].at_ms, "time does not go back");
    }
}

/// Two reads of one event agree.
pub(super) fn expect_same(one: &Stored, other: &Stored) {
    assert_eq!(
        (one.position, one.ordinal, one.at_ms),
        (other.position, other.ordinal, other.at_ms)
    );
    assert!(
        one.event == other.event,
        "{:?} is not {:?}",
        one.event,
        other.event
    );
}
