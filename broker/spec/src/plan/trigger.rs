//! One Trigger: its filter, its subscriber, its delivery, and where its dead letters go.

use volley_filter::{Filter, FilterError};

use super::{
    World,
    broker::PlannedBroker,
    delivery,
    known::KnownTrigger,
    limits::Limits,
    resolve::resolve,
    status::{BACKLOG_KEPT, DEAD_LETTER_SINK_RESOLVED, READY, Status, Truth, of_trigger},
};
use crate::{
    check::annotations,
    kinds::{DeliverySpec, Trigger},
    object::ObjectKind,
    route::{ObjectKey, Target, TriggerRoute},
};

/// What a filter without an anchor does.
const UNINDEXED: &str =
    "asks for nothing that it could be looked up by, so it is tried for every event";
/// What its author can do about it.
const ANCHOR_IT: &str =
    "let it also ask for an exact type, a prefix, a suffix, or an optional attribute that is there";

/// Plans `trigger`; it has a route when its `broker` is there and is served.
pub(super) fn plan(
    known: &KnownTrigger,
    key: &ObjectKey,
    broker: Option<&PlannedBroker>,
    world: &World<'_>,
) -> (Status, Option<TriggerRoute>) {
    let trigger = &*known.object;
    let mut status = Status::default();
    broker_ready(trigger, broker, &mut status);
    let filter = Filtering::of(known, key, world);
    // Judged once the conditions of all objects are known.
    status.set_true(of_trigger::DEPENDENCY_READY);
    let subscriber = match resolve(&trigger.spec.subscriber, &key.namespace, world) {
        Ok(target) => {
            status.set_true(of_trigger::SUBSCRIBER_RESOLVED);
            status.subscriber(target.url());
            Some(target)
        }
        Err(gap) => {
            status.set(
                of_trigger::SUBSCRIBER_RESOLVED,
                Truth::False,
                gap.reason,
                gap.message,
            );
            None
        }
    };
    let served = broker.filter(|broker| broker.route.is_some());
    subscription_ready(served.is_some(), &filter, subscriber.is_some(), &mut status);
    let own = trigger.spec.delivery.as_deref();
    let dead_letter = dead_letter(own, key, broker, world, &mut status);
    status.set(
        of_trigger::OIDC_IDENTITY_CREATED,
        Truth::True,
        "OIDCDisabled",
        "",
    );
    filter.inform(&mut status);
    inform(&mut status, dead_letter.is_some());
    let metadata = &trigger.metadata;
    let limits = Limits::of(metadata);
    let route = served.map(|broker| TriggerRoute {
        uid: world.uid(ObjectKind::Trigger, key),
        key: key.clone(),
        filter: filter.served().cloned(),
        subscriber,
        dead_letter,
        delivery: delivery::of_trigger(own, broker.delivery.as_ref(), broker.class),
        order: limits.order,
        concurrency: limits.concurrency,
        rate: limits.rate,
        overflow: annotations::overflow_of(metadata).or(broker.overflow),
        hold_when_refused: metadata.annotation(annotations::BREAKER) == Some("hold"),
    });
    (status, route)
}

/// What becomes of a Trigger's filter.
enum Filtering<'a> {
    /// It is looked up.
    Indexed(&'a Filter),
    /// It is tried for every event.
    Scanned(&'a Filter),
    /// It would be tried for every event, and its namespace has too many of these already.
    TooMany {
        namespace: &'a str,
        most: usize,
    },
    Invalid(&'a [FilterError]),
}

impl<'a> Filtering<'a> {
    fn of(known: &'a KnownTrigger, key: &'a ObjectKey, world: &World<'_>) -> Self {
        match &known.filter {
            Err(mistakes) => Self::Invalid(mistakes),
            Ok(filter) if !filter.is_scanned() => Self::Indexed(filter),
            Ok(filter) if world.known.unindexed.allows(key) => Self::Scanned(filter),
            Ok(_) => Self::TooMany {
                namespace: &key.namespace,
                most: world.facts.max_unindexed,
            },
        }
    }

    /// The filter, if it is served.
    fn served(&self) -> Option<&'a Filter> {
        match self {
            Self::Indexed(filter) | Self::Scanned(filter) => Some(filter),
            Self::TooMany { .. } | Self::Invalid(_) => None,
        }
    }

    /// Why it is not served, as reason and message.
    fn refusal(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Indexed(_) | Self::Scanned(_) => None,
            Self::TooMany { namespace, most } => {
                let message = format!(
                    "it {UNINDEXED}, and namespace {namespace} may have {most} such Triggers, the first ones by name: \
                     {ANCHOR_IT}, or raise --max-unindexed"
                );
                Some(("TooManyUnindexed", message))
            }
            Self::Invalid(mistakes) => {
                let first = mistakes.first().map(ToString::to_string);
                Some(("FilterInvalid", first.unwrap_or_default()))
            }
        }
    }

    fn inform(&self, status: &mut Status) {
        let name = of_trigger::FILTER_INDEXED;
        match self {
            Self::Indexed(_) => status.inform(name, Truth::True, "", ""),
            Self::Scanned(_) => {
                let message = format!("it {UNINDEXED}: {ANCHOR_IT}");
                status.inform(name, Truth::False, "Scanned", message);
            }
            Self::TooMany { .. } => {
                let message = self.refusal().map(|(_, message)| message);
                let message = message.unwrap_or_default();
                status.inform(name, Truth::False, "TooManyUnindexed", message);
            }
            Self::Invalid(_) => status.inform(name, Truth::Unknown, "FilterInvalid", ""),
        }
    }
}

