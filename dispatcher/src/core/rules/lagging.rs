//! Windows, catch-up passes, space and what is gone.

use volley_channel::{Position, Span};
use volley_event::Event;
use volley_filter::{Expr, Filter};
use volley_spec::route::{Overflow, TriggerRoute};

use super::bench::{Bench, positions, trigger};
use crate::core::{STEPS, Settings};

#[test]
fn a_trigger_whose_window_is_full_detaches_and_catches_up_without_holding_the_head() {
    let mut bench = Bench::new(4);
    bench.declare(trigger(1));
    bench.publish("----------");
    bench.read();
    assert_eq!(bench.core.head(), Position(11));
    let first = bench.starts();
    assert_eq!(positions(&first), [1, 2, 3, 4]);
    assert_eq!(bench.row(1).unread, 6);
    bench.succeeds(&first[0]);
    bench.catch_up();
    assert!(
        bench.starts().is_empty(),
        "it comes back when its window is half empty"
    );
    bench.succeeds(&first[1]);
    bench.catch_up();
    let second = bench.starts();
    assert_eq!(positions(&second), [5, 6]);
    for start in first[2..].iter().chain(&second) {
        bench.succeeds(start);
    }
    bench.catch_up();
    let third = bench.starts();
    assert_eq!(positions(&third), [7, 8, 9, 10]);
    for start in &third {
        bench.succeeds(start);
    }
    bench.catch_up();
    bench.publish("-");
    bench.read();
    assert_eq!(bench.positions(), [11], "it reads with the head again");
    assert_eq!(bench.core.wants_pass(0), None);
}

#[test]
fn a_near_and_a_far_laggard_are_read_for_by_two_passes() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.declare(TriggerRoute {
        filter: super::bench::kind("b"),
        ..trigger(2)
    });
    bench.publish("---");
    for _ in 0..6000 {
        bench.store("c", '-');
    }
    for _ in 0..3 {
        bench.store("b", '-');
    }
    bench.read();
    assert_eq!(bench.core.wants_pass(0), None, "neither has room");
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    assert_eq!(bench.core.wants_pass(0), Some(Position(3)));
    assert_eq!(bench.core.wants_pass(1), Some(Position(6006)));
    bench.core.caught_up(0, bench.span(Position(3)));
    bench.core.caught_up(1, bench.span(Position(6006)));
    assert_eq!(bench.positions(), [3, 6006]);
}

#[test]
fn a_pass_that_could_not_read_changes_nothing() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.publish("-----");
    bench.read();
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    assert_eq!(bench.core.wants_pass(0), Some(Position(3)));
    bench.core.caught_up(0, Span::default());
    assert_eq!(bench.core.wants_pass(0), Some(Position(3)));
    bench.core.caught_up(0, bench.span(Position(3)));
    assert_eq!(bench.positions(), [3, 4]);
}

#[test]
fn events_that_are_no_longer_near_are_read_again_only_for_the_places_that_are_free() {
    let mut bench = Bench::with(Settings {
        window: 100,
        shelf_bytes: 1,
        ..Settings::default()
    });
    for uid in [1, 2] {
        bench.declare(TriggerRoute {
            concurrency: 3,
            ..trigger(uid)
        });
    }
    bench.publish(&"-".repeat(50));
    bench.read();
    for _ in 0..2 {
        let slot = bench.core.next_ready().expect("both are ready");
        assert!(bench.core.start(slot, bench.now).is_none());
    }
    let fetch = bench.core.take_fetch();
    assert_eq!(
        fetch,
        [Position(1), Position(2), Position(3)],
        "once for both"
    );
    let found = fetch
        .iter()
        .map(|at| bench.log.get(at.0 as usize - 1).cloned());
    bench.core.fetched(&fetch, found.collect());
    for slot in [0, 1] {
        let started = std::iter::from_fn(|| bench.core.start(slot, bench.now)).count();
        assert_eq!(started, 3);
    }
    assert!(bench.core.take_fetch().is_empty());
}

#[test]
fn a_damaged_record_is_counted_once_for_each_trigger_and_passed() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.declare(TriggerRoute {
        filter: super::bench::kind("b"),
        ..trigger(2)
    });
    bench.publish("-----");
    let upto = |bench: &Bench, from: u64, to: u64| Span {
        events: bench.log[from as usize - 1..to as usize - 1].to_vec(),
        next: Position(to),
        next_ordinal: to - 1,
        at_head: false,
    };
    let span = upto(&bench, 1, 4);
    bench.core.read(span);
    bench.core.skip(Position(4));
    bench.read();
    assert_eq!(bench.dropped(2)["corrupt"], 1, "it read with the head");
    assert!(bench.dropped(1).is_empty(), "it has not come there");
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    assert_eq!(bench.core.wants_pass(0), Some(Position(3)));
    let span = upto(&bench, 3, 4);
    bench.core.caught_up(0, span);
    assert_eq!(bench.core.wants_pass(0), Some(Position(4)));
    bench.core.pass_failed(0);
    bench.core.skip(Position(4));
    assert_eq!(bench.dropped(1)["corrupt"], 1);
    assert_eq!(bench.core.wants_pass(0), Some(Position(5)));
    bench.core.caught_up(0, bench.span(Position(5)));
    assert_eq!(bench.positions(), [3, 5]);
    assert_eq!(bench.row(1).unread, 0);
}

