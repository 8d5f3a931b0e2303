//! The suite by itself: an honest backend passes all of it, and every contract can fail.

mod cursor;
mod ledger;
mod lies;
mod pretend;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use self::{
    lies::{LIES, Lie},
    pretend::Pretended,
};
use super::{CONTRACTS, check};

/// Runs one contract over the pretended backend; whether it passed.
fn passes(number: u8, lie: Lie) -> bool {
    let contract = CONTRACTS
        .iter()
        .find(|contract| contract.number == number)
        .unwrap();
    catch_unwind(AssertUnwindSafe(|| {
        check(number, contract.sentence, Pretended::telling(lie), &[])
    }))
    .is_ok()
}

#[test]
fn a_backend_that_can_do_everything_and_is_honest_passes_all_of_it() {
    for contract in CONTRACTS {
        assert!(
            passes(contract.number, Lie::None),
            "contract {} ({})",
            contract.number,
            contract.sentence
        );
    }
}

#[test]
fn every_lie_is_caught_by_the_contract_that_is_about_it() {
    let believed: Vec<_> = LIES
        .iter()
        .flat_map(|(lie, caught_by)| caught_by.iter().map(move |number| (*number, *lie)))
        .filter(|(number, lie)| passes(*number, *lie))
        .collect();
    assert!(believed.is_empty(), "believed: {believed:?}");
}

#[test]
fn every_contract_catches_something() {
    let caught: BTreeSet<u8> = LIES
        .iter()
        .flat_map(|(_, caught_by)| caught_by.iter().copied())
        .collect();
    assert_eq!(
        caught.into_iter().collect::<Vec<_>>(),
        (1..=33).collect::<Vec<_>>()
    );
}
