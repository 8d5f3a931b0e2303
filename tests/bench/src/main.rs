//! Benchmarks of Volley against peers and floors in the same run.
//!
//! ```text
//! core 0                          core 1 (this process)
//!                                 load: connections, closed loop
//! volley | haproxy  <------------   |
//!        |          ------------> sink: a bitmap of events for each subscriber
//! echo (bare hyper) <------------ wrk   (the floor)
//! ```
//!
//! Every round measures everyone once, one after the other, so that a slow minute of the machine
//! meets all of them. What counts is CPU time per event, and its ratio within a round; every run
//! checks that each accepted event arrived exactly once.
//!
//! Progress goes to stderr; the last line on stdout is one JSON object. Exit code 1 when something
//! was lost, came twice or did not add up, or when a run was not possible.

mod admin;
mod b1;
mod b12;
mod b2;
mod b2w;
mod b3;
mod b3c;
mod b3f;
mod b4;
mod b5;
mod b6;
mod b7;
mod b8;
mod b8c;
mod bench;
mod bitmap;
mod books;
mod c1;
mod contender;
mod cpu;
mod disk;
mod error;
mod event;
mod load;
mod mix;
mod report;
mod run;
mod sink;
mod stats;
mod timer;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use crate::{
    bench::{Party, Setup, Wishes},
    error::BenchError,
    report::Report,
};

/// Benchmarks of Volley against peers and floors in the same run.
#[derive(Debug, Parser)]
#[command(name = "volley-bench", version)]
struct Command {
    /// What to measure.
    #[arg(value_enum, ignore_case = true)]
    bench: Bench,
    /// How many rounds; below 5 a result says little.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// A tenth of the events: to see that it works, not to compare.
    #[arg(long)]
    quick: bool,
    /// Only these take part (without the floor the result is never valid).
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Party>,
    /// The broker's binary, if not the one built beside this program.
    #[arg(long)]
    volley: Option<PathBuf>,
    /// B1: also measure Volley with so many data-plane threads, on both cores.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// How many events a run posts (B4: deliveries), instead of the benchmark's own number.
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
    events: Option<u64>,
    /// B2, B2w, B5, B7, B8, B8c, B12: where folders for data are made, on a disk [default: beside this program].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// B3, B3c: how many Triggers there are besides the one that wants the events.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    triggers: u32,
    /// B4, B6: one address (port) for all subscribers, or one for each. Default: B4 shared, B6 own.
    #[arg(long, value_enum)]
    addresses: Option<Addresses>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// The price of a proxy: one event in, one out.
    #[value(name = "B1")]
    B1,
    /// Durability: the log against memory, with 1, 64 and 1,024 requests in flight.
    #[value(name = "B2")]
    B2,
    /// The log's writer alone, in this process, against a bare loop of writes and syncs.
    #[value(name = "B2w")]
    B2w,
    /// One Trigger alone and among a million others, end to end.
    #[value(name = "B3")]
    B3,
    /// A Trigger that comes and goes among a million, while events flow.
    #[value(name = "B3c")]
    B3c,
    /// The filter alone, among up to a million Triggers.
    #[value(name = "B3f")]
    B3f,
    /// Fan-out to 10, 100 and 1,000 subscribers.
    #[value(name = "B4")]
    B4,
    /// The tail: what is added at a set pace, on the way and to the answer.
    #[value(name = "B5")]
    B5,
    /// One hanging and five failing subscribers of 100.
    #[value(name = "B6")]
    B6,
    /// Memory: idle, and with a million events of backlog on the log.
    #[value(name = "B7")]
    B7,
    /// SIGKILL at the full rate with a backlog, and a start on what is left.
    #[value(name = "B8")]
    B8,
    /// One Trigger two million events behind, catching up while another one is at the head.
    #[value(name = "B8c")]
    B8c,
    /// Batches of 100 against single requests, taken in.
    #[value(name = "B12")]
    B12,
    /// CESQL: what evaluating typical expressions takes.
    #[value(name = "C1")]
    C1,
    /// The server of the floor; started by the benchmarks themselves.
    #[value(name = "echo", hide = true)]
    Echo,
}

impl Bench {
    /// Who has a part in it.
    fn parties(self) -> &'static [Party] {
        match self {
            Self::B1 => &[Party::Volley, Party::Haproxy, Party::Floor],
            Self::B3 | Self::B3c | Self::B4 | Self::B5 | Self::B6 | Self::B8c | Self::B12 => {
                &[Party::Volley, Party::Floor]
            }
            Self::B2 => &[Party::Volley, Party::Floor, Party::Jetstream, Party::Fjall],
            Self::B7 | Self::B8 => &[Party::Volley],
            Self::B2w | Self::B3f | Self::C1 | Self::Echo => &[],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Addresses {
    /// All subscribers behind one address.
    Shared,
    /// An address for each.
    Own,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let outcome = if command.bench == Bench::Echo {
        contender::echo::serve().map(|()| ExitCode::SUCCESS)
    } else {
        measure(command)
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("volley-bench: {}", chain(&error));
        match error {
            BenchError::Interrupted => ExitCode::from(130),
            _ => ExitCode::FAILURE,
        }
    })
}

fn measure(command: Command) -> Result<ExitCode, BenchError> {
    let bench = command.bench;
    let setup = Setup::find(command.into(), bench.parties())?;
    cpu::pin_to_own_core()?;
    load::allow_connections()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    let report = LocalSet::new().block_on(&runtime, until_interrupted(run(bench, &setup)))?;
    println!("{}", report.to_json());
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ends early, and kills every contender by dropping it, when someone has seen enough.
async fn until_interrupted(
    run: impl Future<Output = Result<Report, BenchError>>,
) -> Result<Report, BenchError> {
    let terminated = signal(SignalKind::terminate());
    let mut terminated = terminated.map_err(BenchError::io("listen for signals"))?;
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
        _ = terminated.recv() => Err(BenchError::Interrupted),
        report = run => report,
    }
}

async fn run(bench: Bench, setup: &Setup) -> Result<Report, BenchError> {
    match bench {
        Bench::B1 => b1::run(setup).await,
        Bench::B2 => b2::run(setup).await,
        Bench::B2w => b2w::run(setup).await,
        Bench::B3 => b3::run(setup).await,
        Bench::B3c => b3c::run(setup).await,
        Bench::B3f => b3f::run(setup),
        Bench::B4 => b4::run(setup).await,
        Bench::B5 => b5::run(setup).await,
        Bench::B6 => b6::run(setup).await,
        Bench::B7 => b7::run(setup).await,
        Bench::B8 => b8::run(setup).await,
        Bench::B8c => b8c::run(setup).await,
        Bench::B12 => b12::run(setup).await,
        Bench::C1 => c1::run(setup),
        Bench::Echo => unreachable!("the echo server is no benchmark"),
    }
}

impl From<Command> for Wishes {
    fn from(command: Command) -> Self {
        Self {
            rounds: command.rounds.into(),
            quick: command.quick,
            only: command.only,
            volley: command.volley,
            threads: command.threads.into(),
            events: command.events,
            data: command.data,
            triggers: usize::try_from(command.triggers).unwrap_or(usize::MAX),
            own_addresses: command.addresses.map(|choice| choice == Addresses::Own),
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
