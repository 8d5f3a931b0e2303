//! Annotations that Volley acts on: one place for their names and for what they may say.

pub(crate) mod class;

use std::time::Duration;

pub use class::Class;

use crate::{
    duration,
    kinds::{KReference, Metadata, Trigger},
    problem::{Findings, Step},
    route::{Order, Overflow, Retention},
    suggest::{did_you_mean, one_of},
};

/// Who runs a Broker.
pub const CLASS: &str = "eventing.knative.dev/broker.class";
/// Which deliveries of a Trigger wait for each other.
pub const ORDER: &str = "volley.dev/order";
/// Knative's word for the same.
pub const KAFKA_ORDER: &str = "kafka.eventing.knative.dev/delivery.order";
/// Into how many units a Broker is split.
pub const PARTITIONS: &str = "volley.dev/partitions";
/// How many attempts of a Trigger may be in flight.
pub const CONCURRENCY: &str = "volley.dev/concurrency";
/// How many attempts of a Trigger are started a second.
pub const RATE: &str = "volley.dev/rate";
/// What a Trigger's backlog does when it fills its Broker's space.
pub const OVERFLOW: &str = "volley.dev/overflow";
/// Whether a target that refuses connections holds its Trigger.
pub const BREAKER: &str = "volley.dev/breaker";
/// How long a Broker keeps events.
pub const RETENTION: &str = "volley.dev/retention";
/// The object that has to be Ready before a Trigger is.
pub const DEPENDENCY: &str = "knative.dev/dependency";
/// Whether Knative's sugar controller makes the Broker `default`.
pub const INJECTION: &str = "eventing.knative.dev/injection";

/// The most units that a Broker may be split into.
pub const MAX_PARTITIONS: u32 = 1_024;
/// The most attempts of one Trigger in flight.
pub const MAX_CONCURRENCY: u32 = 10_000;

const OF_VOLLEY: [&str; 7] = [
    ORDER,
    PARTITIONS,
    CONCURRENCY,
    RATE,
    OVERFLOW,
    BREAKER,
    RETENTION,
];

/// The rules for a Broker's annotations.
pub(super) fn broker(metadata: &Metadata, findings: &mut Findings) {
    within(findings, |findings| {
        class::of_broker(metadata, findings);
        word(metadata, OVERFLOW, &OVERFLOWS, findings);
        number(metadata, PARTITIONS, MAX_PARTITIONS, findings);
        if let Some(written) = metadata.annotation(RETENTION)
            && retention(written).is_none()
        {
            invalid(
                RETENTION,
                written,
                "use a duration such as 7d or P7D, a size such as 10GiB, or both: 7d, 10GiB".into(),
                findings,
            );
        }
        misplaced(
            metadata,
            &[ORDER, CONCURRENCY, RATE, BREAKER],
            "Trigger",
            findings,
        );
        unknown(metadata, findings);
    });
}

/// The rules for a Trigger's annotations.
pub(super) fn trigger(trigger: &Trigger, findings: &mut Findings) {
    let metadata = &trigger.metadata;
    within(findings, |findings| {
        word(metadata, ORDER, &["none", "key", "partition"], findings);
        word(metadata, KAFKA_ORDER, &["ordered", "unordered"], findings);
        word(metadata, OVERFLOW, &OVERFLOWS, findings);
        word(metadata, BREAKER, &["hold", "none"], findings);
        number(metadata, CONCURRENCY, MAX_CONCURRENCY, findings);
        if let Some(written) = metadata.annotation(RATE)
            && rate(written).is_none()
        {
            let hint = "use attempts a second above 0, such as 100, 0.5 or 600/m".into();
            invalid(RATE, written, hint, findings);
        }
        misplaced(metadata, &[PARTITIONS, RETENTION], "Broker", findings);
        unknown(metadata, findings);
        injection(trigger, findings);
        dependency(trigger, findings);
    });
}

const OVERFLOWS: [&str; 2] = ["drop-oldest", "block-publish"];

/// The order that a Trigger's annotations ask for; Volley's own wins over Knative's.
pub fn order_of(metadata: &Metadata) -> Order {
    match (metadata.annotation(ORDER), metadata.annotation(KAFKA_ORDER)) {
        (Some("key"), _) => Order::Key,
        (Some("partition"), _) | (None, Some("ordered")) => Order::Partition,
        _ => Order::None,
    }
}

/// What an object's annotation says about overflow.
pub fn overflow_of(metadata: &Metadata) -> Option<Overflow> {
    match metadata.annotation(OVERFLOW)? {
        "drop-oldest" => Some(Overflow::DropOldest),
        "block-publish" => Some(Overflow::BlockPublish),
        _ => None,
    }
}

/// A whole number that an annotation gives, when it gives one from 1 to `most`.
pub fn number_of(metadata: &Metadata, name: &str, most: u32) -> Option<u32> {
    let written = metadata.annotation(name)?;
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    written
        .parse()
        .ok()
        .filter(|number| digits && (1..=most).contains(number))
}