// Found by the simulation (seed 9001702): two lost writes in a row, and a start between them. The log
// names lost events by places behind the one before, and those were below where the reader began.
#[test]
fn an_event_whose_number_is_missing_is_counted_as_damaged() {
    let mut bench = Bench::new(2);
    bench.declare(trigger(1));
    bench.declare(TriggerRoute {
        filter: super::bench::kind("b"),
        ..trigger(2)
    });
    bench.publish("-------");
    let without = |bench: &Bench, from: u64, lost: &[u64]| {
        let mut span = bench.span(Position(from));
        let kept = |stored: &volley_channel::Stored| !lost.contains(&stored.position.0);
        span.events.retain(kept);
        span
    };
    let span = without(&bench, 1, &[4, 7]);
    bench.core.read(span);
    assert_eq!(bench.dropped(2)["corrupt"], 2, "it read with the head");
    assert_eq!((bench.row(2).seen, bench.row(2).unread), (7, 0));
    assert!(bench.dropped(1).is_empty(), "it has not come there");
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    assert_eq!(bench.core.wants_pass(0), Some(Position(3)));
    let span = without(&bench, 3, &[4, 7]);
    bench.core.caught_up(0, span);
    assert_eq!(bench.dropped(1)["corrupt"], 1);
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    assert_eq!(bench.core.wants_pass(0), Some(Position(6)));
    let span = without(&bench, 6, &[4, 7]);
    bench.core.caught_up(0, span);
    assert_eq!(bench.positions(), [6]);
    let row = bench.row(1);
    assert_eq!(row.dropped["corrupt"], 2);
    assert_eq!((row.seen, row.matched, row.unread), (7, 7, 0));
}

#[test]
fn who_begins_amid_events_that_are_missing_loses_those_behind_its_start() {
    let mut bench = Bench::new(4);
    bench.declare(trigger(1));
    bench.publish("---");
    bench.read();
    bench.publish("-");
    bench.declare(trigger(2));
    bench.publish("-");
    let span = Span {
        events: Vec::new(),
        ..bench.span(Position(4))
    };
    bench.core.read(span);
    assert_eq!(bench.dropped(1)["corrupt"], 2);
    assert_eq!(bench.dropped(2)["corrupt"], 1, "it owes nothing of 4");
    let row = bench.row(2);
    assert_eq!((row.seen, row.matched, row.unread), (1, 1, 0));
}

#[test]
fn room_is_made_by_those_that_drop_and_never_at_the_cost_of_one_that_blocks() {
    let mut bench = Bench::new(3);
    let by = |uid, overflow| TriggerRoute {
        overflow: Some(overflow),
        concurrency: 1,
        ..trigger(uid)
    };
    bench.declare(by(1, Overflow::DropOldest));
    bench.publish("----");
    bench.declare(by(2, Overflow::BlockPublish));
    bench.publish("----");
    bench.read();
    let flying = bench.starts();
    assert_eq!(positions(&flying), [1, 5]);
    bench.core.make_room(Position(7), Overflow::DropOldest);
    bench.catch_up();
    assert_eq!(
        bench.dropped(1)["overflow"],
        3,
        "2, 3 and 4: what 2 holds begins at 5"
    );
    assert!(bench.dropped(2).is_empty());
    assert!(bench.core.states(&[2], 0)[0].1.blocks_publish);
    assert!(!bench.core.states(&[1], 0)[0].1.blocks_publish);
    let both = bench.core.states(&[1, 2], 0);
    assert_eq!(both, bench.core.states(&[1, 2, 3], 0), "3 is nobody");
    let blocker = bench.core.blocker().cloned();
    assert_eq!(blocker, Some(bench.row(2).name.into()));
    bench.succeeds(&flying[0]);
    assert_eq!(
        bench.row(1).delivered,
        1,
        "an attempt that had begun still counts"
    );
    bench.core.room_made();
    assert!(!bench.core.states(&[2], 0)[0].1.blocks_publish);
    assert_eq!(bench.core.blocker(), None);
}

#[test]
fn an_attempt_that_fails_after_its_space_was_taken_back_is_dropped_for_that() {
    let mut bench = Bench::new(3);
    bench.declare(TriggerRoute {
        overflow: Some(Overflow::DropOldest),
        ..super::bench::retrying(1, 5)
    });
    bench.publish("--");
    bench.read();
    let flying = bench.starts();
    bench.core.make_room(Position(2), Overflow::DropOldest);
    assert_eq!(bench.core.keep(), Position(2));
    bench.fails(&flying[0]);
    assert_eq!(bench.dropped(1)["overflow"], 1);
    bench.fails(&flying[1]);
    assert_eq!(bench.row(1).pending, 1, "2 is tried again");
}

