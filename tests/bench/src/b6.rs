//! B6, the bad neighbour: of 100 subscribers one hangs and five fail. What do the others lose?
//!
//! Two runs a round over the same events: all healthy, then with the six sick ones. The clock runs
//! until the same 94 subscribers have everything, in both.

use crate::{
    bench::{Setup, micros_each},
    error::BenchError,
    report::Report,
    run::{Job, Measured, measure},
    sink::Behaviour,
};

const OTHERS: usize = 94;
const FAILING: usize = 5;
const HANGING: usize = 1;
const EVENTS: u64 = 2_000;
const EVENTS_QUICK: u64 = 200;

/// What a user would write: a few retries, and a hanging attempt is given up after 30 s. The first
/// retry comes after a second, so that a run sees retries beside first attempts.
const DELIVERY: &str = "{retry: 3, backoffPolicy: exponential, backoffDelay: PT1S, timeout: PT30S}";

/// Measures the healthy and the sick run once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let events = setup.events(EVENTS, EVENTS_QUICK);
    let healthy = job(setup, events, &[]);
    let sick_ones = [
        [Behaviour::Fails; FAILING].as_slice(),
        &[Behaviour::Hangs; HANGING],
    ]
    .concat();
    let sick = job(setup, events, &sick_ones);
    let mut report = Report::new("B6", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B6 round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            let volley = volley.delivering(DELIVERY);
            note(&mut report, "healthy", measure(&volley, &healthy).await?);
            note(&mut report, "sick", measure(&volley, &sick).await?);
        }
        setup.note_floor(&mut report).await?;
    }
    report.ratio(
        "sick/healthy throughput",
        "sick.throughput",
        "healthy.throughput",
    );
    report.ratio("sick/healthy cpu", "sick.cpu", "healthy.cpu");
    report.ratio("sick/healthy peak", "sick.peak", "healthy.peak");
    Ok(report)
}

fn job(setup: &Setup, events: u64, sick: &[Behaviour]) -> Job {
    let mut subscribers = vec![Behaviour::Takes; OTHERS + FAILING + HANGING - sick.len()];
    subscribers.extend(sick);
    Job {
        subscribers,
        awaited: OTHERS,
        own_addresses: setup.own_addresses.unwrap_or(true),
        ..Job::fan_out(OTHERS, events)
    }
}

fn note(report: &mut Report, name: &str, measured: Measured) {
    let rate = measured.deliveries as f64 / measured.elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "deliveries/s", rate);
    let cost = micros_each(measured.cpu, measured.deliveries);
    report.figure(format!("{name}.cpu"), "us/delivery", cost);
    let peak = measured.memory.peak as f64 / 1_048_576.0;
    report.figure(format!("{name}.peak"), "MiB", peak);
    let tries = measured.failures as f64;
    report.figure(format!("{name}.failed"), "attempts", tries);
    let found = measured.findings;
    report.findings(found.lost, found.duplicates, found.problems);
}
