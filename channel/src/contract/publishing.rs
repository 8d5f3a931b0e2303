//! Contracts 1 to 7 and 9: what is published is what is stored.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{World, events::*};
use crate::{PoolId, Position, PublishError, Put, Start, Unit};

/// Contract 1: Positions grow in the order in which publishes were taken, unit by unit.
pub(super) async fn positions_grow_within_a_unit(mut world: World) {
    let channel = world.channel().await;
    prepare(&channel, 4).await;
    let mut last: BTreeMap<Unit, Position> = BTreeMap::new();
    for round in 0..200 {
        let batch: Vec<Put> = (0..1 + world.random.below(30))
            .map(|n| match world.random.once_in(3) {
                true => put(event(n)),
                false => put_keyed(world.random.below(50), event(format!("{round}-{n}"))),
            })
            .collect();
        for (unit, position) in store(&channel, batch).await {
            let before = last.insert(unit, position);
            assert!(
                before.is_none_or(|before| before < position),
                "{unit}: {before:?}, then {position}"
            );
        }
    }
    for (unit, position) in last {
        let bounds = channel.bounds(unit).await.expect("the unit exists");
        assert!(
            bounds.next > position,
            "what was answered is inside the bounds"
        );
    }
}

/// Contract 2: The n-th answer is about the n-th event.
pub(super) async fn answers_come_in_the_order_of_the_batch(mut world: World) {
    let channel = world.channel().await;
    prepare(&channel, 3).await;
    for round in 0..50 {
        let count = 1 + world.random.below(100);
        let batch = (0..count)
            .map(|n| {
                let size = world.random.below(5_000);
                let data = world.random.bytes(size);
                put_keyed(
                    world.random.below(9),
                    event_from("/contract", format!("{round}-{n}"), data),
                )
            })
            .collect();
        for (n, (unit, position)) in store(&channel, batch).await.into_iter().enumerate() {
            let mut cursor = open(&channel, unit, Start::At(position)).await;
            let stored = read(cursor.as_mut(), 1).await;
            assert_eq!(stored[0].position, position);
            assert_eq!(stored[0].event.id(), format!("{round}-{n}"));
        }
    }
}

/// Contract 3: What can't be stored is refused by itself.
pub(super) async fn one_bad_event_does_not_fail_the_rest(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let limit = channel.caps().max_event;
    let nobody = Put {
        pool: PoolId(0xdead),
        ..put(event("nobody's"))
    };
    let batch = vec![
        put(event("first")),
        put(event_of_size("large", limit + 1)),
        put(event("second")),
        nobody,
        put(event("third")),
    ];
    let answers = channel.publish(batch).await;
    let fine: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, true, false, true], "{answers:?}");
    assert_eq!(
        answers[1],
        Err(PublishError::TooLarge {
            size: limit + 1,
            limit
        })
    );
    assert_eq!(answers[3], Err(PublishError::Gone));
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let stored = read(cursor.as_mut(), 3).await;
    assert_eq!(ids(&stored), ["first", "second", "third"]);
    expect_run(&stored);
}

/// Contract 4: The largest event is stored, one byte more is not.
pub(super) async fn the_size_limit_is_exact(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let limit = channel.caps().max_event;
    for (size, fits) in [
        (limit - 1, true),
        (limit, true),
        (limit + 1, false),
        (limit * 2, false),
    ] {
        let answer = publish_one(&channel, put(event_of_size(size, size))).await;
        match answer {
            Ok((_, position)) => {
                assert!(fits, "{size} bytes are over the limit of {limit}");
                let mut cursor = open(&channel, unit, Start::At(position)).await;
                assert_eq!(read(cursor.as_mut(), 1).await[0].event.size(), size);
                channel.keep(unit, position.following());
            }
            Err(error) => {
                assert!(
                    !fits,
                    "{size} bytes are within the limit of {limit}: {error}"
                );
                assert_eq!(error, PublishError::TooLarge { size, limit });
            }
        }
    }
}

