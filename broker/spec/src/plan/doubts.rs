//! What an author may not have meant, seen over all objects together: a Broker that nobody reads, a
//! name that leads nowhere, dead letters that come back to where they failed.
//!
//! None of it is refused: the missing half may come with the next file.

use std::collections::BTreeSet;

use super::{
    Outcome, Warning,
    broker::CLASS_NOT_SERVED,
    status::{DEAD_LETTER_SINK_RESOLVED, Status, Truth, of_broker, of_trigger},
};
use crate::{
    check::annotations::{CLASS, INJECTION},
    defaults::{BROKER_DEFAULTS, BROKER_DEFAULTS_KEY, SYSTEM_NAMESPACE, is_installed_config},
    identity::Identity,
    kinds::{Broker, Destination, Kind as _, Trigger},
    object::{Object, ObjectKind},
    problem::{Finding, Path},
    route::ObjectKey,
    suggest::did_you_mean,
};

/// Conditions that name a field of their object when they are False.
const FIELDS: [(&str, &[&str]); 3] = [
    (of_trigger::SUBSCRIBER_RESOLVED, &["spec", "subscriber"]),
    (
        DEAD_LETTER_SINK_RESOLVED,
        &["spec", "delivery", "deadLetterSink"],
    ),
    (of_broker::TRIGGER_CHANNEL_READY, &["spec", "config"]),
];

impl Outcome {
    /// Everything doubtful about `objects`, of which this is the outcome, rings included; in the
    /// order of the objects.
    pub fn doubts<'a>(&self, objects: impl IntoIterator<Item = &'a Object>) -> Vec<Warning> {
        let objects: Vec<&Object> = objects.into_iter().collect();
        let mut doubts = Doubts {
            outcome: self,
            brokers: keys(&objects, ObjectKind::Broker),
            config_maps: keys(&objects, ObjectKind::ConfigMap),
            read: objects.iter().filter_map(|object| home(object)).collect(),
            default_gaps: BTreeSet::new(),
            found: Vec::new(),
        };
        for object in &objects {
            match object {
                Object::Broker(broker) => doubts.broker(&object.identity(), broker),
                Object::Trigger(trigger) => doubts.trigger(&object.identity(), trigger),
                _ => {}
            }
        }
        let mut found = doubts.found;
        // A ring of one that is told as dead letters coming back is told.
        let dead_letters = Path(FIELDS[1].1.iter().map(|step| (*step).into()).collect());
        let told = |ring: &Warning| {
            let same = |one: &Warning| {
                let whole = one.object == ring.object || one.object.kind == ObjectKind::Broker;
                whole && one.finding.path == dead_letters
            };
            ring.finding.path == dead_letters && found.iter().any(same)
        };
        let rings: Vec<Warning> = self
            .warnings
            .iter()
            .filter(|ring| !told(ring))
            .cloned()
            .collect();
        found.extend(rings);
        found
    }
}

struct Doubts<'a> {
    outcome: &'a Outcome,
    brokers: BTreeSet<ObjectKey>,
    config_maps: BTreeSet<ObjectKey>,
    /// Brokers that a Trigger names.
    read: BTreeSet<ObjectKey>,
    /// What was said of dead-letter sinks of default deliveries.
    default_gaps: BTreeSet<String>,
    found: Vec<Warning>,
}

