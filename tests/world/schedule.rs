//! What is going to happen in a world, as a value made from a seed: who posts what and when, how
//! sinks behave, and how the declared objects change meanwhile.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range, time::Duration};

use fastrand::Rng;

use crate::trace::Seen;

/// The types of the events that producers send.
const KINDS: [&str; 4] = ["order.made", "order.paid", "user.seen", "noise"];
const SOURCES: [&str; 2] = ["/a", "/b"];
/// How the ids of events begin whose body never comes whole.
pub(crate) const BROKEN: &str = "broken-";
const KEYS: [&str; 3] = ["k1", "k2", "k3"];
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
    /// Bytes that the channel may keep. Little memory makes it drop the oldest.
    pub memory: u64,
    /// Units of the Broker.
    pub partitions: u32,
    /// From here on sinks take everything and nothing is refused.
    pub calm: Duration,
    pub sinks: Vec<SinkPlan>,
    pub producers: Vec<Vec<Post>>,
    /// The declared objects and when they come; the first ones stand before anything is posted.
    pub worlds: Vec<(Duration, Declared)>,
    /// Spans in which the channel takes nothing of producers.
    pub channel_down: Vec<(Duration, Duration)>,
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

/// A request of a producer.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// The pause before it.
    pub after: Duration,
    pub form: Form,
    pub events: Vec<Sample>,
    /// On a new connection, not the last one.
    pub anew: bool,
    /// Sent again, with the same ids, when it was not answered 202.
    pub insists: bool,
}

/// How a request looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Structured,
    Batch,
    /// In two pieces with a pause between them.
    Slowly,
    /// Without a type: 400.
    Wrong,
    /// For a Broker that is not there: 404.
    Nowhere,
    /// The connection ends in the middle of the body.
    Broken,
    /// The connection ends once the request is sent.
    Impatient,
}

/// An event as its producer makes it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub seen: Seen,
    /// Bytes of its data.
    pub size: usize,
}

/// The declared Triggers by name. There is one Broker, `default/b`.
pub(crate) type Declared = BTreeMap<String, Trigger>;

/// A Trigger as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trigger {
    /// Grows when it is deleted and made again.
    pub life: u64,
    pub wants: Want,
    pub sink: usize,
    pub dead_letter: Option<usize>,
    pub retry: u32,
    pub linear: bool,
    pub delay_ms: u64,
    pub timeout_s: u64,
    pub order: Order,
    pub concurrency: Option<u32>,
    pub rate: Option<u32>,
    pub json: Option<bool>,
}

/// Which deliveries wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    None,
    Key,
    Partition,
}

