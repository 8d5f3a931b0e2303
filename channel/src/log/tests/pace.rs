//! How many commits there are, and what waits for one.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::NodeId;

/// Ten times the pause of a producer: without a pace there would be ten times the commits.
const PACE: Duration = Duration::from_millis(10);

/// Publishers that each store one event after the other, for as long as virtual time says; how
/// many commits and events that came to.
async fn crowd(publishers: u64) -> (u64, u64) {
    let rig = Rig::new(LogOptions {
        pace: PACE,
        ..small(8 << 20)
    });
    rig.unit().await;
    let before = rig.channel.stats();
    let until = tokio::time::Instant::now() + Duration::from_millis(100);
    let publisher = async |number: u64| {
        let mut id = number << 32;
        while tokio::time::Instant::now() < until {
            rig.put(id, 100).await.expect("there is room");
            id += 1;
            // What a producer takes for its next event.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    join_all((0..publishers).map(publisher)).await;
    let after = rig.channel.stats();
    (after.commits - before.commits, after.events - before.events)
}

#[test]
fn commits_of_a_crowd_are_a_pace_apart() {
    run(async {
        let (commits, events) = crowd(50).await;
        assert!(
            commits <= 15,
            "{commits} commits of {events} events in 100 ms"
        );
        assert!(
            events / commits >= 10,
            "{events} events in {commits} commits"
        );
    });
}

#[test]
fn who_publishes_alone_waits_for_no_pace() {
    run(async {
        let rig = Rig::new(small(2 << 20));
        rig.unit().await;
        let begun = tokio::time::Instant::now();
        for id in 0..100 {
            let batch = (0..10).map(|n| event(id * 10 + n, 100)).map(|event| Put {
                pool: POOL,
                key: None,
                dedupe: None,
                class: Class::Producer,
                origin: None,
                event,
            });
            rig.channel.publish(batch.collect()).await;
        }
        assert_eq!(rig.channel.stats().events, 1_000);
        // The simulated disk takes no time.
        assert_eq!(begun.elapsed(), Duration::ZERO);
    });
}

#[test]
fn progress_rides_in_a_commit_that_is_made_anyway_or_waits_a_little() {
    run(async {
        let rig = Rig::new(small(2 << 20));
        let unit = rig.unit().await;
        let ledger = rig.channel.ledger();
        let claim = ledger.claim(unit, NodeId(1)).await.expect("it is free");
        let commits = || rig.channel.stats().commits;
        let before = commits();

        let delta = ledger.append(unit, claim.epoch, Bytes::from_static(b"one"));
        let (delta, stored) = tokio::join!(delta, rig.put(1, 100));
        delta.expect("it is written");
        stored.expect("there is room");
        assert_eq!(commits(), before + 1, "both at once");

        let begun = tokio::time::Instant::now();
        let delta = ledger.append(unit, claim.epoch, Bytes::from_static(b"two"));
        delta.await.expect("it is written");
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(5) && waited < Duration::from_millis(10));
        assert_eq!(commits(), before + 2);

        // Whoever asked may be gone: the delta is safe with what comes next.
        let append = ledger.append(unit, claim.epoch, Bytes::from_static(b"three"));
        let given_up = tokio::time::timeout(Duration::from_millis(1), append).await;
        assert!(given_up.is_err());
        rig.put(2, 100).await.expect("there is room");
        let (disk, options) = (rig.disk.cut(), rig.options.clone());
        let rig = Rig::open(disk, options).expect("a cut is no damage");
        let unit = rig.unit().await;
        let claim = rig.channel.ledger().claim(unit, NodeId(1)).await;
        let deltas = claim.expect("it is free").deltas;
        assert_eq!(deltas, [&b"one"[..], b"two", b"three"]);
    });
}
