//! The space rule in numbers.

use super::{ASKS_FOR_MS, Claim, Mark, Shares};
use crate::{PoolId, Space};

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
fn fill(shares: &mut Shares, pool: PoolId, claim: Claim) -> u64 {
    let before = shares.space(pool).used;
    while shares.take(pool, claim, 1, 0).0.is_some() {}
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
    assert_eq!(fill(&mut shares, A, Claim::Producer), 875);
    assert_eq!(fill(&mut shares, A, Claim::Delivery), 63);
    assert_eq!(fill(&mut shares, A, Claim::Oldest(A)), 62);
}

#[test]
fn beside_quiet_pools_it_may_use_what_is_not_set_aside_for_them() {
    let mut shares = book(1_000, &[A, B]);
    assert_eq!(fill(&mut shares, A, Claim::Delivery), 704);
    assert_eq!(
        fill(&mut shares, B, Claim::Producer),
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
        let got = fill(&mut shares, *pool, Claim::Producer);
        assert!(got >= part * 7 / 8, "{got}");
        // As much as its part has room for, again and again: it is delivered.
        for _ in 0..10 {
            assert!(shares.take(*healthy, Claim::Producer, part, 0).0.is_some());
            shares.give_back(*healthy, part);
        }
    }
    // Those that are made later too, as far as something was set aside for them.
    for pool in POOLS + 1..=16 {
        shares.open(PoolId(pool));
        let got = fill(&mut shares, PoolId(pool), Claim::Producer);
        assert!(got >= part * 7 / 8, "{pool}: {got}");
    }
    // And then what all of the others may still take for deliveries.
    shares.open(PoolId(17));
    let got = fill(&mut shares, PoolId(17), Claim::Producer);
    assert!(got >= part / 2 * 7 / 8, "{got}");
}

#[test]
fn when_another_asks_nobody_takes_more_than_half() {
    let mut shares = book(1_000, &[A, B]);
    assert!(shares.take(B, Claim::Producer, 1, 0).0.is_some());
    assert_eq!(fill(&mut shares, A, Claim::Delivery), 468);
    assert_eq!(
        shares.space(A),
        Space {
            used: 468,
            share: 499
        }
    );
}

#[test]
fn a_pool_that_comes_late_finds_room_and_the_first_is_full() {
    let mut shares = book(1_000, &[A, B]);
    assert_eq!(fill(&mut shares, A, Claim::Producer), 657);
    let (taken, room) = shares.take(B, Claim::Producer, 10, 0);
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
    assert!(shares.take(A, Claim::Delivery, 1, 0).0.is_none());
}