/// Attempts a second: `100`, `0.5`, `100/s`, `600/m` or `10/h`.
pub fn rate(written: &str) -> Option<f64> {
    let (number, seconds) = match written.split_once('/') {
        Some((number, "s")) => (number, 1.0),
        Some((number, "m")) => (number, 60.0),
        Some((number, "h")) => (number, 3_600.0),
        Some(_) => return None,
        None => (written, 1.0),
    };
    let plain = number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = number.parse::<f64>().ok().filter(|_| plain)? / seconds;
    (rate.is_finite() && (1e-5..=1e7).contains(&rate)).then_some(rate)
}

/// What is kept: a duration (ISO 8601 or `7d`), a size (`10GiB`), or both with a comma between
/// them; each longer than zero.
pub fn retention(written: &str) -> Option<Retention> {
    let mut kept = Retention::default();
    for part in written.split(',').map(str::trim) {
        let age = duration::parse(part)
            .ok()
            .or_else(|| duration::parse_short(part))
            .filter(|age| *age > Duration::ZERO);
        match (age, size(part)) {
            (Some(age), _) if kept.age.is_none() => kept.age = Some(age),
            (None, Some(bytes)) if kept.bytes.is_none() => kept.bytes = Some(bytes),
            _ => return None,
        }
    }
    Some(kept)
}

/// A size as flags and Kubernetes write it: `10GiB`, `10Gi`; more than zero bytes.
fn size(written: &str) -> Option<u64> {
    let digits = written.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = written.split_at(digits);
    let shift = match unit.strip_suffix('B').unwrap_or(unit) {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        "Ti" => 40,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (bytes > 0).then_some(bytes)
}

/// The object that a Trigger depends on, as its annotation describes it.
pub fn dependency_of(metadata: &Metadata) -> Option<KReference> {
    serde_json::from_str(metadata.annotation(DEPENDENCY)?).ok()
}

fn within(findings: &mut Findings, check: impl FnOnce(&mut Findings)) {
    findings.within("metadata", |findings| findings.within("annotations", check));
}

fn word(metadata: &Metadata, name: &'static str, allowed: &[&str], findings: &mut Findings) {
    if let Some(written) = metadata.annotation(name)
        && !allowed.contains(&written)
    {
        invalid(
            name,
            written,
            format!("use {}", one_of(allowed.iter().copied())),
            findings,
        );
    }
}

fn number(metadata: &Metadata, name: &'static str, most: u32, findings: &mut Findings) {
    if let Some(written) = metadata.annotation(name)
        && number_of(metadata, name, most).is_none()
    {
        invalid(
            name,
            written,
            format!("use a whole number from 1 to {most}"),
            findings,
        );
    }
}

fn misplaced(metadata: &Metadata, names: &[&'static str], home: &str, findings: &mut Findings) {
    for name in names
        .iter()
        .filter(|name| metadata.annotation(name).is_some())
    {
        findings.warn_at(
            Step::Key((*name).to_owned()),
            "has no effect here",
            format!("put it on the {home}"),
        );
    }
}

fn unknown(metadata: &Metadata, findings: &mut Findings) {
    let ours = metadata
        .annotations
        .keys()
        .filter(|name| name.starts_with("volley.dev/"));
    for name in ours.filter(|name| !OF_VOLLEY.contains(&name.as_str())) {
        let hint = did_you_mean(name, OF_VOLLEY, || {
            format!("known are {}", OF_VOLLEY.join(", "))
        });
        let shown: String = name.chars().take(80).collect();
        findings.error_at(
            Step::Key(name.clone()),
            format!("unknown annotation \"{shown}\""),
            hint,
        );
    }
}

fn injection(trigger: &Trigger, findings: &mut Findings) {
    word(
        &trigger.metadata,
        INJECTION,
        &["enabled", "disabled"],
        findings,
    );
    let asked = trigger.metadata.annotation(INJECTION).is_some();
    if asked && trigger.spec.broker != "default" {
        let message = "invalid value: only the Broker called default can be injected";
        findings.error_at(
            Step::Key(INJECTION.to_owned()),
            message,
            "remove the annotation",
        );
    }
}

fn dependency(trigger: &Trigger, findings: &mut Findings) {
    let Some(written) = trigger.metadata.annotation(DEPENDENCY) else {
        return;
    };
    let Ok(object) = serde_json::from_str::<KReference>(written) else {
        let hint = r#"use {"kind":"...","name":"...","apiVersion":"..."}"#;
        invalid(DEPENDENCY, written, hint.to_owned(), findings);
        return;
    };
    findings.within(Step::Key(DEPENDENCY.to_owned()), |findings| {
        super::reference::check(&object, findings);
        if !object.namespace.is_empty() && object.namespace != trigger.metadata.namespace() {
            let message = format!(
                "invalid value: namespace {} is not the Trigger's",
                object.namespace
            );
            findings.error(message, "leave the namespace out");
        }
    });
}

fn invalid(name: &'static str, written: &str, hint: String, findings: &mut Findings) {
    let shown: String = written.chars().take(80).collect();
    findings.error_at(
        Step::Key(name.to_owned()),
        format!("invalid value: {shown}"),
        hint,
    );
}
