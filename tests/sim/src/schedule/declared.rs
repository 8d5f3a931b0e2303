//! Which Brokers and Triggers are declared, as values and as the YAML that the broker reads.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ops::{Deref, DerefMut, Range},
    time::Duration,
};

use fastrand::Rng;

use super::{BROKERS, KINDS, REPLY_KIND, SINKS, SOURCES, SUBSCRIBERS, pick, within};
use crate::{sinks::REPLY_SOURCE, trace::Seen};

/// The Broker that is deleted, in schedules in which one is.
pub(crate) const MORTAL: &str = BROKERS[1];
/// The one that is made again under its name: another Broker, so this world calls it otherwise.
pub(crate) const HEIR: &str = "b1 made again";
/// Triggers from this number on belong to it.
const HEIRS_FROM: usize = 8;

/// The Broker of the Trigger called `name`: for each name always the same.
pub(crate) fn broker_of(name: &str) -> &'static str {
    let number: usize = name[1..]
        .parse()
        .expect("a Trigger is called t and a number");
    match number {
        HEIRS_FROM.. => HEIR,
        _ => BROKERS[number % BROKERS.len()],
    }
}

/// What a Broker is called by those who post to it.
pub(crate) fn name_of(broker: &str) -> &str {
    if broker == HEIR { MORTAL } else { broker }
}

/// The declared Triggers by name, and which life of the Broker that may be deleted is lived.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Declared {
    triggers: BTreeMap<String, Trigger>,
    pub mortal: Mortal,
}

/// Which Broker is declared under the name of the one that may be deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mortal {
    #[default]
    First,
    None,
    Heir,
}

impl Declared {
    /// The number of the Broker's life; `None`: it is not declared.
    pub(crate) fn life_of(&self, broker: &str) -> Option<u64> {
        match self.mortal {
            Mortal::None if broker == MORTAL => None,
            Mortal::Heir if broker == MORTAL => Some(2),
            _ => Some(1),
        }
    }

    /// The Brokers, as this world calls them.
    pub(crate) fn brokers(&self) -> Vec<&'static str> {
        match self.mortal {
            Mortal::First => BROKERS.to_vec(),
            Mortal::None => vec![BROKERS[0]],
            Mortal::Heir => vec![BROKERS[0], HEIR],
        }
    }
}

impl Deref for Declared {
    type Target = BTreeMap<String, Trigger>;

    fn deref(&self) -> &Self::Target {
        &self.triggers
    }
}

impl DerefMut for Declared {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.triggers
    }
}

/// For each Broker one Trigger that gets what producers send, until its sink takes it, and one that
/// gets the replies to that.
pub(super) fn echoers(rng: &mut Rng) -> Declared {
    let mut declared = Declared::default();
    for at in 0..BROKERS.len() {
        let patient = |wants, sink, rng: &mut Rng| Trigger {
            wants,
            sink,
            dead_letter: None,
            retry: 100_000,
            linear: true,
            delay_ms: 500,
            // A reply that waits for room for so long waits for ever.
            timeout_ms: 100_000_000,
            rate: None,
            ..Trigger::any(rng, 1)
        };
        let replies = at + BROKERS.len();
        let work = patient(Want::NotFrom(REPLY_SOURCE), at, rng);
        let see = patient(Want::Kind(REPLY_KIND), replies, rng);
        declared.insert(format!("t{at}"), work);
        declared.insert(format!("t{replies}"), see);
    }
    declared
}

/// Has the mortal Broker deleted at a time, with its Triggers, and made again later with others.
pub(super) fn delete_and_make_again(
    rng: &mut Rng,
    worlds: &mut Vec<(Duration, Declared)>,
    gone: Duration,
    back: Duration,
) {
    let heirs: Vec<(String, Trigger)> = (0..rng.usize(1..4))
        .map(|at| (format!("t{}", HEIRS_FROM + at), Trigger::any(rng, 1)))
        .collect();
    for at in [gone, back] {
        let standing = worlds.iter().rfind(|(begun, _)| *begun <= at);
        let standing = standing.map_or_else(Declared::default, |(_, it)| it.clone());
        worlds.push((at, standing));
        worlds.sort_by_key(|(at, _)| *at);
    }
    for (at, declared) in worlds.iter_mut().filter(|(at, _)| *at >= gone) {
        declared.retain(|name, _| broker_of(name) != MORTAL);
        declared.mortal = Mortal::None;
        if *at >= back {
            declared.mortal = Mortal::Heir;
            declared.extend(heirs.iter().cloned());
        }
    }
}

