//! What is kept, given back, used again, and found by time.

use std::{pin::pin, time::Duration};

use super::*;
use crate::Health;

const OTHER: PoolId = PoolId(78);

#[test]
fn a_log_whose_events_are_done_stays_within_a_few_files() {
    run(async {
        let rig = Rig::new(small(1 << 20));
        let unit = rig.unit().await;
        for id in 0..4_000 {
            let position = rig.put(id, 2_000).await.expect("there is room");
            rig.channel.keep(unit, position);
        }
        let stats = rig.channel.stats();
        assert!(
            stats.bytes > 8 << 20,
            "the log went round many times: {stats:?}"
        );
        assert!(
            stats.bytes_on_disk <= (1 << 20) + 5 * (128 << 10),
            "{stats:?}"
        );
        let names = rig.disk.contents();
        let files = names.keys().filter(|name| name.ends_with(".log")).count();
        assert!(files <= 14, "{:?}", names.keys());
        let last = rig.all(unit).await;
        assert_eq!(last.last().map(id_of), Some(3_999));
        let rig = rig.reopen().await;
        assert_eq!(rig.all(unit).await.last().map(id_of), Some(3_999));
    });
}

#[test]
fn a_reader_that_began_on_an_empty_log_misses_nothing_that_has_left_memory() {
    run(async {
        let rig = Rig::new(small(2 << 20));
        let unit = rig.unit().await;
        let reader = rig.channel.open(unit, Start::Oldest).await;
        let mut reader = reader.expect("the unit exists");
        // More than the newest events that are kept in memory, before the first read.
        for id in 0..50 {
            rig.put(id, 2_000).await.expect("there is room");
        }
        let mut ids = Vec::new();
        loop {
            let span = reader.next(AT_ONCE).await.expect("nothing is damaged");
            ids.extend(span.events.iter().map(id_of));
            if span.at_head {
                break;
            }
        }
        assert_eq!(ids, (0..50).collect::<Vec<u64>>());
        assert_eq!(rig.channel.stats().damaged, 0);
    });
}

#[test]
fn a_broker_that_does_not_move_fills_its_own_share_and_nobody_elses() {
    run(async {
        let rig = Rig::new(small(2 << 20));
        let unit = rig.unit().await;
        prepare(&rig.channel, OTHER).await;
        // The other one stores a little now and then, and is never done with it.
        for id in 0..6_000 {
            let position = rig
                .put(id, 2_000)
                .await
                .expect("it is not the one that stands still");
            rig.channel.keep(unit, position.following());
            if id % 20 == 0 {
                let (Ok(_) | Err(_)) = put(&rig.channel, OTHER, event(id, 50)).await;
            }
        }
        let held = rig.channel.space(OTHER);
        assert!(
            held.used > 500_000,
            "it pays for what it holds back: {held:?}"
        );
        assert_eq!(rig.channel.space(POOL).used, 0);
        let stats = rig.channel.stats();
        assert!(
            stats.bytes_on_disk <= (2 << 20) + 5 * (128 << 10),
            "{stats:?}"
        );
        let held = put(&rig.channel, OTHER, event(1, 50)).await;
        assert!(matches!(held, Err(PublishError::Full { .. })), "{held:?}");
        let other = Unit {
            pool: OTHER,
            part: 0,
        };
        let health = rig.channel.health(other).borrow().clone();
        let Health::Full { until, .. } = health else {
            panic!("{health:?}")
        };
        rig.channel.keep(other, until);
        assert_eq!(*rig.channel.health(other).borrow(), Health::Fine);
        put(&rig.channel, OTHER, event(1, 50))
            .await
            .expect("it has given room back");
    });
}

/// Says what the pool keeps although nobody needs it.
async fn retain(rig: &Rig, age: Option<Duration>, bytes: Option<u64>) {
    let spec = PoolSpec {
        pool: POOL,
        name: "shop".into(),
        parts: 1,
        retention: Retention { age, bytes },
    };
    rig.channel.prepare(&spec).await.expect("the pool exists");
}

