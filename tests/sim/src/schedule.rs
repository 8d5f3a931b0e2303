//! What is going to happen in a world, as a value made from a seed: who posts what and when, how
//! sinks behave, how the declared objects change meanwhile, what goes wrong with the disk, and how
//! each life of the process ends.

mod declared;
mod faults;
mod posts;

use std::time::Duration;

use fastrand::Rng;
use volley_channel::Jump;

use self::{
    declared::{FORWARDERS, delete_and_make_again, echoers, worlds},
    posts::{LARGE, SIZES, posts},
};

pub(crate) use self::{
    declared::{
        Declared, HEIR, MORTAL, Order, Trigger, broker_of, forwarder_to, name_of, other_broker,
        yaml,
    },
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
    /// Writes that are taken back then, although they were said to be safe.
    pub lost_writes: u32,
    /// Sectors that can't be read any more from then on.
    pub bad_sectors: u32,
    /// Triggers that a process leaves out which begins in such a span, until the span ends.
    pub absences: Vec<Absence>,
    /// When somebody sets the machine's clock, and by how much.
    pub jumps: Vec<Jump>,
}

/// When a Trigger's file is not there.
#[derive(Debug, Clone)]
pub(crate) struct Absence {
    pub name: String,
    pub from: Duration,
    pub to: Duration,
}

