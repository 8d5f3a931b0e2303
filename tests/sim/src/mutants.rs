//! Runs schedules with a bug planted in the broker, until they find it.

use serde_json::{Value, json};
use volley_channel::planted::{Planted, plant};

use crate::{recorded, run_seed};

/// The bug called `name`.
pub(crate) fn named(name: &str) -> Option<Planted> {
    let mut all = Planted::ALL.iter().copied();
    all.find(|bug| format!("{bug:?}") == name)
}

/// Runs with each of `bugs` the schedule that found it last; what came of each, and whether all were
/// found again.
pub(crate) fn hunt_recorded(bugs: &[Planted]) -> (Vec<Value>, bool) {
    let known = recorded();
    let mut results = Vec::new();
    let mut all = true;
    for bug in bugs {
        let name = format!("{bug:?}");
        let seed = known.iter().find(|(of, _)| *of == name);
        let (from, seeds) = seed.map_or((0, 0), |(_, seed)| (*seed, 1));
        let (result, found) = hunt(&[*bug], from, seeds);
        results.extend(result);
        all &= found;
    }
    (results, all)
}

/// Runs at most `seeds` schedules from `from` on with each of `bugs`; what came of each, and
/// whether all were found.
pub(crate) fn hunt(bugs: &[Planted], from: u64, seeds: u64) -> (Vec<Value>, bool) {
    let mut results = Vec::new();
    let mut all = true;
    for bug in bugs {
        plant(Some(*bug));
        let found = (from..from + seeds).find_map(|seed| {
            let verdict = run_seed(seed);
            Some((seed, verdict.broken.first()?.clone()))
        });
        plant(None);
        all &= found.is_some();
        let needed = found.as_ref().map(|(seed, _)| seed - from + 1);
        match &found {
            Some((seed, law)) => {
                let law: String = law.chars().take(160).collect();
                println!("{bug:?}: found with seed {seed}: {law}");
            }
            None => println!("{bug:?}: not found in {seeds} schedules"),
        }
        results.push(json!({
            "mutant": format!("{bug:?}"),
            "caught": found.is_some(),
            "seeds_needed": needed,
        }));
    }
    (results, all)
}
