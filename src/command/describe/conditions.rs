//! The conditions as a tree: `Ready`, what it is made of, and what is told beside it.

use serde_json::Value;
use volley_spec::ObjectKind;

use super::Page;
use crate::command::get::age;

/// Adds the tree of `object`, if it has conditions.
pub(super) fn describe(page: &mut Page, kind: ObjectKind, object: &Value, now_ms: u64) {
    let all = object["status"]["conditions"].as_array();
    let all = all.map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return;
    }
    page.section("Conditions");
    let word = |condition: &Value, field: &str| -> String {
        condition[field].as_str().unwrap_or_default().to_owned()
    };
    let width = all
        .iter()
        .map(|condition| word(condition, "type").len() + 5)
        .max();
    for condition in all {
        let name = word(condition, "type");
        let depth = if name == "Ready" { 1 } else { 2 };
        let mark = mark(condition);
        let label = format!("{:1$}{mark} {name}", "", 2 * (depth - 1));
        let age = age::since(condition["lastTransitionTime"].as_str(), now_ms);
        let told = match word(condition, "severity").as_str() {
            "Info" => " (tells only)",
            _ => "",
        };
        let reason = word(condition, "reason");
        let width = width.unwrap_or_default() + 3;
        page.within(1, format!("{label:<width$}{age:<8}{reason}{told}"));
        let message = word(condition, "message");
        // Ready repeats the words of a condition that is shown with them.
        if name == "Ready" || (message.is_empty() && mark == "++") {
            continue;
        }
        if !message.is_empty() {
            page.within(5, message);
        }
        let is_full = ["BlocksPublish", "PublishBlocked", "WaitsForRoom"].contains(&&*reason);
        let says_what_to_do = mark != "++" || is_full;
        if says_what_to_do && let Some(next) = next_step(kind, object, &name, &reason) {
            page.within(5, format!("next: {next}"));
        }
    }
}

/// `++` holds, `!!` does not, `??` nobody knows yet.
fn mark(condition: &Value) -> &'static str {
    match condition["status"].as_str() {
        Some("True") => "++",
        Some("False") => "!!",
        _ => "??",
    }
}

/// What a user can do about a condition that does not hold.
fn next_step(kind: ObjectKind, object: &Value, name: &str, reason: &str) -> Option<String> {
    let told_here = ["BrokerDoesNotExist", "ClassNotServed"];
    if name == "BrokerReady" && !told_here.contains(&reason) {
        return Some(describe_its_broker(object));
    }
    known_step(kind, name, reason).map(str::to_owned)
}

/// The command that says more of the Broker of this Trigger.
fn describe_its_broker(trigger: &Value) -> String {
    let spec = &trigger["spec"];
    let by_name = spec["broker"].as_str().filter(|name| !name.is_empty());
    let name = by_name.or(spec["brokerRef"]["name"].as_str());
    let namespace = trigger["metadata"]["namespace"].as_str();
    format!(
        "describe its Broker: volley describe broker {} -n {}",
        name.unwrap_or("NAME"),
        namespace.unwrap_or("NAMESPACE")
    )
}

fn known_step(kind: ObjectKind, name: &str, reason: &str) -> Option<&'static str> {
    Some(match (name, reason) {
        (_, "BrokerDoesNotExist") => "declare the Broker in this namespace, or mend spec.broker",
        (_, "ClassNotServed") => {
            "leave it to the controller of its class, or delete it and declare it with a class that is served"
        }
        (_, "FilterInvalid") => "mend spec.filters; volley check PATH points at the place",
        (_, "TooManyUnindexed" | "Scanned") => {
            "ask for an exact text, a prefix or a suffix beside the rest"
        }
        (_, "SubscriberNotResolved") => "mend spec.subscriber, or declare what it refers to",
        (_, "NotTried") => "send an event that it wants: volley send",
        (_, "NotLive" | "Pending") => "wait a moment and ask again",
        (_, "DataPlaneRefused") => "the log of volley serve says more",
        (_, "BlocksPublish" | "PublishBlocked" | "Overflow") => {
            "make its subscriber faster, or give events more room (--log-max-bytes, --memory-max-bytes)"
        }
        (_, "WaitsForRoom") => {
            "give events more room (--log-max-bytes, --memory-max-bytes), or have replies and dead letters go elsewhere"
        }
        ("SinkHealthy", _) => {
            "look at the subscriber; Delivery above says what is tried again, and what then becomes of an event"
        }
        ("DeadLetterSinkHealthy", _) => "look at the dead-letter sink; dead letters wait for it",
        ("DeclarationAccepted", _) => "mend the file; volley check PATH says what is wrong",
        ("DependencyReady", _) => "see what the annotation knative.dev/dependency names",
        ("Durable", "Memory") => "to keep events on disk: volley serve --channel log",
        ("Durable", "Degraded") => {
            "the message says what is wrong; volley log verify DIR names what is damaged"
        }
        ("DeadLetterSinkResolved", _) => {
            "mend delivery.deadLetterSink; until then dead letters wait, none is dropped"
        }
        _ if kind == ObjectKind::Broker => "volley check PATH, and the log of volley serve",
        _ => return None,
    })
}
