//! Status: conditions by Knative's names, and the addresses that were found.
//!
//! `Ready` is the AND of the conditions without a severity. Volley's own have severity `Info`:
//! they tell, and never make an object not Ready.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use serde::{Serialize, Serializer};

use crate::{
    check::annotations::Class,
    kinds::hide_password,
    report::{SinkHealth, TriggerState},
};

/// The condition that sums up the others.
pub const READY: &str = "Ready";

/// Conditions of a Broker.
pub mod of_broker {
    /// Producers can post.
    pub const INGRESS_READY: &str = "IngressReady";
    /// Its channel exists.
    pub const TRIGGER_CHANNEL_READY: &str = "TriggerChannelReady";
    /// Its events are offered to Triggers.
    pub const FILTER_READY: &str = "FilterReady";
    /// It has an address.
    pub const ADDRESSABLE: &str = "Addressable";
    /// Who may post is known.
    pub const EVENT_POLICIES_READY: &str = "EventPoliciesReady";
    /// Info: an accepted event outlives a crash.
    pub const DURABLE: &str = "Durable";
}

/// Conditions of a Trigger.
pub mod of_trigger {
    /// Its Broker exists and is Ready.
    pub const BROKER_READY: &str = "BrokerReady";
    /// It reads from its Broker.
    pub const SUBSCRIPTION_READY: &str = "SubscriptionReady";
    /// What its annotation `knative.dev/dependency` names is Ready.
    pub const DEPENDENCY_READY: &str = "DependencyReady";
    /// Its subscriber has an address.
    pub const SUBSCRIBER_RESOLVED: &str = "SubscriberResolved";
    /// It has an identity for OIDC.
    pub const OIDC_IDENTITY_CREATED: &str = "OIDCIdentityCreated";
    /// Info: its filter is found by index, not by trying.
    pub const FILTER_INDEXED: &str = "FilterIndexed";
    /// Info: its subscriber takes what it gets.
    pub const SINK_HEALTHY: &str = "SinkHealthy";
    /// Info: its dead-letter sink takes what it gets.
    pub const DEAD_LETTER_SINK_HEALTHY: &str = "DeadLetterSinkHealthy";
}

/// Brokers and Triggers: the dead-letter sink has an address, or there is none.
pub const DEAD_LETTER_SINK_RESOLVED: &str = "DeadLetterSinkResolved";
/// Brokers and Triggers, Info: no event was dropped for want of space.
pub const BACKLOG_KEPT: &str = "BacklogKept";

/// Words of a condition: most are the same for many objects, and cost nothing.
pub type Text = Cow<'static, str>;

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its name.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// `Info` for those that are no part of Ready, else empty.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub severity: &'static str,
    /// Why, in one word; always there when it does not hold.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: Text,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: Text,
}

/// A URL under which events are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// `http` or `https`.
    pub name: String,
    /// The URL.
    pub url: String,
}

/// What is said of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The conditions, `Ready` first. Of a million Triggers most say the same, and share it.
    #[serde(serialize_with = "written", skip_serializing_if = "nothing_is_said")]
    pub conditions: Arc<Vec<Condition>>,
    /// Where a Broker takes events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Every address of a Broker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Who runs a Broker, with the defaults of its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Where a Trigger's events go. A password in it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_uri: Option<String>,
    /// Where events go whose delivery failed for good. A password in it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink_uri: Option<String>,
}

fn written<S: Serializer>(conditions: &Arc<Vec<Condition>>, to: S) -> Result<S::Ok, S::Error> {
    conditions.as_slice().serialize(to)
}

fn nothing_is_said(conditions: &Arc<Vec<Condition>>) -> bool {
    conditions.is_empty()
}

/// Conditions that were said lately, so that objects of which the same is said share it.
#[derive(Debug, Default)]
pub(super) struct Said {
    lately: VecDeque<Arc<Vec<Condition>>>,
}

/// How many conditions are compared with.
const LATELY: usize = 4;

impl Said {
    /// Lets `status` share its conditions with an earlier one that says the same.
    pub(super) fn share(&mut self, status: &mut Status) {
        let same = |said: &&Arc<Vec<Condition>>| **said == status.conditions;
        if let Some(said) = self.lately.iter().find(same) {
            status.conditions = Arc::clone(said);
            return;
        }
        self.lately.truncate(LATELY - 1);
        self.lately.push_front(Arc::clone(&status.conditions));
    }
}

