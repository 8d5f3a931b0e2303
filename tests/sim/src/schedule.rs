//! What is going to happen in a world, as a value made from a seed: who posts what and when, how
//! sinks behave, how the declared objects change meanwhile, what goes wrong with the disk, and how
//! each life of the process ends.

mod declared;
mod faults;
mod posts;

use std::time::Duration;

use fastrand::Rng;

use self::{
    declared::worlds,
    posts::{LARGE, SIZES, posts},
};

pub(crate) use self::{
    declared::{Declared, Order, Trigger, broker_of, yaml},
    faults::{Disk, End, How, Keeping, Trouble},
    posts::{BROKEN, Form, Post, Sample, data},
};

/// The types of the events that producers send.
const KINDS: [&str; 4] = ["order.made", "order.paid", "user.seen", "noise"];
const SOURCES: [&str; 2] = ["/a", "/b"];
/// The Brokers, all of namespace `default`.
pub(crate) const BROKERS: [&str; 2] = ["b0", "b1"];
/// Sinks 0 to 3 take events, 4 and 5 dead letters.
pub(crate) const SINKS: usize = 6;
const SUBSCRIBERS: usize = 4;
/// The type of replies: sinks never reply to these, so nothing goes round in a ring.
pub(crate) const REPLY_KIND: &str = "reply.made";

/// One seeded schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub seed: u64,
    /// Positions of a Trigger queued or in flight. A small window makes Triggers fall behind the
    /// head and catch up.
    pub window: usize,
    /// Where events are kept.
    pub keeping: Keeping,
    /// Units of each Broker.
    pub partitions: u32,
    /// How long each Broker keeps events that nobody needs, in seconds.
    pub retention: Option<u64>,
    /// Whether Triggers that fall behind give way where space runs out, instead of blocking
    /// producers.
    pub drops_oldest: bool,
    /// From here on sinks take everything and nothing is refused.
    pub calm: Duration,
    pub sinks: Vec<SinkPlan>,
    pub producers: Vec<Vec<Post>>,
    /// The declared objects and when they come; the first ones stand before anything is posted.
    pub worlds: Vec<(Duration, Declared)>,
    /// Spans in which the channel takes nothing of producers.
    pub channel_down: Vec<(Duration, Duration)>,
    /// What goes wrong with the disk, and when.
    pub troubles: Vec<(Duration, Trouble)>,
    /// How the lives of the process end, but for the last one, whose end is an orderly one.
    pub ends: Vec<End>,
    /// Bytes that are changed behind the broker's back before the last life.
    pub flips: u32,
}

/// How a sink behaves until it is calm.
#[derive(Debug, Clone)]
pub(crate) struct SinkPlan {
    /// Of a hundred requests so many meet something other than a plain 2xx.
    pub trouble: u32,
    /// Of a hundred requests taken so many get a reply.
    pub replies: u32,
    /// The longest time it takes to answer.
    pub slowest: Duration,
    /// Spans in which it refuses connections.
    pub down: Vec<(Duration, Duration)>,
}

impl Schedule {
    /// The schedule of `seed` in which nothing is durable and the process lives once: always the
    /// same.
    #[cfg(test)]
    pub(crate) fn in_memory(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let span = Duration::from_secs(rng.u64(2..20));
        let tight = rng.u8(0..6) == 0;
        Self {
            seed,
            window: *pick(&mut rng, &[1024, 1024, 16, 4]),
            keeping: Keeping::Memory(if tight { 96 << 10 } else { 64 << 20 }),
            partitions: *pick(&mut rng, &[1, 1, 3]),
            retention: None,
            drops_oldest: false,
            calm: span * 2,
            sinks: (0..SINKS)
                .map(|at| SinkPlan::any(&mut rng, at, span))
                .collect(),
            producers: (0..rng.usize(1..4))
                .map(|at| posts(&mut rng, at, span, 5..60, SIZES))
                .collect(),
            worlds: worlds(&mut rng, span, 0..12),
            channel_down: spans(&mut rng, span, 2),
            troubles: Vec::new(),
            ends: Vec::new(),
            flips: 0,
        }
    }

