//! DeliverySpec: attempts, waits and limits.

use std::time::Duration;

use super::destination;
use crate::{
    defaults::{BACKOFF_MAX, DELAY},
    duration,
    kinds::{BackoffPolicy, DeliverySpec},
    problem::Findings,
};

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
            Ok(_) if has_months(written) => {
                let time = written.replacen('P', "PT", 1);
                let message =
                    format!("{written} is a matter of months: M in front of a T is a month");
                findings.warn_at(name, message, format!("if minutes are meant, write {time}"));
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
    schedule(delivery, findings);
}

/// Whether an ISO 8601 duration counts months, as who forgets its T does.
fn has_months(written: &str) -> bool {
    let date = written.split('T').next().unwrap_or_default();
    date.contains('M')
}

/// The longest time that an event is tried without a word about it.
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// How many moments of a schedule are printed.
const SHOWN: u32 = 6;

/// Warns of a schedule that goes on for days, with the moments at which it really tries.
fn schedule(delivery: &DeliverySpec, findings: &mut Findings) {
    let retries = delivery.retry.and_then(|retry| u32::try_from(retry).ok());
    let Some(retries) = retries.filter(|retries| *retries > 0) else {
        return;
    };
    let schedule = Schedule::of(delivery);
    let whole = schedule.after(retries);
    if whole < LONG {
        return;
    }
    let moments: Vec<String> = (1..=retries.min(SHOWN))
        .map(|attempt| duration::in_words(schedule.after(attempt)))
        .collect();
    let and_so_on = if retries > SHOWN { ", ..." } else { "" };
    let message = format!(
        "an event that fails is tried again after {}{and_so_on}, and for the last time after {}",
        moments.join(", "),
        duration::in_words(whole),
    );
    findings.warn_at(
        "retry",
        message,
        "lower retry, backoffDelay or backoffMax, unless events may wait this long",
    );
}

/// When a failed delivery is tried again, without jitter and without the attempts' own time.
struct Schedule {
    delay: Duration,
    most: Duration,
    linear: bool,
}

impl Schedule {
    fn of(delivery: &DeliverySpec) -> Self {
        let read = |written: &Option<String>| duration::parse(written.as_deref()?).ok();
        Self {
            delay: read(&delivery.backoff_delay).unwrap_or(DELAY),
            most: read(&delivery.backoff_max).unwrap_or(BACKOFF_MAX),
            linear: delivery.backoff_policy == Some(BackoffPolicy::Linear),
        }
    }

    /// How long after the first attempt the retry with this number begins, from 1.
    fn after(&self, retry: u32) -> Duration {
        let (delay, most) = (self.delay.as_nanos(), self.most.as_nanos());
        let retries = u128::from(retry);
        let nanos = if self.linear {
            // d, 2d, 3d ... as long as they are below the most.
            let growing = most.checked_div(delay).unwrap_or(0).min(retries);
            delay * growing * (growing + 1) / 2 + (retries - growing) * most.min(delay * retries)
        } else {
            // d, 2d, 4d ...; after 64 steps everything is beyond any most.
            let steps = retry.min(64);
            let grown: u128 = (0..steps).map(|n| (delay << n.min(50)).min(most)).sum();
            grown + (retries - u128::from(steps)) * most.min(delay << 50)
        };
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
        Duration::new(seconds, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(linear: bool, retry: u32) -> String {
        let schedule = Schedule {
            delay: Duration::from_millis(200),
            most: Duration::from_secs(3_600),
            linear,
        };
        duration::in_words(schedule.after(retry))
    }

    #[test]
    fn moments_add_up_to_the_cap_and_beyond_it() {
        assert_eq!(after(false, 1), "0.2 s");
        assert_eq!(after(false, 3), "1.4 s");
        assert_eq!(after(false, 14), "54 min 36 s");
        assert_eq!(after(false, 16), "2 h 49 min");
        assert_eq!(after(true, 1), "0.2 s");
        assert_eq!(after(true, 4), "2 s");
        assert_eq!(after(true, 20_000), "1 y 93 d");
        assert_eq!(after(false, u32::MAX), after(false, u32::MAX - 1));
    }

    #[test]
    fn no_delay_is_no_wait_however_often() {
        for linear in [false, true] {
            let schedule = Schedule {
                delay: Duration::ZERO,
                most: Duration::from_secs(1),
                linear,
            };
            assert_eq!(schedule.after(u32::MAX), Duration::ZERO);
        }
    }
}
