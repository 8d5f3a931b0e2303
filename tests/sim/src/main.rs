//! `volley-sim`: seeded schedules of the whole broker in virtual time, with crashes and a disk that
//! does its worst, held against what a broker owes.
//!
//! ```sh
//! cargo run --profile ci -p volley-sim -- --seeds 1000
//! cargo run --profile ci -p volley-sim -- --seed 17
//! cargo run --profile ci -p volley-sim -- --mutants
//! ```

mod checks;
mod disk;
mod harm;
mod life;
#[cfg(feature = "planted")]
mod mutants;
mod planner;
mod producer;
mod schedule;
mod sinks;
mod storage;
mod trace;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use clap::Parser;

use crate::{checks::Verdict, schedule::Schedule};

/// Runs seeded schedules of the whole broker in virtual time.
#[derive(Debug, Parser)]
struct Options {
    /// How many schedules to run; with a mutant, at most.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone, and print its schedule and its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Plant this bug, and run schedules until they find it.
    #[arg(long)]
    mutant: Option<String>,
    /// Plant each bug in turn.
    #[arg(long, conflicts_with_all = ["mutant", "seed"])]
    mutants: bool,
    /// Plant each bug in turn, and run the schedule alone that is known to find it.
    #[arg(long, conflicts_with_all = ["mutant", "mutants", "seed"])]
    recorded: bool,
}

/// For each planted bug a seed that finds it: renewed by hand whenever schedules change, from what
/// `--mutants` prints.
#[cfg_attr(
    not(any(test, feature = "planted")),
    expect(dead_code, reason = "only a build with bugs looks for them")
)]
fn recorded() -> Vec<(&'static str, u64)> {
    let lines = include_str!("../caught.txt").lines();
    let lines = lines.filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(name, seed)| Some((name, seed.parse().ok()?)))
        .collect()
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.mutants || options.recorded || options.mutant.is_some() {
        return hunt(&options);
    }
    match options.seed {
        Some(seed) => look_at(seed),
        None => run(&options),
    }
}

fn code(fine: bool) -> ExitCode {
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The seed that runs.
static NOW: AtomicU64 = AtomicU64::new(0);

/// What came of a seed; a panic is told like a law that is broken.
fn run_seed(seed: u64) -> Verdict {
    NOW.store(seed, Ordering::Relaxed);
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let schedule = Schedule::of(seed);
        checks::judge(&schedule, &world::run(&schedule))
    }));
    judged.unwrap_or_else(|_| Verdict::of_panic())
}

/// Has a panic name its seed: one while another one unwinds ends the program at once.
fn name_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        println!("seed {} panics", NOW.load(Ordering::Relaxed));
        usual(panic);
    }));
}

fn run(options: &Options) -> ExitCode {
    name_panics();
    let began = tokio::time::Instant::now();
    let mut all = Verdict::default();
    for seed in options.from..options.from + options.seeds {
        let verdict = run_seed(seed);
        for broken in verdict.broken.iter().take(5) {
            println!("seed {seed}: {broken}");
        }
        if !verdict.broken.is_empty() {
            println!("seed {seed} fails; run it again with --seed {seed}");
        }
        all.add(verdict);
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", all.line(options.seeds, seconds));
    code(all.broken.is_empty())
}

fn look_at(seed: u64) -> ExitCode {
    let began = tokio::time::Instant::now();
    let schedule = Schedule::of(seed);
    println!("{schedule:#?}");
    let facts = world::run(&schedule);
    println!("{}", trace::text(&facts).join("\n"));
    let verdict = checks::judge(&schedule, &facts);
    for broken in &verdict.broken {
        println!("seed {seed}: {broken}");
    }
    println!("{}", verdict.line(1, began.elapsed().as_secs_f64()));
    code(verdict.broken.is_empty())
}

#[cfg(feature = "planted")]
fn hunt(options: &Options) -> ExitCode {
    use volley_channel::planted::Planted;
    let bugs = match &options.mutant {
        None => Planted::ALL.to_vec(),
        Some(name) => match mutants::named(name) {
            Some(bug) => vec![bug],
            None => {
                eprintln!("no mutant is called {name}; there are: {:?}", Planted::ALL);
                return ExitCode::from(2);
            }
        },
    };
    if let Some(seed) = options.seed {
        volley_channel::planted::plant(bugs.first().copied());
        return look_at(seed);
    }
    // A bug may end in a panic: that is one way to be found, and needs no backtrace.
    std::panic::set_hook(Box::new(|_| {}));
    let (results, all) = match options.recorded {
        true => mutants::hunt_recorded(&bugs),
        false => mutants::hunt(&bugs, options.from, options.seeds),
    };
    println!("{}", serde_json::json!({ "mutants": results }));
    code(all)
}

/// Builds this program again with the bugs in it, and runs that: no other build has them.
#[cfg(not(feature = "planted"))]
fn hunt(_options: &Options) -> ExitCode {
    let here = std::env::current_exe().ok();
    let profile = here
        .as_deref()
        .and_then(|path| path.parent()?.file_name()?.to_str())
        .map_or(
            "ci",
            |folder| if folder == "debug" { "dev" } else { folder },
        );
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let ran = std::process::Command::new(cargo)
        .args(["run", "--quiet", "--profile", profile])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .args(["--features", "planted", "--"])
        .args(std::env::args().skip(1))
        .status();
    match ran {
        Ok(status) => code(status.success()),
        Err(error) => {
            eprintln!("cargo is needed to build the mutants: {error}");
            ExitCode::FAILURE
        }
    }
}
