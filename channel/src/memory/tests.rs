//! The memory channel by itself: what the suite for every backend does not ask.

use std::{sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use volley_event::Event;

use super::{MemoryChannel, MemoryOptions, RECORD_OVERHEAD};
use crate::{
    Budget, Channel, Class, Clock, Health, PoolId, PoolSpec, Position, PublishError, Publisher,
    Put, ReadError, Retention, SharedChannel, Start, Unit,
};

const A: PoolId = PoolId(1);
const B: PoolId = PoolId(2);

fn event(bytes: usize) -> Event {
    Event::builder()
        .id("1")
        .source("/test")
        .kind("test")
        .untyped_data(vec![b'x'; bytes])
        .build()
        .unwrap()
}

fn put(pool: PoolId, class: Class, event: &Event) -> Put {
    Put {
        pool,
        key: None,
        dedupe: None,
        class,
        origin: None,
        event: event.clone(),
    }
}

/// What an event of `bytes` is charged.
fn charge(event: &Event) -> u64 {
    event.size() as u64 + RECORD_OVERHEAD
}

/// A channel with room for `events` like this one, with pools A and B of `parts` parts.
fn channel(events: u64, like: &Event, parts: u32) -> Arc<MemoryChannel> {
    // Besides, eight are lent for what ends the oldest deliveries.
    let bytes = (events + 8) * charge(like);
    let channel = MemoryChannel::new(MemoryOptions {
        usual_event: like.size(),
        ..MemoryOptions::new(bytes, Clock::simulated(0))
    });
    for pool in [A, B] {
        prepare(&channel, pool, parts);
    }
    channel
}

fn prepare(channel: &MemoryChannel, pool: PoolId, parts: u32) {
    let spec = PoolSpec {
        retention: Retention::default(),
        pool,
        name: "test".into(),
        parts,
    };
    channel.prepare(&spec).now_or_never().unwrap().unwrap();
}

/// The same with pool A alone, which may use all of it.
fn alone(events: u64, like: &Event) -> Arc<MemoryChannel> {
    let channel = channel(events, like, 1);
    channel.retire(B).now_or_never().unwrap().unwrap();
    channel
}

fn publish(channel: &MemoryChannel, put: Put) -> Result<(Unit, Position), PublishError> {
    channel
        .publish(vec![put])
        .now_or_never()
        .expect("memory never waits")
        .pop()
        .unwrap()
}

fn fill(channel: &MemoryChannel, pool: PoolId, class: Class, event: &Event) -> u64 {
    let mut stored = 0;
    while publish(channel, put(pool, class, event)).is_ok() {
        stored += 1;
    }
    stored
}

const fn unit(pool: PoolId) -> Unit {
    Unit { pool, part: 0 }
}

fn healths(channel: &MemoryChannel) -> (Health, Health) {
    (
        channel.health(unit(A)).borrow().clone(),
        channel.health(unit(B)).borrow().clone(),
    )
}

#[test]
fn health_goes_through_filling_and_full_and_back_to_fine() {
    let event = event(1_000);
    let channel = alone(80, &event);
    let mut health = channel.health(unit(A));
    let mut turns = Vec::new();
    for stored in 1..=70_u64 {
        publish(&channel, put(A, Class::Producer, &event)).unwrap();
        if health.has_changed().unwrap() {
            turns.push((stored, health.borrow_and_update().clone()));
        }
    }
    assert!(
        matches!(turns.first(), Some((60, Health::Filling { .. }))),
        "{turns:?}"
    );
    assert!(
        turns
            .iter()
            .any(|(stored, health)| *stored == 70 && matches!(health, Health::Full { .. })),
        "{turns:?}"
    );
    let refused = publish(&channel, put(A, Class::Producer, &event));
    assert_eq!(
        refused,
        Err(PublishError::Full {
            retry_after: Duration::from_secs(1)
        })
    );
    assert_eq!(
        fill(&channel, A, Class::Delivery, &event),
        5,
        "half of the last eighth is for any delivery"
    );
    let follows = |position| {
        let put = Put {
            origin: Some((unit(A), Position(position))),
            ..put(A, Class::Delivery, &event)
        };
        publish(&channel, put).is_ok()
    };
    assert!(!follows(60), "younger ones wait");
    assert!(follows(0), "the rest is for the oldest");
    let Health::Full { until, .. } = health.borrow_and_update().clone() else {
        panic!("not full")
    };
    channel.keep(unit(A), until);
    assert_eq!(*health.borrow_and_update(), Health::Fine);
    assert!(channel.space(A).used < channel.space(A).share * 3 / 4);
    assert!(publish(&channel, put(A, Class::Producer, &event)).is_ok());
}

#[test]
fn an_event_larger_than_what_others_leave_is_told_so() {
    let small = event(1_000);
    let channel = channel(100, &small, 1);
    prepare(&channel, PoolId(3), 1);
    fill(&channel, B, Class::Delivery, &small);
    // Less than a quarter of the space, but more than an eighth.
    let large = event(25_000);
    let refused = publish(&channel, put(A, Class::Producer, &large));
    assert!(
        matches!(refused, Err(PublishError::Crowded { .. })),
        "{refused:?}"
    );
    assert!(publish(&channel, put(A, Class::Producer, &small)).is_ok());
}

#[test]
fn until_frees_no_more_than_it_has_to() {
    let event = event(1_000);
    let channel = alone(640, &event);
    for _ in 0..490 {
        publish(&channel, put(A, Class::Producer, &event)).unwrap();
    }
    let Health::Filling { until, .. } = channel.health(unit(A)).borrow().clone() else {
        panic!("not filling")
    };
    // Under the mark (480) by 1/64 of the share (10), so that it is not crossed with each event.
    assert_eq!(until, Position(21));
}

#[test]
fn every_unit_of_a_pool_frees_its_part_of_the_excess() {
    let event = event(500);
    let channel = channel(1_000, &event, 4);
    let parts = (0..4).map(|part| Unit { pool: A, part });
    fill(&channel, A, Class::Producer, &event);
    let untils: Vec<Position> = parts
        .clone()
        .map(|unit| match *channel.health(unit).borrow() {
            Health::Full { until, .. } => until,
            ref other => panic!("{other:?}"),
        })
        .collect();
    parts
        .zip(&untils)
        .for_each(|(unit, until)| channel.keep(unit, *until));
    assert_eq!(*channel.health(unit(A)).borrow(), Health::Fine);
    assert!(
        untils
            .iter()
            .all(|until| until.0.abs_diff(untils[0].0) <= 1),
        "{untils:?}"
    );
}

#[test]
fn a_pool_that_starts_to_ask_changes_the_health_of_the_other() {
    let event = event(1_000);
    let channel = channel(100, &event, 1);
    for _ in 0..50 {
        publish(&channel, put(A, Class::Producer, &event)).unwrap();
    }
    assert_eq!(healths(&channel), (Health::Fine, Health::Fine));
    publish(&channel, put(B, Class::Producer, &event)).unwrap();
    assert!(
        matches!(healths(&channel), (Health::Full { .. }, Health::Fine)),
        "{:?}",
        healths(&channel)
    );
    channel.retire(B).now_or_never().unwrap().unwrap();
    assert_eq!(
        healths(&channel).0,
        Health::Fine,
        "nobody else asks any more"
    );
}

#[test]
fn a_full_pool_stops_no_other() {
    let event = event(1_000);
    let channel = channel(400, &event, 1);
    fill(&channel, A, Class::Producer, &event);
    for _ in 0..1_000 {
        let (unit, position) = publish(&channel, put(B, Class::Producer, &event)).unwrap();
        channel.keep(unit, position.following());
    }
}

#[test]
fn health_of_a_unit_that_does_not_exist_never_ends() {
    let channel = channel(10, &event(1), 1);
    let mut health = channel.health(unit(PoolId(99)));
    assert!(health.changed().now_or_never().is_none());
}

#[test]
fn a_publish_that_is_dropped_after_its_first_poll_is_counted() {
    let event = event(10);
    let channel = channel(1_000, &event, 1);
    let publisher = Publisher::new(Arc::clone(&channel) as SharedChannel);
    let tally = publisher.tally(A);
    drop(publisher.publish_one(&tally, put(A, Class::Producer, &event)));
    assert_eq!(tally.accepted(), 0, "never polled, never stored");
    {
        let mut publishing =
            Box::pin(publisher.publish_one(&tally, put(A, Class::Producer, &event)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(matches!(
            publishing.as_mut().poll(&mut context),
            Poll::Ready(Ok(_))
        ));
    }
    assert_eq!(tally.accepted(), 1);
    assert_eq!(
        channel
            .bounds(unit(A))
            .now_or_never()
            .unwrap()
            .unwrap()
            .next_ordinal,
        1
    );
}

#[test]
fn the_publisher_counts_what_was_stored_and_nothing_else() {
    let event = event(10);
    let channel = channel(1_000, &event, 1);
    let publisher = Publisher::new(Arc::clone(&channel) as SharedChannel);
    let tally = publisher.tally(A);
    let batch = vec![
        put(A, Class::Producer, &event),
        put(PoolId(99), Class::Producer, &event),
        put(A, Class::Delivery, &event),
    ];
    let answers = publisher.publish(&tally, batch).now_or_never().unwrap();
    assert_eq!(answers[1], Err(PublishError::Gone));
    tally.add_unheard(1);
    let same = publisher.clone().tally(A);
    assert_eq!(
        (same.accepted(), same.unheard()),
        (2, 1),
        "clones and look-ups share the counts"
    );
    assert_eq!(publisher.tally(B).accepted(), 0);
}

#[test]
fn a_key_keeps_its_part_and_no_key_takes_turns() {
    let event = event(10);
    let channel = channel(1_000, &event, 4);
    let keyed = |key: &'static str| Put {
        key: Some(Bytes::from_static(key.as_bytes())),
        ..put(A, Class::Producer, &event)
    };
    for key in ["a", "b", "order-17"] {
        let parts: Vec<u32> = (0..10)
            .map(|_| publish(&channel, keyed(key)).unwrap().0.part)
            .collect();
        assert!(
            parts.iter().all(|part| *part == parts[0]),
            "{key}: {parts:?}"
        );
    }
    let turns: Vec<u32> = (0..8)
        .map(|_| {
            publish(&channel, put(A, Class::Producer, &event))
                .unwrap()
                .0
                .part
        })
        .collect();
    assert_eq!(turns, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn preparing_again_keeps_parts_and_events() {
    let event = event(10);
    let channel = channel(1_000, &event, 3);
    publish(&channel, put(A, Class::Producer, &event)).unwrap();
    let again = PoolSpec {
        retention: Retention::default(),
        pool: A,
        name: "renamed".into(),
        parts: 8,
    };
    let state = channel.prepare(&again).now_or_never().unwrap().unwrap();
    assert_eq!(state.units.len(), 3);
    assert_eq!(
        channel
            .bounds(unit(A))
            .now_or_never()
            .unwrap()
            .unwrap()
            .next_ordinal,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn retiring_frees_everything_and_wakes_readers_to_say_so() {
    let event = event(100);
    let channel = channel(1_000, &event, 1);
    publish(&channel, put(A, Class::Producer, &event)).unwrap();
    let mut cursor = channel.open(unit(A), Start::Head).await.unwrap();
    let budget = Budget {
        events: 1,
        bytes: 1 << 20,
        wait: Duration::from_secs(3_600),
    };
    let (read, retired) = tokio::join!(cursor.next(budget), channel.retire(A));
    assert_eq!(read.unwrap_err(), ReadError::Gone);
    assert_eq!(retired, Ok(()));
    assert_eq!(channel.space(A).used, 0);
    assert_eq!(channel.bounds(unit(A)).await, Err(ReadError::Gone));
    assert_eq!(
        publish(&channel, put(A, Class::Producer, &event)),
        Err(PublishError::Gone)
    );
    assert_eq!(
        channel.retire(A).await,
        Ok(()),
        "a second time does nothing"
    );
}
