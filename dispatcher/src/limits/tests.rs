//! Which unit may start an attempt, and when.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::*;
use crate::core::test_route;

fn limit(limits: &Limits, concurrency: u32, rate: Option<f64>) -> Arc<Limit> {
    limits.of(&TriggerRoute {
        concurrency,
        rate,
        ..test_route(1)
    })
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn units_share_what_may_be_in_flight_and_take_turns() {
    let limits = Limits::default();
    let limit = limit(&limits, 2, None);
    let mut units = [Turns::default(), Turns::default(), Turns::default()];
    for unit in &mut units[..2] {
        assert_eq!(unit.ask(&limit, 7, at(0)), May::Start);
    }
    let held = units[0].take(7).expect("its turn");
    assert_eq!(units[2].ask(&limit, 7, at(0)), May::Wait);
    // The unit that had one already, and asks before the one in line: it stands behind that one.
    assert_eq!(units[0].ask(&limit, 7, at(0)), May::Wait);
    assert_eq!(
        units[0].ask(&limit, 7, at(0)),
        May::Wait,
        "it stands there once"
    );
    drop(held);
    assert!(units[0].take_in().is_empty());
    assert_eq!(units[2].take_in(), [7]);
    assert_eq!(units[2].ask(&limit, 7, at(0)), May::Start);
    // What is not needed after all is for others.
    units[1].give_back(7);
    assert_eq!(units[0].take_in(), [7]);
    assert_eq!(limit.state().taken, 2);
}

#[test]
fn a_rate_holds_for_all_units_and_none_of_them_waits_for_ever() {
    let limits = Limits::default();
    let limit = limit(&limits, 100, Some(1.0));
    let mut units = [Turns::default(), Turns::default()];
    let mut started = [0, 0];
    for second in 0..10 {
        for (unit, started) in units.iter_mut().zip(&mut started) {
            if unit.ask(&limit, 0, at(second)) == May::Start {
                unit.take(0);
                *started += 1;
            }
        }
    }
    assert_eq!(started, [5, 5]);
}

#[test]
fn a_changed_rate_or_subscriber_begins_anew() {
    let limits = Limits::default();
    let slow = limit(&limits, 1, Some(0.001));
    let (mut one, mut other) = (Turns::default(), Turns::default());
    assert_eq!(one.ask(&slow, 0, at(0)), May::Start);
    let flying = one.take(0);
    assert_eq!(other.ask(&slow, 0, at(0)), May::Wait);
    let quick = limit(&limits, 2, Some(1.0));
    assert!(Arc::ptr_eq(&slow, &quick), "it is one Trigger's");
    assert_eq!(other.take_in(), [0], "there is room for more now");
    assert_eq!(other.ask(&quick, 0, at(0)), May::Start);
    other.take(0);
    let mut route = TriggerRoute {
        concurrency: 1,
        ..test_route(1)
    };
    route.subscriber = None;
    let replaced = limits.of(&route);
    assert_eq!(other.ask(&replaced, 0, at(0)), May::Start, "{flying:?}");
}

#[test]
fn a_unit_that_ends_leaves_its_turns_to_others() {
    let limits = Limits::default();
    let limit = limit(&limits, 1, None);
    let [mut one, mut two, mut three, mut four] = [(); 4].map(|()| Turns::default());
    assert_eq!(one.ask(&limit, 0, at(0)), May::Start);
    for unit in [&mut two, &mut three, &mut four] {
        assert_eq!(unit.ask(&limit, 0, at(0)), May::Wait);
    }
    drop(two);
    one.give_back(0);
    // It was handed over, and not taken in yet.
    drop(three);
    assert_eq!(four.take_in(), [0]);
    drop(four);
    assert_eq!(limit.state().taken, 0);
}

#[test]
fn many_units_that_are_gone_are_passed_over() {
    let limits = Limits::default();
    let limit = limit(&limits, 1, None);
    let (mut first, mut last) = (Turns::default(), Turns::default());
    assert_eq!(first.ask(&limit, 0, at(0)), May::Start);
    for _ in 0..1_000 {
        assert_eq!(Turns::default().ask(&limit, 0, at(0)), May::Wait);
    }
    assert_eq!(last.ask(&limit, 0, at(0)), May::Wait);
    first.give_back(0);
    assert_eq!(last.take_in(), [0]);
}

#[test]
fn limits_of_triggers_that_are_gone_are_swept_out() {
    let limits = Limits::default();
    for uid in 0..10_000 {
        limits.of(&test_route(uid));
    }
    assert!(limits.known.lock().expect("unpoisoned").len() <= 2 * SWEPT);
}

/// Whatever units do, nobody has more than all may, and whoever waits is served in the end.
#[test]
fn nobody_is_forgotten_and_nothing_is_exceeded() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let limits = Limits::default();
        let mut most = rng.u32(1..4);
        let mut limit = limit(&limits, most, None);
        let mut units: Vec<_> = (0..4).map(|_| Turns::default()).collect();
        let mut flying = Vec::new();
        let mut waiting = BTreeSet::new();
        // A turn that was handed over stays good when the limit is lowered.
        let changes = seed % 2 == 1;
        for _ in 0..200 {
            let at_most = if changes { 4 } else { most as usize };
            match rng.u8(0..10) {
                0..=5 => {
                    let unit = rng.usize(0..4);
                    units[unit].take_in();
                    match units[unit].ask(&limit, 0, at(0)) {
                        May::Start => {
                            waiting.remove(&unit);
                            flying.push(units[unit].take(0).expect("its turn"));
                            assert!(flying.len() <= at_most, "seed {seed}");
                        }
                        _ => drop(waiting.insert(unit)),
                    }
                }
                6..=8 if !flying.is_empty() => drop(flying.swap_remove(rng.usize(0..flying.len()))),
                9 if changes => {
                    most = rng.u32(1..5);
                    limit = self::limit(&limits, most, None);
                }
                _ => {}
            }
        }
        drop(flying);
        for _ in 0..4 {
            waiting.retain(|unit| {
                units[*unit].take_in();
                let may = units[*unit].ask(&limit, 0, at(0));
                units[*unit].give_back(0);
                may != May::Start
            });
        }
        assert!(waiting.is_empty(), "seed {seed}: {waiting:?}");
    }
}
