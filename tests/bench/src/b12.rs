//! B12, batches: what an event costs in a batch of 100, against one in a request of its own, in memory
//! and in the log. Nobody wants the events: this is the price of taking them in.

use crate::{
    bench::{Setup, micros_each},
    contender::Contender,
    error::BenchError,
    event::Form,
    report::{FLOOR, Report},
    run::{Job, measure},
};

const EVENTS: u64 = 200_000;
const EVENTS_QUICK: u64 = 20_000;
const FORMS: [(&str, Form); 3] = [
    ("single", Form::Binary),
    ("structured", Form::Structured),
    ("batch", Form::Batch(100)),
];

/// Measures each form once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B12", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B12 round {round} of {}", setup.rounds);
        if let Some(memory) = &setup.volley {
            let log = memory.on_disk(&setup.disk);
            for (name, form) in FORMS {
                note(setup, &format!("memory.{name}"), memory, form, &mut report).await?;
                note(setup, &format!("log.{name}"), &log, form, &mut report).await?;
            }
        }
        setup.note_floor(&mut report).await?;
    }
    for place in ["memory", "log"] {
        for single in ["single", "structured"] {
            report.ratio(
                &format!("{place} batch/{single}"),
                &format!("{place}.batch.cpu"),
                &format!("{place}.{single}.cpu"),
            );
        }
    }
    report.ratio("memory.single/floor", "memory.single.cpu", FLOOR);
    Ok(report)
}

async fn note(
    setup: &Setup,
    name: &str,
    contender: &dyn Contender,
    form: Form,
    report: &mut Report,
) -> Result<(), BenchError> {
    let events = setup.events(EVENTS, EVENTS_QUICK);
    let requests = (events / form.events()).max(1);
    let job = Job {
        form,
        ..Job::fan_out(0, requests)
    };
    let measured = measure(contender, &job).await?;
    let events = requests * form.events();
    let cost = micros_each(measured.cpu, events);
    report.figure(format!("{name}.cpu"), "us/event", cost);
    let rate = events as f64 / measured.elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let own = micros_each(measured.own_cpu, events);
    report.figure(format!("{name}.harness"), "us/event", own);
    let found = measured.findings;
    report.findings(found.lost, found.duplicates, found.problems);
    Ok(())
}