    /// The schedule of `seed` over the log on a disk that does its worst, under a process that is
    /// ended again and again: always the same.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x51b0_1a7e_d015_c0de);
        let span = Duration::from_millis(rng.u64(500..5_000));
        let (troubles, ends) = if rng.u8(0..6) == 0 {
            faults::bad_day(&mut rng, span)
        } else {
            let ends = faults::ends(&mut rng, span);
            (faults::troubles(&mut rng, span, &ends), ends)
        };
        let last = ends.last().map_or(span, |end| end.at);
        let sizes = if rng.u8(0..4) == 0 { LARGE } else { SIZES };
        let schedule = Self {
            seed,
            window: *pick(&mut rng, &[1024, 1024, 16, 4]),
            keeping: Keeping::Log(Disk::any(&mut rng)),
            partitions: *pick(&mut rng, &[1, 1, 3]),
            retention: (rng.u8(0..4) == 0).then(|| rng.u64(1..5)),
            drops_oldest: false,
            calm: span.max(last) * 3 / 2 + Duration::from_secs(1),
            sinks: (0..SINKS)
                .map(|at| SinkPlan::any(&mut rng, at, span))
                .collect(),
            producers: (0..rng.usize(1..4))
                .map(|at| posts(&mut rng, at, span, 4..20, sizes))
                .collect(),
            worlds: if rng.bool() {
                worlds(&mut rng, span, 0..6)
            } else {
                worlds(&mut rng, span, 0..1)
            },
            channel_down: Vec::new(),
            troubles,
            flips: if rng.u8(0..8) == 0 { rng.u32(1..4) } else { 0 },
            ends,
        };
        let mut rng = Rng::with_seed(seed ^ 0xd209_01de_57c0_ffee);
        if rng.u8(0..12) == 0 {
            schedule.crowded(&mut rng, span)
        } else {
            schedule
        }
    }

    /// The same with much more to keep than there is room for, in one life: only the books know
    /// what was dropped, and they end with their process.
    fn crowded(mut self, rng: &mut Rng, span: Duration) -> Self {
        if let Keeping::Log(disk) = &mut self.keeping {
            disk.max_bytes = 1 << 20;
        }
        (self.drops_oldest, self.retention) = (true, None);
        (self.troubles, self.ends, self.flips) = (Vec::new(), Vec::new(), 0);
        for sink in &mut self.sinks {
            sink.down.push((Duration::ZERO, within(rng, span)));
        }
        self.producers = (0..3)
            .map(|at| posts(rng, at, span, 20..60, LARGE))
            .collect();
        self
    }

    /// What is written on every Broker.
    pub(crate) fn annotations(&self) -> String {
        let mut notes = format!("volley.dev/partitions: \"{}\"", self.partitions);
        if let Some(seconds) = self.retention {
            notes += &format!(", volley.dev/retention: PT{seconds}S");
        }
        if self.drops_oldest {
            notes += ", volley.dev/overflow: drop-oldest";
        }
        notes
    }

    /// A schedule of `seed` in which Triggers come, go and change `changes` times while events
    /// come, and nothing else is in the way: no sink fails, no Trigger falls behind.
    #[cfg(test)]
    pub(crate) fn reloading(seed: u64, changes: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let span = Duration::from_secs(20);
        let mut worlds = worlds(&mut rng, span, 2 * changes..2 * changes + 1);
        for (_, declared) in &mut worlds {
            for trigger in declared.values_mut() {
                (trigger.concurrency, trigger.rate) = (None, None);
            }
        }
        // Now and then a change puts back what is there already.
        worlds.dedup_by(|later, before| later.1 == before.1);
        worlds.truncate(changes + 1);
        let quick = SinkPlan {
            trouble: 0,
            replies: 10,
            slowest: Duration::from_millis(5),
            down: Vec::new(),
        };
        Self {
            seed,
            window: 1024,
            keeping: Keeping::Memory(64 << 20),
            retention: None,
            drops_oldest: false,
            partitions: *pick(&mut rng, &[1, 3]),
            calm: span * 2,
            sinks: vec![quick; SINKS],
            producers: (0..3)
                .map(|at| posts(&mut rng, at, span, 300..301, SIZES))
                .collect(),
            worlds,
            channel_down: Vec::new(),
            troubles: Vec::new(),
            ends: Vec::new(),
            flips: 0,
        }
    }
}

impl SinkPlan {
    fn any(rng: &mut Rng, at: usize, span: Duration) -> Self {
        let dead = at >= SUBSCRIBERS;
        Self {
            trouble: *pick(rng, &[0, 10, 40, 90]),
            replies: if dead { 0 } else { *pick(rng, &[0, 10, 30]) },
            slowest: Duration::from_millis(*pick(rng, &[1, 20, 400])),
            down: spans(rng, span, if dead { 3 } else { 1 }),
        }
    }
}

fn spans(rng: &mut Rng, span: Duration, most: usize) -> Vec<(Duration, Duration)> {
    (0..rng.usize(0..=most))
        .map(|_| {
            let from = within(rng, span);
            (from, from + within(rng, span / 4))
        })
        .collect()
}

fn within(rng: &mut Rng, span: Duration) -> Duration {
    Duration::from_micros(
        rng.u64(0..=u64::try_from(span.as_micros()).expect("a schedule is short")),
    )
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}
