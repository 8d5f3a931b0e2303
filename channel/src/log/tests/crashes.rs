//! A power cut at any call to the disk, again and again: what was answered is there, and nothing
//! else is. A cut is never taken for damage.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::task::JoinSet;

use super::*;
use crate::{LedgerError, NodeId, contract::Random};

/// What was sent and what was answered, over all lives of a log.
#[derive(Debug, Default)]
struct Told {
    next: u64,
    answered: BTreeMap<u64, Position>,
    /// Events that may or may not be there, by their number.
    sent: BTreeMap<u64, usize>,
    /// The newest image that was answered, and the newest that was sent.
    image: u64,
    image_sent: u64,
    /// Everything below was given up.
    kept: Position,
}

type Shared = Arc<Mutex<Told>>;

async fn produce(channel: Arc<LogChannel>, told: Shared, mut random: Random) {
    loop {
        let size = random.below(6_000);
        let id = {
            let mut told = told.lock().unwrap();
            told.next += 1;
            let id = told.next;
            told.sent.insert(id, size);
            id
        };
        match put(&channel, POOL, event(id, size)).await {
            Ok(position) => {
                told.lock().unwrap().answered.insert(id, position);
            }
            Err(PublishError::Full { .. }) => {
                told.lock().unwrap().sent.remove(&id);
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Err(PublishError::Down { .. }) => {
                // Nothing of it is stored: it must never be seen.
                told.lock().unwrap().sent.remove(&id);
                return;
            }
            Err(_) => return,
        }
    }
}

async fn consume(channel: Arc<LogChannel>, unit: Unit, told: Shared, mut random: Random) {
    let Ok(claim) = channel.ledger().claim(unit, NodeId(1)).await else {
        return;
    };
    loop {
        let number = {
            let mut told = told.lock().unwrap();
            told.image_sent += 1;
            told.image_sent
        };
        let image = Bytes::from(number.to_string());
        let side = vec![(1, Some(image.clone()))];
        match channel.ledger().write(unit, claim.epoch, image, side).await {
            Ok(()) => told.lock().unwrap().image = number,
            Err(LedgerError::Down { .. }) => return,
            Err(error) => panic!("the owner is refused: {error}"),
        }
        if random.once_in(3) {
            let from = {
                let mut told = told.lock().unwrap();
                let answered: Vec<Position> = told.answered.values().copied().collect();
                let Some(most) = answered.iter().max().copied() else {
                    continue;
                };
                let from = Position(most.0.saturating_sub(random.below(150_000) as u64));
                told.kept = told.kept.max(from);
                from
            };
            channel.keep(unit, from);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// One life of a process, that ends at any call.
async fn live(rig: &mut Rig, unit: Unit, told: &Shared, random: &mut Random) {
    let cut_after = random.below(250) as u64;
    rig.disk.set_faults(Faults {
        cut_after: Some(cut_after),
        ..Faults::default()
    });
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let random = Random::new(random.number());
        tasks.spawn(produce(Arc::clone(&rig.channel), Arc::clone(told), random));
    }
    let random = Random::new(random.number());
    tasks.spawn(consume(
        Arc::clone(&rig.channel),
        unit,
        Arc::clone(told),
        random,
    ));
    let ended = async { while tasks.join_next().await.is_some() {} };
    // A log whose space is full goes on waiting for room: that is no end.
    let (Ok(()) | Err(_)) = tokio::time::timeout(std::time::Duration::from_secs(1), ended).await;
}

/// The next process finds what was answered, and nothing that was not sent.
async fn check(rig: &Rig, unit: Unit, told: &Shared, seed: u64) {
    let all = rig.all(unit).await;
    for pair in all.windows(2) {
        assert_eq!(
            pair[0].ordinal + 1,
            pair[1].ordinal,
            "seed {seed}: ordinals"
        );
        assert!(pair[0].at_ms <= pair[1].at_ms, "seed {seed}: time");
    }
    let bounds = rig.channel.bounds(unit).await.unwrap();
    let told = told.lock().unwrap();
    let found: BTreeMap<u64, Position> = all
        .iter()
        .map(|stored| (id_of(stored), stored.position))
        .collect();
    assert_eq!(
        found.len(),
        all.len(),
        "seed {seed}: something is there twice"
    );
    for stored in &all {
        assert!(
            is_genuine(stored),
            "seed {seed}: {} was changed",
            id_of(stored)
        );
        let id = id_of(stored);
        assert!(
            told.sent.contains_key(&id),
            "seed {seed}: {id} was refused and is there"
        );
    }
    assert!(bounds.first <= told.kept.max(bounds.first), "seed {seed}");
    for (id, position) in told
        .answered
        .iter()
        .filter(|(_, position)| **position >= told.kept)
    {
        assert_eq!(
            found.get(id),
            Some(position),
            "seed {seed}: {id} was answered at {position}"
        );
    }
    drop(told);
}

async fn check_ledger(rig: &Rig, unit: Unit, told: &Shared, seed: u64) {
    let claim = rig
        .channel
        .ledger()
        .claim(unit, NodeId(2))
        .await
        .expect("a claim");
    let number = |value: &Bytes| -> u64 { std::str::from_utf8(value).unwrap().parse().unwrap() };
    let image = claim.image.as_ref().map_or(0, number);
    let mut told = told.lock().unwrap();
    let possible = told.image..=told.image_sent;
    assert!(
        possible.contains(&image),
        "seed {seed}: image {image} of {possible:?}"
    );
    let side = claim.side.first().map_or(0, |(_, value)| number(value));
    assert!(
        side >= image,
        "seed {seed}: the image {image} relies on the side record {side}"
    );
    told.image = image;
}

async fn survive(seed: u64) -> (u64, usize) {
    let mut random = Random::new(seed);
    let disk = SimulatedDisk::new(random.number());
    let mut rig = Rig::open(disk, small(400 << 10)).expect("an empty folder can be used");
    let told = Shared::default();
    let mut unit = rig.unit().await;
    let mut torn = 0;
    for _ in 0..4 {
        live(&mut rig, unit, &told, &mut random).await;
        rig = rig.cut();
        torn += u64::from(rig.channel.found().torn > 0);
        unit = rig.unit().await;
        check(&rig, unit, &told, seed).await;
        check_ledger(&rig, unit, &told, seed).await;
    }
    let answered = told.lock().unwrap().answered.len();
    (torn, answered)
}

#[test]
fn what_was_answered_survives_a_cut_at_any_call_and_nothing_is_invented() {
    let (mut torn, mut answered) = (0, 0);
    for seed in seeds(150) {
        let (some, more) = run(survive(seed));
        torn += some;
        answered += more;
    }
    println!("{answered} events were answered, {torn} tails were torn");
    assert!(torn > 0 && answered > 1_000, "the test tried nothing");
}

#[test]
#[ignore = "slow: 20,000 seeds of four cuts each, some ten minutes"]
fn what_was_answered_survives_many_cuts() {
    for seed in seeds(20_000) {
        run(survive(seed));
    }
}

#[test]
fn a_cut_in_a_first_start_leaves_a_folder_that_can_be_used() {
    for calls in 0..40 {
        run(async {
            let disk = SimulatedDisk::new(calls);
            disk.set_faults(Faults {
                cut_after: Some(calls),
                ..Faults::default()
            });
            let begun = Rig::open(disk.clone(), small(1 << 20));
            let disk = match begun {
                Ok(rig) => rig.disk.cut(),
                Err(_) => disk.cut(),
            };
            let rig = Rig::open(disk, small(1 << 20)).expect("a cut is no damage");
            let unit = rig.unit().await;
            rig.put(1, 100).await.expect("it takes events");
            assert_eq!(rig.all(unit).await.len(), 1, "after {calls} calls");
        });
    }
}
