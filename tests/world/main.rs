//! One world: seeded schedules of the whole broker in virtual time.
//!
//! Each schedule runs twice in one thread, and the two traces have to be the same to the byte;
//! then the trace is held against what a broker promises. `VOLLEY_WORLD_SEEDS` says how many
//! schedules run, `VOLLEY_WORLD_FROM` from which seed; a failure prints its seed and its trace's
//! place. With `VOLLEY_WORLD_TRACE` set, one seed's whole trace is printed.

#![expect(
    clippy::unwrap_used,
    reason = "a world that can't go on is a failed test"
)]

mod checks;
mod producer;
mod schedule;
mod sinks;
mod storage;
mod trace;
mod wire;
mod world;

use schedule::Schedule;

/// Schedules in an ordinary run.
const SEEDS: u64 = 120;

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

/// Where two traces part, with the lines before it.
fn parting(one: &[String], two: &[String]) -> Option<String> {
    let at = (0..one.len().max(two.len())).find(|at| one.get(*at) != two.get(*at))?;
    let before = one[at.saturating_sub(5)..at].join("\n");
    Some(format!(
        "line {at}:\n{before}\n  once: {:?}\n twice: {:?}",
        one.get(at),
        two.get(at)
    ))
}

#[test]
fn a_schedule_run_twice_gives_one_trace_that_keeps_every_promise() {
    let (from, seeds) = (
        setting("VOLLEY_WORLD_FROM", 0),
        setting("VOLLEY_WORLD_SEEDS", SEEDS),
    );
    let began = tokio::time::Instant::now();
    let (mut failed, mut facts) = (Vec::new(), 0);
    for seed in from..from + seeds {
        let schedule = Schedule::of(seed);
        let once = world::run(&schedule);
        let text = trace::text(&once);
        if std::env::var_os("VOLLEY_WORLD_TRACE").is_some() {
            println!("{schedule:#?}\n{}", text.join("\n"));
        }
        facts += once.len();
        if let Some(parting) = parting(&text, &trace::text(&world::run(&schedule))) {
            println!("seed {seed}: two runs part at {parting}");
            failed.push(seed);
        }
        let broken = checks::broken_laws(&schedule, &once);
        for law in broken.iter().take(5) {
            println!("seed {seed}: {law}");
        }
        if !broken.is_empty() {
            failed.push(seed);
        }
    }
    let runs = 2 * seeds;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{runs} schedules, {facts} facts, {:.1} schedules a second",
        runs as f64 / seconds
    );
    failed.dedup();
    assert!(
        failed.is_empty(),
        "seeds that fail: {failed:?}; run one with VOLLEY_WORLD_SEEDS=1 VOLLEY_WORLD_FROM=seed VOLLEY_WORLD_TRACE=1"
    );
}

#[test]
fn a_thousand_changes_while_events_come_lose_nothing_and_repeat_nothing() {
    const CHANGES: usize = 1_000;
    let from = setting("VOLLEY_WORLD_FROM", 0);
    for seed in from..from + 5 {
        let schedule = Schedule::reloading(seed, CHANGES);
        assert_eq!(schedule.worlds.len(), CHANGES + 1);
        let facts = world::run(&schedule);
        let mut broken = checks::broken_laws(&schedule, &facts);
        broken.extend(checks::losses_and_repeats(&schedule, &facts));
        let attempts = facts
            .iter()
            .filter(|(_, fact)| matches!(fact, trace::Fact::Attempt { .. }))
            .count();
        println!("seed {seed}: {CHANGES} changes, {attempts} deliveries");
        assert!(broken.is_empty(), "seed {seed}:\n{}", broken.join("\n"));
        assert!(attempts > CHANGES, "seed {seed}: hardly anything came");
    }
}

#[test]
fn two_seeds_give_two_traces() {
    let [one, two] = [1, 2].map(|seed| trace::text(&world::run(&Schedule::of(seed))));
    assert_ne!(one, two);
}
