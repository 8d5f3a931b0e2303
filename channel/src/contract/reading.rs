//! Contracts 10 to 16: what a cursor shows.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{World, events::*};
use crate::{Budget, Position, ReadError, SharedChannel, Start, Stored, Unit};

/// Contract 10: Everything, once, in order; then the head.
pub(super) async fn a_cursor_from_the_start_reads_everything_in_order(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let bounds = channel.bounds(unit).await.expect("the unit exists");
    assert_eq!(
        (bounds.first, bounds.next_ordinal),
        (bounds.next, bounds.first_ordinal),
        "nothing is kept yet"
    );
    let positions = store_ids(&channel, &mut world.random, 0..3_000).await;
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let stored = read(cursor.as_mut(), 3_000).await;
    expect_ids(&stored, 0..3_000);
    expect_run(&stored);
    assert_eq!(stored[0].ordinal, bounds.next_ordinal);
    assert_eq!(
        stored
            .iter()
            .map(|stored| stored.position)
            .collect::<Vec<_>>(),
        positions
    );
    let end = cursor.next(at_once(1)).await.expect("the head can be read");
    assert!(end.at_head && end.events.is_empty());
    let bounds = channel.bounds(unit).await.expect("the unit exists");
    assert_eq!(
        (end.next, end.next_ordinal),
        (bounds.next, bounds.next_ordinal)
    );
}

/// Contract 11: At a position, at a time, at the oldest, at the head.
pub(super) async fn a_cursor_starts_where_it_is_told(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    for id in 0..50_u64 {
        store(&channel, vec![put(event(id))]).await;
        if id % 5 == 4 {
            sleep(Duration::from_millis(7)).await;
        }
    }
    let all = read_all(&channel, unit).await;
    expect_ids(&all, 0..50);
    for _ in 0..50 {
        let index = world.random.below(50);
        let rest = start(&channel, unit, Start::At(all[index].position), 50 - index).await;
        rest.iter()
            .zip(&all[index..])
            .for_each(|(one, other)| expect_same(one, other));
        let at_ms = all[index].at_ms;
        let first = all
            .iter()
            .position(|stored| stored.at_ms >= at_ms)
            .expect("this one is");
        let rest = start(&channel, unit, Start::Time(at_ms), 50 - first).await;
        assert_eq!(rest[0].position, all[first].position);
    }
    assert_eq!(
        start(&channel, unit, Start::Time(0), 1).await[0].position,
        all[0].position
    );
    for from in [
        Start::Head,
        Start::Time(u64::MAX),
        Start::At(all[49].position.following()),
    ] {
        let mut cursor = open(&channel, unit, from).await;
        let span = cursor
            .next(at_once(10))
            .await
            .expect("the head can be read");
        assert!(span.events.is_empty() && span.at_head, "{from:?}");
    }
    let nowhere = Unit { part: 77, ..unit };
    assert_eq!(
        channel.open(nowhere, Start::Oldest).await.err(),
        Some(ReadError::Gone)
    );
}

async fn start(channel: &SharedChannel, unit: Unit, from: Start, count: usize) -> Vec<Stored> {
    let mut cursor = open(channel, unit, from).await;
    let stored = read(cursor.as_mut(), count).await;
    expect_run(&stored);
    stored
}

/// Contract 12: A reader at the head waits as long as it was told to, and not longer than it has to.
pub(super) async fn a_cursor_at_the_head_wakes_when_an_event_comes(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    // A backend over a network is given time enough for a slow machine.
    let soon = if world.backend.virtual_time() {
        Duration::from_millis(50)
    } else {
        Duration::from_secs(5)
    };
    let mut cursors = Vec::new();
    for _ in 0..20 {
        cursors.push(open(&channel, unit, Start::Head).await);
    }
    for id in 0..20_u64 {
        let pause = Duration::from_millis(world.random.below(300) as u64);
        let reads = cursors.iter_mut().map(|cursor| cursor.next(patient(10)));
        let (spans, published) = tokio::join!(futures_of(reads), async {
            sleep(pause).await;
            let published = Instant::now();
            store(&channel, vec![put(event(id))]).await;
            published
        });
        assert!(
            published.elapsed() <= soon,
            "readers woke {:?} after the publish",
            published.elapsed()
        );
        for span in spans {
            assert_eq!(
                ids(&span.expect("the head can be read").events),
                [id.to_string()]
            );
        }
    }
    let budget = Budget {
        wait: Duration::from_millis(120),
        ..at_once(1)
    };
    let before = Instant::now();
    let span = cursors[0].next(budget).await.expect("the head can be read");
    assert!(span.events.is_empty() && span.at_head);
    assert!(
        before.elapsed() >= budget.wait,
        "it came back after {:?}",
        before.elapsed()
    );
}

