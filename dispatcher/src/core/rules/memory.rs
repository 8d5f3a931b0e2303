//! What pending deliveries cost in memory, counted at the allocator. Each test prints its number.

use allocation_counter::measure;
use volley_filter::{Expr, Filter};
use volley_spec::route::{Order, TriggerRoute};

use super::bench::{Bench, retrying, trigger};
use crate::core::{Roll, Settings};

const EVENTS: usize = 500;

/// A bench whose subscribers have each one attempt in flight, which does not end.
fn standing_still(routes: impl IntoIterator<Item = TriggerRoute>) -> Bench {
    let mut bench = Bench::new(1024);
    for route in routes {
        bench.declare(TriggerRoute {
            concurrency: 1,
            ..route
        });
    }
    bench
}

/// Bytes by which it grows for `EVENTS` more, each of one of `kinds` in turn.
fn growth(bench: &mut Bench, kinds: &[String]) -> usize {
    for (at, kind) in (0..EVENTS + 64).zip(kinds.iter().cycle()) {
        if at == 64 {
            bench.read();
            bench.starts();
        }
        bench.store(kind, '-');
    }
    let span = bench.span(bench.core.head());
    let counted = measure(|| bench.core.read(span));
    usize::try_from(counted.bytes_current).expect("it grows")
}

#[test]
fn an_event_that_waits_costs_the_same_for_one_trigger_as_for_a_thousand() {
    let all = ["a".to_owned()];
    let one = growth(&mut standing_still([trigger(1)]), &all);
    let thousand = growth(&mut standing_still((1..=1000).map(trigger)), &all);
    let each = (thousand - one) as f64 / (EVENTS * 999) as f64;
    println!("{one} bytes for {EVENTS} events, {each:.3} more for each further Trigger");
    assert!(each <= 1.0, "{each} bytes for a further Trigger");
}

#[test]
fn a_position_that_stands_alone_takes_some_twenty_bytes() {
    let kinds: Vec<_> = (0..64).map(|kind| format!("k{kind}")).collect();
    let everything = Filter::compile(&Expr::exact([("source", "/rules")])).expect("valid");
    let one = TriggerRoute {
        filter: Some(everything),
        ..trigger(1)
    };
    let each_its_own = (1..).zip(&kinds).map(|(uid, kind)| TriggerRoute {
        filter: super::bench::kind(kind),
        ..trigger(uid)
    });
    let one = growth(&mut standing_still([one]), &kinds);
    let many = growth(&mut standing_still(each_its_own), &kinds);
    let each = (many - one) as f64 / EVENTS as f64;
    println!("{each:.1} bytes for a position");
    assert!(each <= 24.0, "{each} bytes for a position");
}

#[test]
fn what_a_burst_took_is_given_back() {
    let mut bench = Bench::new(1024);
    for uid in 1..=100 {
        bench.declare(retrying(uid, 1));
    }
    bench.publish("-");
    bench.read();
    for start in bench.starts() {
        bench.succeeds(&start);
    }
    drop((bench.core.take_finished(), bench.core.take_delta()));
    bench.publish(&"-".repeat(1_000));
    let span = bench.span(bench.core.head());
    let counted = measure(|| {
        bench.core.read(span);
        loop {
            let starts = bench.starts();
            for start in &starts {
                // Every seventh is tried once more.
                if start.earlier == 0 && start.key.position.0 % 7 == 0 {
                    bench.fails(start);
                } else {
                    bench.succeeds(start);
                }
            }
            if starts.is_empty() && bench.core.next_timer().is_none() {
                break;
            }
            bench.wait(2_000);
        }
        drop((bench.core.take_finished(), bench.core.take_delta()));
    });
    let each = counted.bytes_current / 100;
    println!("{each} bytes a Trigger stay");
    assert!(each <= 500, "{each} bytes a Trigger stay: {counted:?}");
}

#[test]
fn the_budget_is_told_what_pending_deliveries_really_take() {
    for (order, shelf_bytes) in [(Order::None, 1), (Order::Key, 1 << 20)] {
        let settings = Settings {
            window: 1_000,
            shelf_bytes,
            ..Settings::default()
        };
        let mut bench = Bench::with(settings);
        for uid in 1..=50 {
            bench.declare(TriggerRoute {
                order,
                concurrency: 1_000,
                ..retrying(uid, 9)
            });
        }
        for at in (0..26).cycle().take(600) {
            bench.store("a", char::from(b'a' + at));
        }
        let span = bench.span(bench.core.head());
        let counted = measure(|| {
            bench.core.read(span);
            for start in bench.starts() {
                bench.fails(&start);
            }
        });
        let really = usize::try_from(counted.bytes_current).expect("it grows");
        let told = bench.core.held_bytes();
        println!("{order:?}: {told} bytes told, {really} taken");
        assert!(
            told <= really * 2 && really <= told * 2,
            "{order:?}: {told} told, {really} taken"
        );
    }
}

#[test]
fn an_image_lists_an_event_once_however_many_triggers_wait_for_it() {
    let all = ["a".to_owned()];
    let [(one, _), (hundred, peak)] = [1, 100].map(|count| {
        let mut bench = standing_still((1..=count).map(trigger));
        growth(&mut bench, &all);
        let mut length = 0;
        let counted = measure(|| {
            let (image, side) = bench.core.checkpoint(usize::MAX).encode(usize::MAX);
            assert!(side.iter().all(|(key, _)| Roll::is_key(*key)));
            length = image.len();
        });
        (length, counted.bytes_max)
    });
    let each = (hundred - one) as f64 / (EVENTS * 99) as f64;
    println!("{each:.2} bytes for a further Trigger, {peak} while it is made");
    assert!(each <= 0.5, "{each} bytes for a further Trigger");
    assert!(peak <= 200_000, "{peak} bytes while it was made");
}

#[test]
fn where_bodies_may_take_little_each_trigger_has_one_event_in_flight_and_one_is_near() {
    let mut bench = Bench::new(1024);
    for uid in 1..=3 {
        bench.declare(trigger(uid));
    }
    bench.core.set_bounds(Settings {
        flying_bytes: 0,
        shelf_bytes: 0,
        ..Settings::default()
    });
    bench.publish("----------");
    bench.read();
    let one = bench.log[9].event.size();
    assert!(
        bench.core.near_bytes() <= one,
        "{}",
        bench.core.near_bytes()
    );
    for _ in 1..=10 {
        let starts = bench.starts();
        assert_eq!(
            starts.len(),
            3,
            "one for each, of those that are read again"
        );
        assert!(bench.starts().is_empty());
        for start in &starts {
            bench.succeeds(start);
        }
    }
    assert_eq!(bench.row(1).delivered, 10);
    bench.publish("-----");
    bench.read();
    bench.core.set_bounds(Settings::default());
    let first = bench.starts();
    for start in &first {
        bench.succeeds(start);
    }
    assert_eq!(first.len() + bench.starts().len(), 15);
}