/// Which events a Trigger wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Everything,
    /// `filter.attributes` of the type.
    Kind(&'static str),
    Prefix(&'static str),
    NotFrom(&'static str),
    Either(&'static str, &'static str),
    Both(&'static str, &'static str),
}

impl Want {
    /// This world's own idea of what the filter means.
    pub(crate) fn wants(&self, event: &Seen) -> bool {
        match self {
            Self::Everything => true,
            Self::Kind(kind) => event.kind == *kind,
            Self::Prefix(start) => event.kind.starts_with(start),
            Self::NotFrom(source) => event.source != *source,
            Self::Either(kind, source) => event.kind == *kind || event.source == *source,
            Self::Both(start, source) => event.kind.starts_with(start) && event.source == *source,
        }
    }

    fn yaml(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Kind(kind) => format!("  filter: {{attributes: {{type: {kind}}}}}\n"),
            Self::Prefix(start) => format!("  filters: [{{prefix: {{type: {start}}}}}]\n"),
            Self::NotFrom(source) => {
                format!("  filters: [{{not: {{exact: {{source: {source}}}}}}}]\n")
            }
            Self::Either(kind, source) => format!(
                "  filters: [{{any: [{{exact: {{type: {kind}}}}}, {{exact: {{source: {source}}}}}]}}]\n"
            ),
            Self::Both(start, source) => format!(
                "  filters: [{{all: [{{prefix: {{type: {start}}}}}, {{exact: {{source: {source}}}}}]}}]\n"
            ),
        }
    }

    fn any(rng: &mut Rng) -> Self {
        let (kind, source) = (*pick(rng, &KINDS), *pick(rng, &SOURCES));
        match rng.u8(0..7) {
            0 | 1 => Self::Everything,
            2 => Self::Kind(kind),
            3 => Self::Prefix("order."),
            4 => Self::NotFrom(source),
            5 => Self::Either(kind, source),
            _ => Self::Both("order.", source),
        }
    }
}

impl Schedule {
    /// The schedule of `seed`: always the same.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let span = Duration::from_secs(rng.u64(2..20));
        let tight = rng.u8(0..6) == 0;
        Self {
            seed,
            window: *pick(&mut rng, &[1024, 1024, 16, 4]),
            memory: if tight { 96 << 10 } else { 64 << 20 },
            partitions: *pick(&mut rng, &[1, 1, 3]),
            calm: span * 2,
            sinks: (0..SINKS)
                .map(|at| SinkPlan::any(&mut rng, at, span))
                .collect(),
            producers: (0..rng.usize(1..4))
                .map(|at| posts(&mut rng, at, span, 5..60))
                .collect(),
            worlds: worlds(&mut rng, span, 0..12),
            channel_down: spans(&mut rng, span, 2),
        }
    }

    /// A schedule of `seed` in which Triggers come, go and change `changes` times while events
    /// come, and nothing else is in the way: no sink fails, no Trigger falls behind.
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
            memory: 64 << 20,
            partitions: *pick(&mut rng, &[1, 3]),
            calm: span * 2,
            sinks: vec![quick; SINKS],
            producers: (0..3)
                .map(|at| posts(&mut rng, at, span, 300..301))
                .collect(),
            worlds,
            channel_down: Vec::new(),
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
    Duration::from_micros(rng.u64(0..=u64::try_from(span.as_micros()).unwrap()))
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}

fn posts(rng: &mut Rng, producer: usize, span: Duration, counts: Range<usize>) -> Vec<Post> {
    let count = rng.usize(counts);
    let pause = span / u32::try_from(count).unwrap();
    let mut posts: Vec<Post> = Vec::new();
    for number in 0..count {
        let form = *pick(
            rng,
            &[
                Form::Binary,
                Form::Binary,
                Form::Binary,
                Form::Structured,
                Form::Structured,
                Form::Batch,
                Form::Batch,
                Form::Slowly,
                Form::Wrong,
                Form::Nowhere,
                Form::Broken,
                Form::Impatient,
            ],
        );
        let mark = if form == Form::Broken { BROKEN } else { "" };
        let burst = rng.bool();
        let events = if form == Form::Batch {
            rng.usize(0..6)
        } else {
            1
        };
        posts.push(Post {
            after: if burst {
                Duration::ZERO
            } else {
                within(rng, pause * 2)
            },
            form,
            events: (0..events)
                .map(|at| sample(rng, format!("{mark}p{producer}-{number}-{at}")))
                .collect(),
            anew: rng.u8(0..4) == 0,
            insists: rng.bool(),
        });
    }
    posts
}

fn sample(rng: &mut Rng, id: String) -> Sample {
    Sample {
        seen: Seen {
            id,
            kind: (*pick(rng, &KINDS)).to_owned(),
            source: (*pick(rng, &SOURCES)).to_owned(),
            key: rng.bool().then(|| (*pick(rng, &KEYS)).to_owned()),
        },
        size: *pick(rng, &[0, 10, 100, 1_000, 4_000]),
    }
}

fn worlds(rng: &mut Rng, span: Duration, changes: Range<usize>) -> Vec<(Duration, Declared)> {
    let mut lives = BTreeMap::new();
    let mut now = Declared::new();
    for at in 0..rng.usize(1..6) {
        let name = format!("t{at}");
        lives.insert(name.clone(), 1);
        now.insert(name, Trigger::any(rng, 1));
    }
    let mut times: Vec<Duration> = (0..rng.usize(changes)).map(|_| within(rng, span)).collect();
    times.sort();
    let mut worlds = vec![(Duration::ZERO, now.clone())];
    for at in times {
        change(rng, &mut now, &mut lives);
        worlds.push((at, now.clone()));
    }
    worlds
}

