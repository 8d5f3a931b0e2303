//! An object as the API shows it: as written, with uid, generation and status.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use volley_spec::{
    Object,
    plan::{
        Condition, Status, Truth,
        status::{READY, of_broker, of_trigger},
    },
    read::Skipped,
};

/// The condition of an object whose declaration was changed and not taken up.
pub const DECLARATION_ACCEPTED: &str = "DeclarationAccepted";

/// An object that holds, and what is known about it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) object: Object,
    pub(super) uid: Uuid,
    /// Counts the changes of the object that this process has seen, from 1.
    pub(super) generation: u64,
    /// The generation that `status` is about.
    pub(super) observed: u64,
    pub(super) status: Status,
    pub(super) created_ms: u64,
    /// Why the object is not as its file says.
    pub(super) held: Option<String>,
    pub(super) transitions: Transitions,
}

/// Since when each condition is what it is, in milliseconds since 1970.
///
/// Most conditions of most objects never turn, so only those that did are kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Transitions {
    /// When the object was first live: what did not turn since is as it was then.
    begun_ms: Option<u64>,
    turned: Vec<Turn>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    name: &'static str,
    to: Truth,
    at_ms: u64,
}

impl Transitions {
    /// Notes that a plan turned the object's status from `old` to `new`. What only the data plane
    /// knows of is left as it was.
    pub(super) fn note_plan(&mut self, old: &Status, new: &Status, now_ms: u64) {
        if self.begun_ms.is_none() {
            self.begun_ms = Some(now_ms);
            return;
        }
        for condition in new.conditions.iter() {
            if condition.severity.is_empty() || self.find(condition.name).is_none() {
                self.turn(condition, old, now_ms);
            }
        }
    }

    /// Notes what is said of an object now, whose plan says `planned`.
    pub(super) fn note(&mut self, planned: &Status, said: &Status, now_ms: u64) {
        self.turned
            .retain(|turn| said.condition(turn.name).is_some());
        for condition in said.conditions.iter() {
            self.turn(condition, planned, now_ms);
        }
    }

    fn turn(&mut self, condition: &Condition, old: &Status, now_ms: u64) {
        let (name, to) = (condition.name, condition.status);
        let known = self.find(name).map(|turn| turn.to);
        let known = known.or_else(|| old.condition(name).map(|old| old.status));
        if known == Some(to) {
            return;
        }
        self.turned.retain(|turn| turn.name != name);
        self.turned.push(Turn {
            name,
            to,
            at_ms: now_ms,
        });
    }

    fn find(&self, name: &str) -> Option<&Turn> {
        self.turned.iter().find(|turn| turn.name == name)
    }

    fn since(&self, name: &str) -> Option<u64> {
        self.find(name).map(|turn| turn.at_ms).or(self.begun_ms)
    }
}

impl Entry {
    /// A new object that the data plane is yet to take up.
    pub(super) fn new(object: Object, uid: Uuid, now_ms: u64) -> Self {
        let status = not_live(&object);
        Self {
            object,
            uid,
            generation: 1,
            observed: 0,
            status,
            created_ms: now_ms,
            held: None,
            transitions: Transitions::default(),
        }
    }

    /// The object as the API shows it, with `status` for its own.
    pub(super) fn to_json(&self, status: &Status) -> Value {
        let mut shown = self.object.to_json();
        if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("uid".into(), json!(self.uid.to_string()));
            metadata.insert("generation".into(), json!(self.generation));
            metadata.insert(
                "creationTimestamp".into(),
                json!(timestamp(self.created_ms)),
            );
        }
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("status".into(), Value::Object(self.status_json(status)));
        }
        shown
    }

    fn status_json(&self, status: &Status) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("observedGeneration".into(), json!(self.observed));
        if let Ok(Value::Object(mut said)) = serde_json::to_value(status) {
            shown.append(&mut said);
        }
        for condition in shown
            .get_mut("conditions")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            let name = condition.get("type").and_then(Value::as_str);
            let since = name.and_then(|name| self.transitions.since(name));
            let since = timestamp(since.unwrap_or(self.created_ms));
            condition.insert("lastTransitionTime".into(), json!(since));
        }
        shown
    }
}

/// An object of a kind that this build does not serve, as the API shows it: its names, and a
/// condition that says so.
pub(super) fn skipped(object: &Skipped) -> Value {
    let Skipped {
        api_version,
        kind,
        namespace,
        name,
        file,
        line,
    } = object;
    let message =
        format!("this build does not serve {kind} of {api_version}; declared at {file}:{line}");
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"conditions": [{
            "type": READY, "status": "False", "reason": "KindNotServed", "message": message,
        }]},
    })
}

/// What is said of an object that the data plane is yet to take up; all of a kind share it.
fn not_live(object: &Object) -> Status {
    static BROKERS: OnceLock<Status> = OnceLock::new();
    static TRIGGERS: OnceLock<Status> = OnceLock::new();
    let known = match object {
        Object::Broker(_) => &BROKERS,
        Object::Trigger(_) => &TRIGGERS,
        _ => return Status::default(),
    };
    let said = known.get_or_init(|| {
        let mut status = Status::default();
        let why = "the data plane is taking it up";
        refuse(object, &mut status, Truth::Unknown, "NotLive", why);
        status
    });
    said.clone()
}

/// Marks `status` with what the data plane said when it could not take the object up.
pub(super) fn refused(object: &Object, status: &mut Status, why: &str) {
    refuse(object, status, Truth::False, "DataPlaneRefused", why);
}

fn refuse(object: &Object, status: &mut Status, truth: Truth, reason: &'static str, why: &str) {
    let name = match object {
        Object::Broker(_) => of_broker::INGRESS_READY,
        Object::Trigger(_) => of_trigger::SUBSCRIPTION_READY,
        _ => return,
    };
    // What is wrong already says more.
    let wrong = |name| {
        let known = status.condition(name);
        known.is_some_and(|known| known.status == Truth::False)
    };
    if !wrong(name) {
        status.set(name, truth, reason, why.to_owned());
    }
}

/// Marks a Trigger whose Broker the data plane has not taken up.
pub(super) fn broker_not_live(status: &mut Status, broker: &Status) {
    let Some(ready) = broker.condition(READY) else {
        return;
    };
    if ready.status != Truth::True {
        let (reason, message) = (ready.reason.clone(), ready.message.clone());
        status.set(of_trigger::BROKER_READY, ready.status, reason, message);
    }
}

/// Says in `status` whether the object is as its file says.
pub(super) fn accepted(status: &mut Status, held: Option<&str>) {
    if let Some(why) = held {
        status.inform(
            DECLARATION_ACCEPTED,
            Truth::False,
            "LastGoodKept",
            why.to_owned(),
        );
    }
}

/// A moment as Kubernetes writes it: UTC, to the second.
fn timestamp(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
