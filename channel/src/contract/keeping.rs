//! Contracts 17 to 19 and 28: what is kept, what is gone, and when there is no room.

use super::{Wish, World, events::*};
use crate::{
    Channel, Class, Health, Position, PublishError, Put, ReadError, SharedChannel, Start, Stored,
    Unit,
};

/// Contract 17: `fetch` answers in the order asked: the very event, or nothing where nothing is kept.
pub(super) async fn fetch_gives_what_is_kept_and_nothing_else(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    store_ids(&channel, &mut world.random, 0..500).await;
    let all = read_all(&channel, unit).await;
    channel.keep(unit, all[200].position);
    channel.keep(unit, all[100].position);
    let bounds = channel.bounds(unit).await.expect("the unit exists");
    assert!(bounds.first <= all[200].position, "what is needed is kept");
    let future = (0..3).map(|n| Position(bounds.next.0 + n));
    let mut asked: Vec<Position> = all
        .iter()
        .map(|stored| stored.position)
        .chain(future)
        .collect();
    world.random.shuffle(&mut asked);
    asked.extend_from_within(..50);
    let found = channel
        .fetch(unit, &asked)
        .await
        .expect("what is kept can be read");
    assert_eq!(found.len(), asked.len());
    for (position, found) in asked.iter().zip(found) {
        let stored = all.iter().find(|stored| stored.position == *position);
        match (found, stored) {
            (Some(found), Some(stored)) => expect_same(&found, stored),
            (None, Some(_)) => assert!(
                *position < bounds.first,
                "{position} is kept and was not found"
            ),
            (Some(_), None) => panic!("{position} was never stored"),
            (None, None) => {}
        }
    }
    assert!(
        channel
            .fetch(unit, &[])
            .await
            .expect("nothing can be read")
            .is_empty()
    );
}

/// Stores events that nobody needs until the unit has forgotten its first ones.
async fn truncate(world: &mut World, channel: &SharedChannel, unit: Unit, mut id: u64) -> u64 {
    let before = channel.bounds(unit).await.expect("the unit exists").first;
    for _ in 0..1_000 {
        let positions = store_ids(channel, &mut world.random, id..id + 100).await;
        id += 100;
        channel.keep(unit, positions[50]);
        if channel.bounds(unit).await.expect("the unit exists").first > before {
            return id;
        }
    }
    panic!("after {id} events nothing was ever forgotten");
}

/// Contract 18: A reader whose place is gone is told where to go on, and how much it has lost.
pub(super) async fn what_is_gone_is_reported_and_never_skipped(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let positions = store_ids(&channel, &mut world.random, 0..20).await;
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let seen = read(cursor.as_mut(), 10).await;
    let stored = truncate(&mut world, &channel, unit, 20).await;
    let bounds = channel.bounds(unit).await.expect("the unit exists");
    let truncated = ReadError::Truncated {
        first: bounds.first,
        first_ordinal: bounds.first_ordinal,
    };
    for _ in 0..3 {
        assert_eq!(
            cursor.next(patient(10)).await.err(),
            Some(truncated.clone()),
            "a read before the start"
        );
    }
    assert_eq!(
        channel.open(unit, Start::At(positions[0])).await.err(),
        Some(truncated)
    );
    cursor.seek(bounds.first);
    let left =
        usize::try_from(bounds.next_ordinal - bounds.first_ordinal).expect("a test stores few");
    let rest = read(cursor.as_mut(), left).await;
    expect_run(&rest);
    assert_eq!(
        (rest[0].position, rest[0].ordinal),
        (bounds.first, bounds.first_ordinal)
    );
    assert_eq!(
        rest[0].event.id(),
        bounds.first_ordinal.to_string(),
        "the ordinal counts what was lost"
    );
    assert_eq!(
        seen.len() as u64 + (bounds.first_ordinal - 10) + rest.len() as u64,
        stored
    );
    // Everything is given up: the start is the end, and reading goes on with what comes.
    channel.keep(unit, Position(u64::MAX));
    let (_, position) = store(&channel, vec![put(event("next"))]).await[0];
    let mut cursor = open(&channel, unit, Start::At(position)).await;
    assert_eq!(ids(&read(cursor.as_mut(), 1).await), ["next"]);
}

