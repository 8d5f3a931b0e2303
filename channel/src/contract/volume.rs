//! Contracts 8, 29 and 30: many at once, many in all, and one that is slow.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Random, World, events::*};
use crate::{NodeId, Position, SharedChannel, Start, Stored, Unit};

/// Contract 8: Publishers on several threads: everything is stored once, without a gap in the count.
pub(super) async fn ten_thousand_publishers_at_once_lose_nothing(mut world: World) {
    let channel = world.channel().await;
    let units = prepare(&channel, 3).await;
    let mut answers = Vec::new();
    let mut threads = JoinSet::new();
    for thread in 0..4_u64 {
        let channel = Arc::clone(&channel);
        // Virtual time stands still while a blocking task runs.
        threads.spawn_blocking(move || publish_many(&channel, thread * 2_500));
    }
    while let Some(thread) = threads.join_next().await {
        answers.extend(thread.expect("no publisher panics"));
    }
    assert_eq!(answers.len(), 10_000);
    let mut found = 0;
    for unit in units {
        let stored = read_all(&channel, unit).await;
        expect_run(&stored);
        assert_eq!(stored.first().map_or(0, |first| first.ordinal), 0);
        found += stored.len();
        let stored: BTreeSet<(Position, &str)> = stored
            .iter()
            .map(|stored| (stored.position, stored.event.id()))
            .collect();
        for (_, position, id) in answers.iter().filter(|(answered, ..)| *answered == unit) {
            assert!(
                stored.contains(&(*position, id.as_str())),
                "{id} was answered {position}"
            );
        }
    }
    assert_eq!(found, 10_000);
}

/// 2,500 publishers of one event each. Runs on a thread of its own, with a runtime of its own.
fn publish_many(channel: &SharedChannel, first: u64) -> Vec<(Unit, Position, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut publishers = JoinSet::new();
        for id in first..first + 2_500 {
            let channel = Arc::clone(channel);
            publishers.spawn(async move {
                let answer = publish_one(&channel, put_keyed(id % 100, event(id))).await;
                let (unit, position) = answer.expect("there is room, and nothing is down");
                (unit, position, id.to_string())
            });
        }
        publishers.join_all().await
    })
}

/// Contract 29: Two million events, finished in an order of their own: progress goes through the ledger,
/// what is done is given back, and what is kept stays bounded.
pub(super) async fn two_million_events_finish_out_of_order(mut world: World) {
    const ALL: u64 = 2_000_000;
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let ledger = channel.ledger();
    let epoch = ledger.claim(unit, NodeId(1)).await.expect("a claim").epoch;
    let mut run = Run {
        random: world.random.clone(),
        open: BTreeSet::new(),
        finished: 0,
        most: 0,
    };
    let mut cursor = open(&channel, unit, Start::Oldest).await;
    let small = event("small");
    let (mut published, mut seen) = (0, 0);
    while run.finished < ALL {
        if published < ALL && run.open.len() < 20_000 {
            store(&channel, vec![put(small.clone()); 1_000]).await;
            published += 1_000;
        }
        // What was published and not read must come; what is read can be finished at once.
        let budget = if seen < published {
            patient(1_000)
        } else {
            at_once(1_000)
        };
        let span = cursor.next(budget).await.expect("what is needed is kept");
        for stored in &span.events {
            assert_eq!(stored.ordinal, seen, "each event is read once, in order");
            seen += 1;
        }
        let finished = run.finish(&span.events);
        run.check(&channel, unit, &finished).await;
        let needed = run.open.first().copied().unwrap_or(span.next);
        channel.keep(unit, needed);
        let delta = channel.caps().deltas && !run.random.once_in(20);
        // A delta that is not taken is answered with an image, as the ledger asks for.
        if !delta || ledger.append(unit, epoch, words(&finished)).await.is_err() {
            let open: Vec<Position> = run.open.iter().copied().collect();
            ledger
                .write(unit, epoch, words(&open), Vec::new())
                .await
                .expect("an image");
        }
    }
    let bounds = channel.bounds(unit).await.expect("the unit exists");
    assert_eq!((bounds.next_ordinal, seen), (ALL, ALL));
    assert!(
        run.most < 30_000_000,
        "{} bytes were kept at once",
        run.most
    );
    let claim = ledger.claim(unit, NodeId(2)).await.expect("a claim");
    assert!(claim.image.is_some(), "progress was written");
}

