//! B8c, far behind: one Trigger is two million events behind and catches up while another one stays
//! at the head. How fast is it, and what does it cost the other?
//!
//! Its subscriber hangs until the backlog is there; then it becomes a Broker of the same process, so
//! that no HTTP stands between the log and the end of a delivery. The other one's events are due at
//! a set pace, and timed from then to their arrival, before and while the laggard catches up.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    bench::Setup,
    books::Books,
    contender::volley::Volley,
    error::BenchError,
    report::Report,
    run::{Job, Stage},
    sink::Behaviour,
};

const BACKLOG: u64 = 2_000_000;
const BACKLOG_QUICK: u64 = 100_000;
/// Events a second at the head.
const RATE: u32 = 500;
/// How long each pace is kept, before and while the laggard catches up.
const SECONDS: u64 = 10;
const SECONDS_QUICK: u64 = 2;

const LAGGARD: &str = "t1";
/// How often the books are asked how far it is.
const BEAT: Duration = Duration::from_millis(100);
/// It catches up once it has so many events less to go.
const BEGUN: u64 = 1_000;
/// And has caught up once so few are left.
const NEAR: u64 = 4_096;
/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// Builds the backlog, and lets it be caught up, once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B8c", setup.rounds);
    for round in 1..=setup.rounds {
        eprintln!("B8c round {round} of {}", setup.rounds);
        if let Some(volley) = &setup.volley {
            one(setup, &volley.on_disk(&setup.disk), &mut report).await?;
        }
        setup.note_floor(&mut report).await?;
    }
    report.ratio("behind/calm p99", "behind.p99", "calm.p99");
    report.ratio("behind/calm p50", "behind.p50", "calm.p50");
    Ok(report)
}

async fn one(setup: &Setup, volley: &Volley, report: &mut Report) -> Result<(), BenchError> {
    let backlog = setup.events(BACKLOG, BACKLOG_QUICK);
    let seconds = if setup.quick { SECONDS_QUICK } else { SECONDS };
    let paced = u64::from(RATE) * seconds;
    let calm = backlog..backlog + paced;
    let behind = calm.end..calm.end + paced;
    let job = Job {
        subscribers: vec![Behaviour::Takes, Behaviour::Hangs],
        own_addresses: true,
        timed: true,
        ..Job::fan_out(1, behind.end)
    };
    let mut stage = Stage::set(volley, &job, behind.end).await?;
    stage.load.post(0..backlog).await?;
    stage.delivered().await;

    let before = stage.load.post_at(calm, RATE).await?;
    stage.delivered().await;
    report.tail("calm", before.waits(&stage.sink.times()));

    let admin = stage.running.admin.expect("volley has an admin port");
    let (cpu, began) = (stage.running.cpu()?, Instant::now());
    volley.redeclare(&stage.running, &stage.subscribers[..1], &into_a_broker())?;
    let all = begun(admin).await?;
    let (meanwhile, caught_up) = tokio::join!(
        stage.load.post_at(behind, RATE),
        catch_up(admin, all, Duration::from_secs(seconds)),
    );
    let (matched, cpu) = (caught_up?, stage.running.cpu()? - cpu);
    stage.delivered().await;
    report.figure("matched", "events/s", matched);
    let busy = cpu.as_secs_f64() / began.elapsed().as_secs_f64();
    report.figure("behind.busy", "cores", busy);
    report.tail("behind", meanwhile?.waits(&stage.sink.times()));
    let found = stage.check().await?;
    report.findings(found.lost, found.duplicates, found.problems);
    Ok(())
}

/// The laggard once more, with a Broker of this process for its subscriber.
fn into_a_broker() -> String {
    let kind = crate::event::TYPE;
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\n\
         metadata: {{name: hole, namespace: default}}\n\
         ---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: {LAGGARD}\n  \
         namespace: default\n  annotations: {{volley.dev/concurrency: \"1000\"}}\nspec:\n  \
         broker: default\n  filter: {{attributes: {{type: {kind}}}}}\n  subscriber:\n    \
         ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: hole}}\n"
    )
}

/// Waits until the laggard moves; how many events it has to go then.
async fn begun(admin: SocketAddr) -> Result<u64, BenchError> {
    let all = Books::read(admin).await?.waiting(LAGGARD);
    let began = Instant::now();
    loop {
        let left = Books::read(admin).await?.waiting(LAGGARD);
        if left + BEGUN < all {
            return Ok(left);
        }
        if began.elapsed() > PATIENCE {
            return Err(BenchError::Unreadable {
                what: "the books of a Trigger that should catch up",
                text: format!("{left} of {all} events are left after {PATIENCE:?}"),
            });
        }
        sleep(BEAT).await;
    }
}

/// Events a second that the laggard, with `all` to go now, gets done within `bound`, or until it
/// has caught up.
async fn catch_up(admin: SocketAddr, all: u64, bound: Duration) -> Result<f64, BenchError> {
    let began = Instant::now();
    loop {
        sleep(BEAT).await;
        let left = Books::read(admin).await?.waiting(LAGGARD);
        if left < NEAR || began.elapsed() > bound {
            let done = all.saturating_sub(left) as f64;
            return Ok(done / began.elapsed().as_secs_f64());
        }
    }
}