/// Runs futures together and gives their values in order.
async fn futures_of<T>(futures: impl Iterator<Item = crate::Fut<'_, T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(Some).collect();
    let mut values: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (place, value) in waiting.iter_mut().zip(&mut values) {
            if let Some(std::task::Poll::Ready(ready)) =
                place.as_mut().map(|future| future.as_mut().poll(context))
            {
                (*place, *value) = (None, Some(ready));
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    values.into_iter().flatten().collect()
}

/// Contract 13: A read that is given up, at any point, takes nothing with it.
pub(super) async fn a_dropped_read_loses_nothing(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut random = world.random.clone();
    let writing = async {
        for id in 0..500_u64 {
            sleep(Duration::from_micros(random.below(3_000) as u64)).await;
            store(&channel, vec![put(event(id))]).await;
        }
    };
    let reading = async {
        let mut cursor = open(&channel, unit, Start::Oldest).await;
        let (mut events, mut dropped) = (Vec::new(), 0_u32);
        while events.len() < 500 {
            let patience = Duration::from_micros(world.random.below(3_000) as u64);
            let count = 1 + world.random.below(9);
            tokio::select! {
                biased;
                () = sleep(patience) => dropped += 1,
                span = cursor.next(patient(count)) => events.extend(span.expect("what is kept can be read").events),
            }
        }
        (events, dropped)
    };
    let ((), (events, dropped)) = tokio::join!(writing, reading);
    assert!(dropped > 0, "no read was dropped: the test tried nothing");
    expect_ids(&events, 0..500);
    expect_run(&events);
}

/// Contract 14: Each cursor has a place of its own.
pub(super) async fn two_cursors_do_not_disturb_each_other(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    store_ids(&channel, &mut world.random, 0..400).await;
    let mut cursors = [
        open(&channel, unit, Start::Oldest).await,
        open(&channel, unit, Start::Oldest).await,
    ];
    let mut seen = [Vec::new(), Vec::new()];
    while seen.iter().any(|events| events.len() < 400) {
        let which = world.random.below(2);
        let count = 1 + world.random.below(20);
        let span = cursors[which]
            .next(at_once(count))
            .await
            .expect("what is kept can be read");
        if span.events.is_empty() {
            // A suite that goes round for ever shows nothing: time has to pass.
            sleep(Duration::from_millis(1)).await;
        }
        seen[which].extend(span.events);
    }
    drop(cursors);
    for events in &seen {
        expect_ids(events, 0..400);
    }
    seen[0]
        .iter()
        .zip(&seen[1])
        .for_each(|(one, other)| expect_same(one, other));
}

/// Contract 15: No more events and bytes than asked for, but always one.
pub(super) async fn a_read_keeps_to_its_budget(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    for id in 0..300_u64 {
        let size = world.random.below(3_000);
        let data = world.random.bytes(size);
        store(&channel, vec![put(event_from("/contract", id, data))]).await;
    }
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let mut events: Vec<Stored> = Vec::new();
    while events.len() < 300 {
        let budget = Budget {
            bytes: world.random.below(20_000),
            ..patient(1 + world.random.below(30))
        };
        let span = cursor.next(budget).await.expect("what is kept can be read");
        let bytes: usize = span.events.iter().map(|stored| stored.event.size()).sum();
        assert!(
            span.events.len() <= budget.events,
            "{} events for {budget:?}",
            span.events.len()
        );
        assert!(
            bytes <= budget.bytes || span.events.len() == 1,
            "{bytes} bytes for {budget:?}"
        );
        assert!(
            span.events
                .last()
                .is_none_or(|last| last.position < span.next)
        );
        events.extend(span.events);
        assert_eq!(
            span.next_ordinal,
            events.last().map_or(0, |last| last.ordinal + 1)
        );
    }
    expect_ids(&events, 0..300);
}

/// Contract 16: After a seek the following read goes on from there, whichever way it went.
pub(super) async fn a_cursor_seeks_back_and_forward(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    store_ids(&channel, &mut world.random, 0..500).await;
    let all = read_all(&channel, unit).await;
    let mut cursor = open(&channel, unit, Start::Head).await;
    for _ in 0..300 {
        let index = world.random.below(500);
        cursor.seek(all[index].position);
        let count = 1 + world.random.below(20.min(500 - index));
        let found = read(cursor.as_mut(), count).await;
        found
            .iter()
            .zip(&all[index..])
            .for_each(|(one, other)| expect_same(one, other));
    }
    let end = channel.bounds(unit).await.expect("the unit exists").next;
    cursor.seek(Position(end.0 - 1));
    cursor.seek(end);
    assert!(
        cursor
            .next(at_once(1))
            .await
            .expect("the head can be read")
            .events
            .is_empty()
    );
}
