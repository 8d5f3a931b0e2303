//! The simulation's own tests: a schedule run twice gives one trace; in memory, where nothing is lost
//! by chance, every trace keeps every promise.
//!
//! `VOLLEY_WORLD_SEEDS` says how many schedules run, `VOLLEY_WORLD_FROM` from which seed.

use std::time::Duration;

use crate::{
    checks::{judge, losses_and_repeats},
    schedule::{BROKERS, End, HEIR, How, Keeping, Schedule},
    trace::{self, Fact},
    world,
};

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
        let schedule = Schedule::in_memory(seed);
        let once = world::run(&schedule);
        let text = trace::text(&once);
        facts += once.len();
        if let Some(parting) = parting(&text, &trace::text(&world::run(&schedule))) {
            println!("seed {seed}: two runs part at {parting}");
            failed.push(seed);
        }
        let broken = judge(&schedule, &once).broken;
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
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}

#[test]
fn a_thousand_changes_while_events_come_lose_nothing_and_repeat_nothing() {
    const CHANGES: usize = 1_000;
    let from = setting("VOLLEY_WORLD_FROM", 0);
    for seed in from..from + 5 {
        let schedule = Schedule::reloading(seed, CHANGES);
        assert_eq!(schedule.worlds.len(), CHANGES + 1);
        let facts = world::run(&schedule);
        let mut broken = judge(&schedule, &facts).broken;
        broken.extend(losses_and_repeats(&schedule, &facts));
        let attempts = facts
            .iter()
            .filter(|(_, fact)| matches!(fact, Fact::Attempt { .. }))
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

#[test]
fn a_schedule_with_crashes_and_faults_run_twice_gives_one_trace() {
    for seed in 0..30 {
        let schedule = Schedule::of(seed);
        let [one, two] = [(); 2].map(|()| trace::text(&world::run(&schedule)));
        assert_eq!(parting(&one, &two), None, "seed {seed}");
    }
}

/// What producers and sinks notice. Positions they don't, which depend on the bytes of stamps.
fn noticed(schedule: &Schedule) -> Vec<String> {
    let mut facts = world::run(schedule);
    facts.retain(|(_, fact)| {
        matches!(
            fact,
            Fact::Answered { .. } | Fact::Attempt { .. } | Fact::Said { .. }
        )
    });
    trace::text(&facts)
}

/// Waits, limits and retries go by the monotonic clock: who sets the other one changes nothing,
/// except how long what nobody needs is kept.
#[test]
fn a_clock_that_is_set_changes_nothing() {
    let mut tried = 0;
    for seed in 0..150 {
        let mut schedule = Schedule::of(seed);
        if schedule.jumps.is_empty() || schedule.retention.is_some() {
            continue;
        }
        let set = noticed(&schedule);
        schedule.jumps.clear();
        let left_alone = noticed(&schedule);
        assert_eq!(parting(&set, &left_alone), None, "seed {seed}");
        tried += 1;
    }
    assert!(tried > 20, "only {tried} schedules set the clock");
}

// What waited for a Broker when the process ended was refused with 404 by the next one, if it
// delivered before that Broker was taken up; with `retry: 0` it was dropped.
#[test]
fn what_waits_for_another_broker_finds_it_at_every_start() {
    let kills = (1..8).map(|turn| End {
        at: Duration::from_millis(150 * turn),
        after_calls: None,
        how: How::Kill,
        pause: Duration::from_millis(10),
    });
    let kills: Vec<End> = kills.collect();
    let forwarding = (0..100).map(Schedule::of).filter(Schedule::forwards);
    for mut schedule in forwarding {
        (schedule.troubles, schedule.ends) = (Vec::new(), kills.clone());
        let declared = schedule
            .worlds
            .iter_mut()
            .flat_map(|(_, it)| it.values_mut());
        for trigger in declared.filter(|trigger| trigger.forwards) {
            (trigger.retry, trigger.dead_letter, trigger.rate) = (0, None, Some(20));
        }
        let broken = judge(&schedule, &world::run(&schedule)).broken;
        assert_eq!(broken, Vec::<String>::new(), "seed {}", schedule.seed);
    }
}

// Whoever waited for it no longer left it uncounted, and the books of the other Broker never settled.
#[test]
fn a_forward_that_takes_too_long_is_counted_all_the_same() {
    let mut repeated = 0;
    for mut schedule in (0..100).map(Schedule::of).filter(Schedule::forwards) {
        let Keeping::Log(disk) = &mut schedule.keeping else {
            continue;
        };
        disk.slowest_ms = 15;
        (schedule.troubles, schedule.ends) = (Vec::new(), Vec::new());
        let declared = schedule
            .worlds
            .iter_mut()
            .flat_map(|(_, it)| it.values_mut());
        for trigger in declared.filter(|trigger| trigger.forwards) {
            (trigger.retry, trigger.dead_letter, trigger.timeout_ms) = (10, None, 10);
        }
        let facts = world::run(&schedule);
        let broken = judge(&schedule, &facts).broken;
        assert_eq!(broken, Vec::<String>::new(), "seed {}", schedule.seed);
        let stored = facts.iter().filter_map(|(_, fact)| match fact {
            Fact::Stored { broker, event, .. } => Some((broker, &event.id)),
            _ => None,
        });
        let once: std::collections::BTreeSet<_> = stored.clone().collect();
        repeated += stored.count() - once.len();
    }
    assert!(repeated > 10, "only {repeated} events were forwarded again");
}

// What a Broker had on its way to another one when it was deleted is stored there, or is not, and is
// counted there.
#[test]
fn a_broker_that_is_deleted_while_it_forwards_leaves_the_other_one_s_books_right() {
    let mut forwarded = 0;
    for mut schedule in (0..500).map(Schedule::of).filter(Schedule::forwards) {
        (schedule.troubles, schedule.ends) = (Vec::new(), Vec::new());
        if let Keeping::Log(disk) = &mut schedule.keeping {
            disk.slowest_ms = 15;
        }
        // While something that is stored there now is on its way.
        let facts = world::run(&schedule);
        let there =
            |fact: &Fact| matches!(fact, Fact::Stored { broker, .. } if broker == BROKERS[1]);
        let mut times = facts.iter().filter(|(_, fact)| there(fact));
        let Some((at, _)) = times.nth(3) else {
            continue;
        };
        let (gone, back) = (*at + Duration::from_millis(4), schedule.calm);
        schedule.delete_a_broker(&mut fastrand::Rng::with_seed(schedule.seed), gone, back);
        let elsewhere = schedule.producers.iter().flatten();
        let elsewhere = elsewhere.filter(|post| post.broker != BROKERS[0]);
        let elsewhere: std::collections::BTreeSet<&str> = elsewhere
            .flat_map(|post| &post.events)
            .map(|event| event.seen.id.as_str())
            .collect();
        let mut stored = 0;
        for (_, fact) in &world::run(&schedule) {
            match fact {
                Fact::Stored { broker, event, .. } if broker == BROKERS[0] => {
                    stored += 1;
                    forwarded += u64::from(elsewhere.contains(event.id.as_str()));
                }
                Fact::Stuck { what } => panic!("seed {}: {what}", schedule.seed),
                Fact::Books(books) if books.name == BROKERS[0] => {
                    assert_eq!(
                        (books.settled, books.accepted),
                        (true, stored),
                        "seed {}: {books:?}",
                        schedule.seed
                    );
                }
                _ => {}
            }
        }
    }
    assert!(forwarded > 50, "only {forwarded} events were forwarded");
}

fn dropped(books: &volley_spec::report::BrokerAccount, why: &str) -> bool {
    let mut rows = books.triggers.iter();
    rows.any(|row| row.dropped.contains_key(why))
}

/// Says of many schedules what befell them: a simulation in which nothing happens shows nothing.
#[test]
fn the_schedules_meet_every_kind_of_fault() {
    let mut met = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 0..200 {
        for (_, fact) in world::run(&Schedule::of(seed)) {
            let name = match fact {
                Fact::Ended { how: How::Cut } => "cut",
                Fact::Ended { how: How::Kill } => "kill",
                Fact::Ended { how: How::Orderly } => "orderly end",
                Fact::Befallen(_) => "trouble of the disk",
                Fact::LogFailed => "failed log",
                Fact::Flipped { .. } => "changed byte",
                Fact::WriteLost { .. } => "lost write",
                Fact::Spoiled { .. } => "bad sector",
                Fact::Told { .. } => "damage that a process told",
                Fact::Opened { damaged: 1.., .. } => "damage that was told",
                Fact::Opened { torn: 1.., .. } => "torn tail",
                Fact::NotStored { .. } => "refused publish",
                Fact::Progress { done: false, .. } => "refused progress",
                Fact::Refused { .. } => "refused connection",
                Fact::Attempt { dead: true, .. } => "dead letter",
                Fact::Stored { reply: true, .. } => "reply",
                Fact::Stored { broker, .. } if broker == HEIR => "event for a Broker made again",
                Fact::LeftOut(_) => "a Trigger that was left out",
                Fact::Books(books) if dropped(&books, "overflow") => "events that gave way",
                Fact::Books(books) if dropped(&books, "ttl") => "an event without hops",
                Fact::Books(books) if dropped(&books, "corrupt") => "a damaged event",
                _ => continue,
            };
            *met.entry(name).or_default() += 1;
        }
    }
    println!("{met:?}");
    assert_eq!(met.len(), 21, "{met:?}");
}

#[test]
fn every_planted_bug_has_a_schedule_that_found_it() {
    let recorded = crate::recorded();
    let names: Vec<&str> = recorded.iter().map(|(name, _)| *name).collect();
    let all = volley_channel::planted::Planted::ALL.iter();
    let all: Vec<String> = all.map(|bug| format!("{bug:?}")).collect();
    assert_eq!(names, all, "caught.txt lists them in their order");
}

#[test]
fn an_ordinary_build_has_no_planted_bugs() {
    assert_eq!(
        volley_channel::planted::BUILT,
        cfg!(feature = "planted"),
        "the feature turns them on, and nothing else does"
    );
}