fn change(rng: &mut Rng, now: &mut Declared, lives: &mut BTreeMap<String, u64>) {
    let name = format!("t{}", rng.usize(0..6));
    let Some(trigger) = now.get_mut(&name) else {
        let life = lives
            .entry(name.clone())
            .and_modify(|life| *life += 1)
            .or_insert(1);
        now.insert(name, Trigger::any(rng, *life));
        return;
    };
    let other = Trigger::any(rng, trigger.life);
    match rng.u8(0..8) {
        0 => {
            now.remove(&name);
        }
        1 | 2 => trigger.wants = other.wants,
        3 => trigger.sink = other.sink,
        4 => trigger.dead_letter = other.dead_letter,
        5 => trigger.order = other.order,
        6 => (trigger.concurrency, trigger.rate) = (other.concurrency, other.rate),
        _ => *trigger = other,
    }
}

impl Trigger {
    fn any(rng: &mut Rng, life: u64) -> Self {
        Self {
            life,
            wants: Want::any(rng),
            sink: rng.usize(0..SUBSCRIBERS),
            dead_letter: rng.bool().then(|| rng.usize(SUBSCRIBERS..SINKS)),
            retry: *pick(rng, &[0, 1, 3, 10]),
            linear: rng.bool(),
            delay_ms: *pick(rng, &[1, 100, 500]),
            timeout_s: *pick(rng, &[1, 2, 5]),
            order: *pick(
                rng,
                &[Order::None, Order::None, Order::Key, Order::Partition],
            ),
            concurrency: rng.bool().then(|| rng.u32(1..8)),
            rate: (rng.u8(0..4) == 0).then(|| rng.u32(5..100)),
            json: (rng.u8(0..3) == 0).then(|| rng.bool()),
        }
    }

    fn yaml(&self, name: &str) -> String {
        let order = match self.order {
            Order::None => "none",
            Order::Key => "key",
            Order::Partition => "partition",
        };
        let mut notes = format!("volley.dev/order: {order}");
        if let Some(concurrency) = self.concurrency {
            write!(notes, ", volley.dev/concurrency: \"{concurrency}\"").unwrap();
        }
        if let Some(rate) = self.rate {
            write!(notes, ", volley.dev/rate: \"{rate}\"").unwrap();
        }
        let policy = if self.linear { "linear" } else { "exponential" };
        let mut delivery = format!(
            "retry: {}, backoffPolicy: {policy}, backoffDelay: PT{}S, backoffMax: PT8S, timeout: PT{}S, retryAfterMax: PT5S",
            self.retry,
            f64::from(u32::try_from(self.delay_ms).unwrap()) / 1000.0,
            self.timeout_s,
        );
        if let Some(json) = self.json {
            write!(
                delivery,
                ", format: {}",
                if json { "json" } else { "binary" }
            )
            .unwrap();
        }
        if let Some(sink) = self.dead_letter {
            write!(
                delivery,
                ", deadLetterSink: {{uri: 'http://sink{sink}.world/d/{name}/{}'}}",
                self.life
            )
            .unwrap();
        }
        format!(
            "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\n\
             metadata: {{name: {name}, annotations: {{{notes}}}}}\nspec:\n  broker: b\n\
             \x20 subscriber: {{uri: 'http://sink{}.world/t/{name}/{}'}}\n{}  delivery: {{{delivery}}}\n",
            self.sink,
            self.life,
            self.wants.yaml(),
        )
    }
}

/// The files of a moment.
pub(crate) fn yaml(declared: &Declared, partitions: u32) -> String {
    let mut text = format!(
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\n\
         metadata: {{name: b, annotations: {{volley.dev/partitions: \"{partitions}\"}}}}\n"
    );
    for (name, trigger) in declared {
        text.push_str(&trigger.yaml(name));
    }
    text
}
