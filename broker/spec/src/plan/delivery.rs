//! The delivery that holds for a Trigger: its own, its Broker's or the default, with every gap
//! filled.

use std::time::Duration;

use crate::{
    check::annotations::Class,
    defaults::{BACKOFF_MAX, DELAY},
    duration,
    kinds::{BackoffPolicy, Broker, DeliveryFormat, DeliverySpec, Destination, Trigger},
    route::{Backoff, Delivery, Format},
};

const TIMEOUT: Duration = Duration::from_secs(600);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How events of `trigger` are delivered, with every gap filled. `broker` is its Broker, with the
/// [defaults](crate::defaults::Defaults::broker) in it; without one its own delivery is all there is.
pub fn of(trigger: &Trigger, broker: Option<&Broker>) -> Delivery {
    let own = trigger.spec.delivery.as_deref();
    match broker {
        Some(broker) => {
            let class = Class::of(&broker.metadata);
            of_trigger(own, broker.spec.delivery.as_ref(), class)
        }
        None => of_trigger(own, None, Class::Volley),
    }
}

/// The delivery of a Trigger: its own replaces its Broker's. Class `Kafka` merges the two field
/// by field.
pub(super) fn of_trigger(
    own: Option<&DeliverySpec>,
    brokers: Option<&DeliverySpec>,
    class: Class,
) -> Delivery {
    match (own, brokers) {
        (Some(own), Some(brokers)) if class == Class::Kafka => filled(&merged(own, brokers)),
        (Some(delivery), _) | (None, Some(delivery)) => filled(delivery),
        (None, None) => filled(&DeliverySpec::default()),
    }
}

/// The dead-letter sink of a Trigger, chosen by itself: its own, else its Broker's.
pub(super) fn own_dead_letter_sink(own: Option<&DeliverySpec>) -> Option<&Destination> {
    own.and_then(|delivery| delivery.dead_letter_sink.as_deref())
}

fn merged(own: &DeliverySpec, brokers: &DeliverySpec) -> DeliverySpec {
    let text = |own: &Option<String>, brokers: &Option<String>| own.clone().or(brokers.clone());
    DeliverySpec {
        dead_letter_sink: own.dead_letter_sink.clone(),
        retry: own.retry.or(brokers.retry),
        backoff_policy: own.backoff_policy.or(brokers.backoff_policy),
        backoff_delay: text(&own.backoff_delay, &brokers.backoff_delay),
        backoff_max: text(&own.backoff_max, &brokers.backoff_max),
        timeout: text(&own.timeout, &brokers.timeout),
        retry_after_max: text(&own.retry_after_max, &brokers.retry_after_max),
        format: own.format.or(brokers.format),
    }
}

fn filled(delivery: &DeliverySpec) -> Delivery {
    // A text that is no duration was refused when the object was read.
    let read = |written: &Option<String>| duration::parse(written.as_deref()?).ok();
    Delivery {
        retry: delivery
            .retry
            .and_then(|retry| u32::try_from(retry).ok())
            .unwrap_or(0),
        backoff: match delivery.backoff_policy {
            Some(BackoffPolicy::Linear) => Backoff::Linear,
            Some(BackoffPolicy::Exponential) | None => Backoff::Exponential,
        },
        delay: read(&delivery.backoff_delay).unwrap_or(DELAY),
        backoff_max: read(&delivery.backoff_max).unwrap_or(BACKOFF_MAX),
        timeout: read(&delivery.timeout).unwrap_or(TIMEOUT),
        retry_after_max: read(&delivery.retry_after_max).unwrap_or(RETRY_AFTER_MAX),
        format: delivery.format.map(|format| match format {
            DeliveryFormat::Json => Format::Json,
            DeliveryFormat::Binary => Format::Binary,
        }),
    }
}
