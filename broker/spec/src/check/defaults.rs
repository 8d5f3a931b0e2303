//! The text of `config-br-defaults`: what Brokers get that say nothing themselves.

use super::{annotations::class, delivery, names, reference};
use crate::{
    defaults::{
        BROKER_DEFAULTS_KEY,
        written::{BrokerDefaults, Written, rules},
    },
    kinds::{ConfigMap, DeliverySpec, KReference},
    problem::{Findings, Step},
    read::text,
    suggest::nearest,
};

/// The rules for the texts of `map`, which sets defaults of Brokers.
pub(super) fn check(map: &ConfigMap, findings: &mut Findings) {
    for name in map.data.keys().filter(|name| !is_read_over(name)) {
        let at = Step::Key(name.clone());
        let shown: String = name.chars().take(80).collect();
        match nearest(name, [BROKER_DEFAULTS_KEY]) {
            Some(meant) => {
                let path = findings.path().join(Step::Key(shown));
                let message = format!("unknown field \"{path}\"");
                findings.error_at(at, message, format!("did you mean \"{meant}\"?"));
            }
            None => findings.warn_at(
                at,
                format!("has no effect: of this ConfigMap only {BROKER_DEFAULTS_KEY} is read"),
                "remove it",
            ),
        }
    }
    if let Some(text) = map.data.get(BROKER_DEFAULTS_KEY) {
        findings.within(Step::Key(BROKER_DEFAULTS_KEY.to_owned()), |findings| {
            text::check(text, rules(), findings, written);
        });
    }
}

/// The key itself, and those of Knative's own installation, such as `_example`.
fn is_read_over(name: &str) -> bool {
    name == BROKER_DEFAULTS_KEY || name.starts_with('_')
}

fn written(written: &Written, findings: &mut Findings) {
    if let Some(defaults) = &written.cluster_default {
        findings.within("clusterDefault", |findings| of_brokers(defaults, findings));
    }
    findings.within("namespaceDefaults", |findings| {
        for (namespace, defaults) in &written.namespace_defaults {
            findings.within(Step::Key(namespace.clone()), |findings| {
                if let Some(reason) = names::label(namespace) {
                    let shown: String = namespace.chars().take(80).collect();
                    findings.error(format!("invalid value: {shown} {reason}"), names::HINT);
                }
                of_brokers(defaults, findings);
            });
        }
    });
}

fn of_brokers(defaults: &BrokerDefaults, findings: &mut Findings) {
    if let Some(class) = &defaults.broker_class {
        class::by_default("brokerClass", class, findings);
    }
    filled_in(defaults.reference(), defaults.delivery.as_ref(), findings);
    findings.within("brokerClasses", |findings| {
        for (name, defaults) in &defaults.broker_classes {
            class::named(name, findings);
            findings.within(Step::Key(name.clone()), |findings| {
                filled_in(defaults.reference(), defaults.delivery.as_ref(), findings);
            });
        }
    });
}

/// Config and delivery are judged as those of a Broker, of which they become a part.
fn filled_in(config: Option<KReference>, delivery: Option<&DeliverySpec>, findings: &mut Findings) {
    if let Some(config) = config {
        reference::check(&config, findings);
    }
    if let Some(delivery) = delivery {
        findings.within("delivery", |findings| {
            delivery::check(delivery, findings);
            not_copied(delivery, findings);
        });
    }
}

/// Warns of what Knative reads and does not write into Brokers.
fn not_copied(delivery: &DeliverySpec, findings: &mut Findings) {
    for (name, is_set) in [
        ("backoffMax", delivery.backoff_max.is_some()),
        ("timeout", delivery.timeout.is_some()),
        ("retryAfterMax", delivery.retry_after_max.is_some()),
        ("format", delivery.format.is_some()),
    ] {
        if is_set {
            findings.warn_at(
                name,
                "has no effect: of a default delivery, Brokers get deadLetterSink, retry, backoffPolicy and backoffDelay, as in Knative",
                "write it into spec.delivery of the Brokers or Triggers that need it",
            );
        }
    }
}