/// Contract 19: Positions without an event (transactions, compaction) look like nothing at all.
pub(super) async fn gaps_between_positions_are_no_loss(mut world: World) {
    let channel = world
        .channel_as(Wish {
            gaps: true,
            ..Wish::default()
        })
        .await;
    let unit = prepare_one(&channel).await;
    let positions = store_ids(&channel, &mut world.random, 0..500).await;
    let all = read_all(&channel, unit).await;
    expect_ids(&all, 0..500);
    expect_run(&all);
    let gaps: Vec<usize> = (0..499)
        .filter(|n| positions[n + 1] > positions[*n].following())
        .collect();
    assert!(
        gaps.len() > 10,
        "there are hardly any gaps: the test tried nothing"
    );
    for before in gaps {
        let gap = positions[before].following();
        let mut cursor = open(&channel, unit, Start::At(gap)).await;
        expect_same(&read(cursor.as_mut(), 1).await[0], &all[before + 1]);
        cursor.seek(gap);
        expect_same(&read(cursor.as_mut(), 1).await[0], &all[before + 1]);
        assert!(
            channel
                .fetch(unit, &[gap])
                .await
                .expect("what is kept can be read")[0]
                .is_none()
        );
        channel.keep(unit, gap);
        let first = channel.bounds(unit).await.expect("the unit exists").first;
        assert!(first <= all[before + 1].position, "what is needed is kept");
        let mut cursor = open(&channel, unit, Start::At(gap)).await;
        let span = cursor
            .next(patient(1))
            .await
            .expect("a gap at the start is not truncated");
        assert_eq!(
            span.next_ordinal,
            all[before + 1].ordinal + span.events.len() as u64
        );
    }
}

/// Contract 28: Producers are refused before deliveries are, what is kept stays bounded, and room that is
/// given back is used again.
pub(super) async fn a_full_channel_refuses_and_takes_again(mut world: World) {
    let space = 400_000;
    let channel = world
        .channel_as(Wish {
            space: Some(space),
            ..Wish::default()
        })
        .await;
    let unit = prepare_one(&channel).await;
    let mut health = channel.health(unit);
    let mut id = 0;
    for round in 0..20 {
        let producers = fill(&mut world, channel.as_ref(), Class::Producer, &mut id).await;
        assert!(producers > 0, "round {round}: there was room again");
        assert!(
            matches!(*health.borrow_and_update(), Health::Full { .. }),
            "round {round}: producers are refused"
        );
        let deliveries = fill(&mut world, channel.as_ref(), Class::Delivery, &mut id).await;
        assert!(
            deliveries > 0,
            "round {round}: the last part is for deliveries"
        );
        let used = channel.space(POOL);
        assert!(
            used.used <= used.share && used.share <= space,
            "round {round}: {used:?}"
        );
        let Health::Full { until, .. } = health.borrow_and_update().clone() else {
            panic!("round {round}: it is full")
        };
        channel.keep(unit, until);
        assert_eq!(
            *health.borrow_and_update(),
            Health::Fine,
            "round {round}: {:?}",
            channel.space(POOL)
        );
    }
    let stored = read_all(&channel, unit).await;
    expect_run(&stored);
    assert_eq!(
        stored.last().map(|last| last.ordinal + 1),
        Some(id),
        "what was answered is counted, and nothing else"
    );
    channel.keep(unit, Position(u64::MAX));
    assert_eq!(
        channel.space(POOL).used,
        0,
        "nothing is kept and nothing is charged"
    );
}

/// Contract 33: Where there is no room, an event of the size of the oldest is taken if it ends that one's
/// delivery: what stands still otherwise goes on.
pub(super) async fn the_oldest_finds_room_in_a_full_channel(mut world: World) {
    let space = 16 << 20;
    let wish = Wish {
        space: Some(space),
        ..Wish::default()
    };
    let channel = world.channel_as(wish).await;
    let unit = prepare_one(&channel).await;
    let mut id = 0;
    for class in [Class::Producer, Class::Delivery] {
        fill(&mut world, channel.as_ref(), class, &mut id).await;
    }
    let kept = read_all(&channel, unit).await;
    let publish = async |of: &Stored, like: &Stored| {
        let put = Put {
            class: Class::Delivery,
            origin: Some((unit, of.position)),
            ..put(like.event.clone())
        };
        channel.publish(vec![put]).await.pop()
    };
    let large = kept.iter().max_by_key(|stored| stored.event.size());
    let newest = publish(&kept[kept.len() - 1], large.expect("it keeps events")).await;
    assert!(
        matches!(newest, Some(Err(PublishError::Full { .. }))),
        "younger ones wait: {newest:?}"
    );
    for (at, oldest) in kept.iter().take(kept.len() / 4).enumerate() {
        let answer = publish(oldest, oldest).await;
        assert!(matches!(answer, Some(Ok(_))), "event {at}: {answer:?}");
        channel.keep(unit, oldest.position.following());
    }
    let used = channel.space(POOL).used;
    assert!(used <= space, "{used}");
}

/// Publishes events of any size until one is refused; how many were stored.
async fn fill(world: &mut World, channel: &dyn Channel, class: Class, id: &mut u64) -> u64 {
    let before = *id;
    for _ in 0..100_000 {
        let size = world.random.below(4_000);
        let data = world.random.bytes(size);
        let put = Put {
            class,
            origin: None,
            ..put(event_from("/contract", *id, data))
        };
        match channel.publish(vec![put]).await.pop() {
            Some(Ok(_)) => *id += 1,
            Some(Err(PublishError::Full { retry_after })) => {
                assert!(!retry_after.is_zero(), "it says when to come back");
                return *id - before;
            }
            other => panic!("neither stored nor full: {other:?}"),
        }
    }
    panic!("it is never full");
}