/// Contract 5: Names, values, headers, form, hops and body come back byte for byte.
pub(super) async fn an_event_comes_back_as_it_was_stored(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let largest = channel.caps().max_event - 100_000;
    let mut bodies = vec![0, 1, 767, 4_095, 4_096, 65_536, 262_145, largest];
    bodies.extend((0..40).map(|_| world.random.below(10_000)));
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    for body in bodies {
        let event = any_event(&mut world.random, body);
        let (_, position) = store(&channel, vec![put(event.clone())]).await[0];
        let stored = read(cursor.as_mut(), 1).await.remove(0);
        assert_eq!(stored.position, position);
        // Equality is by bytes; the parts are compared first to say which one differs.
        assert_eq!(
            stored.event.attributes().collect::<Vec<_>>(),
            event.attributes().collect::<Vec<_>>()
        );
        assert_eq!(stored.event.header_block(), event.header_block());
        assert_eq!(
            (stored.event.form(), stored.event.hops()),
            (event.form(), event.hops())
        );
        assert!(
            stored.event.body() == event.body(),
            "a body of {body} bytes differs"
        );
        assert!(stored.event == event);
        channel.keep(unit, position.following());
    }
}

/// Contract 6: A publish that is repeated with its dedupe id is answered alike and stored once.
pub(super) async fn a_repeated_dedupe_id_is_stored_once(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut firsts = Vec::new();
    for id in 0..100_u64 {
        let put = Put {
            dedupe: Some(u128::from(id) + 1),
            ..put(event(id))
        };
        firsts.push(store(&channel, vec![put.clone()]).await[0]);
        for _ in 0..world.random.below(3) {
            store(&channel, vec![put.clone(), put.clone()]).await;
        }
    }
    let other = Put {
        dedupe: Some(1_000),
        ..put(event(100))
    };
    store(&channel, vec![other]).await;
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let stored = read(cursor.as_mut(), 101).await;
    expect_ids(&stored, 0..101);
    let positions: Vec<_> = stored
        .iter()
        .take(100)
        .map(|stored| (unit, stored.position))
        .collect();
    assert_eq!(positions, firsts);
    let rest = cursor
        .next(at_once(10))
        .await
        .expect("what is kept can be read");
    assert_eq!(ids(&rest.events), Vec::<&str>::new());
}

/// Contract 7: Two sources may use one id: both events are stored.
pub(super) async fn the_same_id_from_another_source_is_another_event(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let from = |source| put(event_from(source, "same", Bytes::from_static(b"x")));
    store(&channel, vec![from("/one"), from("/two")]).await;
    store(&channel, vec![from("/three")]).await;
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let stored = read(cursor.as_mut(), 3).await;
    let sources: Vec<&str> = stored.iter().map(|stored| stored.event.source()).collect();
    assert_eq!(sources, ["/one", "/two", "/three"]);
    expect_run(&stored);
}

/// Contract 9: Events of one key stay in one unit, in the order in which their producer sent them.
pub(super) async fn a_key_keeps_the_order_of_its_producer(mut world: World) {
    let channel = world.channel().await;
    let units = prepare(&channel, 4).await;
    let mut sent = 0_u64;
    while sent < 2_000 {
        let size = 1 + world.random.below(20) as u64;
        let batch = (sent..sent + size)
            .map(|n| put_keyed(world.random.below(40), event(n)).with_key_as_source());
        store(&channel, batch.collect()).await;
        sent += size;
    }
    let mut home: BTreeMap<String, Unit> = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = 0;
    for unit in units {
        let stored = read_all(&channel, unit).await;
        expect_run(&stored);
        found += stored.len() as u64;
        for event in stored.iter().map(|stored| &stored.event) {
            let key = event.source().to_owned();
            assert_eq!(
                *home.entry(key.clone()).or_insert(unit),
                unit,
                "{key} is in two units"
            );
            let number: u64 = event.id().parse().expect("ids are numbers");
            let before = last.insert(key, number);
            assert!(
                before.is_none_or(|before| before < number),
                "{number} after {before:?}"
            );
        }
    }
    assert_eq!(found, sent);
    assert!(
        home.values()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 1,
        "keys spread over the units"
    );
}

impl Put {
    /// The same with an event that tells its key.
    fn with_key_as_source(self) -> Self {
        let key = self
            .key
            .as_deref()
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let event = event_from(&format!("/{key}"), self.event.id(), Bytes::new());
        Self { event, ..self }
    }
}