#[test]
fn pools_that_want_everything_get_the_same_once_they_have_given_back() {
    let mut shares = book(1_000_000, &[A, B, C]);
    for _ in 0..50 {
        for pool in [A, B, C] {
            let Space { used, share } = shares.space(pool);
            shares.give_back(pool, used.saturating_sub(share - share / 16));
            while shares.take(pool, Claim::Delivery, 100, 0).0.is_some() {}
        }
    }
    for pool in [A, B, C] {
        assert!(
            shares.space(pool).used.abs_diff(241_900) < 1_000,
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
        assert!(shares.take(*pool, Claim::Producer, 10, 0).0.is_some());
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
            let claim = if state & 4 == 0 {
                Claim::Producer
            } else {
                Claim::Delivery
            };
            if shares.take(pool, claim, bytes, step).0.is_some() {
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
    assert!(shares.take(B, Claim::Producer, 10, 0).0.is_some());
    shares.give_back(B, 10);
    assert!(
        shares
            .take(A, Claim::Producer, 1, ASKS_FOR_MS - 1)
            .0
            .is_some()
    );
    assert_eq!(shares.space(A).share, 500);
    let (_, room) = shares.take(A, Claim::Producer, 1, 2 * ASKS_FOR_MS);
    assert_eq!(shares.space(A).share, 750);
    assert!(room.others);
}

#[test]
fn a_pool_that_keeps_events_goes_on_asking() {
    let mut shares = book(1_000, &[A, B]);
    assert!(shares.take(B, Claim::Producer, 10, 0).0.is_some());
    assert!(
        shares
            .take(A, Claim::Producer, 1, 10 * ASKS_FOR_MS)
            .0
            .is_some()
    );
    assert_eq!(shares.space(A).share, 495);
}

#[test]
fn a_closed_account_is_free_again() {
    let mut shares = book(1_000, &[A, B]);
    fill(&mut shares, A, Claim::Delivery);
    shares.close(A);
    assert_eq!(shares.space(A), Space::default());
    assert_eq!(fill(&mut shares, B, Claim::Delivery), 938);
    assert_eq!(
        shares.take(C, Claim::Delivery, 1, 0).0,
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

/// A full book with loans of ten bytes, four at a time.
fn full_book() -> Shares {
    let mut shares = Shares::new(160).with_loans(100);
    assert_eq!((shares.loan, shares.most_loans), (10, 4));
    shares = Shares::new(1_080).with_loans(10);
    assert_eq!((shares.loan, shares.most_loans), (10, 8));
    for pool in [A, B, C] {
        shares.open(pool);
        fill(&mut shares, pool, Claim::Producer);
    }
    for pool in [A, B, C] {
        fill(&mut shares, pool, Claim::Delivery);
    }
    shares
}

#[test]
fn the_oldest_has_a_loan_beyond_the_share() {
    let mut shares = full_book();
    for pool in [A, B, C] {
        fill(&mut shares, pool, Claim::Oldest(pool));
    }
    let full = shares.space(A).used;
    assert_eq!(shares.loans.len(), 3);
    for _ in 0..100 {
        // Whatever else is taken, each gives back through its oldest as much as that takes.
        for pool in [A, B, C] {
            shares.give_back(pool, 10);
            fill(&mut shares, pool, Claim::Producer);
            fill(&mut shares, pool, Claim::Delivery);
            assert!(shares.take(pool, Claim::Oldest(pool), 10, 0).0.is_some());
        }
    }
    assert_eq!(shares.space(A).used, full);
    let sum: u64 = [A, B, C].iter().map(|pool| shares.space(*pool).used).sum();
    assert!(sum <= 1_080, "{sum}");
}

// Of a place that all others shared, one that only gave used up what the other two gave each other.
#[test]
fn pools_that_send_to_each_other_have_loans_that_no_third_one_takes() {
    let mut shares = full_book();
    for pool in [A, B] {
        fill(&mut shares, pool, Claim::Oldest(C));
    }
    // Crosswise, again and again: what is taken here is given back there.
    for _ in 0..100 {
        fill(&mut shares, A, Claim::Oldest(C));
        assert!(shares.take(A, Claim::Oldest(B), 10, 0).0.is_some());
        shares.give_back(B, 10);
        assert!(shares.take(B, Claim::Oldest(A), 10, 0).0.is_some());
        shares.give_back(A, 10);
    }
}

#[test]
fn who_still_has_room_of_its_own_has_no_loan_elsewhere() {
    let mut shares = full_book();
    fill(&mut shares, A, Claim::Oldest(A));
    shares.give_back(B, shares.space(B).used);
    assert!(shares.take(A, Claim::Oldest(B), 10, 0).0.is_none());
}

#[test]
fn where_loans_are_few_each_that_has_begun_is_whole() {
    let mut shares = Shares::new(1_600).with_loans(1_000);
    assert_eq!((shares.loan, shares.most_loans), (100, 4));
    let pools: Vec<PoolId> = (1..=8).map(PoolId).collect();
    for pool in &pools {
        shares.open(*pool);
    }
    for claim in [Claim::Producer, Claim::Delivery] {
        for pool in &pools {
            fill(&mut shares, *pool, claim);
        }
    }
    for pool in &pools {
        while shares.loans.is_empty() || shares.space(*pool).used < shares.space(*pool).share {
            assert!(shares.take(*pool, Claim::Oldest(*pool), 1, 0).0.is_some());
        }
    }
    let lent = |shares: &mut Shares, pool| fill(shares, pool, Claim::Oldest(pool));
    let got: Vec<u64> = pools.iter().map(|pool| lent(&mut shares, *pool)).collect();
    assert_eq!(got.iter().filter(|got| **got >= 99).count(), 4, "{got:?}");
    shares.give_back(pools[0], 100);
    assert_eq!(lent(&mut shares, pools[7]), 100);
}

#[test]
fn what_was_lent_is_given_back_first_and_goes_with_its_pool() {
    let mut shares = full_book();
    fill(&mut shares, A, Claim::Oldest(A));
    let full = shares.space(A).used;
    shares.give_back(A, 10);
    assert_eq!(fill(&mut shares, A, Claim::Delivery), 0);
    assert_eq!(fill(&mut shares, A, Claim::Oldest(A)), 10);
    assert_eq!(shares.space(A).used, full);
    shares.close(A);
    shares.open(A);
    assert_eq!(shares.space(A).used, 0);
    let used = shares.space(B).used + shares.space(C).used;
    assert_eq!((shares.loans.len(), shares.lent, shares.used), (0, 0, used));
}
