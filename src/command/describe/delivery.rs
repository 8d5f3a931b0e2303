//! A delivery as real times: how often, when, and when it is given up.

use std::time::Duration;

use volley_dispatcher::policy::backoff;
use volley_spec::route::{Delivery, Format};

use super::Page;
use crate::quantity::spoken;

/// How many waits are named one by one.
const NAMED: u32 = 12;
/// How many waits are added up one by one; the rest are as long as the last of these.
const ADDED: u32 = 100_000;

/// Adds when attempts are made and how long they may take.
pub(super) fn describe(page: &mut Page, delivery: &Delivery, dead_letters: Option<&str>) {
    page.section("Delivery");
    let retries = delivery.retry;
    page.within(
        1,
        match retries {
            0 => format!("one attempt, of up to {}", spoken(delivery.timeout)),
            retries => format!(
                "{} attempts, each of up to {}",
                u64::from(retries) + 1,
                spoken(delivery.timeout)
            ),
        },
    );
    if retries > 0 {
        let waits: Vec<String> = (0..retries.min(NAMED))
            .map(|n| spoken(backoff(delivery, n)))
            .collect();
        let more = if retries > NAMED { ", ..." } else { "" };
        page.within(1, format!("waits between them: {}{more}", waits.join(", ")));
        let least = waiting(delivery);
        let attempts = delivery.timeout.saturating_mul(retries.saturating_add(1));
        page.within(
            1,
            format!(
                "given up after {} if each fails at once, {} if none is answered",
                spoken(least),
                spoken(least.saturating_add(attempts))
            ),
        );
        page.within(
            1,
            "tried again: no answer, 404, 408, 409, 429 and 5xx; any other refusal is final at once",
        );
        if !delivery.retry_after_max.is_zero() {
            page.within(
                1,
                format!(
                    "a Retry-After of the subscriber makes a wait longer, up to {}",
                    spoken(delivery.retry_after_max)
                ),
            );
        }
    }
    page.within(
        1,
        match dead_letters {
            Some(url) => format!("then the event goes to {url}"),
            None => {
                "then the event is dropped and counted: there is no dead-letter sink".to_owned()
            }
        },
    );
    if let Some(format) = delivery.format {
        let mode = match format {
            Format::Json => "structured",
            Format::Binary => "binary",
        };
        page.within(1, format!("events are sent in {mode} mode"));
    }
}

/// All waits together.
fn waiting(delivery: &Delivery) -> Duration {
    let added = delivery.retry.min(ADDED);
    let sum = (0..added).fold(Duration::ZERO, |sum, n| {
        sum.saturating_add(backoff(delivery, n))
    });
    let rest = delivery.retry - added;
    sum.saturating_add(backoff(delivery, added).saturating_mul(rest))
}
