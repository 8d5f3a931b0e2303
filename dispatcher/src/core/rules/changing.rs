//! Routes that change: each from an exact position on (R15).

use volley_channel::{Bounds, Position};
use volley_spec::route::{HttpTarget, Overflow, Target, TriggerRoute};

use super::bench::{Bench, kind, trigger};
use crate::core::{Core, Settings};

fn wanting(wanted: &str) -> TriggerRoute {
    TriggerRoute {
        filter: kind(wanted),
        ..trigger(1)
    }
}

#[test]
fn a_new_filter_judges_events_from_where_it_was_noted_and_no_earlier_one() {
    let mut bench = Bench::new(100);
    bench.declare(wanting("a"));
    for kinds in ["ab", "bc", "ca"] {
        for kind in kinds.chars() {
            bench.store(&kind.to_string(), '-');
        }
        let next = char::from(kinds.as_bytes()[0] + 1).to_string();
        bench.declare(wanting(&next));
    }
    for kind in ["d", "a"] {
        bench.store(kind, '-');
    }
    // The head reads all of it only now: three filters, each for its own part.
    bench.read();
    assert_eq!(bench.positions(), [1, 3, 5, 7]);
}

#[test]
fn a_detached_trigger_applies_a_new_filter_to_what_it_has_not_read_and_says_from_where() {
    let mut bench = Bench::new(2);
    bench.declare(wanting("a"));
    bench.publish("---");
    bench.store("b", '-');
    bench.read();
    let flying = bench.starts();
    bench.store("b", '-');
    bench.store("a", '-');
    bench.declare(wanting("b"));
    assert_eq!(bench.core.states(&[1], 0)[0].1.filter_from, Some(3));
    bench.store("b", '-');
    for start in &flying {
        bench.succeeds(start);
    }
    bench.catch_up();
    assert_eq!(bench.positions(), [4]);
    // It has re-attached below where the change was noted: the new filter holds there too.
    bench.read();
    bench.catch_up();
    assert_eq!(bench.positions(), [5]);
    assert_eq!(bench.row(1).matched, 4);
}

#[test]
fn a_change_noted_while_attached_is_overtaken_by_one_while_detached() {
    let mut bench = Bench::new(1);
    bench.declare(wanting("a"));
    bench.publish("--");
    bench.declare(wanting("b"));
    bench.core.read(volley_channel::Span {
        events: bench.log.clone(),
        next: Position(3),
        next_ordinal: 2,
        at_head: true,
    });
    bench.declare(wanting("c"));
    bench.store("b", '-');
    bench.store("c", '-');
    let first = bench.one();
    bench.succeeds(&first);
    bench.read();
    bench.catch_up();
    assert_eq!(bench.positions(), [4]);
}

#[test]
fn a_trigger_without_a_usable_filter_stops_and_keeps_its_backlog() {
    let unusable = || TriggerRoute {
        filter: None,
        ..trigger(1)
    };
    let mut bench = Bench::new(2);
    bench.declare(wanting("a"));
    bench.publish("----");
    bench.read();
    let flying = bench.starts();
    bench.declare(unusable());
    for start in &flying {
        bench.succeeds(start);
    }
    bench.publish("-");
    bench.read();
    bench.catch_up();
    assert!(bench.positions().is_empty());
    assert_eq!(bench.row(1).unread, 3);
    let image = bench.core.checkpoint(usize::MAX);
    let bounds = Bounds {
        first: Position(1),
        first_ordinal: 0,
        next: bench.next(),
        next_ordinal: 5,
    };
    let known = vec![std::sync::Arc::new(unusable())];
    bench.core = Core::recover(Settings::default(), image, &[], known, bounds, bench.now);
    bench.publish("-");
    bench.read();
    bench.catch_up();
    assert_eq!(bench.row(1).unread, 4, "a restart does not lose it");
    bench.declare(wanting("a"));
    bench.catch_up();
    assert_eq!(bench.positions(), [3, 4, 5, 6]);
}

