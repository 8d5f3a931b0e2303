//! `knative.dev/dependency`: a Trigger is Ready only when another object is.
//!
//! It changes what is shown, not what is delivered, as in Knative.

use std::collections::BTreeMap;

use super::{
    broker::PlannedBroker,
    known::Known,
    status::{Condition, READY, Status, Truth, of_trigger},
};
use crate::{check::annotations, kinds::KReference, object::ObjectKind, route::ObjectKey};

/// How long a chain of Triggers that depend on each other is followed.
const MAX_CHAIN: usize = 32;

/// Judges the dependencies of `triggers`, which are sorted by key.
pub(super) fn judge(
    known: &Known,
    brokers: &BTreeMap<ObjectKey, PlannedBroker>,
    triggers: &mut [(ObjectKey, Status)],
) {
    let mut dependents: Vec<(usize, KReference)> = Vec::new();
    for (index, (key, status)) in triggers.iter_mut().enumerate() {
        let trigger = known.triggers.get(key);
        let metadata = trigger.map(|trigger| &trigger.object.metadata);
        if let Some(reference) = metadata.and_then(annotations::dependency_of) {
            let message = "its dependency is being looked at";
            status.set(
                of_trigger::DEPENDENCY_READY,
                Truth::Unknown,
                "Pending",
                message,
            );
            dependents.push((index, reference));
        }
    }
    // Each round settles one more link of a chain; a ring stays unknown.
    for _ in 0..MAX_CHAIN {
        let mut changed = false;
        for (index, reference) in &dependents {
            let found = look(reference, &triggers[*index].0, known, brokers, triggers);
            let status = &mut triggers[*index].1;
            if status.condition(of_trigger::DEPENDENCY_READY) != Some(&found) {
                changed = true;
                status.set(found.name, found.status, found.reason, found.message);
            }
        }
        if !changed {
            break;
        }
    }
}

fn look(
    reference: &KReference,
    owner: &ObjectKey,
    known: &Known,
    brokers: &BTreeMap<ObjectKey, PlannedBroker>,
    triggers: &[(ObjectKey, Status)],
) -> Condition {
    let key = ObjectKey::new(owner.namespace.as_str(), reference.name.as_str());
    let what = format!("{} {key}", reference.kind);
    let absent = || {
        condition(
            Truth::False,
            "DependencyDoesNotExist",
            format!("{what} does not exist"),
        )
    };
    let status = match ObjectKind::from_names(&reference.api_version, &reference.kind) {
        Some(ObjectKind::Broker) => brokers.get(&key).map(|planned| &planned.status),
        Some(ObjectKind::Trigger) => triggers
            .binary_search_by(|(other, _)| other.cmp(&key))
            .ok()
            .map(|index| &triggers[index].1),
        Some(kind) => {
            let identity = crate::Identity { kind, key };
            return if known.others.contains(&identity) {
                condition(Truth::True, "", String::new())
            } else {
                absent()
            };
        }
        None => {
            let message = format!("{what} is of a kind that this build does not serve");
            return condition(Truth::Unknown, "DependencyNotServed", message);
        }
    };
    let Some(status) = status else {
        return absent();
    };
    match status.condition(READY) {
        Some(ready) if ready.status == Truth::True => condition(Truth::True, "", String::new()),
        Some(ready) if ready.status == Truth::False => condition(
            Truth::False,
            "DependencyNotReady",
            format!("{what} is not Ready"),
        ),
        _ => condition(
            Truth::Unknown,
            "DependencyUnknown",
            format!("{what} may become Ready"),
        ),
    }
}

fn condition(status: Truth, reason: &'static str, message: String) -> Condition {
    Condition {
        name: of_trigger::DEPENDENCY_READY,
        status,
        severity: "",
        reason: reason.into(),
        message: message.into(),
    }
}