/// How a sink behaves until it is calm.
#[derive(Debug, Clone)]
pub(crate) struct SinkPlan {
    /// Of a hundred requests so many meet something other than a plain 2xx.
    pub trouble: u32,
    /// Of a hundred requests taken so many get a reply.
    pub replies: u32,
    /// So many bytes of data a reply has; 0: few.
    pub echo: usize,
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
            lost_writes: 0,
            bad_sectors: 0,
            absences: Vec::new(),
            jumps: Vec::new(),
        }
    }

    /// The schedule of `seed` over the log on a disk that does its worst, under a process that is
    /// ended again and again: always the same.
    pub(crate) fn of(seed: u64) -> Self {
        let mut schedule = Self::with_a_disk(seed);
        let mut rng = Rng::with_seed(seed ^ 0xf0a4_a2d5_b20c_e125);
        if rng.u8(0..5) == 0 && !schedule.harms() && !schedule.drops_oldest {
            schedule.add_forwarders(&mut rng);
        }
        let mut rng = Rng::with_seed(seed ^ 0xde1e_7edb_20ce_2a6a);
        if rng.u8(0..8) == 0 && !schedule.harms() && !schedule.forwards() {
            let gone = within(&mut rng, schedule.calm / 2);
            let back = gone + within(&mut rng, schedule.calm / 3);
            schedule.delete_a_broker(&mut rng, gone, back);
        }
        let mut rng = Rng::with_seed(seed ^ 0x0ec4_0b0d_5f17_f011);
        if rng.u8(0..16) == 0 {
            schedule = schedule.echoing(&mut rng);
        }
        let mut rng = Rng::with_seed(seed ^ 0xc10c_5e77_1a6b_0b5e);
        if rng.u8(0..3) == 0 {
            schedule.jumps = jumps(&mut rng, schedule.calm);
        }
        schedule
    }

    /// Has one of the Brokers deleted at a time, with its Triggers, and made again later.
    pub(crate) fn delete_a_broker(&mut self, rng: &mut Rng, gone: Duration, back: Duration) {
        delete_and_make_again(rng, &mut self.worlds, gone, back);
    }

    /// Has Brokers forward to each other: one to the other one, or in a ring until an event has no hops
    /// left. Nobody replies then: what has one hop left can't be replied to.
    fn add_forwarders(&mut self, rng: &mut Rng) {
        let ring = rng.bool();
        let only = rng.usize(0..FORWARDERS.len());
        for (at, name) in FORWARDERS.iter().enumerate() {
            let forwarder = Trigger::forwarding(rng);
            for (_, declared) in self.worlds.iter_mut().filter(|_| ring || at == only) {
                declared.insert((*name).to_owned(), forwarder.clone());
            }
        }
        for event in self
            .producers
            .iter_mut()
            .flatten()
            .flat_map(|post| &mut post.events)
        {
            let few = rng.u8(1..7);
            event.hops = (ring || rng.bool()).then_some(few);
        }
        for sink in &mut self.sinks {
            sink.replies = 0;
        }
    }

    /// Whether Brokers forward to each other.
    pub(crate) fn forwards(&self) -> bool {
        let declared = self
            .worlds
            .iter()
            .flat_map(|(_, declared)| declared.values());
        declared.into_iter().any(|trigger| trigger.forwards)
    }

    fn with_a_disk(seed: u64) -> Self {
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
            lost_writes: 0,
            bad_sectors: 0,
            absences: Vec::new(),
            jumps: Vec::new(),
            ends,
        };
        let mut rng = Rng::with_seed(seed ^ 0xd209_01de_57c0_ffee);
        if rng.u8(0..12) == 0 {
            return schedule.crowded(&mut rng, span);
        }
        // Each further kind of fault has chances of its own, so that a new one leaves the seeds as
        // they are that do not meet it.
        let mut rng = Rng::with_seed(seed ^ 0x1057_3717_e51d_ea11);
        if rng.u8(0..8) == 0 && schedule.flips == 0 {
            return schedule.with_lost_writes(&mut rng, span);
        }
        let mut rng = Rng::with_seed(seed ^ 0xbad5_ec70_12a1_1e55);
        if rng.u8(0..8) == 0 && schedule.flips == 0 {
            return schedule.with_bad_sectors(&mut rng, span);
        }
        let mut rng = Rng::with_seed(seed ^ 0xab5e_0471_ce70_f11e);
        if rng.u8(0..4) == 0 && schedule.flips == 0 {
            return schedule.with_absences(&mut rng, span);
        }
        schedule
    }

    /// The same with Triggers that starts leave out for a while. There is room for what that keeps:
    /// where there is none an absent Trigger is given up.
    fn with_absences(mut self, rng: &mut Rng, span: Duration) -> Self {
        if let Keeping::Log(disk) = &mut self.keeping {
            disk.max_bytes = 16 << 20;
        }
        if rng.bool() {
            self.producers = (0..2)
                .map(|at| posts(rng, at, span, 10..30, LARGE))
                .collect();
        }
        for end in &self.ends {
            for _ in 0..rng.usize(0..3) {
                self.absences.push(Absence {
                    name: format!("t{}", rng.usize(0..6)),
                    from: within(rng, end.at),
                    to: end.at + end.pause + within(rng, span / 2),
                });
            }
        }
        self
    }

    /// The same with sectors that go bad before and during the last life, of which alone the books
    /// are known in the end.
    fn with_bad_sectors(mut self, rng: &mut Rng, span: Duration) -> Self {
        self.bad_sectors = rng.u32(0..4);
        self.troubles.retain(|(_, trouble)| !trouble.is_final());
        let begun = self
            .ends
            .last()
            .map_or(Duration::ZERO, |end| end.at + end.pause);
        for _ in 0..rng.u32(1..6) {
            self.troubles
                .push((begun + within(rng, span), Trouble::BadSector));
        }
        self.troubles.sort_by_key(|(at, _)| *at);
        if rng.bool() {
            self.producers = (0..2)
                .map(|at| posts(rng, at, span, 10..30, LARGE))
                .collect();
        }
        self
    }

    /// The same on a drive that tells lies: before the last life it turns out that writes were never
    /// made. There is enough in the log that some of them lie in a file before the last one.
    fn with_lost_writes(mut self, rng: &mut Rng, span: Duration) -> Self {
        self.lost_writes = rng.u32(1..3);
        if rng.bool() {
            self.producers = (0..3)
                .map(|at| posts(rng, at, span, 10..40, LARGE))
                .collect();
        }
        if self.ends.is_empty() {
            self.ends = vec![faults::kill_at(within(rng, span))];
        }
        self
    }

    /// Whether something that was safe is damaged.
    pub(crate) fn harms(&self) -> bool {
        let sectors = self.bad_sectors > 0
            || self
                .troubles
                .iter()
                .any(|(_, trouble)| *trouble == Trouble::BadSector);
        self.flips > 0 || self.lost_writes > 0 || sectors
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

    /// Brokers that fill up while a subscriber of each is away, which then answers each event with one as
    /// large: every reply needs room where there is none until the first ones are stored.
    fn echoing(self, rng: &mut Rng) -> Self {
        const BYTES: usize = 12_000;
        let span = Duration::from_secs(rng.u64(2..5));
        let calm = span * 2;
        let slowest = Duration::from_millis(*pick(rng, &[1, 20]));
        let sink = |at: usize| SinkPlan {
            trouble: 0,
            replies: if at < BROKERS.len() { 100 } else { 0 },
            echo: BYTES,
            slowest,
            down: vec![(Duration::ZERO, calm)],
        };
        let sinks = (0..SINKS).map(sink).collect();
        let posts = (0..3).map(|at| posts(rng, at, span, 60..160, &[BYTES]));
        let producers = posts.collect();
        let kills = (0..rng.usize(0..3)).map(|_| within(rng, calm));
        let mut kills: Vec<Duration> = kills.collect();
        kills.sort();
        Self {
            keeping: Keeping::Log(Disk {
                max_bytes: 4 << 20,
                slowest_ms: 1,
            }),
            calm,
            sinks,
            producers,
            worlds: vec![(Duration::ZERO, echoers(rng))],
            ends: kills.into_iter().map(faults::kill_at).collect(),
            retention: None,
            drops_oldest: false,
            channel_down: Vec::new(),
            troubles: Vec::new(),
            flips: 0,
            lost_writes: 0,
            bad_sectors: 0,
            absences: Vec::new(),
            ..self
        }
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
            echo: 0,
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
            lost_writes: 0,
            bad_sectors: 0,
            absences: Vec::new(),
            jumps: Vec::new(),
        }
    }
}

impl SinkPlan {
    fn any(rng: &mut Rng, at: usize, span: Duration) -> Self {
        let dead = at >= SUBSCRIBERS;
        Self {
            trouble: *pick(rng, &[0, 10, 40, 90]),
            replies: if dead { 0 } else { *pick(rng, &[0, 10, 30]) },
            echo: 0,
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

/// A clock that is set: by a little, by hours, by years, to and fro.
fn jumps(rng: &mut Rng, span: Duration) -> Vec<Jump> {
    const SECOND: i64 = 1_000;
    let sizes = [SECOND / 50, SECOND, 3_600 * SECOND, 30_000_000 * SECOND];
    (0..rng.usize(1..5))
        .map(|_| {
            let by = *pick(rng, &sizes);
            (within(rng, span), if rng.bool() { by } else { -by })
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
