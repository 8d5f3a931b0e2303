//! The space rule in numbers.

use super::{ASKS_FOR_MS, Mark, Shares};
use crate::{Class, PoolId, Space};

const A: PoolId = PoolId(1);
const B: PoolId = PoolId(2);
const C: PoolId = PoolId(3);

fn book(bound: u64, pools: &[PoolId]) -> Shares {
    let mut shares = Shares::new(bound);
    for pool in pools {
        shares.open(*pool);
    }
    shares
}

/// Takes one byte at a time until there is no more room; how much it got.
fn fill(shares: &mut Shares, pool: PoolId, class: Class) -> u64 {
    let before = shares.space(pool).used;
    while shares.take(pool, class, 1, 0).0.is_some() {}
    shares.space(pool).used - before
}

#[test]
fn a_pool_alone_may_use_all_of_it() {
    let mut shares = book(1_000, &[A]);
    assert_eq!(
        shares.space(A),
        Space {
            used: 0,
            share: 1_000
        }
    );
    assert_eq!(fill(&mut shares, A, Class::Producer), 875);
    assert_eq!(fill(&mut shares, A, Class::Delivery), 125);
}

#[test]
fn beside_quiet_pools_it_may_use_what_is_not_set_aside_for_them() {
    let mut shares = book(1_000, &[A, B]);
    assert_eq!(fill(&mut shares, A, Class::Delivery), 750);
    assert_eq!(
        fill(&mut shares, B, Class::Producer),
        219,
        "7/8 of a quarter"
    );
}

#[test]
fn a_pool_has_its_part_however_many_others_fill_up_and_never_give_back() {
    const POOLS: u128 = 13;
    let ids: Vec<PoolId> = (1..=POOLS).map(PoolId).collect();
    let mut shares = book(1_000_000, &ids);
    let part = 1_000_000 / 2 / 16;
    let (healthy, stuck) = ids.split_first().unwrap();
    for pool in stuck {
        let got = fill(&mut shares, *pool, Class::Producer);
        assert!(got >= part * 7 / 8, "{got}");
        // As much as its part has room for, again and again: it is delivered.
        for _ in 0..10 {
            assert!(shares.take(*healthy, Class::Producer, part, 0).0.is_some());
            shares.give_back(*healthy, part);
        }
    }
    // Those that are made later too, as far as something was set aside for them.
    for pool in POOLS + 1..=16 {
        shares.open(PoolId(pool));
        let got = fill(&mut shares, PoolId(pool), Class::Producer);
        assert!(got >= part * 7 / 8, "{pool}: {got}");
    }
    // And then what all of the others may still take for deliveries.
    shares.open(PoolId(17));
    let got = fill(&mut shares, PoolId(17), Class::Producer);
    assert!(got >= part / 2 * 7 / 8, "{got}");
}

#[test]
fn when_another_asks_nobody_takes_more_than_half() {
    let mut shares = book(1_000, &[A, B]);
    assert!(shares.take(B, Class::Producer, 1, 0).0.is_some());
    assert_eq!(fill(&mut shares, A, Class::Delivery), 499);
    assert_eq!(
        shares.space(A),
        Space {
            used: 499,
            share: 499
        }
    );
}

#[test]
fn a_pool_that_comes_late_finds_room_and_the_first_is_full() {
    let mut shares = book(1_000, &[A, B]);
    assert_eq!(fill(&mut shares, A, Class::Producer), 657);
    let (taken, room) = shares.take(B, Class::Producer, 10, 0);
    assert!(
        taken.is_some(),
        "a Trigger that does not move never stops another Broker"
    );
    assert!(room.others, "the first pool's share has changed");
    assert_eq!(
        shares.say(A),
        (
            Mark::Full,
            Space {
                used: 657,
                share: 495
            }
        )
    );
    assert!(shares.take(A, Class::Delivery, 1, 0).0.is_none());
}