/// A Trigger as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trigger {
    /// Grows when it is deleted and made again.
    pub life: u64,
    pub wants: Want,
    pub sink: usize,
    /// Its subscriber is the other Broker, not a sink.
    pub forwards: bool,
    pub dead_letter: Option<usize>,
    pub retry: u32,
    pub linear: bool,
    pub delay_ms: u64,
    pub timeout_ms: u64,
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

pub(super) fn worlds(
    rng: &mut Rng,
    span: Duration,
    changes: Range<usize>,
) -> Vec<(Duration, Declared)> {
    let mut lives = BTreeMap::new();
    let mut now = Declared::default();
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

/// The Triggers that forward to the other Broker, one of each.
pub(super) const FORWARDERS: [&str; 2] = ["t6", "t7"];

/// The Broker that forwarders of `broker` publish to.
pub(crate) fn other_broker(broker: &str) -> &'static str {
    BROKERS[usize::from(broker == BROKERS[0])]
}

/// The Trigger that would forward to `broker`.
pub(crate) fn forwarder_to(broker: &str) -> &'static str {
    FORWARDERS[usize::from(broker == BROKERS[0])]
}

impl Trigger {
    /// One that forwards events of producers to the other Broker.
    pub(super) fn forwarding(rng: &mut Rng) -> Self {
        let wants = if rng.bool() {
            let kind = *pick(rng, &KINDS);
            Want::Kind(kind)
        } else {
            Want::Prefix("order.")
        };
        Self {
            wants,
            forwards: true,
            order: Order::None,
            ..Self::any(rng, 1)
        }
    }

    fn any(rng: &mut Rng, life: u64) -> Self {
        Self {
            life,
            wants: Want::any(rng),
            sink: rng.usize(0..SUBSCRIBERS),
            forwards: false,
            dead_letter: rng.bool().then(|| rng.usize(SUBSCRIBERS..SINKS)),
            retry: *pick(rng, &[0, 1, 3, 10]),
            linear: rng.bool(),
            delay_ms: *pick(rng, &[1, 100, 500]),
            timeout_ms: *pick(rng, &[1_000, 2_000, 5_000]),
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
            write!(notes, ", volley.dev/concurrency: \"{concurrency}\"")
                .expect("a string takes everything");
        }
        if let Some(rate) = self.rate {
            write!(notes, ", volley.dev/rate: \"{rate}\"").expect("a string takes everything");
        }
        let policy = if self.linear { "linear" } else { "exponential" };
        let mut delivery = format!(
            "retry: {}, backoffPolicy: {policy}, backoffDelay: PT{}S, backoffMax: PT8S, timeout: PT{}S, retryAfterMax: PT5S",
            self.retry,
            seconds(self.delay_ms),
            seconds(self.timeout_ms),
        );
        if let Some(json) = self.json {
            write!(
                delivery,
                ", format: {}",
                if json { "json" } else { "binary" }
            )
            .expect("a string takes everything");
        }
        if let Some(sink) = self.dead_letter {
            write!(
                delivery,
                ", deadLetterSink: {{uri: 'http://sink{sink}.world/d/{name}/{}'}}",
                self.life
            )
            .expect("a string takes everything");
        }
        let subscriber = match self.forwards {
            true => format!(
                "ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: {}}}",
                other_broker(broker_of(name))
            ),
            false => format!(
                "uri: 'http://sink{}.world/t/{name}/{}'",
                self.sink, self.life
            ),
        };
        format!(
            "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\n\
             metadata: {{name: {name}, annotations: {{{notes}}}}}\nspec:\n  broker: {}\n\
             \x20 subscriber: {{{subscriber}}}\n{}  delivery: {{{delivery}}}\n",
            name_of(broker_of(name)),
            self.wants.yaml(),
        )
    }
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

/// The files of a moment, with these annotations on every Broker.
pub(crate) fn yaml(declared: &Declared, notes: &str) -> String {
    let mut text = String::new();
    for name in declared.brokers().into_iter().map(name_of) {
        write!(
            text,
            "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\n\
             metadata: {{name: {name}, annotations: {{{notes}}}}}\n"
        )
        .expect("a string takes everything");
    }
    for (name, trigger) in declared.iter() {
        text.push_str(&trigger.yaml(name));
    }
    text
}