impl Doubts<'_> {
    fn broker(&mut self, identity: &Identity, broker: &Broker) {
        if let Some(why) = self.skipped(identity) {
            // Where its own annotation names the class, the reader has told.
            if broker.metadata.annotation(CLASS).is_none() {
                let hint = format!(
                    "its class comes of ConfigMap {SYSTEM_NAMESPACE}/{BROKER_DEFAULTS}: {why}"
                );
                let message = "skipped: this build does not serve Brokers of its class";
                self.warn(identity, &["metadata", "name"], message, &hint);
            }
            return;
        }
        let key = &identity.key;
        if !self.read.contains(key) {
            let hint = format!(
                "add a Trigger with spec.broker: {} in namespace {}",
                key.name, key.namespace
            );
            let message = "no Trigger reads from this Broker: what is posted to it goes nowhere";
            self.warn(identity, &["metadata", "name"], message, &hint);
        }
        let delivery = broker.spec.delivery.as_ref();
        self.dead_letters(
            identity,
            delivery.and_then(|one| one.dead_letter_sink.as_deref()),
            key,
        );
        self.config(identity, broker);
        if delivery.is_none() {
            self.default_dead_letter_sink(identity);
        }
        let has_sink = delivery.is_some_and(|one| one.dead_letter_sink.is_some());
        self.conditions(identity, has_sink);
    }

    /// A dead-letter sink that Brokers get by default and that is not resolved: said once, where it
    /// is written.
    fn default_dead_letter_sink(&mut self, broker: &Identity) {
        let judgement = self.outcome.objects.get(broker);
        let Some(why) =
            judgement.and_then(|judgement| gap(&judgement.status, DEAD_LETTER_SINK_RESOLVED))
        else {
            return;
        };
        let map = Identity::new(ObjectKind::ConfigMap, SYSTEM_NAMESPACE, BROKER_DEFAULTS);
        let message = format!("the deadLetterSink of a default delivery leads nowhere: {why}");
        if self.default_gaps.insert(message.clone()) {
            self.warn(&map, &["data", BROKER_DEFAULTS_KEY], &message, "");
        }
    }

    /// Why a Broker is another controller's, if it is.
    fn skipped(&self, broker: &Identity) -> Option<String> {
        let status = &self.outcome.objects.get(broker)?.status;
        let channel = status.condition(of_broker::TRIGGER_CHANNEL_READY)?;
        (channel.reason == CLASS_NOT_SERVED).then(|| channel.message.to_string())
    }

    /// A ConfigMap of Knative's own that is not here: what it asks for is not known.
    fn config(&mut self, identity: &Identity, broker: &Broker) {
        let Some(config) = &broker.spec.config else {
            return;
        };
        let namespace = config.namespace_or(broker.metadata.namespace());
        let map = ObjectKey::new(namespace, config.name.as_str());
        let installed = is_installed_config(&map.namespace, &map.name);
        if installed && config.kind == "ConfigMap" && !self.config_maps.contains(&map) {
            let message = format!(
                "ConfigMap {map} is not declared: events are kept in the channel of this process"
            );
            let hint = "remove spec.config, or declare the ConfigMap if it asks for something else";
            self.warn(identity, &["spec", "config"], &message, hint);
        }
    }

    fn trigger(&mut self, identity: &Identity, trigger: &Trigger) {
        let home = ObjectKey::new(identity.key.namespace.as_str(), trigger.broker_name());
        let field = if trigger.spec.broker_ref.is_some() {
            "brokerRef"
        } else {
            "broker"
        };
        if !self.brokers.contains(&home) {
            let asked = trigger.metadata.annotation(INJECTION) == Some("enabled");
            let (message, hint) = if asked {
                (not_injected(&home), declared_as(&home))
            } else {
                let message =
                    format!("Broker {home} is not declared: this Trigger gets nothing until it is");
                (message, self.meant(&home))
            };
            self.warn(identity, &["spec", field], &message, &hint);
        } else if let Some(why) = self.skipped(&Identity {
            kind: ObjectKind::Broker,
            key: home.clone(),
        }) {
            let message = format!("Broker {home} is skipped, so this Trigger gets nothing: {why}");
            let hint =
                "leave both to the controller of that class, or write a class that is served";
            self.warn(identity, &["spec", field], &message, hint);
        }
        let delivery = trigger.spec.delivery.as_ref();
        self.dead_letters(
            identity,
            delivery.and_then(|one| one.dead_letter_sink.as_deref()),
            &home,
        );
        let has_sink = delivery.is_some_and(|one| one.dead_letter_sink.is_some());
        self.conditions(identity, has_sink);
    }

    /// Which Broker may be meant by the name of one that is not there.
    fn meant(&self, missing: &ObjectKey) -> String {
        let elsewhere = self
            .brokers
            .iter()
            .find(|broker| broker.name == missing.name);
        if let Some(broker) = elsewhere {
            return format!(
                "there is a Broker {broker}, but a Trigger reads from a Broker of its own namespace: write metadata.namespace: {}",
                broker.namespace
            );
        }
        let here = self
            .brokers
            .iter()
            .filter(|broker| broker.namespace == missing.namespace);
        did_you_mean(
            &missing.name,
            here.map(|broker| broker.name.as_str()),
            || "declare the Broker, or name one that is declared".to_owned(),
        )
    }

    /// A dead-letter sink that is the Broker `home` itself.
    fn dead_letters(&mut self, identity: &Identity, sink: Option<&Destination>, home: &ObjectKey) {
        let Some(reference) = sink.and_then(|sink| sink.reference.as_ref()) else {
            return;
        };
        let namespace = reference.namespace_or(&identity.key.namespace);
        let leads = ObjectKey::new(namespace, reference.name.as_str());
        if reference.kind == ObjectKind::Broker.name() && leads == *home {
            let message = format!(
                "dead letters go back into Broker {home}, which offers them to the same Triggers again"
            );
            let hint = "send them to another Broker, or to a subscriber that only keeps them";
            self.warn(identity, FIELDS[1].1, &message, hint);
        }
    }

    /// What is not resolved, in the words of the object's own conditions. A dead-letter sink that
    /// it has from elsewhere is told there.
    fn conditions(&mut self, identity: &Identity, has_sink: bool) {
        let Some(judgement) = self.outcome.objects.get(identity) else {
            return;
        };
        let gaps: Vec<_> = FIELDS
            .iter()
            .filter(|(name, _)| has_sink || *name != DEAD_LETTER_SINK_RESOLVED)
            .filter_map(|(name, field)| Some((*field, gap(&judgement.status, name)?)))
            .collect();
        for (field, message) in gaps {
            let hint = if message.contains("does not exist") {
                "declare it, or write a URL under uri instead of ref"
            } else {
                ""
            };
            self.warn(identity, field, &message, hint);
        }
    }

    fn warn(&mut self, object: &Identity, field: &[&'static str], message: &str, hint: &str) {
        let path = Path(field.iter().map(|step| (*step).into()).collect());
        self.found.push(Warning {
            object: object.clone(),
            finding: Finding::warning(path, message, hint),
        });
    }
}

