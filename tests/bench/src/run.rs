//! One measured run: sink, contender and load are started, warmed up, timed, and checked.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    bitmap::Bitmap,
    books::Books,
    contender::{Contender, Running, Subscriber},
    cpu::{self, Memory},
    error::BenchError,
    event,
    load::{CONNECTIONS, Delivered, Load, Target},
    sink::{Behaviour, Counts, Sink, Size},
};

/// How long nothing may arrive before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a run does.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// How each subscriber behaves. Those that take events come first.
    pub(crate) subscribers: Vec<Behaviour>,
    /// How many subscribers, from the first, the clock runs for.
    pub(crate) awaited: usize,
    /// Whether each subscriber listens on a port of its own.
    pub(crate) own_addresses: bool,
    /// Whether the sink keeps the moment of each arrival at the first subscriber.
    pub(crate) timed: bool,
    /// How many requests producers have on their way at once.
    pub(crate) in_flight: usize,
    pub(crate) form: event::Form,
    /// Requests posted before the clock starts: events, unless they are batches.
    pub(crate) warm: u64,
    /// Requests posted while it runs.
    pub(crate) events: u64,
}

/// What a run cost, and what it found.
#[derive(Debug)]
pub(crate) struct Measured {
    /// CPU time of the contender.
    pub(crate) cpu: Duration,
    /// CPU time of load generator and sink together.
    pub(crate) own_cpu: Duration,
    /// From the first post to the last awaited arrival.
    pub(crate) elapsed: Duration,
    /// Deliveries to awaited subscribers in that time.
    pub(crate) deliveries: u64,
    /// Attempts at subscribers that fail or hang in that time.
    pub(crate) failures: u64,
    /// Microseconds from sending an event to its answer.
    pub(crate) waits: Vec<f32>,
    /// The most events that were accepted and not delivered at any moment.
    pub(crate) backlog: u64,
    pub(crate) memory: Memory,
    pub(crate) findings: Findings,
}

/// What a run found wrong.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) problems: Vec<String>,
}

impl Job {
    /// `count` subscribers that take everything, each awaited.
    pub(crate) fn fan_out(count: usize, events: u64) -> Self {
        Self {
            subscribers: vec![Behaviour::Takes; count],
            awaited: count,
            own_addresses: false,
            timed: false,
            in_flight: CONNECTIONS,
            form: event::Form::Binary,
            warm: (events / 10).max(1),
            events,
        }
    }

    /// All events of the run.
    fn total(&self) -> u64 {
        self.warm + self.events
    }

    fn takers(&self) -> usize {
        let takers = self.subscribers.iter();
        takers.filter(|one| **one == Behaviour::Takes).count()
    }
}

/// A contender with sink and load around it, ready to be measured.
#[derive(Debug)]
pub(crate) struct Stage {
    name: String,
    pub(crate) sink: Sink,
    pub(crate) running: Running,
    pub(crate) load: Load,
    pub(crate) subscribers: Vec<Subscriber>,
    awaited: u64,
    takers: usize,
    /// Events in a request.
    each: u64,
}

impl Stage {
    /// Starts everything, for events numbered below `events`.
    pub(crate) async fn set(
        contender: &dyn Contender,
        job: &Job,
        events: u64,
    ) -> Result<Self, BenchError> {
        let sink = Sink::open(Size {
            subscribers: job.subscribers.len(),
            awaited: job.awaited,
            events,
            own_addresses: job.own_addresses,
            timed: job.timed,
        })
        .await?;
        let subscribers: Vec<Subscriber> = (0..)
            .zip(&job.subscribers)
            .map(|(number, behaviour)| Subscriber {
                number,
                address: sink.address(number),
                behaviour: *behaviour,
            })
            .collect();
        let running = contender.start(&subscribers).await?;
        let name = contender.name();
        let delivered = Delivered {
            arrivals: sink.taken(),
            each: job.awaited as u64,
        };
        let target = Target {
            name,
            address: running.target,
            path: &running.path,
            in_flight: job.in_flight,
            form: job.form,
        };
        let load = Load::connect(target, events, delivered).await?;
        Ok(Self {
            name: name.to_owned(),
            sink,
            running,
            load,
            subscribers,
            awaited: job.awaited as u64,
            takers: job.takers(),
            each: job.form.events(),
        })
    }

    /// Waits until the awaited subscribers have everything that was accepted so far.
    pub(crate) async fn delivered(&self) -> bool {
        let accepted = self.load.accepted().count();
        self.sink.wait_for(accepted * self.awaited, PATIENCE).await
    }

    /// Compares what was accepted, what arrived, and what the contender's books say.
    pub(crate) async fn check(self) -> Result<Findings, BenchError> {
        let accepted = self.load.accepted();
        let lost = self.missing_after_a_while(&accepted).await;
        let mut problems = self.refusals();
        if let Some(admin) = self.running.admin {
            let books = Books::settled(admin, self.takers).await?;
            problems.extend(books.problems(accepted.count() * self.each, self.takers));
        }
        let Counts {
            duplicates, strays, ..
        } = self.sink.counts();
        if strays > 0 {
            problems.push(format!("{strays} deliveries of what nobody sent"));
        }
        self.running.end().await?;
        let problems = problems.into_iter();
        Ok(Findings {
            lost,
            duplicates,
            problems: problems
                .map(|text| format!("{}: {text}", self.name))
                .collect(),
        })
    }

    fn refusals(&self) -> Vec<String> {
        let refused = self.load.refused();
        let lines = refused.iter();
        lines
            .map(|(status, count)| format!("{count} events were answered {status}"))
            .collect()
    }

    /// Subscribers that are not awaited may need a moment longer.
    async fn missing_after_a_while(&self, accepted: &Bitmap) -> u64 {
        let mut missing = self.sink.missing(accepted, self.takers);
        let mut left = PATIENCE;
        let step = Duration::from_millis(50);
        while missing > 0 && left > Duration::ZERO {
            tokio::time::sleep(step).await;
            left = left.saturating_sub(step);
            let now = self.sink.missing(accepted, self.takers);
            if now < missing {
                left = PATIENCE;
            }
            missing = now;
        }
        missing
    }
}

/// Runs `job` through `contender` once. Call it inside a `LocalSet`.
pub(crate) async fn measure(contender: &dyn Contender, job: &Job) -> Result<Measured, BenchError> {
    let mut stage = Stage::set(contender, job, job.total()).await?;
    stage.load.post(0..job.warm).await?;
    stage.delivered().await;
    stage.running.forget_peak()?;

    let failures = stage.sink.counts().failures;
    let (cpu, own_cpu) = (stage.running.cpu()?, cpu::of_self()?);
    let start = Instant::now();
    stage.load.post(job.warm..job.total()).await?;
    let complete = stage.delivered().await;
    let elapsed = start.elapsed();
    let cpu = stage.running.cpu()? - cpu;
    let own_cpu = cpu::of_self()? - own_cpu;

    let failures = stage.sink.counts().failures - failures;
    let memory = stage.running.memory()?;
    let waits = stage.load.take_waits();
    let backlog = stage.load.highest_backlog();
    let mut findings = stage.check().await?;
    if !complete {
        let name = contender.name();
        let text = format!("{name}: deliveries stopped; its figures mean nothing");
        findings.problems.push(text);
    }
    Ok(Measured {
        cpu,
        own_cpu,
        elapsed,
        deliveries: job.events * job.awaited as u64,
        failures,
        waits,
        backlog,
        memory,
        findings,
    })
}