#[test]
fn a_retention_keeps_what_nobody_needs() {
    run(async {
        let rig = Rig::new(small(8 << 20));
        let unit = rig.unit().await;
        retain(&rig, Some(Duration::from_secs(60)), None).await;
        for id in 0..1_000 {
            let position = rig.put(id, 2_000).await.expect("there is room");
            rig.channel.keep(unit, position.following());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let rig = rig.reopen().await;
        let young = rig.all(unit).await;
        let oldest = id_of(&young[0]);
        assert!(
            (100..=400).contains(&oldest),
            "a minute is 600 events, and a segment more: {oldest}"
        );
        assert_eq!(young.last().map(id_of), Some(999));
        // The next process's clock begins where the first one's did.
        tokio::time::sleep(Duration::from_secs(200)).await;
        for id in 1_000..1_010 {
            rig.put(id, 2_000).await.expect("there is room");
        }
        assert!(
            rig.channel.space(POOL).used < 200_000,
            "{:?}",
            rig.channel.space(POOL)
        );
    });
}

#[test]
fn a_reader_starts_at_a_time_on_disk_and_in_memory_and_over_restarts() {
    run(async {
        let rig = Rig::new(small(8 << 20));
        let unit = rig.unit().await;
        let mut times = Vec::new();
        for id in 0..500 {
            rig.put(id, 1_000).await.expect("there is room");
            times.push(BEGUN_MS + id * 10);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let rig = rig.reopen().await;
        for id in [0_usize, 1, 77, 250, 499] {
            let from = Start::Time(times[id]);
            let found = read_all(&rig.channel, unit, from)
                .await
                .expect("it can be read");
            assert_eq!(found.first().map(id_of), Some(id as u64));
        }
        let late = Start::Time(times[499] + 1_000_000);
        assert!(
            read_all(&rig.channel, unit, late)
                .await
                .expect("it can be read")
                .is_empty()
        );
        // A clock that went back does not take time back.
        let rig = rig.reopen().await;
        rig.put(500, 10).await.expect("there is room");
        let all = rig.all(unit).await;
        assert!(all.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    });
}

#[test]
fn a_pool_that_was_deleted_and_made_again_is_another_one() {
    run(async {
        let rig = Rig::new(small(1 << 20));
        let unit = rig.unit().await;
        for id in 0..10 {
            rig.put(id, 100).await.expect("there is room");
        }
        let before = rig.channel.bounds(unit).await.expect("it exists").next;
        rig.channel.retire(POOL).await.expect("it can be retired");
        rig.unit().await;
        let rig = rig.reopen().await;
        let position = rig.put(10, 100).await.expect("there is room");
        assert!(position >= before, "a position is never given twice");
        let all = rig.all(unit).await;
        assert_eq!(
            all.iter()
                .map(|stored| (id_of(stored), stored.ordinal))
                .collect::<Vec<_>>(),
            [(10, 0)]
        );
    });
}

#[test]
fn a_start_reads_no_more_than_what_lies_behind_the_snapshot() {
    run(async {
        let rig = Rig::new(small(32 << 20));
        let unit = rig.unit().await;
        for id in 0..8_000 {
            rig.put(id, 2_000).await.expect("there is room");
        }
        let disk = rig.disk.cut();
        let rig = Rig::open(disk, rig.options).expect("a cut is no damage");
        let found = rig.channel.found();
        assert!(found.segments > 100, "{found:?}");
        assert!(found.read_again <= 2 * (96 << 10), "{found:?}");
        assert_eq!(found.reindexed, 0);
        assert_eq!(rig.all(unit).await.len(), 8_000);
    });
}

/// A pool as its dispatcher knows it: what was stored, and how much of it is done.
struct Kept {
    unit: Unit,
    stored: Vec<(u64, Position)>,
    done: usize,
}

impl Kept {
    /// Says that everything before the event of this index is done.
    fn keep(&mut self, channel: &LogChannel, done: usize) {
        self.done = done;
        let end = self.stored.last().map(|(_, position)| position.following());
        let from = self.stored.get(done).map(|(_, position)| *position).or(end);
        channel.keep(self.unit, from.unwrap_or_default());
    }

    async fn check(&self, channel: &LogChannel, seed: u64) {
        let all = read_all(channel, self.unit, Start::Oldest).await;
        let all: Vec<u64> = all.expect("it can be read").iter().map(id_of).collect();
        let owed: Vec<u64> = self.stored[self.done..].iter().map(|(id, _)| *id).collect();
        assert!(all.ends_with(&owed), "seed {seed}: {owed:?} of {all:?}");
    }
}

// Found by a hundred changes under load: a unit that had given back everything in the segment that
// was being written had no claim on it any more, whatever it stored there afterwards.
#[test]
fn what_is_not_done_stays_whatever_was_given_back_before() {
    for seed in seeds(30) {
        run(async {
            let mut random = fastrand::Rng::with_seed(seed);
            let rig = Rig::new(small(2 << 20));
            let units = [rig.unit().await, prepare(&rig.channel, OTHER).await];
            let mut pools = units.map(|unit| Kept {
                unit,
                stored: Vec::new(),
                done: 0,
            });
            for id in 0..1_500 {
                let pool = &mut pools[usize::from(random.u8(0..4) == 0)];
                let size = random.usize(0..6_000);
                if let Ok(at) = put(&rig.channel, pool.unit.pool, event(id, size)).await {
                    pool.stored.push((id, at));
                }
                let end = pool.stored.len();
                match random.u8(0..4) {
                    0 => pool.keep(&rig.channel, end),
                    1 => pool.keep(&rig.channel, random.usize(pool.done..=end)),
                    _ => {}
                }
                if id % 100 == 0 {
                    for pool in &pools {
                        pool.check(&rig.channel, seed).await;
                    }
                }
            }
            for pool in &mut pools {
                pool.check(&rig.channel, seed).await;
                pool.keep(&rig.channel, pool.stored.len());
                let space = rig.channel.space(pool.unit.pool);
                assert_eq!(space.used, 0, "seed {seed}: nobody needs anything");
            }
        });
    }
}

#[test]
fn a_log_goes_on_behind_a_file_that_was_used_again() {
    for seed in seeds(60) {
        run(async {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut rig = Rig::new(small(2 << 20));
            rig.unit().await;
            let other = prepare(&rig.channel, OTHER).await;
            put(&rig.channel, OTHER, event(0, 100))
                .await
                .expect("an event that is never done");
            let mut last = Vec::new();
            for cut in 0..6 {
                let unit = rig.unit().await;
                for id in 0..random.u64(1..300) {
                    // A frame of five sectors, of which a file holds 51 and nothing else.
                    let id = cut * 1_000 + id;
                    last.push((id, rig.put(id, 2_200).await.expect("there is room")));
                    if last.len() > 3 {
                        last.remove(0);
                    }
                    rig.channel.keep(unit, last[0].1);
                }
                rig = rig.cut();
                let unit = rig.unit().await;
                let all: Vec<u64> = rig.all(unit).await.iter().map(id_of).collect();
                let owed: Vec<u64> = last.iter().map(|(id, _)| *id).collect();
                assert!(all.ends_with(&owed), "seed {seed}: {owed:?} of {all:?}");
                assert_eq!(rig.all(other).await.len(), 1, "seed {seed}");
            }
        });
    }
}

/// A Broker of many parts, in each of which one event waits, with finished ones all around it.
async fn fill_with_stragglers(rig: &Rig, parts: u32) -> Vec<(Unit, Position)> {
    let spec = PoolSpec {
        retention: Retention::default(),
        pool: OTHER,
        name: "shop".into(),
        parts,
    };
    rig.channel.prepare(&spec).await.expect("a pool");
    let mut waiting: Vec<(Unit, Position)> = Vec::new();
    for id in 0..10_000 {
        let put = Put {
            pool: OTHER,
            key: None,
            dedupe: None,
            class: Class::Producer,
            origin: None,
            event: event(id, 2_000),
        };
        let mut answers = rig.channel.publish(vec![put]).await;
        let Ok((unit, at)) = answers.pop().expect("an answer for the event") else {
            return waiting;
        };
        if id % 50 == 0 {
            waiting.push((unit, at));
        }
        let first = waiting.iter().find(|(waits, _)| *waits == unit);
        rig.channel
            .keep(unit, first.map_or(at.following(), |(_, at)| *at));
    }
    panic!("the log takes more than it may");
}

// Found by reading: a dozen events that nobody takes, far apart, kept a dozen segments and were
// charged for a dozen events; at its limit the log took no progress either, for ever.
#[test]
fn a_broker_pays_for_all_that_its_stragglers_keep_and_gets_room_back() {
    run(async {
        let rig = Rig::new(small(1 << 20));
        let unit = rig.unit().await;
        let waiting = fill_with_stragglers(&rig, 64).await;
        assert!(waiting.len() > 4, "they are far apart");
        let space = rig.channel.space(OTHER);
        assert!(space.used * 8 >= space.share * 7, "it pays: {space:?}");
        let stats = rig.channel.stats();
        assert!(
            stats.bytes_on_disk <= (1 << 20) + 5 * (128 << 10),
            "{stats:?}"
        );
        // The other Broker finds room.
        for id in 0..100 {
            let at = rig.put(id, 1_000).await.expect("its share is its own");
            rig.channel.keep(unit, at.following());
        }
        let units = (0..64).map(|part| Unit { pool: OTHER, part });
        let asked: Vec<(Unit, Health)> = units
            .map(|unit| (unit, rig.channel.health(unit).borrow().clone()))
            .collect();
        for (unit, health) in asked {
            let Health::Full { until, .. } = health else {
                panic!("{health:?}")
            };
            rig.channel.keep(unit, until);
        }
        let unit = Unit {
            pool: OTHER,
            part: 0,
        };
        assert_eq!(*rig.channel.health(unit).borrow(), Health::Fine);
        put(&rig.channel, OTHER, event(1, 2_000))
            .await
            .expect("what was said to be enough is enough");
        let rig = rig.reopen().await;
        put(&rig.channel, OTHER, event(1, 2_000))
            .await
            .expect("the next process finds the same room");
    });
}

#[test]
fn a_retention_by_size_keeps_the_newest_that_nobody_needs() {
    run(async {
        let rig = Rig::new(small(8 << 20));
        let unit = rig.unit().await;
        retain(&rig, None, Some(500_000)).await;
        for id in 0..1_000 {
            let position = rig.put(id, 2_000).await.expect("there is room");
            rig.channel.keep(unit, position.following());
        }
        let rig = rig.reopen().await;
        rig.put(1_000, 2_000).await.expect("there is room");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let kept = rig.all(unit).await;
        let oldest = id_of(&kept[0]);
        assert!(
            (600..=800).contains(&oldest),
            "500 kB are some 200 events, and up to a segment and an entry more: {oldest}"
        );
        assert_eq!(kept.last().map(id_of), Some(1_000));
        assert!(rig.channel.space(POOL).used < 900_000);
    });
}

#[test]
fn zeros_go_to_the_disk_a_little_at_a_time() {
    run(async {
        let disk = SimulatedDisk::new(1);
        let (shared, clock) = (Arc::new(disk.clone()), Clock::simulated(BEGUN_MS));
        let (channel, mut driver) = LogChannel::over(shared, small(8 << 20), clock).unwrap();
        let length = || {
            let files = disk.contents();
            let segments = files.iter().filter(|(name, _)| name.ends_with(".log"));
            segments.map(|(_, bytes)| bytes.len()).max().unwrap_or(0)
        };
        let publishing = async {
            prepare(&channel, POOL).await;
            for id in 0..60 {
                put(&channel, POOL, event(id, 1_000)).await.unwrap();
            }
        };
        let mut publishing = pin!(publishing);
        let (mut before, mut most) = (length(), 0);
        loop {
            let ended = tokio::select! { biased; () = &mut publishing => true, () = tokio::task::yield_now() => false };
            while driver.turn() {
                most = most.max(length() - before);
                before = length();
            }
            if ended {
                break;
            }
        }
        assert!(
            before > 90 << 10,
            "zeros keep ahead of the writer: {before}"
        );
        assert!(most <= 4 << 10, "a sync waits for {most} bytes of zeros");
    });
}
