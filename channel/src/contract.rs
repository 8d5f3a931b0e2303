//! What every backend owes, written once and run over each of them.
//!
//! A backend brings a [`Backend`]: how a channel of it is made, and what can be done to it (take
//! it down, kill it, cut its ledger). [`channel_contract!`](crate::channel_contract) makes a test
//! of each of the 33 contracts. What a backend can't do excludes the contracts that need it: the
//! list is part of the macro's arguments, printed by a test of its own, and checked, so that
//! nothing is skipped unnoticed.
//!
//! Every contract gets random numbers from a seed that is printed when it fails; the environment
//! variable `VOLLEY_SEED` repeats a run.

#![expect(clippy::missing_panics_doc, reason = "a contract fails by panicking")]

mod backend;
mod closing;
mod events;
mod failing;
mod keeping;
mod progress;
mod publishing;
mod random;
mod reading;
#[cfg(test)]
mod tests;
mod volume;

pub use backend::{Backend, LedgerCut, Outage, Resources, Restart, Stop, Why, Wish};
pub use random::Random;

use std::time::Duration;

use crate::{Fut, SharedChannel};

/// One contract: its number, the sentence that it checks, and what it needs of a backend.
struct Contract {
    number: u8,
    sentence: &'static str,
    need: Need,
    test: fn(World) -> Fut<'static, ()>,
}

/// What a contract needs besides a channel.
#[derive(Debug, Clone, Copy)]
enum Need {
    Nothing,
    Dedupe,
    Gaps,
    Outage,
    Restart,
    LedgerCut,
    Bound,
    Resources,
}

macro_rules! contracts {
    ($($number:literal $need:ident $room:ident $name:ident;)*) => {
        &[$(Contract {
            number: $number,
            sentence: stringify!($name),
            need: Need::$need,
            test: |world| Box::pin($room::$name(world)),
        }),*]
    };
}

const CONTRACTS: &[Contract] = contracts! {
    1 Nothing publishing positions_grow_within_a_unit;
    2 Nothing publishing answers_come_in_the_order_of_the_batch;
    3 Nothing publishing one_bad_event_does_not_fail_the_rest;
    4 Nothing publishing the_size_limit_is_exact;
    5 Nothing publishing an_event_comes_back_as_it_was_stored;
    6 Dedupe publishing a_repeated_dedupe_id_is_stored_once;
    7 Nothing publishing the_same_id_from_another_source_is_another_event;
    8 Nothing volume ten_thousand_publishers_at_once_lose_nothing;
    9 Nothing publishing a_key_keeps_the_order_of_its_producer;
    10 Nothing reading a_cursor_from_the_start_reads_everything_in_order;
    11 Nothing reading a_cursor_starts_where_it_is_told;
    12 Nothing reading a_cursor_at_the_head_wakes_when_an_event_comes;
    13 Nothing reading a_dropped_read_loses_nothing;
    14 Nothing reading two_cursors_do_not_disturb_each_other;
    15 Nothing reading a_read_keeps_to_its_budget;
    16 Nothing reading a_cursor_seeks_back_and_forward;
    17 Nothing keeping fetch_gives_what_is_kept_and_nothing_else;
    18 Nothing keeping what_is_gone_is_reported_and_never_skipped;
    19 Gaps keeping gaps_between_positions_are_no_loss;
    20 Outage failing a_publish_to_a_channel_that_is_down_fails_in_time;
    21 Outage failing a_cursor_goes_on_when_the_channel_is_back;
    22 Restart failing answered_events_survive_a_restart;
    23 Restart failing answered_events_survive_two_hundred_kills;
    24 Nothing progress a_second_claim_fences_the_first;
    25 Nothing progress a_write_after_the_claim_of_another_changes_nothing;
    26 LedgerCut progress side_records_are_safe_before_the_image;
    27 Nothing progress the_limit_of_an_image_is_exact;
    28 Bound keeping a_full_channel_refuses_and_takes_again;
    29 Nothing volume two_million_events_finish_out_of_order;
    30 Nothing volume a_slow_reader_slows_nobody;
    31 Resources closing a_closed_channel_holds_nothing;
    32 Nothing closing every_capability_is_true;
    33 Bound keeping the_oldest_finds_room_in_a_full_channel;
};

/// How long a contract may take, in its own time: virtual time flies when everybody waits.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A backend under test and the random numbers of the run.
struct World {
    backend: Box<dyn Backend>,
    random: Random,
}

impl World {
    async fn channel(&mut self) -> SharedChannel {
        self.channel_as(Wish::default()).await
    }

    async fn channel_as(&mut self, wish: Wish) -> SharedChannel {
        self.backend.make(wish).await
    }
}

/// Runs contract `number`, or makes sure that it is among the `excluded` if the backend lacks
/// what it needs.
pub fn check(number: u8, sentence: &str, backend: Box<dyn Backend>, excluded: &[u8]) {
    check_with(
        number,
        sentence,
        backend,
        excluded,
        Random::from_environment(),
    );
}

