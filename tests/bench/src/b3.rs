//! B3, a million Triggers end to end: the rate of events that one Trigger wants, with that Trigger alone
//! and among as many others as `--triggers` says, none of which wants one.

use crate::{
    bench::{Setup, micros_each},
    contender::{Contender, volley::Volley},
    error::BenchError,
    report::Report,
    run::{Job, measure},
};

const EVENTS: u64 = 200_000;
const EVENTS_QUICK: u64 = 20_000;

/// Measures both once a round, one after the other.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let job = Job::fan_out(1, setup.events(EVENTS, EVENTS_QUICK));
    let mut report = Report::new("B3", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B3 round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            one(volley, "one", &job, &mut report).await?;
            one(&volley.among(setup.triggers), "many", &job, &mut report).await?;
        }
        setup.note_floor(&mut report).await?;
    }
    report.ratio("many/one throughput", "many.throughput", "one.throughput");
    report.ratio("many/one cpu", "many.cpu", "one.cpu");
    Ok(report)
}

async fn one(
    volley: &Volley,
    name: &str,
    job: &Job,
    report: &mut Report,
) -> Result<(), BenchError> {
    eprintln!("  {}", volley.name());
    let measured = measure(volley, job).await?;
    let events = measured.deliveries;
    let rate = events as f64 / measured.elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let cost = micros_each(measured.cpu, events);
    report.figure(format!("{name}.cpu"), "us/event", cost);
    let held = measured.memory.resident as f64 / 1_048_576.0;
    report.figure(format!("{name}.memory"), "MiB", held);
    let found = measured.findings;
    report.findings(found.lost, found.duplicates, found.problems);
    Ok(())
}