impl Status {
    /// The condition called `name`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.name == name)
    }

    /// Whether the object is Ready.
    pub fn is_ready(&self) -> bool {
        self.condition(READY)
            .is_some_and(|ready| ready.status == Truth::True)
    }

    /// Sets a condition that is part of Ready, and Ready with it.
    pub fn set(
        &mut self,
        name: &'static str,
        status: Truth,
        reason: impl Into<Text>,
        message: impl Into<Text>,
    ) {
        self.put(Condition {
            name,
            status,
            severity: "",
            reason: reason.into(),
            message: message.into(),
        });
        self.sum_up();
    }

    /// Sets a condition that holds and needs no words.
    pub fn set_true(&mut self, name: &'static str) {
        self.set(name, Truth::True, "", "");
    }

    /// Sets a condition that tells and is no part of Ready.
    pub fn inform(
        &mut self,
        name: &'static str,
        status: Truth,
        reason: impl Into<Text>,
        message: impl Into<Text>,
    ) {
        self.put(Condition {
            name,
            status,
            severity: "Info",
            reason: reason.into(),
            message: message.into(),
        });
    }

    /// Fills in what the data plane says of a Trigger.
    pub fn observe(&mut self, state: &TriggerState) {
        self.observe_sink(of_trigger::SINK_HEALTHY, state.sink.as_ref());
        if self.dead_letter_sink_uri.is_some() {
            let health = state.dead_letter_sink.as_ref();
            self.observe_sink(of_trigger::DEAD_LETTER_SINK_HEALTHY, health);
        }
        if state.dropped_overflow > 0 {
            let message = format!(
                "{} deliveries were dropped, oldest first, because the backlog filled its Broker's space",
                state.dropped_overflow
            );
            self.inform(BACKLOG_KEPT, Truth::False, "Overflow", message);
        } else if state.waits_for_room {
            let message = "the reply or the dead letter of its oldest event finds no room in a full Broker: an event of another Trigger keeps it full, or they take more room than their events give back";
            self.inform(BACKLOG_KEPT, Truth::True, "WaitsForRoom", message);
        } else if state.blocks_publish {
            let message =
                "the backlog fills its Broker's space: producers get 503 until it shrinks";
            self.inform(BACKLOG_KEPT, Truth::True, "BlocksPublish", message);
        } else {
            self.inform(BACKLOG_KEPT, Truth::True, "", "");
        }
    }

    /// Fills in which Trigger's backlog makes this Broker refuse events, if one does.
    pub fn observe_blocked_by(&mut self, trigger: Option<&str>) {
        match trigger {
            Some(name) => {
                let message =
                    format!("the backlog of Trigger {name} fills the space: producers get 503");
                self.inform(BACKLOG_KEPT, Truth::True, "PublishBlocked", message);
            }
            None => self.inform(BACKLOG_KEPT, Truth::True, "", ""),
        }
    }

    /// Fills in for a Broker that its storage was found damaged in so many places.
    pub fn observe_damage(&mut self, places: u64) {
        let message = format!(
            "the storage was found damaged in {places} places: what is lost is counted as dropped.corrupt or dropped.retention for each Trigger that wanted it"
        );
        self.inform(of_broker::DURABLE, Truth::False, "Degraded", message);
    }

    /// Fills in for a Broker that its storage takes no more events until a new start, and why.
    pub fn observe_failure(&mut self, reason: &str) {
        let message = format!(
            "no more events are stored: {reason}; what was accepted is kept and goes on being delivered"
        );
        self.inform(of_broker::DURABLE, Truth::False, "Degraded", message);
    }

    fn observe_sink(&mut self, name: &'static str, health: Option<&SinkHealth>) {
        match health {
            Some(health) if health.healthy => self.inform(name, Truth::True, "", ""),
            Some(health) => {
                self.inform(name, Truth::False, "DeliveryFails", health.message.clone());
            }
            None => {
                self.inform(
                    name,
                    Truth::Unknown,
                    "NotTried",
                    "nothing was delivered to it yet",
                );
            }
        }
    }

    /// Names where a Trigger's events go.
    pub(super) fn subscriber(&mut self, url: &str) {
        self.subscriber_uri = Some(hide_password(url).into_owned());
    }

    /// Names where dead letters go.
    pub(super) fn dead_letter_sink(&mut self, url: &str) {
        self.dead_letter_sink_uri = Some(hide_password(url).into_owned());
    }

    fn put(&mut self, condition: Condition) {
        let conditions = Arc::make_mut(&mut self.conditions);
        match conditions
            .iter_mut()
            .find(|known| known.name == condition.name)
        {
            Some(known) => *known = condition,
            None => conditions.push(condition),
        }
    }

    /// Ready is False with the words of the first that is False, else Unknown likewise.
    fn sum_up(&mut self) {
        let parts = || {
            self.conditions
                .iter()
                .filter(|part| part.severity.is_empty() && part.name != READY)
        };
        let worst = parts()
            .find(|part| part.status == Truth::False)
            .or_else(|| parts().find(|part| part.status == Truth::Unknown));
        let ready = match worst {
            Some(part) => Condition {
                name: READY,
                ..part.clone()
            },
            None => Condition {
                name: READY,
                status: Truth::True,
                severity: "",
                reason: Text::default(),
                message: Text::default(),
            },
        };
        let conditions = Arc::make_mut(&mut self.conditions);
        match conditions.iter_mut().find(|known| known.name == READY) {
            Some(known) => *known = ready,
            None => conditions.insert(0, ready),
        }
    }
}

#[cfg(test)]
mod tests;
