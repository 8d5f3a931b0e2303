//! B3c, a change among a million Triggers: what a Trigger that comes or goes costs, and what it does
//! to the events that flow meanwhile.
//!
//! Events are due at a set pace, as in B5, first while nothing changes and then while a Trigger
//! comes or goes each second, in a file of its own. A change counts from the moment at which the
//! file is in its place until the admin port shows the Trigger ready, or not at all.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    admin,
    bench::{Setup, micros_each},
    contender::{Contender as _, Running, Subscriber, volley::Volley},
    error::BenchError,
    mix,
    report::Report,
    run::{Findings, Job, Stage},
};

/// Events a second: half of what a core of a small machine takes.
const RATE: u32 = 5_000;
/// How long each pace is kept.
const SECONDS: u32 = 20;
const SECONDS_QUICK: u32 = 4;
/// Connections of the producer: enough that none is waited for.
const CONNECTIONS: usize = 64;
/// Events before the first that counts.
const WARM: u64 = 2_000;
/// From one change to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How often the admin port is asked whether a change is there.
const LOOK: Duration = Duration::from_millis(10);
/// How long a change may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures a steady pace and one with changes, once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let seconds = if setup.quick { SECONDS_QUICK } else { SECONDS };
    let mut report = Report::new("B3c", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B3c round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            note(&mut report, &volley.among(setup.triggers), seconds).await?;
        }
        setup.note_floor(&mut report).await?;
    }
    report.ratio("changing/steady p99", "changing.p99", "steady.p99");
    report.ratio("changing/steady p50", "changing.p50", "steady.p50");
    Ok(report)
}

async fn note(report: &mut Report, volley: &Volley, seconds: u32) -> Result<(), BenchError> {
    eprintln!("  {}", volley.name());
    let each = u64::from(RATE * seconds);
    let total = WARM + 2 * each;
    let job = Job {
        in_flight: CONNECTIONS,
        timed: true,
        ..Job::fan_out(1, total)
    };
    let mut stage = Stage::set(volley, &job, total).await?;
    stage.load.post(0..WARM).await?;
    stage.delivered().await;

    let before = stage.running.cpu()?;
    let steady = stage.load.post_at(WARM..WARM + each, RATE).await?;
    stage.delivered().await;
    let alone = stage.running.cpu()? - before;
    report.tail("steady", steady.waits(&stage.sink.times()));
    report.figure("steady.cpu", "us/event", micros_each(alone, each));

    let before = stage.running.cpu()?;
    let stop = Instant::now() + Duration::from_secs(seconds.into());
    let (changing, waits) = {
        let changer = Changer {
            volley,
            running: &stage.running,
            subscribers: &stage.subscribers,
        };
        let posting = stage.load.post_at(WARM + each..total, RATE);
        let (posted, changed) = tokio::join!(posting, changer.until(stop));
        (posted?, changed?)
    };
    stage.delivered().await;
    let whole = stage.running.cpu()? - before;
    report.tail("changing", changing.waits(&stage.sink.times()));
    let count = waits.len() as u64;
    report.figure("changes", "", count as f64);
    report.figure(
        "change.cpu",
        "us/change",
        micros_each(whole.saturating_sub(alone), count.max(1)),
    );
    report.tail("change.shown", waits);

    let Findings {
        lost,
        duplicates,
        problems,
    } = stage.check().await?;
    report.findings(lost, duplicates, problems);
    Ok(())
}

/// Lets a Trigger come and go.
struct Changer<'a> {
    volley: &'a Volley,
    running: &'a Running,
    subscribers: &'a [Subscriber],
}

impl Changer<'_> {
    /// Ends with the Trigger gone; microseconds that each change took until it was shown.
    async fn until(self, stop: Instant) -> Result<Vec<f32>, BenchError> {
        let number = usize::MAX / 2;
        let (mut there, mut next) = (false, Instant::now());
        let mut waits = Vec::new();
        while there || next + 2 * EVERY < stop {
            there = !there;
            let more = if there {
                mix::yaml(number)
            } else {
                String::new()
            };
            let start = Instant::now();
            self.volley
                .redeclare(self.running, self.subscribers, &more)?;
            self.shown(&format!("other{number}"), there, start).await?;
            waits.push(start.elapsed().as_secs_f32() * 1e6);
            next += EVERY;
            sleep_until(next).await;
        }
        Ok(waits)
    }

    async fn shown(&self, name: &str, there: bool, start: Instant) -> Result<(), BenchError> {
        let Some(address) = self.running.admin else {
            return Ok(());
        };
        while start.elapsed() < PATIENCE {
            let found = admin::is_ready(address, name).await?;
            if found == there.then_some(true) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(BenchError::Unreadable {
            what: "what became of a changed Trigger",
            text: format!(
                "{name} is not {} after {PATIENCE:?}",
                if there { "ready" } else { "gone" }
            ),
        })
    }
}
