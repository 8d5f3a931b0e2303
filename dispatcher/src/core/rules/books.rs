//! The books in parts, so that whoever reads them does not hold events up.

use volley_channel::{Bounds, Position};
use volley_spec::report::{OTHER, TriggerAccount};

use super::bench::{Bench, trigger};
use crate::core::{Core, Part, Settings, UnitAccount};

/// Five Triggers that want everything, with one attempt each in flight, and a deleted one.
fn bench() -> Bench {
    let mut bench = Bench::new(8);
    for uid in 1..=6 {
        bench.declare(trigger(uid));
    }
    bench.publish("---");
    bench.read();
    for start in bench.starts().iter().take(4) {
        bench.succeeds(start);
    }
    bench.delete(3);
    bench
}

fn part(bench: &Bench, after: Option<u128>, most: usize, named: usize) -> UnitAccount {
    let part = Part { after, most, named };
    bench.core.account(part, bench.log.len() as u64, 9_000)
}

fn sum(rows: &[TriggerAccount]) -> [u64; 5] {
    rows.iter().fold([0; 5], |[a, b, c, d, e], row| {
        [
            a + row.seen,
            b + row.matched,
            c + row.delivered,
            d + row.pending,
            e + row.dropped.values().sum::<u64>(),
        ]
    })
}

#[test]
fn parts_are_the_whole_and_the_deleted_ones_come_last() {
    let bench = bench();
    let whole = part(&bench, None, usize::MAX, usize::MAX);
    assert_eq!(whole.triggers.len(), 6);
    assert_eq!(whole.more, None);
    let mut rows = Vec::new();
    let mut sizes = Vec::new();
    let mut after = None;
    loop {
        let part = part(&bench, after, 2, usize::MAX);
        assert_eq!(part.changes, whole.changes);
        sizes.push(part.triggers.len());
        rows.extend(part.triggers);
        after = part.more;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 2], "the last has the deleted one");
    assert_eq!(rows, whole.triggers);
}

#[test]
fn what_is_not_named_is_summed() {
    let bench = bench();
    let whole = part(&bench, None, usize::MAX, usize::MAX);
    let few = part(&bench, None, usize::MAX, 2);
    let names: Vec<_> = few.triggers.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), 4, "two, the others, and the deleted one");
    assert_eq!(names[2], OTHER);
    assert!(few.triggers[2].uid.is_empty());
    assert_eq!(sum(&few.triggers), sum(&whole.triggers));
    let oldest = whole.triggers.iter().map(|row| row.oldest_ms).max();
    assert!(oldest > Some(0));
    assert_eq!(few.triggers[2].oldest_ms, oldest.unwrap_or(0));
}

#[test]
fn a_part_tells_that_triggers_came_or_went_since_the_last() {
    let mut bench = bench();
    let first = part(&bench, None, 2, usize::MAX);
    bench.delete(1);
    let second = part(&bench, first.more, 9, usize::MAX);
    assert_ne!(first.changes, second.changes);
}

// They were among those that its filter refused, of a Trigger without a filter too.
#[test]
fn what_an_earlier_run_delivered_is_before() {
    let mut bench = Bench::new(8);
    bench.declare(trigger(1));
    let image = bench.core.checkpoint(usize::MAX);
    bench.publish("----");
    bench.read();
    let begun = bench.starts();
    for at in [1, 3] {
        bench.succeeds(&begun[at]);
    }
    let deltas = [bench.core.take_delta().expect("two have ended")];
    let bounds = Bounds {
        first: Position(1),
        first_ordinal: 0,
        next: bench.next(),
        next_ordinal: 4,
    };
    let known = vec![std::sync::Arc::new(trigger(1))];
    bench.core = Core::recover(
        Settings::default(),
        image,
        &deltas,
        known,
        bounds,
        bench.now,
    );
    bench.publish("-");
    bench.read();
    bench.catch_up();
    let row = bench.row(1);
    assert_eq!((row.before, row.seen, row.filtered), (2, 3, 0), "{row:?}");
    assert_eq!(bench.positions(), [1, 3, 5]);
}