/// That a Broker is not there which Knative's sugar controller would make.
fn not_injected(home: &ObjectKey) -> String {
    format!(
        "Broker {home} is not declared, and Volley makes none for the annotation {INJECTION}: this Trigger gets nothing until it is"
    )
}

/// What declares a Broker, in a line.
fn declared_as(broker: &ObjectKey) -> String {
    format!(
        "declare it: {{apiVersion: {}, kind: {}, metadata: {{name: {}, namespace: {}}}}}",
        Broker::API_VERSION,
        Broker::KIND,
        broker.name,
        broker.namespace
    )
}

/// Why a condition does not hold.
fn gap(status: &Status, name: &str) -> Option<String> {
    let condition = status.condition(name)?;
    (condition.status == Truth::False).then(|| condition.message.to_string())
}

fn keys(objects: &[&Object], kind: ObjectKind) -> BTreeSet<ObjectKey> {
    let all = objects.iter().map(|object| object.identity());
    all.filter(|identity| identity.kind == kind)
        .map(|identity| identity.key)
        .collect()
}

/// The Broker that a Trigger names.
fn home(object: &Object) -> Option<ObjectKey> {
    let Object::Trigger(trigger) = object else {
        return None;
    };
    Some(ObjectKey::new(
        trigger.metadata.namespace(),
        trigger.broker_name(),
    ))
}
