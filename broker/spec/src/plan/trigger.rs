//! One Trigger: its filter, its subscriber, its delivery, and where its dead letters go.

use volley_filter::{Filter, FilterError};

use super::{
    World,
    broker::PlannedBroker,
    delivery,
    resolve::resolve,
    status::{BACKLOG_KEPT, DEAD_LETTER_SINK_RESOLVED, READY, Status, Truth, of_trigger},
};
use crate::{
    check::{annotations, filters},
    kinds::{DeliverySpec, Trigger},
    object::ObjectKind,
    route::{ObjectKey, Target, TriggerRoute},
};

/// Attempts of a Trigger in flight when it does not say.
const CONCURRENCY: u32 = 100;

/// Plans `trigger`; it has a route when its `broker` is there and is served.
pub(super) fn plan(
    trigger: &Trigger,
    key: &ObjectKey,
    broker: Option<&PlannedBroker>,
    world: &World<'_>,
) -> (Status, Option<TriggerRoute>) {
    let mut status = Status::default();
    broker_ready(trigger, broker, &mut status);
    let filter = filters::compile(&trigger.spec);
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
    subscription_ready(
        served.is_some(),
        filter.as_ref().err(),
        subscriber.is_some(),
        &mut status,
    );
    let own = trigger.spec.delivery.as_ref();
    let dead_letter = dead_letter(own, key, broker, world, &mut status);
    status.set(
        of_trigger::OIDC_IDENTITY_CREATED,
        Truth::True,
        "OIDCDisabled",
        "",
    );
    inform(&mut status, filter.as_ref().ok(), dead_letter.is_some());
    let metadata = &trigger.metadata;
    let route = served.map(|broker| TriggerRoute {
        uid: world.uid(ObjectKind::Trigger, key),
        key: key.clone(),
        filter: filter.ok(),
        subscriber,
        dead_letter,
        delivery: delivery::of_trigger(own, broker.delivery.as_ref(), broker.class),
        order: annotations::order_of(metadata),
        concurrency: annotations::number_of(
            metadata,
            annotations::CONCURRENCY,
            annotations::MAX_CONCURRENCY,
        )
        .unwrap_or(CONCURRENCY),
        rate: metadata
            .annotation(annotations::RATE)
            .and_then(annotations::rate),
        overflow: annotations::overflow_of(metadata).or(broker.overflow),
        hold_when_refused: metadata.annotation(annotations::BREAKER) == Some("hold"),
    });
    (status, route)
}

fn broker_ready(trigger: &Trigger, broker: Option<&PlannedBroker>, status: &mut Status) {
    let name = trigger.broker_name();
    let Some(broker) = broker else {
        let message = format!("Broker \"{name}\" does not exist");
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

fn subscription_ready(
    served: bool,
    filter_mistakes: Option<&Vec<FilterError>>,
    resolved: bool,
    status: &mut Status,
) {
    let name = of_trigger::SUBSCRIPTION_READY;
    if let Some(mistakes) = filter_mistakes {
        let message = mistakes
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        status.set(name, Truth::False, "FilterInvalid", message);
    } else if !served {
        let message = "its Broker has no channel to read";
        status.set(name, Truth::Unknown, "BrokerNotServed", message);
    } else if !resolved {
        let message = "it begins to read where its subscriber is first resolved";
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
fn inform(status: &mut Status, filter: Option<&Filter>, has_dead_letter: bool) {
    status.inform(BACKLOG_KEPT, Truth::True, "", "");
    match filter {
        Some(filter) if filter.is_scanned() => {
            let message =
                "it asks for nothing that it could be looked up by, so it is tried for every event";
            status.inform(of_trigger::FILTER_INDEXED, Truth::False, "Scanned", message);
        }
        Some(_) => status.inform(of_trigger::FILTER_INDEXED, Truth::True, "", ""),
        None => status.inform(
            of_trigger::FILTER_INDEXED,
            Truth::Unknown,
            "FilterInvalid",
            "",
        ),
    }
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