/// As [`check`], with these random numbers: for a seed that once failed.
pub fn check_with(
    number: u8,
    sentence: &str,
    mut backend: Box<dyn Backend>,
    excluded: &[u8],
    random: Random,
) {
    let known = CONTRACTS.iter().find(|contract| contract.number == number);
    let contract = known.expect("the macro lists the contracts of the table");
    assert_eq!(
        contract.sentence, sentence,
        "the macro and the table name contract {number} differently"
    );
    if let Err(why) = contract.need.of(backend.as_mut()) {
        assert!(
            excluded.contains(&number),
            "contract {number} ({sentence}) is excluded without being listed: {why}"
        );
        println!("excluded: contract {number} ({sentence}): {why}");
        return;
    }
    println!(
        "contract {number} ({sentence}): VOLLEY_SEED={}",
        random.seed()
    );
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(backend.virtual_time());
    let runtime = runtime.build().expect("a runtime can be made");
    let test =
        async { tokio::time::timeout(PATIENCE, (contract.test)(World { backend, random })).await };
    runtime.block_on(test).expect("a contract comes to an end");
}

/// Prints what the backend excludes and why, and makes sure that the list is `expected`.
pub fn check_excluded(mut backend: Box<dyn Backend>, expected: &[u8]) {
    let mut found = Vec::new();
    for contract in CONTRACTS {
        if let Err(why) = contract.need.of(backend.as_mut()) {
            println!(
                "excluded: contract {} ({}): {why}",
                contract.number, contract.sentence
            );
            found.push(contract.number);
        }
    }
    assert_eq!(found, expected, "what is excluded is not what is listed");
}

impl Need {
    fn of(self, backend: &mut dyn Backend) -> Result<(), Why> {
        match self {
            Self::Nothing => Ok(()),
            Self::Dedupe => backend.dedupes(),
            Self::Gaps => backend.gaps(),
            Self::Outage => backend.outage().map(|_| ()),
            Self::Restart => backend.restart().map(|_| ()),
            Self::LedgerCut => backend.ledger_cut().map(|_| ()),
            Self::Bound => backend.bound(),
            Self::Resources => backend.resources().map(|_| ()),
        }
    }
}

/// Makes a module of tests, one of each contract, for the backend that an expression makes:
/// `channel_contract!(memory, InMemory::default(), excluded: [6, 20])`. The expression is
/// evaluated once for each test.
#[macro_export]
macro_rules! channel_contract {
    ($module:ident, $backend:expr, excluded: $excluded:expr) => {
        $crate::channel_contract! { @tests $module, $backend, $excluded,
            1 positions_grow_within_a_unit
            2 answers_come_in_the_order_of_the_batch
            3 one_bad_event_does_not_fail_the_rest
            4 the_size_limit_is_exact
            5 an_event_comes_back_as_it_was_stored
            6 a_repeated_dedupe_id_is_stored_once
            7 the_same_id_from_another_source_is_another_event
            8 ten_thousand_publishers_at_once_lose_nothing
            9 a_key_keeps_the_order_of_its_producer
            10 a_cursor_from_the_start_reads_everything_in_order
            11 a_cursor_starts_where_it_is_told
            12 a_cursor_at_the_head_wakes_when_an_event_comes
            13 a_dropped_read_loses_nothing
            14 two_cursors_do_not_disturb_each_other
            15 a_read_keeps_to_its_budget
            16 a_cursor_seeks_back_and_forward
            17 fetch_gives_what_is_kept_and_nothing_else
            18 what_is_gone_is_reported_and_never_skipped
            19 gaps_between_positions_are_no_loss
            20 a_publish_to_a_channel_that_is_down_fails_in_time
            21 a_cursor_goes_on_when_the_channel_is_back
            22 answered_events_survive_a_restart
            23 answered_events_survive_two_hundred_kills
            24 a_second_claim_fences_the_first
            25 a_write_after_the_claim_of_another_changes_nothing
            26 side_records_are_safe_before_the_image
            27 the_limit_of_an_image_is_exact
            28 a_full_channel_refuses_and_takes_again
            29 two_million_events_finish_out_of_order
            30 a_slow_reader_slows_nobody
            31 a_closed_channel_holds_nothing
            32 every_capability_is_true
            33 the_oldest_finds_room_in_a_full_channel
        }
    };
    (@tests $module:ident, $backend:expr, $excluded:expr, $($number:literal $name:ident)*) => {
        mod $module {
            use super::*;

            $(#[test]
            fn $name() {
                $crate::contract::check($number, stringify!($name), Box::new($backend), &$excluded);
            })*

            #[test]
            fn what_is_excluded_is_listed() {
                $crate::contract::check_excluded(Box::new($backend), &$excluded);
            }
        }
    };
}
