//! B4, fan-out: one event to 10, 100 and 1,000 subscribers. Measure: `wrk`'s CPU per request.
//!
//! Two runs for each width and round. The first counts CPU per delivery. The second counts memory
//! per waiting event: the sink holds back every answer, so that all events wait; what the process
//! holds more, once it has taken up what it accepted, of one number of them than of a lower one is
//! what an event costs, and it should be the same for 10 subscribers as for 1,000.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    bench::{Setup, micros_each},
    contender::Contender,
    error::BenchError,
    report::Report,
    run::{Findings, Job, Stage, measure},
};

const WIDTHS: [usize; 3] = [10, 100, 1_000];
const DELIVERIES: u64 = 200_000;
const DELIVERIES_QUICK: u64 = 20_000;

/// Enough waiting events that every Trigger has as many attempts in flight as it may.
const SATURATING: u64 = 128;
/// How many more wait when memory is read again.
///
/// An event takes some 2 KB, and an allocator keeps or gives back 2 MB at its own time: fewer
/// events would measure that. All of them fit below the backlog at which producers hold back.
const WAITING: u64 = 3_584;
const WAITING_QUICK: u64 = 1_024;
/// What the contender gets to take up what it accepted, before its memory is read.
const TAKING_UP: Duration = Duration::from_secs(3);

/// Measures each width once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B4", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B4 round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            for width in WIDTHS {
                note_cpu(setup, volley, width, &mut report).await?;
                note_memory(setup, volley, width, &mut report).await?;
            }
        }
        setup.note_floor(&mut report).await?;
    }
    for width in WIDTHS {
        let cpu = format!("volley.{width}.cpu");
        report.ratio(&format!("volley.{width}/wrk"), &cpu, "wrk.cpu");
        if width != WIDTHS[0] {
            let (wide, narrow) = (memory_figure(width), memory_figure(WIDTHS[0]));
            report.ratio(&format!("memory {width}/{}", WIDTHS[0]), &wide, &narrow);
        }
    }
    Ok(report)
}

async fn note_cpu(
    setup: &Setup,
    volley: &dyn Contender,
    width: usize,
    report: &mut Report,
) -> Result<(), BenchError> {
    let events = setup.events(DELIVERIES, DELIVERIES_QUICK) / width as u64;
    let job = job(setup, width, events.max(1));
    let measured = measure(volley, &job).await?;
    let cost = micros_each(measured.cpu, measured.deliveries);
    report.figure(format!("volley.{width}.cpu"), "us/delivery", cost);
    let rate = measured.deliveries as f64 / measured.elapsed.as_secs_f64();
    report.figure(format!("volley.{width}.throughput"), "deliveries/s", rate);
    let peak = measured.memory.peak as f64 / 1_048_576.0;
    report.figure(format!("volley.{width}.peak"), "MiB", peak);
    note_findings(measured.findings, report);
    Ok(())
}

async fn note_memory(
    setup: &Setup,
    volley: &dyn Contender,
    width: usize,
    report: &mut Report,
) -> Result<(), BenchError> {
    let waiting = if setup.quick { WAITING_QUICK } else { WAITING };
    let all = SATURATING + waiting;
    let job = job(setup, width, all);
    let mut stage = Stage::set(volley, &job, all).await?;
    stage.sink.answer(false);
    stage.load.post(0..SATURATING).await?;
    sleep(TAKING_UP).await;
    let before = stage.running.memory()?.resident;
    stage.load.post(SATURATING..all).await?;
    sleep(TAKING_UP).await;
    let after = stage.running.memory()?.resident;
    stage.sink.answer(true);
    stage.delivered().await;
    let each = after.saturating_sub(before) as f64 / waiting as f64;
    report.figure(memory_figure(width), "bytes/event", each);
    note_findings(stage.check().await?, report);
    Ok(())
}

fn job(setup: &Setup, width: usize, events: u64) -> Job {
    Job {
        own_addresses: setup.own_addresses.unwrap_or(false),
        ..Job::fan_out(width, events)
    }
}

fn memory_figure(width: usize) -> String {
    format!("volley.{width}.memory")
}

fn note_findings(found: Findings, report: &mut Report) {
    report.findings(found.lost, found.duplicates, found.problems);
}