/// How many positions the oldest events stay behind the newest.
const STRAGGLERS: u64 = 40_000;

/// The events that are read and not finished, as a dispatcher has them.
struct Run {
    random: Random,
    open: BTreeSet<Position>,
    finished: u64,
    most: u64,
}

impl Run {
    /// Takes what was read and finishes half of what is open, in any order. The oldest ones are
    /// left out until they are far behind or nothing else is left.
    fn finish(&mut self, read: &[Stored]) -> Vec<Position> {
        self.open.extend(read.iter().map(|stored| stored.position));
        let head = self.open.last().map_or(0, |last| last.0);
        let late = Position(head.saturating_sub(STRAGGLERS));
        let mut others: Vec<Position> = self.open.range(late..).skip(200).copied().collect();
        self.random.shuffle(&mut others);
        others.truncate(others.len() / 2);
        let mut finished: Vec<Position> = self.open.range(..late).copied().chain(others).collect();
        if finished.is_empty() {
            finished = self.open.iter().copied().collect();
        }
        for position in &finished {
            assert!(self.open.remove(position), "{position} is finished once");
        }
        self.finished += finished.len() as u64;
        finished
    }

    /// What is still open can be read again; what is kept is counted.
    async fn check(&mut self, channel: &SharedChannel, unit: Unit, finished: &[Position]) {
        self.most = self.most.max(channel.space(POOL).used);
        let oldest: Vec<Position> = self.open.iter().take(2).copied().collect();
        let found = channel
            .fetch(unit, &oldest)
            .await
            .expect("what is needed is kept");
        assert!(
            found.iter().all(Option::is_some),
            "{oldest:?} are not finished: {finished:?} are"
        );
    }
}

fn words(positions: &[Position]) -> Bytes {
    positions
        .iter()
        .flat_map(|position| position.0.to_le_bytes())
        .collect()
}

/// Contract 30: A reader that stops halfway keeps neither publishers nor other readers waiting.
pub(super) async fn a_slow_reader_slows_nobody(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut slow = open(&channel, unit, Start::Oldest).await;
    let mut fast = open(&channel, unit, Start::Oldest).await;
    store(&channel, vec![put(event(0))]).await;
    let mut seen_slow = read(slow.as_mut(), 1).await;
    let mut seen_fast = read(fast.as_mut(), 1).await;
    // Begun and left alone: it waits for an event that comes, and is not polled.
    let mut waiting = slow.next(patient(1));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is nothing to read yet"),
        () = sleep(Duration::from_millis(1)) => {}
    }
    let begun = Instant::now();
    for batch in 0..200_u64 {
        let ids = 1 + batch * 100..1 + (batch + 1) * 100;
        store(&channel, ids.map(|id| put(event(id))).collect()).await;
        seen_fast.extend(read(fast.as_mut(), 100).await);
    }
    // Real time says nothing on a busy machine; virtual time goes on only if somebody waits.
    let nobody_waited = begun.elapsed() == Duration::ZERO || !world.backend.virtual_time();
    assert!(
        nobody_waited,
        "publishers or readers waited for {:?}",
        begun.elapsed()
    );
    expect_ids(&seen_fast, 0..20_001);
    seen_slow.extend(waiting.await.expect("what is kept can be read").events);
    let missing = 20_001 - seen_slow.len();
    seen_slow.extend(read(slow.as_mut(), missing).await);
    expect_ids(&seen_slow, 0..20_001);
}
