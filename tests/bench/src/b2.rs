//! B2, durability for free: what 202 only after `fdatasync` costs against memory, with 1, 64 and
//! 1,024 requests in flight.
//!
//! Two peers that call an event safe only once it is synced stand beside it, as far as they are
//! here: JetStream and, one event a sync, fjall. They take events over no HTTP and deliver none.
//!
//! The floor is the disk's, measured in this process: one `fdatasync` of 4 KiB, and a bare group
//! commit, a loop that writes as many events as there are requests in flight and syncs them.

use std::time::Duration;

use crate::{
    bench::{Setup, micros_each},
    contender::{Contender, Published, fjall},
    disk::Bare,
    error::BenchError,
    event,
    report::{FLOOR, Report},
    run::{Job, Measured, measure},
};

const IN_FLIGHT: [usize; 3] = [1, 64, 1_024];
const EVENTS: u64 = 100_000;
const EVENTS_QUICK: u64 = 10_000;
/// One request at a time waits for each sync alone: so many times fewer events take as long.
const FEWER_ALONE: u64 = 10;

/// Commits of the bare loop, and of 4 KiB, beside each number of requests in flight.
const COMMITS: usize = 300;
const COMMITS_QUICK: usize = 50;
const PAGE: usize = 4 << 10;
/// Larger than any commit of the loop; small enough that it is soon full of zeros.
const BARE_BYTES: u64 = 64 << 20;

const SYNC: &str = "fdatasync";
const SYNC_MEDIAN: &str = "fdatasync.p50";

/// Measures memory, log and the bare loop for each number in flight, once a round.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B2", setup.rounds).with_floors(&[FLOOR, SYNC_MEDIAN]);
    let mut bare = Bare::zeroed(&setup.disk, BARE_BYTES)?;
    for round in 1..=setup.rounds {
        eprintln!("B2 round {round} of {}", setup.rounds);
        let mut syncs = Vec::new();
        for in_flight in IN_FLIGHT {
            let job = job(setup, in_flight);
            if let Some(memory) = &setup.volley {
                let log = memory.on_disk(&setup.disk);
                note(&mut report, &figure("memory", in_flight), memory, &job).await?;
                note(&mut report, &figure("log", in_flight), &log, &job).await?;
            }
            note_peers(setup, &mut report, in_flight).await?;
            syncs.extend(note_disk(setup, &mut bare, in_flight, &mut report)?);
        }
        report.waits(SYNC, syncs);
        setup.note_floor(&mut report).await?;
    }
    for in_flight in IN_FLIGHT {
        ask_for_ratios(&mut report, in_flight);
    }
    Ok(report)
}

fn job(setup: &Setup, in_flight: usize) -> Job {
    let events = setup.events(EVENTS, EVENTS_QUICK);
    let alone = in_flight == 1;
    let events = if alone { events / FEWER_ALONE } else { events };
    Job {
        in_flight,
        ..Job::fan_out(1, events.max(1))
    }
}

fn figure(name: &str, in_flight: usize) -> String {
    format!("{name}.{in_flight}")
}

async fn note(
    report: &mut Report,
    name: &str,
    contender: &dyn Contender,
    job: &Job,
) -> Result<(), BenchError> {
    let Measured {
        cpu,
        own_cpu,
        elapsed,
        deliveries,
        waits,
        findings,
        ..
    } = measure(contender, job).await?;
    let rate = deliveries as f64 / elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let cost = micros_each(cpu, deliveries);
    report.figure(format!("{name}.cpu"), "us/event", cost);
    let busy = cpu.as_secs_f64() / elapsed.as_secs_f64();
    report.figure(format!("{name}.busy"), "cores", busy);
    let own = micros_each(own_cpu, deliveries);
    report.figure(format!("{name}.harness"), "us/event", own);
    report.waits(&format!("{name}.ack"), waits);
    report.findings(findings.lost, findings.duplicates, findings.problems);
    Ok(())
}

/// How long each peer is written to.
const PEER: Duration = Duration::from_secs(5);
const PEER_QUICK: Duration = Duration::from_secs(1);

async fn note_peers(
    setup: &Setup,
    report: &mut Report,
    in_flight: usize,
) -> Result<(), BenchError> {
    let time = if setup.quick { PEER_QUICK } else { PEER };
    if let Some(jetstream) = &setup.jetstream {
        let published = match jetstream.publish(&setup.disk, in_flight, time).await {
            Ok(published) => published,
            Err(error) => {
                // Now and then a server that has just come up answers nobody.
                eprintln!("{error}; once more");
                jetstream.publish(&setup.disk, in_flight, time).await?
            }
        };
        note_peer(report, &figure("jetstream", in_flight), published);
    }
    if setup.fjall {
        let published = fjall::publish(&setup.disk, in_flight, time)?;
        note_peer(report, &figure("fjall", in_flight), published);
    }
    Ok(())
}

fn note_peer(report: &mut Report, name: &str, published: Published) {
    let Published {
        waits,
        elapsed,
        cpu,
    } = published;
    let rate = waits.len() as f64 / elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let cost = micros_each(cpu, waits.len().max(1) as u64);
    report.figure(format!("{name}.cpu"), "us/event", cost);
    report.waits(&format!("{name}.ack"), waits);
}

/// Notes the bare loop; answers with the microseconds of single syncs.
fn note_disk(
    setup: &Setup,
    bare: &mut Bare,
    in_flight: usize,
    report: &mut Report,
) -> Result<Vec<f32>, BenchError> {
    let count = if setup.quick { COMMITS_QUICK } else { COMMITS };
    let syncs = bare.commits(PAGE, count)?;
    let one = event::Request::new("127.0.0.1:1", "/default/default");
    let waits = bare.commits(one.len() * in_flight, count)?;
    let name = figure("bare", in_flight);
    let seconds = waits.iter().map(|wait| f64::from(*wait)).sum::<f64>() / 1e6;
    let rate = (count * in_flight) as f64 / seconds;
    report.figure(format!("{name}.throughput"), "events/s", rate);
    report.waits(&format!("{name}.commit"), waits);
    Ok(syncs)
}

fn ask_for_ratios(report: &mut Report, in_flight: usize) {
    let [memory, log, bare] = ["memory", "log", "bare"].map(|name| figure(name, in_flight));
    let throughput = |name: &str| format!("{name}.throughput");
    report.ratio(
        &format!("{log}/memory throughput"),
        &throughput(&log),
        &throughput(&memory),
    );
    report.ratio(
        &format!("{log}/memory cpu"),
        &format!("{log}.cpu"),
        &format!("{memory}.cpu"),
    );
    report.ratio(
        &format!("{log}/bare throughput"),
        &throughput(&log),
        &throughput(&bare),
    );
    for peer in ["jetstream", "fjall"] {
        report.ratio(
            &format!("{log}/{peer} throughput"),
            &throughput(&log),
            &throughput(&figure(peer, in_flight)),
        );
    }
    report.ratio(
        &format!("{log} ack/fdatasync"),
        &format!("{log}.ack.p50"),
        SYNC_MEDIAN,
    );
}
