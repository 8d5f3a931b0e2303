//! What a change of an object may not change: a Trigger's Broker, a Broker's class, config and units.

use super::annotations::{CLASS, PARTITIONS};
use crate::{
    kinds::{Broker, Trigger},
    object::Object,
    problem::{Finding, Findings, Step},
};

/// Everything that the change from `old` to `new`, two objects of one identity, may not do.
///
/// Both are as written: leaving out what was its default is no change.
pub fn update(old: &Object, new: &Object) -> Vec<Finding> {
    let mut findings = Findings::new();
    match (old, new) {
        (Object::Broker(old), Object::Broker(new)) => broker(old, new, &mut findings),
        (Object::Trigger(old), Object::Trigger(new)) => trigger(old, new, &mut findings),
        _ => {}
    }
    findings.finish()
}

const HINT: &str = "delete the object and make it again, or give the new one another name";

fn broker(old: &Broker, new: &Broker, findings: &mut Findings) {
    // Where an event is stored follows from its key and the number of units.
    for (name, default) in [(CLASS, "Volley"), (PARTITIONS, "1")] {
        let value = |broker: &Broker| {
            let written = broker.metadata.annotation(name);
            written.unwrap_or(default).trim().to_owned()
        };
        let (was, is) = (value(old), value(new));
        if was != is {
            let message =
                format!("Immutable annotations changed (-old +new): {name}: -{was} +{is}");
            findings.within("metadata", |findings| {
                findings.within("annotations", |findings| {
                    findings.error_at(Step::Key(name.to_owned()), message, HINT);
                });
            });
        }
    }
    if old.spec.config != new.spec.config {
        let shown = |broker: &Broker| match &broker.spec.config {
            Some(config) => format!("{} {}", config.kind, config.name),
            None => "nothing".to_owned(),
        };
        changed("config", &shown(old), &shown(new), findings);
    }
}

fn trigger(old: &Trigger, new: &Trigger, findings: &mut Findings) {
    let (was, is) = (old.broker_name(), new.broker_name());
    if was != is {
        let field = if new.spec.broker_ref.is_some() {
            "brokerRef"
        } else {
            "broker"
        };
        changed(field, was, is, findings);
    }
}

fn changed(field: &'static str, was: &str, is: &str, findings: &mut Findings) {
    findings.within("spec", |findings| {
        let path = findings.path_of(field);
        let message = format!("Immutable fields changed (-old +new): {path}: -{was} +{is}");
        findings.error_at(field, message, HINT);
    });
}
