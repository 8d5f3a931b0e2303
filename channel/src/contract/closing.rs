//! Contracts 31 and 32: what is left behind, and whether the claims are true.

use std::sync::Arc;

use bytes::Bytes;

use super::{World, events::*};
use crate::{
    Caps, Durability, Fencing, LedgerError, NodeId, PoolId, PoolSpec, Position, PublishError, Put,
    ReadError, Replay, Retention, SharedChannel, Start, Unit,
};

/// Data that can be counted.
struct Counted(Arc<()>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        let Self(_counted_while_it_lives) = self;
        b"counted"
    }
}

/// Contract 31: A channel that was closed holds no thread, file, connection or event.
pub(super) async fn a_closed_channel_holds_nothing(mut world: World) {
    let data = Arc::new(());
    let mut first = None;
    for _ in 0..5 {
        let channel = world.channel().await;
        let units = prepare(&channel, 4).await;
        for _ in 0..200 {
            let event = event_from(
                "/contract",
                1,
                Bytes::from_owner(Counted(Arc::clone(&data))),
            );
            store(&channel, vec![put(event)]).await;
        }
        let mut cursors = Vec::new();
        for unit in &units {
            cursors.push(open(&channel, *unit, Start::Oldest).await);
            channel
                .ledger()
                .claim(*unit, NodeId(1))
                .await
                .expect("a claim");
        }
        channel.retire(POOL).await.expect("a pool can be retired");
        assert_eq!(channel.space(POOL).used, 0);
        for cursor in &mut cursors {
            assert_eq!(cursor.next(at_once(1)).await.err(), Some(ReadError::Gone));
        }
        assert_eq!(channel.bounds(units[0]).await, Err(ReadError::Gone));
        assert_eq!(Arc::strong_count(&data), 1, "a retired pool holds no event");
        drop(cursors);
        drop(channel);
        let resources = world
            .backend
            .resources()
            .expect("the contract is excluded without it");
        let count = resources.count().await;
        println!("held after the close: {count:?}");
        assert_eq!(
            *first.get_or_insert_with(|| count.clone()),
            count,
            "it grows with each channel"
        );
    }
}

/// Contract 32: Each capability is tried. What it costs to read a position again is no behaviour.
pub(super) async fn every_capability_is_true(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    // All fields by name: a new one does not compile until it is tried here.
    let Caps {
        name,
        durability,
        replay,
        reread: _,
        max_event,
        max_image,
        ambiguous_publish,
        dedupes,
        fencing,
        deltas,
    } = channel.caps().clone();
    assert!(
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase()),
        "{name:?}"
    );
    durability_is_true(&mut world, &channel, durability).await;
    assert!(
        max_event >= 64 << 10,
        "an event of 64 KiB is never too large"
    );
    assert!(max_image >= 4 << 10, "an image of 4 KiB is never too large");
    store(&channel, vec![put(event_of_size("largest", max_event))]).await;
    replay_is_true(&channel, unit, replay).await;
    dedupe_is_true(&channel, unit, dedupes).await;
    assert_eq!(
        dedupes,
        world.backend.dedupes().is_ok(),
        "the channel and its tests agree"
    );
    fencing_and_deltas_are_true(&channel, unit, fencing, deltas).await;
    if !ambiguous_publish {
        answers_are_certain(&mut world, &channel).await;
    }
}

async fn durability_is_true(world: &mut World, channel: &SharedChannel, claimed: Durability) {
    let spec = PoolSpec {
        retention: Retention::default(),
        pool: PoolId(2),
        name: "durable".to_owned(),
        parts: 1,
    };
    let state = channel.prepare(&spec).await.expect("a pool can be made");
    assert!(
        state.durability <= claimed,
        "a pool promises no more than its backend"
    );
    assert!(
        state.durability == claimed || state.warning.is_some(),
        "it says why it promises less"
    );
    let restarts = world.backend.restart().is_ok();
    assert_eq!(
        restarts,
        claimed > Durability::None,
        "what survives a restart is tried by contracts 22 and 23"
    );
}

async fn replay_is_true(channel: &SharedChannel, unit: Unit, replay: Replay) {
    let first = channel.bounds(unit).await.expect("the unit exists").first;
    store(
        channel,
        vec![put(event("needed")), put(event("not needed"))],
    )
    .await;
    channel.keep(unit, Position(u64::MAX));
    let again = channel.open(unit, Start::At(first)).await;
    match replay {
        Replay::Log => assert_eq!(again.err(), None, "what is young can be read again"),
        Replay::Ring => {
            let kept = channel.bounds(unit).await.expect("the unit exists").first <= first;
            assert_eq!(again.is_ok(), kept, "it is kept or reported");
        }
    }
}

async fn dedupe_is_true(channel: &SharedChannel, unit: Unit, dedupes: bool) {
    let before = channel
        .bounds(unit)
        .await
        .expect("the unit exists")
        .next_ordinal;
    let put = Put {
        dedupe: Some(42),
        ..put(event("twice"))
    };
    store(channel, vec![put.clone()]).await;
    store(channel, vec![put]).await;
    let after = channel
        .bounds(unit)
        .await
        .expect("the unit exists")
        .next_ordinal;
    assert_eq!(after - before, if dedupes { 1 } else { 2 });
}

async fn fencing_and_deltas_are_true(
    channel: &SharedChannel,
    unit: Unit,
    fencing: Fencing,
    deltas: bool,
) {
    let old = channel
        .ledger()
        .claim(unit, NodeId(1))
        .await
        .expect("a claim")
        .epoch;
    let new = channel
        .ledger()
        .claim(unit, NodeId(2))
        .await
        .expect("a claim")
        .epoch;
    let late = channel
        .ledger()
        .write(unit, old, Bytes::new(), Vec::new())
        .await;
    assert_eq!(late, Err(LedgerError::Fenced), "{fencing:?}");
    let appended = channel
        .ledger()
        .append(unit, new, Bytes::from_static(b"delta"))
        .await;
    assert_eq!(appended.is_ok(), deltas, "{appended:?}");
    let found = channel
        .ledger()
        .claim(unit, NodeId(3))
        .await
        .expect("a claim")
        .deltas;
    assert_eq!(found.len(), usize::from(deltas));
}

/// Every kind of refusal there is: each says for certain that nothing was stored.
async fn answers_are_certain(world: &mut World, channel: &SharedChannel) {
    let limit = channel.caps().max_event;
    let too_large = put(event_of_size("large", limit + 1));
    let nobody = Put {
        pool: PoolId(0xdead),
        ..put(event("nobody's"))
    };
    let mut batch = vec![put(event("fine")), too_large, nobody];
    world.random.shuffle(&mut batch);
    for answer in channel.publish(batch).await {
        assert!(
            !matches!(answer, Err(PublishError::Unknown { .. })),
            "{answer:?}"
        );
    }
}
