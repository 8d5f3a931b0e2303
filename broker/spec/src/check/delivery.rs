//! DeliverySpec: attempts, waits and limits.

use std::time::Duration;

use super::destination;
use crate::{duration, kinds::DeliverySpec, problem::Findings};

/// The rules for one DeliverySpec.
pub(super) fn check(delivery: &DeliverySpec, findings: &mut Findings) {
    if let Some(sink) = &delivery.dead_letter_sink {
        findings.within("deadLetterSink", |findings| {
            destination::check(sink, findings)
        });
    }
    if let Some(retry) = delivery.retry
        && retry < 0
    {
        findings.error_at("retry", format!("invalid value: {retry}"), "use 0 or more");
    }
    let durations = [
        ("backoffDelay", &delivery.backoff_delay, false),
        ("backoffMax", &delivery.backoff_max, true),
        ("timeout", &delivery.timeout, true),
        ("retryAfterMax", &delivery.retry_after_max, false),
    ];
    for (name, written, above_zero) in durations {
        let Some(written) = written else { continue };
        match duration::parse(written) {
            Ok(Duration::ZERO) if above_zero => {
                let message = format!("invalid value: {written}: must be longer than zero");
                findings.error_at(name, message, "use for example PT30S, or leave it out");
            }
            Ok(_) => {}
            Err(error) => findings.error_at(name, error.to_string(), error.hint()),
        }
    }
    let waits = delivery.backoff_policy.is_some() || delivery.backoff_delay.is_some();
    if waits && delivery.retry.is_none() {
        findings.warn_at(
            if delivery.backoff_policy.is_some() {
                "backoffPolicy"
            } else {
                "backoffDelay"
            },
            "without retry there is one attempt, and nothing to wait for",
            "add retry, for example retry: 10",
        );
    }
}
