//! B1, the price of a proxy: 1 KiB in, one matching Trigger, out. Peer: haproxy passing through.

use crate::{
    bench::{Setup, micros_each},
    error::BenchError,
    report::{FLOOR, Report},
    run::{Job, Measured, measure},
};

const EVENTS: u64 = 200_000;
const EVENTS_QUICK: u64 = 20_000;

/// Measures every contender once a round, one after the other.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let job = Job::fan_out(1, setup.events(EVENTS, EVENTS_QUICK));
    let mut report = Report::new("B1", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B1 round {round} of {}", setup.rounds);
        for contender in setup.contenders() {
            let measured = measure(contender, &job).await?;
            note(&mut report, contender.name(), measured);
        }
        setup.note_floor(&mut report).await?;
    }
    report.ratio("volley/haproxy", "volley.cpu", "haproxy.cpu");
    report.ratio("volley/floor", "volley.cpu", FLOOR);
    report.ratio("haproxy/floor", "haproxy.cpu", FLOOR);
    report.ratio(
        "volley/haproxy throughput",
        "volley.throughput",
        "haproxy.throughput",
    );
    if let Some(threaded) = &setup.threaded {
        let name = crate::contender::Contender::name(threaded);
        report.ratio(
            &format!("{name}/volley"),
            &format!("{name}.cpu"),
            "volley.cpu",
        );
        report.ratio(
            &format!("{name}/haproxy"),
            &format!("{name}.cpu"),
            "haproxy.cpu",
        );
    }
    Ok(report)
}

fn note(report: &mut Report, name: &str, measured: Measured) {
    let events = measured.deliveries;
    report.figure(
        format!("{name}.cpu"),
        "us/event",
        micros_each(measured.cpu, events),
    );
    let rate = events as f64 / measured.elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let busy = measured.cpu.as_secs_f64() / measured.elapsed.as_secs_f64();
    report.figure(format!("{name}.busy"), "cores", busy);
    let own = micros_each(measured.own_cpu, events);
    report.figure(format!("{name}.harness"), "us/event", own);
    let peak = measured.memory.peak as f64 / 1_048_576.0;
    report.figure(format!("{name}.peak"), "MiB", peak);
    report.figure(format!("{name}.backlog"), "events", measured.backlog as f64);
    let found = measured.findings;
    report.findings(found.lost, found.duplicates, found.problems);
}
