//! B5, the tail: what a broker adds to the time from producer to subscriber, at a set pace.
//!
//! Events are due 500 and 5,000 times a second, whether answers come or not, and count from the
//! moment at which they were due: a broker that stands still for a while pays for every event of
//! that while. In the same round the producer posts straight to the subscriber; what is above that
//! is added by the broker. Beside the log stands what one `fdatasync` of 4 KiB takes, and what the
//! disk alone makes of the pace: a bare loop that syncs whatever has come due (`bare.RATE`). Where
//! the disk stands still for a moment, both pay for every event of it.

use crate::{
    bench::Setup,
    contender::Contender,
    disk::Bare,
    error::BenchError,
    event,
    load::{Delivered, Load, Paced, Target},
    report::{FLOOR, Report, TAIL},
    run::{Findings, Job, Stage},
    sink::{Behaviour, Sink, Size},
};

const RATES: [u32; 2] = [500, 5_000];
/// How long the pace is kept.
const SECONDS: u32 = 20;
const SECONDS_QUICK: u32 = 2;
/// Connections of the producer: enough that none is waited for.
const CONNECTIONS: usize = 64;
/// Events before the first that counts.
const WARM: u64 = 2_000;

const PAGE: usize = 4 << 10;
const BARE_BYTES: u64 = 64 << 20;
const SYNCS: usize = 2_000;
const SYNCS_QUICK: usize = 200;
const SYNC: &str = "fdatasync";
/// What an event of the load takes in a frame, about.
const RECORD: usize = 512;

/// Measures the direct way, memory and log at each pace, once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B5", setup.rounds).with_floors(&[FLOOR, "fdatasync.p50"]);
    let mut bare = Bare::zeroed(&setup.disk, BARE_BYTES)?;
    for round in 1..=setup.rounds {
        eprintln!("B5 round {round} of {}", setup.rounds);
        let syncs = if setup.quick { SYNCS_QUICK } else { SYNCS };
        let sync = report.tail(SYNC, bare.commits(PAGE, syncs)?);
        for rate in RATES {
            let pace = Pace::of(setup, rate);
            let direct = straight(pace).await?;
            let direct = report.tail(&format!("direct.{rate}"), direct);
            let Some(memory) = &setup.volley else {
                continue;
            };
            let log = memory.on_disk(&setup.disk);
            let events = pace.events.try_into().unwrap_or(u32::MAX);
            let alone = bare.paced(RECORD, rate, events).await?;
            let alone = report.tail(&format!("bare.{rate}"), alone);
            note(&mut report, "memory", memory, pace, &direct).await?;
            let added = note(&mut report, "log", &log, pace, &direct).await?;
            // The p99 is what has to stay within a sync and a little.
            report.figure(format!("log.{rate}.beyond.p99"), "us", added[1] - sync[1]);
            report.figure(
                format!("log.{rate}.beyond.bare.p99"),
                "us",
                added[1] - alone[1],
            );
        }
        setup.note_floor(&mut report).await?;
    }
    Ok(report)
}

/// So many events at so many a second.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: u32,
    events: u64,
}

impl Pace {
    fn of(setup: &Setup, rate: u32) -> Self {
        let full = u64::from(rate * SECONDS);
        let events = setup.events(full, u64::from(rate * SECONDS_QUICK));
        Self { rate, events }
    }

    fn total(self) -> u64 {
        WARM + self.events
    }

    async fn post(self, load: &mut Load) -> Result<Paced, BenchError> {
        load.post_at(WARM..self.total(), self.rate).await
    }
}

/// Straight to the subscriber; microseconds of each event.
async fn straight(pace: Pace) -> Result<Vec<f32>, BenchError> {
    let sink = Sink::open(Size {
        subscribers: 1,
        awaited: 1,
        events: pace.total(),
        own_addresses: false,
        timed: true,
    })
    .await?;
    let delivered = Delivered {
        arrivals: sink.taken(),
        each: 1,
    };
    let target = Target {
        name: "the subscriber",
        address: sink.address(0),
        path: &Behaviour::Takes.path(0),
        in_flight: CONNECTIONS,
        form: event::Form::Binary,
    };
    let mut load = Load::connect(target, pace.total(), delivered).await?;
    load.post(0..WARM).await?;
    let paced = pace.post(&mut load).await?;
    Ok(paced.waits(&sink.times()))
}

/// Through a broker. Answers with what it added to p50, p99 and p99.9.
async fn note(
    report: &mut Report,
    name: &str,
    contender: &dyn Contender,
    pace: Pace,
    direct: &[f64],
) -> Result<Vec<f64>, BenchError> {
    let job = Job {
        in_flight: CONNECTIONS,
        timed: true,
        ..Job::fan_out(1, pace.total())
    };
    let mut stage = Stage::set(contender, &job, pace.total()).await?;
    stage.load.post(0..WARM).await?;
    stage.delivered().await;
    let paced = pace.post(&mut stage.load).await?;
    stage.delivered().await;
    let name = format!("{name}.{}", pace.rate);
    report.tail(&format!("{name}.ack"), stage.load.take_waits());
    let whole = paced.waits(&stage.sink.times());
    let whole = report.tail(&name, whole);
    let added: Vec<f64> = whole
        .iter()
        .zip(direct)
        .map(|(all, own)| all - own)
        .collect();
    for ((suffix, _), added) in TAIL.iter().zip(&added) {
        report.figure(format!("{name}.added.{suffix}"), "us", *added);
    }
    let Findings {
        lost,
        duplicates,
        problems,
    } = stage.check().await?;
    report.findings(lost, duplicates, problems);
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "local")]
    async fn every_event_of_the_pace_is_timed_from_when_it_was_due() {
        let pace = Pace {
            rate: 5_000,
            events: 500,
        };
        let waits = straight(pace).await.unwrap();
        assert_eq!(waits.len(), 500, "the warm ones do not count");
        assert!(waits.iter().all(|wait| *wait >= 0.0));
    }
}