#[test]
fn a_trigger_without_a_usable_filter_gives_room_when_it_is_to_drop() {
    let mut bench = Bench::new(2);
    bench.declare(wanting("a"));
    bench.declare(TriggerRoute {
        filter: None,
        overflow: Some(Overflow::DropOldest),
        ..trigger(1)
    });
    bench.publish("----");
    bench.read();
    assert_eq!(bench.core.keep(), Position(1));
    bench.core.make_room(Position(4), Overflow::BlockPublish);
    bench.catch_up();
    assert_eq!(bench.core.keep(), Position(4));
    assert_eq!(bench.dropped(1)["overflow"], 3);
}

#[test]
fn a_trigger_that_never_had_a_subscriber_starts_where_it_gets_one_even_after_a_restart() {
    let without = || TriggerRoute {
        subscriber: None,
        ..trigger(1)
    };
    let mut bench = Bench::new(100);
    bench.declare(without());
    bench.publish("--");
    bench.read();
    let image = bench.core.checkpoint(usize::MAX);
    bench.publish("-");
    let bounds = Bounds {
        first: Position(1),
        first_ordinal: 0,
        next: bench.next(),
        next_ordinal: 3,
    };
    let known = vec![std::sync::Arc::new(without())];
    bench.core = Core::recover(Settings::default(), image, &[], known, bounds, bench.now);
    bench.publish("-");
    bench.read();
    assert_eq!(bench.row(1).pending, 0);
    bench.declare(trigger(1));
    bench.publish("-");
    bench.read();
    assert_eq!(bench.positions(), [5]);
}

#[test]
fn a_trigger_whose_subscriber_is_taken_away_is_parked_and_nothing_is_dropped() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.declare(TriggerRoute {
        subscriber: None,
        ..trigger(1)
    });
    bench.publish("-----");
    bench.read();
    bench.catch_up();
    assert!(bench.positions().is_empty());
    assert_eq!(bench.core.keep(), Position(1));
    bench.declare(trigger(1));
    let mut delivered = Vec::new();
    for _ in 0..5 {
        let starts = bench.starts();
        delivered.extend(super::bench::positions(&starts));
        for start in &starts {
            bench.succeeds(start);
        }
        bench.catch_up();
    }
    assert_eq!(delivered, [1, 2, 3, 4, 5]);
}

#[test]
fn a_deleted_trigger_leaves_its_row_and_nothing_else() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.publish("---");
    bench.read();
    let flying = bench.starts();
    bench.delete(1);
    assert_eq!(bench.dropped(1)["deleted"], 2);
    assert_eq!(bench.core.keep(), bench.core.head());
    bench.declare(trigger(2));
    bench.publish("-");
    bench.read();
    for start in &flying {
        bench.succeeds(start);
    }
    assert_eq!(
        bench.positions(),
        [4],
        "a late answer meets no other attempt"
    );
    assert_eq!(bench.row(2).delivered, 0);
}

#[test]
fn a_new_subscriber_has_all_its_places_while_the_old_one_hangs() {
    let to = |url: &str| TriggerRoute {
        subscriber: Some(Target::Http(HttpTarget {
            url: url.into(),
            ca_certs: None,
        })),
        concurrency: 2,
        ..trigger(1)
    };
    let mut bench = Bench::new(100);
    bench.declare(to("http://hangs/"));
    bench.publish("----");
    bench.read();
    let hanging = bench.starts();
    assert_eq!(hanging.len(), 2);
    assert!(bench.starts().is_empty());
    bench.declare(to("http://mended/"));
    let mended = bench.starts();
    assert_eq!(mended.len(), 2, "the new subscriber's places are its own");
    // What ends at the old one frees no further place of the new one.
    bench.publish("--");
    bench.read();
    bench.succeeds(&hanging[0]);
    assert!(bench.starts().is_empty());
    bench.succeeds(&mended[0]);
    assert_eq!(bench.starts().len(), 1);
}
