//! B8, `kill -9`: the process is killed at its full rate with a backlog on the log, and started
//! again. Nothing accepted may be lost; how long until it takes events, and how fast is the backlog
//! delivered then?
//!
//! Of two subscribers one takes everything, the other answers nothing until after the new start:
//! everything waits for it then. Before that start the log is dropped from the system's cache, so
//! that what is read is read from the disk. The floor is reading the same files in order.

use std::{cell::Cell, pin::pin, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    bench::Setup,
    bitmap::Bitmap,
    books::Books,
    contender::{Contender, Folders, Running, volley::Volley},
    disk,
    error::BenchError,
    event,
    load::CONNECTIONS,
    report::Report,
    run::{Job, Stage},
    sink::{Behaviour, Sink},
};

const BACKLOG: u64 = 1_000_000;
const BACKLOG_QUICK: u64 = 50_000;
/// Events that may be posted beyond the backlog, until the process is killed.
const MORE: u64 = 1_000_000;
/// How often is looked at how far a run is.
const BEAT: Duration = Duration::from_millis(5);
/// How long nothing may be delivered before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a kill may repeat for a Trigger: what was in flight, and what was finished since progress
/// was last safe; twice, for two Triggers.
const REPEATED: u64 = 600;

/// The disk's own speed; whether it kept still.
const READ: &str = "disk.read";
const MIB: f64 = 1_048_576.0;

/// Kills and starts again once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B8", setup.rounds).with_floors(&[READ]);
    let backlog = setup.events(BACKLOG, BACKLOG_QUICK);
    for round in 1..=setup.rounds {
        eprintln!("B8 round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            let log = volley.on_disk(&setup.disk);
            let (empty, running) = ready(log.start(&[])).await?;
            report.figure("ready.empty", "ms", empty);
            running.end().await?;
            kill(&log, backlog, &mut report).await?;
        }
    }
    report.ratio("ready/empty", "ready.backlog", "ready.empty");
    report.ratio("delivery/disk", "delivery.bytes", READ);
    Ok(report)
}

/// Milliseconds from a start to the line that says it is ready.
async fn ready(
    start: impl Future<Output = Result<Running, BenchError>>,
) -> Result<(f64, Running), BenchError> {
    let began = Instant::now();
    let running = start.await?;
    Ok((began.elapsed().as_secs_f64() * 1e3, running))
}

async fn kill(volley: &Volley, backlog: u64, report: &mut Report) -> Result<(), BenchError> {
    let job = Job {
        subscribers: vec![Behaviour::Takes; 2],
        own_addresses: true,
        ..Job::fan_out(1, backlog + MORE)
    };
    let stage = Stage::set(volley, &job, job.events).await?;
    let Stage {
        sink,
        running,
        mut load,
        ..
    } = stage;
    sink.answer_of(1, false);
    let accepted = load.accepted_count();
    let began = Instant::now();
    let folders = {
        let mut posting = pin!(load.post(0..job.events));
        tokio::select! {
            biased;
            () = reached(&accepted, backlog) => {}
            ended = &mut posting => {
                ended?;
                return Err(too_few(accepted.get()));
            }
        }
        let rate = backlog as f64 / began.elapsed().as_secs_f64();
        report.figure("rate", "events/s", rate);
        // The load ends with the process: it is cut off.
        let (_cut_off, folders) = tokio::join!(posting, running.end());
        folders?
    };
    again(volley, &sink, &load.accepted(), folders, report).await
}

async fn reached(count: &Cell<u64>, wanted: u64) {
    while count.get() < wanted {
        sleep(BEAT).await;
    }
}

fn too_few(accepted: u64) -> BenchError {
    BenchError::CutOff {
        name: "volley".to_owned(),
        reason: format!("only {accepted} events were accepted"),
    }
}

/// Starts it again on what it left, and lets everything be delivered.
async fn again(
    volley: &Volley,
    sink: &Sink,
    accepted: &Bitmap,
    folders: Folders,
    report: &mut Report,
) -> Result<(), BenchError> {
    let data = folders.data().expect("its log is on a disk").to_owned();
    report.figure(READ, "MiB/s", disk::sequential_read(&data)? / MIB);
    disk::forget(&data)?;
    let (waited, running) = ready(volley.start_in(folders)).await?;
    report.figure("ready.backlog", "ms", waited);
    let admin = running.admin.expect("volley has an admin port");
    let books = Books::read(admin).await?;
    report.figure("backlog", "events", books.waiting("t1") as f64);

    let began = Instant::now();
    sink.answer_of(1, true);
    let lost = missing_after_a_while(sink, accepted).await;
    let rate = accepted.count() as f64 / began.elapsed().as_secs_f64();
    report.figure("delivery", "events/s", rate);
    let bytes = event::Request::new("127.0.0.1:1", "/default/default").len() as f64;
    report.figure("delivery.bytes", "MiB/s", rate * bytes / MIB);

    let books = Books::settled(admin, 2).await?;
    let mut problems = books.laws();
    let count = accepted.count();
    if !(count..=count + CONNECTIONS as u64).contains(&books.carried()) {
        problems.push(format!(
            "{count} events were accepted, the books carry {}",
            books.carried()
        ));
    }
    let repeated = sink.counts().duplicates;
    report.figure("repeated", "deliveries", repeated as f64);
    if repeated > REPEATED {
        problems.push(format!(
            "{repeated} deliveries came again, allowed are {REPEATED}"
        ));
    }
    report.findings(lost, 0, problems);
    running.end().await?;
    Ok(())
}

/// How many deliveries to the two subscribers are missing once no more come.
async fn missing_after_a_while(sink: &Sink, accepted: &Bitmap) -> u64 {
    let mut missing = sink.missing(accepted, 2);
    let mut changed = Instant::now();
    while missing > 0 && changed.elapsed() < PATIENCE {
        sleep(BEAT).await;
        let now = sink.missing(accepted, 2);
        if now < missing {
            (missing, changed) = (now, Instant::now());
        }
    }
    missing
}