#[test]
fn pools_that_want_everything_get_the_same_once_they_have_given_back() {
    let mut shares = book(1_000_000, &[A, B, C]);
    for _ in 0..50 {
        for pool in [A, B, C] {
            let excess = shares
                .space(pool)
                .used
                .saturating_sub(shares.space(pool).share);
            shares.give_back(pool, excess);
            while shares.take(pool, Class::Delivery, 100, 0).0.is_some() {}
        }
    }
    for pool in [A, B, C] {
        assert!(
            shares.space(pool).used.abs_diff(250_000) < 1_000,
            "{:?}",
            shares.space(pool)
        );
    }
}

#[test]
fn what_quiet_pools_leave_is_for_the_busy_one() {
    let ids: Vec<PoolId> = (1..=100).map(PoolId).collect();
    let mut shares = book(100_000, &ids);
    for pool in &ids[1..] {
        assert!(shares.take(*pool, Class::Producer, 10, 0).0.is_some());
    }
    assert_eq!(shares.space(A).share, (100_000 - 990) / 2);
}

#[test]
fn the_sum_never_exceeds_the_bound() {
    let ids: Vec<PoolId> = (1..=20).map(PoolId).collect();
    let mut shares = book(10_000, &ids);
    let mut state = 7_u64;
    for step in 0..100_000_u64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pool = ids[usize::try_from((state >> 33) % 20).unwrap()];
        let bytes = (state >> 50) % 900;
        if state & 3 == 0 {
            let used = shares.space(pool).used;
            shares.give_back(pool, bytes.min(used));
        } else {
            let before = shares.space(pool);
            let class = if state & 4 == 0 {
                Class::Producer
            } else {
                Class::Delivery
            };
            if shares.take(pool, class, bytes, step).0.is_some() {
                assert!(
                    before.used + bytes <= before.share,
                    "{before:?} took {bytes}"
                );
            }
        }
        let sum: u64 = ids.iter().map(|id| shares.space(*id).used).sum();
        assert!(sum <= 10_000, "step {step}: {sum}");
    }
}

#[test]
fn an_empty_pool_asks_for_a_minute_after_its_last_publish() {
    let mut shares = book(1_000, &[A, B]);
    assert!(shares.take(B, Class::Producer, 10, 0).0.is_some());
    shares.give_back(B, 10);
    assert!(
        shares
            .take(A, Class::Producer, 1, ASKS_FOR_MS - 1)
            .0
            .is_some()
    );
    assert_eq!(shares.space(A).share, 500);
    let (_, room) = shares.take(A, Class::Producer, 1, 2 * ASKS_FOR_MS);
    assert_eq!(shares.space(A).share, 750);
    assert!(room.others);
}

#[test]
fn a_pool_that_keeps_events_goes_on_asking() {
    let mut shares = book(1_000, &[A, B]);
    assert!(shares.take(B, Class::Producer, 10, 0).0.is_some());
    assert!(
        shares
            .take(A, Class::Producer, 1, 10 * ASKS_FOR_MS)
            .0
            .is_some()
    );
    assert_eq!(shares.space(A).share, 495);
}

#[test]
fn a_closed_account_is_free_again() {
    let mut shares = book(1_000, &[A, B]);
    fill(&mut shares, A, Class::Delivery);
    shares.close(A);
    assert_eq!(shares.space(A), Space::default());
    assert_eq!(fill(&mut shares, B, Class::Delivery), 1_000);
    assert_eq!(
        shares.take(C, Class::Delivery, 1, 0).0,
        None,
        "no account, no room"
    );
}

#[test]
fn the_marks_are_at_three_quarters_and_seven_eighths() {
    let mark = |used| Space { used, share: 800 }.mark();
    assert_eq!(
        [mark(599), mark(600), mark(699), mark(700)],
        [Mark::Fine, Mark::Filling, Mark::Filling, Mark::Full]
    );
    let after = |used| used - Space { used, share: 800 }.excess();
    assert_eq!(after(650), 599 - 800 / 64);
    assert_eq!(
        Space {
            used: 100,
            share: 800
        }
        .excess(),
        0
    );
}