#[test]
fn what_retention_took_is_counted_for_those_that_had_not_read_it() {
    let mut bench = Bench::new(2);
    bench.declare(TriggerRoute {
        concurrency: 1,
        ..trigger(1)
    });
    bench.publish("-------");
    bench.read();
    let flying = bench.one();
    bench.core.truncated(Position(6), 5);
    assert_eq!(bench.dropped(1)["retention"], 3, "3, 4 and 5");
    bench.succeeds(&flying);
    let second = bench.one();
    assert_eq!(second.key.position.0, 2, "what is near is still delivered");
    bench.succeeds(&second);
    bench.catch_up();
    assert_eq!(bench.positions(), [6]);
    assert_eq!(bench.row(1).unread, 0);
}

#[test]
fn errors_of_a_filter_are_counted_once_a_trigger_with_the_head_and_behind_it() {
    let mut bench = Bench::new(4);
    let fails = || TriggerRoute {
        filter: super::bench::cesql("type = 'a' OR INT(partitionkey) = 1"),
        ..trigger(1)
    };
    let errors = |bench: &Bench| [1, 2].map(|uid| bench.row(uid).filter_errors);
    // Its key is no number: the filter fails on each of the kind b.
    let store = |bench: &mut Bench, kinds: &str| {
        for kind in kinds.chars() {
            let key = if kind == 'b' { 'x' } else { '-' };
            bench.store(&kind.to_string(), key);
        }
    };
    bench.declare(fails());
    bench.declare(TriggerRoute {
        uid: uuid::Uuid::from_u128(2),
        ..fails()
    });
    store(&mut bench, "aaab");
    bench.read();
    assert_eq!(errors(&bench), [1, 1]);

    let started = bench.starts();
    let second = |start: &&crate::core::Start| start.route.uid.as_u128() == 2;
    started
        .iter()
        .filter(second)
        .for_each(|start| bench.succeeds(start));
    store(&mut bench, "aabb");
    bench.read();
    assert_eq!(
        errors(&bench),
        [1, 3],
        "the first one is full and reads by itself"
    );

    let later = bench.starts();
    for start in started.iter().filter(|start| !second(start)).chain(&later) {
        bench.succeeds(start);
    }
    bench.catch_up();
    assert_eq!(errors(&bench), [3, 3]);
    store(&mut bench, "b");
    bench.read();
    assert_eq!(errors(&bench), [4, 4], "both read with the head again");

    bench.delete(1);
    bench.declare(TriggerRoute {
        uid: uuid::Uuid::from_u128(2),
        ..trigger(1)
    });
    store(&mut bench, "b");
    bench.read();
    assert_eq!(errors(&bench), [4, 4], "what was counted stays");
}

#[test]
fn filters_that_take_long_have_an_event_shown_in_pieces_and_to_each_trigger_once() {
    let expensive = |uid: u128| {
        let parts = (0..3).map(|n| format!("NOT (subject LIKE '%z{uid}{n}%')"));
        let text = parts.collect::<Vec<_>>().join(" AND ");
        Filter::compile(&Expr::Cesql(text)).expect("a valid filter")
    };
    let mut bench = Bench::new(1);
    for uid in 1..=8 {
        bench.declare(TriggerRoute {
            filter: Some(expensive(uid)),
            ..trigger(uid)
        });
    }
    for _ in 0..3 {
        bench.publish("-");
        let last = bench.log.last_mut().expect("one was stored just now");
        let long = Event::builder().id(last.position.0.to_string());
        let long = long.source("/rules").kind("a");
        let long = long.attribute("subject", "a".repeat(60_000));
        last.event = long.build().expect("a valid event");
    }
    // At the head.
    bench.core.begin_read(bench.span(bench.core.head()));
    let mut pieces = 1;
    while !bench.core.read_on(STEPS) {
        pieces += 1;
    }
    assert!(pieces > 3, "{pieces}");
    let first = bench.starts();
    assert_eq!(positions(&first), [1; 8]);
    for start in &first {
        bench.succeeds(start);
    }
    // Behind it: each has room for one.
    let mut pieces = 0;
    let mut second = Vec::new();
    while let Some(at) = bench.core.wants_pass(0) {
        bench.core.caught_up(0, bench.span(at));
        second.extend(bench.starts());
        pieces += 1;
    }
    assert!(pieces > 2, "{pieces}");
    assert_eq!(positions(&second), [2; 8]);
    for start in &second {
        bench.succeeds(start);
    }
    bench.catch_up();
    let third = bench.starts();
    assert_eq!(positions(&third), [3; 8]);
    for start in &third {
        bench.succeeds(start);
    }
    bench.catch_up();
    for uid in 1..=8 {
        let row = bench.row(uid);
        assert_eq!((row.seen, row.matched, row.delivered), (3, 3, 3), "{row:?}");
        assert_eq!((row.unread, row.filter_errors), (0, 0), "{row:?}");
    }
}
