//! Contracts 20 to 23: storage that is away, and processes that end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Stop, World,
    backend::{Outage, Restart},
    events::*,
};
use crate::{NodeId, Position, PublishError, ReadError, SharedChannel, Start, Unit};

/// By when a publish has to be answered, one way or the other.
const DEADLINE: Duration = Duration::from_secs(30);

fn outage(world: &mut World) -> &mut dyn Outage {
    world
        .backend
        .outage()
        .expect("the contract is excluded without it")
}

fn restart(world: &mut World) -> &mut dyn Restart {
    world
        .backend
        .restart()
        .expect("the contract is excluded without it")
}

/// Contract 20: No answer is a lie: `Ok` is stored, `Down` is not, and only `Unknown` may be either.
pub(super) async fn a_publish_to_a_channel_that_is_down_fails_in_time(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut stored: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for round in 0..5 {
        stored.push(format!("before-{round}"));
        store(&channel, vec![put(event(format!("before-{round}")))]).await;
        outage(&mut world).down().await;
        let begun = Instant::now();
        let id = format!("down-{round}");
        let answer = publish_one(&channel, put(event(&id))).await;
        assert!(
            begun.elapsed() <= DEADLINE,
            "it took {:?} to say so",
            begun.elapsed()
        );
        match answer {
            Err(PublishError::Down { retry_after, .. }) => assert!(!retry_after.is_zero()),
            Err(PublishError::Unknown { .. }) if channel.caps().ambiguous_publish => {
                unknown.push(id)
            }
            other => panic!("the storage is down, and the answer is {other:?}"),
        }
        outage(&mut world).up().await;
        retry(&channel, &format!("after-{round}"), &mut unknown).await;
        stored.push(format!("after-{round}"));
    }
    let found = read_all(&channel, unit).await;
    expect_run(&found);
    let found: Vec<String> = found
        .iter()
        .map(|stored| stored.event.id().to_owned())
        .collect();
    let certain: Vec<_> = found
        .iter()
        .filter(|id| !unknown.contains(id))
        .cloned()
        .collect();
    let expected: Vec<_> = stored
        .into_iter()
        .filter(|id| !unknown.contains(id))
        .collect();
    assert_eq!(certain, expected);
}

/// Publishes until it is stored, as a producer would.
async fn retry(channel: &SharedChannel, id: &str, unknown: &mut Vec<String>) {
    let begun = Instant::now();
    while begun.elapsed() <= DEADLINE {
        match publish_one(channel, put(event(id))).await {
            Ok(_) => return,
            Err(PublishError::Unknown { .. }) => unknown.push(id.to_owned()),
            Err(_) => {}
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the storage is back, and publishing is not");
}

/// Contract 21: A reader that was cut off finds what it had not read, each event once.
pub(super) async fn a_cursor_goes_on_when_the_channel_is_back(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let mut events = Vec::new();
    for round in 0..10_u64 {
        store_ids(&channel, &mut world.random, round * 50..round * 50 + 50).await;
        let some = 50 * usize::try_from(round).expect("few rounds") + world.random.below(50)
            - events.len();
        events.extend(read(cursor.as_mut(), some).await);
        outage(&mut world).down().await;
        match timeout(DEADLINE, cursor.next(patient(10)))
            .await
            .expect("a read ends in time")
        {
            Ok(span) => events.extend(span.events),
            Err(ReadError::Down { retry_after, .. }) => assert!(!retry_after.is_zero()),
            Err(other) => panic!("the storage is down, and the reader hears: {other}"),
        }
        outage(&mut world).up().await;
    }
    let begun = Instant::now();
    while events.len() < 500 {
        assert!(
            begun.elapsed() <= DEADLINE,
            "only {} events came",
            events.len()
        );
        match cursor.next(patient(100)).await {
            Ok(span) => events.extend(span.events),
            Err(ReadError::Down { retry_after, .. }) => sleep(retry_after).await,
            Err(other) => panic!("the storage is back, and the reader hears: {other}"),
        }
    }
    expect_ids(&events, 0..500);
    expect_run(&events);
}

/// Contract 22: What was answered is there after a restart: events, numbers and progress.
pub(super) async fn answered_events_survive_a_restart(mut world: World) {
    let mut channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut all: Vec<crate::Stored> = Vec::new();
    for round in 0..5_u64 {
        let stop = if round % 2 == 0 {
            Stop::Orderly
        } else {
            Stop::Kill
        };
        store_ids(&channel, &mut world.random, round * 100..round * 100 + 100).await;
        let found = read_all(&channel, unit).await;
        all.iter()
            .zip(&found)
            .for_each(|(before, after)| expect_same(before, after));
        expect_ids(&found, 0..(round + 1) * 100);
        all = found;
        let claim = channel
            .ledger()
            .claim(unit, NodeId(round.into()))
            .await
            .expect("a claim");
        assert_eq!(claim.epoch.number, round + 1, "epochs grow over restarts");
        let image = Bytes::from(round.to_string());
        let side = vec![(round.into(), Some(image.clone()))];
        channel
            .ledger()
            .write(unit, claim.epoch, image, side)
            .await
            .expect("a write");
        drop(channel);
        channel = restart(&mut world).restart(stop).await;
        assert_eq!(prepare_one(&channel).await, unit);
    }
    let claim = channel
        .ledger()
        .claim(unit, NodeId(99))
        .await
        .expect("a claim");
    assert_eq!(claim.image.as_deref(), Some(b"4".as_slice()));
    assert_eq!(claim.side.len(), 5);
    let (_, position) = store(&channel, vec![put(event(500))]).await[0];
    assert!(
        all.last().is_some_and(|last| last.position < position),
        "positions go on growing"
    );
    expect_ids(&read_all(&channel, unit).await, 0..501);
}

/// Contract 23: A process that is killed at any moment, 200 times, loses nothing that it had answered.
pub(super) async fn answered_events_survive_two_hundred_kills(mut world: World) {
    let mut channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let answered: Arc<Mutex<BTreeMap<Position, String>>> = Arc::default();
    for round in 0..200 {
        let mut producers = JoinSet::new();
        for producer in 0..4 {
            let (channel, answered) = (Arc::clone(&channel), Arc::clone(&answered));
            producers.spawn(async move {
                for n in 0_u32.. {
                    let id = format!("{round}-{producer}-{n}");
                    if let Ok((_, position)) = publish_one(&channel, put(event(&id))).await {
                        let before = answered
                            .lock()
                            .expect("nothing panics")
                            .insert(position, id);
                        assert_eq!(before, None, "a position is given once");
                    }
                    sleep(Duration::from_micros(200)).await;
                }
            });
        }
        sleep(Duration::from_micros(world.random.below(5_000) as u64)).await;
        channel = restart(&mut world).restart(Stop::Kill).await;
        producers.shutdown().await;
        assert_eq!(prepare_one(&channel).await, unit);
        let so_far = answered.lock().expect("nothing panics").clone();
        expect_answered(&channel, unit, &so_far).await;
    }
    assert!(
        answered.lock().expect("nothing panics").len() > 200,
        "hardly anything was stored"
    );
}

async fn expect_answered(
    channel: &SharedChannel,
    unit: Unit,
    answered: &BTreeMap<Position, String>,
) {
    let all = read_all(channel, unit).await;
    expect_run(&all);
    let found: BTreeMap<Position, &str> = all
        .iter()
        .map(|stored| (stored.position, stored.event.id()))
        .collect();
    for (position, id) in answered {
        assert_eq!(
            found.get(position),
            Some(&id.as_str()),
            "what was answered at {position}"
        );
    }
}
