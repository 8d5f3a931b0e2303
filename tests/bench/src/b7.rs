//! B7, featherweight: what the process holds while it idles, and how much more with a million events
//! of backlog on the log, of a subscriber that hangs and of one that refuses.
//!
//! A second subscriber takes everything meanwhile, so that the growth is that of a process at work.
//! Memory is no matter of the machine's pace: there is no floor that has to keep still.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    bench::Setup,
    contender::{Contender, volley::Volley},
    error::BenchError,
    report::Report,
    run::{Job, Stage},
    sink::Behaviour,
};

const BACKLOG: u64 = 1_000_000;
const BACKLOG_QUICK: u64 = 50_000;
/// Triggers of the second idle process.
const TRIGGERS: usize = 10_000;

/// Keeps refused events for longer than any run takes.
const DELIVERY: &str = "{retry: 100, backoffPolicy: linear, backoffDelay: PT10S}";
const SICK: [(&str, Behaviour); 2] = [("hangs", Behaviour::Hangs), ("refuses", Behaviour::Fails)];
/// What the process gets to come to rest before its memory is read.
const REST: Duration = Duration::from_secs(2);

const MIB: f64 = 1_048_576.0;

/// Measures an idle process, one with many Triggers, and each backlog, once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B7", setup.rounds).with_floors(&[]);
    let backlog = setup.events(BACKLOG, BACKLOG_QUICK);
    for round in 1..=setup.rounds {
        eprintln!("B7 round {round} of {}", setup.rounds);
        let Some(volley) = &setup.volley else {
            continue;
        };
        let log = volley.on_disk(&setup.disk);
        idle("idle", &log, &mut report).await?;
        let many = volley.among(TRIGGERS).on_disk(&setup.disk);
        idle(&format!("idle.{TRIGGERS}triggers"), &many, &mut report).await?;
        for (name, sick) in SICK {
            grow(name, sick, backlog, &log.delivering(DELIVERY), &mut report).await?;
        }
    }
    Ok(report)
}

/// Start to ready, and what the process holds then.
async fn idle(name: &str, volley: &Volley, report: &mut Report) -> Result<(), BenchError> {
    let start = Instant::now();
    let running = volley.start(&[]).await?;
    let ready = start.elapsed().as_secs_f64() * 1e3;
    report.figure(format!("{name}.ready"), "ms", ready);
    sleep(REST).await;
    let held = running.memory()?.resident as f64 / MIB;
    report.figure(format!("{name}.memory"), "MiB", held);
    running.end().await?;
    Ok(())
}

/// Lets `backlog` events wait for a subscriber that does not take them.
async fn grow(
    name: &str,
    sick: Behaviour,
    backlog: u64,
    volley: &Volley,
    report: &mut Report,
) -> Result<(), BenchError> {
    let job = Job {
        subscribers: vec![Behaviour::Takes, sick],
        own_addresses: true,
        ..Job::fan_out(1, backlog)
    };
    let (warm, all) = (job.warm, job.warm + job.events);
    let mut stage = Stage::set(volley, &job, all).await?;
    // Its window is full then, and it is read for from the log.
    stage.load.post(0..warm).await?;
    stage.delivered().await;
    sleep(REST).await;
    let before = stage.running.memory()?.resident;
    stage.running.forget_peak()?;
    stage.load.post(warm..all).await?;
    stage.delivered().await;
    sleep(REST).await;
    let after = stage.running.memory()?;
    for (figure, bytes) in [("growth", after.resident), ("peak", after.peak)] {
        let more = bytes as f64 - before as f64;
        report.figure(format!("{name}.{figure}"), "MiB", more / MIB);
    }
    report.figure(format!("{name}.memory"), "MiB", after.resident as f64 / MIB);
    let found = stage.check().await?;
    report.findings(found.lost, found.duplicates, found.problems);
    Ok(())
}
