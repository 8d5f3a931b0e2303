//! The randomised model of the dispatch rules: the dispatcher's first test.
//!
//! A world runs the real [`Core`] with everything around it made up and seeded: a log that
//! forgets what it is told to, a ledger whose writes reach the disk one step at a time, subscribers
//! that fail, owners that crash or are deposed while they still run. [`truth`] keeps, apart from
//! the core, what every Trigger is owed, and says what was broken.
//!
//! Checked in every seed: every event that a Trigger wanted ends for it, in a way that really
//! happened (delivered means that its subscriber took it and its reply is stored); nothing is
//! delivered that was not wanted; in an ordered lane an attempt starts only when everything before
//! it has ended; no delivery ends more often than crashes allow; attempts stay within the policy;
//! nothing needed is ever forgotten by the log; and everything ends when the faults do.
//!
//! `VOLLEY_MODEL_SEEDS` sets how many seeds run, `VOLLEY_MODEL_FROM` the first one.

mod ledger;
mod truth;
mod world;

pub(crate) use super::altered::Altered;
use world::World;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn the_rules_hold_in_every_seed() {
    let (from, seeds) = (
        setting("VOLLEY_MODEL_FROM", 1),
        setting("VOLLEY_MODEL_SEEDS", 3000),
    );
    let mut pairs = 0;
    for seed in from..from + seeds {
        match World::run(seed, None) {
            Ok(ended) => pairs += ended,
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    assert!(
        pairs > seeds * 20,
        "only {pairs} deliveries in {seeds} seeds: the model hardly ran"
    );
    println!("{seeds} seeds from {from}: {pairs} (event, Trigger) pairs, 0 violations");
}

#[test]
fn one_seed_run_twice_is_the_same_run() {
    for seed in 1..50 {
        let once = World::traced(seed);
        assert_eq!(once, World::traced(seed), "seed {seed}");
    }
}

/// Runs altered rules until they are caught.
fn caught(altered: Altered, within: u64) -> Option<(u64, String)> {
    (1..=within).find_map(|seed| {
        World::run(seed, Some(altered))
            .err()
            .map(|broken| (seed, broken))
    })
}

macro_rules! altered_rules {
    ($($name:ident: $altered:ident within $seeds:literal;)*) => {$(
        #[test]
        fn $name() {
            match caught(Altered::$altered, $seeds) {
                Some((seed, broken)) => println!("{:?} is caught by seed {seed}: {broken}", Altered::$altered),
                None => panic!("{:?} was not noticed in {} seeds: the model misses a check", Altered::$altered, $seeds),
            }
        }
    )*};
}

altered_rules! {
    a_base_written_before_its_exceptions_is_caught: BaseBeforeExceptions within 20_000;
    an_exception_removed_before_its_image_is_caught: ExceptionRemovedEarly within 3_000;
    exceptions_without_a_pending_list_are_caught: NoPendingList within 3_000;
    a_ledger_without_fencing_is_caught: NoFencing within 50_000;
    a_lost_dead_letter_is_caught: DeadLetterFailureIsDone within 3_000;
    a_lane_that_skips_a_waiting_entry_is_caught: LaneSkipsWaiting within 3_000;
    a_delivery_done_before_its_reply_is_stored_is_caught: DoneBeforeReply within 3_000;
    detaching_over_an_event_is_caught: DetachStepsOver within 3_000;
    reattaching_late_is_caught: ReattachLate within 3_000;
    forgetting_what_is_pending_is_caught: KeepTooHigh within 3_000;
    a_failure_written_as_a_finish_is_caught: DeltaForFailure within 3_000;
    one_attempt_too_many_is_caught: OneRetryMore within 3_000;
    an_image_that_forgets_what_was_finished_ahead_is_caught: ImageForgetsAhead within 20_000;
}