fn broker_ready(trigger: &Trigger, broker: Option<&PlannedBroker>, status: &mut Status) {
    let name = trigger.broker_name();
    let Some(broker) = broker else {
        let asked = trigger.metadata.annotation(annotations::INJECTION) == Some("enabled");
        let injection = format!(
            "; Volley makes none for the annotation {}: declare it",
            annotations::INJECTION
        );
        let more = if asked { injection.as_str() } else { "" };
        let message = format!("Broker \"{name}\" does not exist{more}");
        status.set(
            of_trigger::BROKER_READY,
            Truth::False,
            "BrokerDoesNotExist",
            message,
        );
        return;
    };
    match broker.status.condition(READY) {
        Some(ready) if ready.status == Truth::True => status.set_true(of_trigger::BROKER_READY),
        Some(ready) => {
            let message = format!("Broker \"{name}\" is not Ready: {}", ready.message);
            status.set(
                of_trigger::BROKER_READY,
                ready.status,
                ready.reason.clone(),
                message,
            );
        }
        None => status.set(
            of_trigger::BROKER_READY,
            Truth::Unknown,
            "BrokerNotConfigured",
            format!("Broker \"{name}\" has not been looked at yet"),
        ),
    }
}

fn subscription_ready(served: bool, filter: &Filtering<'_>, resolved: bool, status: &mut Status) {
    let name = of_trigger::SUBSCRIPTION_READY;
    if let Some((reason, message)) = filter.refusal() {
        status.set(name, Truth::False, reason, message);
    } else if !served {
        let message = "its Broker has no channel to read";
        status.set(name, Truth::Unknown, "BrokerNotServed", message);
    } else if !resolved {
        let message = "nothing is delivered until its subscriber is resolved; a new Trigger begins to read there, another one keeps what it has and gets";
        status.set(name, Truth::Unknown, "SubscriberNotResolved", message);
    } else {
        status.set_true(name);
    }
}

/// The dead-letter sink, chosen by itself: the Trigger's, else the Broker's.
fn dead_letter(
    own: Option<&DeliverySpec>,
    key: &ObjectKey,
    broker: Option<&PlannedBroker>,
    world: &World<'_>,
    status: &mut Status,
) -> Option<Target> {
    let name = DEAD_LETTER_SINK_RESOLVED;
    let Some(sink) = delivery::own_dead_letter_sink(own) else {
        let target = broker.and_then(|broker| broker.dead_letter.clone());
        let gap = broker.and_then(|broker| broker.dead_letter_gap.as_ref());
        match (&target, gap) {
            (_, Some((reason, message))) => {
                status.set(name, Truth::False, *reason, message.clone());
            }
            (Some(target), None) => {
                status.set_true(name);
                status.dead_letter_sink(target.url());
            }
            (None, None) => status.set(name, Truth::True, "DeadLetterSinkNotConfigured", ""),
        }
        return target;
    };
    match resolve(sink, &key.namespace, world) {
        Ok(target) => {
            status.set_true(name);
            status.dead_letter_sink(target.url());
            Some(target)
        }
        Err(gap) => {
            status.set(name, Truth::False, gap.reason, gap.message.clone());
            Some(gap.waiting())
        }
    }
}

/// What the data plane will know better once it runs.
fn inform(status: &mut Status, has_dead_letter: bool) {
    status.inform(BACKLOG_KEPT, Truth::True, "", "");
    let untried = "nothing was delivered to it yet";
    status.inform(
        of_trigger::SINK_HEALTHY,
        Truth::Unknown,
        "NotTried",
        untried,
    );
    let name = of_trigger::DEAD_LETTER_SINK_HEALTHY;
    if has_dead_letter {
        status.inform(name, Truth::Unknown, "NotTried", untried);
    } else {
        status.inform(name, Truth::True, "DeadLetterSinkNotConfigured", "");
    }
}
