//! What every benchmark shares: who takes part, how often, and the floor of each round.

use std::{path::PathBuf, time::Duration};

use crate::{
    contender::{Contender, floor::Floor, haproxy::Haproxy, jetstream::JetStream, volley::Volley},
    disk,
    error::BenchError,
    report::{FLOOR, Report},
};

/// Who can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Party {
    /// Volley, from `--volley` or from beside this program.
    Volley,
    /// haproxy passing requests through.
    Haproxy,
    /// `wrk` against bare hyper.
    Floor,
    /// nats-server with a stream on disk.
    Jetstream,
    /// The embedded store of that name.
    Fjall,
}

/// What the command line asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// How many rounds.
    pub(crate) rounds: usize,
    /// Fewer events and shorter floors.
    pub(crate) quick: bool,
    /// Who takes part; nobody named means everyone.
    pub(crate) only: Vec<Party>,
    /// Where the broker is, if not beside this program.
    pub(crate) volley: Option<PathBuf>,
    /// Data-plane threads of the second Volley, if more than one.
    pub(crate) threads: usize,
    /// Events a run, instead of the benchmark's own number.
    pub(crate) events: Option<u64>,
    /// Whether each subscriber has an address of its own, instead of the benchmark's choice.
    pub(crate) own_addresses: Option<bool>,
    /// Where folders for data are made, if not beside this program.
    pub(crate) data: Option<PathBuf>,
    /// How many Triggers there are besides the one that wants the events.
    pub(crate) triggers: usize,
}

/// Who takes part in a benchmark, found and ready.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) own_addresses: Option<bool>,
    /// Where folders for data are made.
    pub(crate) disk: PathBuf,
    pub(crate) volley: Option<Volley>,
    /// Volley once more, with more data-plane threads.
    pub(crate) threaded: Option<Volley>,
    haproxy: Option<Haproxy>,
    floor: Option<Floor>,
    /// A peer of the log, if it is here.
    pub(crate) jetstream: Option<JetStream>,
    /// Whether the peer that is part of this program takes part.
    pub(crate) fjall: bool,
    events: Option<u64>,
    /// How many Triggers there are besides the one that wants the events.
    pub(crate) triggers: usize,
}

impl Setup {
    /// Finds everyone who takes part, of those that this benchmark has a part for.
    ///
    /// # Errors
    ///
    /// The first program that is missing, and how to get it or go without it.
    pub(crate) fn find(wishes: Wishes, parties: &[Party]) -> Result<Self, BenchError> {
        let wanted = |party| {
            let named = wishes.only.is_empty() || wishes.only.contains(&party);
            named && parties.contains(&party)
        };
        let seconds = if wishes.quick { 1 } else { 3 };
        let haproxy = wanted(Party::Haproxy).then(Haproxy::find);
        let floor = wanted(Party::Floor).then(|| Floor::find(seconds));
        let volley = wanted(Party::Volley).then(|| Volley::find(wishes.volley));
        let volley = volley.transpose()?;
        let jetstream = wanted(Party::Jetstream).then(JetStream::find).flatten();
        if wanted(Party::Jetstream) && jetstream.is_none() {
            eprintln!(
                "no nats-server on the PATH: JetStream is left out (go install github.com/nats-io/nats-server/v2@latest)"
            );
        }
        let more = volley.as_ref().filter(|_| wishes.threads > 1);
        Ok(Self {
            rounds: wishes.rounds,
            quick: wishes.quick,
            own_addresses: wishes.own_addresses,
            disk: wishes.data.map_or_else(disk::beside_this_program, Ok)?,
            threaded: more.map(|volley| volley.with_threads(wishes.threads)),
            volley,
            haproxy: haproxy.transpose()?,
            floor: floor.transpose()?,
            jetstream,
            fjall: wanted(Party::Fjall),
            events: wishes.events,
            triggers: wishes.triggers,
        })
    }

    /// How many events a run has.
    pub(crate) fn events(&self, full: u64, quick: u64) -> u64 {
        self.events.unwrap_or(if self.quick { quick } else { full })
    }

    /// Everyone that passes events on, in the order of a round.
    pub(crate) fn contenders(&self) -> impl Iterator<Item = &dyn Contender> {
        let volley = self.volley.iter().chain(&self.threaded);
        let volley = volley.map(|volley| volley as &dyn Contender);
        volley.chain(self.haproxy.iter().map(|haproxy| haproxy as &dyn Contender))
    }

    /// Measures the floor, if it takes part, and notes it.
    pub(crate) async fn note_floor(&self, report: &mut Report) -> Result<(), BenchError> {
        let Some(floor) = &self.floor else {
            return Ok(());
        };
        let cost = floor.round().await?;
        report.figure("echo.cpu", "us/request", cost.receive);
        report.figure("wrk.cpu", "us/request", cost.send);
        report.figure(FLOOR, "us/request", cost.receive + cost.send);
        report.figure("floor.throughput", "requests/s", cost.throughput);
        Ok(())
    }
}

/// `time` shared out over `count` things, in microseconds.
pub(crate) fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}
