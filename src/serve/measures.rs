//! What the data plane measures, for `/metrics`: the admin port does not know of it by itself.

use std::sync::Arc;

use volley_broker::admin::{MoreMetrics, Page, Shape};
use volley_channel::log::LogChannel;
use volley_dispatcher::{BOUNDS_MS, Dispatcher, Histogram, Meters};
use volley_spec::route::ObjectKey;

use super::orphans;

type Measured = Vec<(ObjectKey, Arc<Meters>)>;

/// Adds the data plane's metrics to the page. Triggers beyond `max_triggers` are summed into
/// `trigger="_other"` of their Broker.
pub(super) fn of(
    plane: &Arc<Dispatcher>,
    log: Option<&Arc<LogChannel>>,
    max_triggers: usize,
) -> MoreMetrics {
    let (plane, log) = (Arc::clone(plane), log.cloned());
    Box::new(move |page| {
        let brokers = plane.meters();
        durations(
            page,
            &brokers,
            "volley_delivery_attempt_duration_seconds",
            "How long attempts took.",
            |meters| &meters.attempts,
        );
        durations(
            page,
            &brokers,
            "volley_delivery_latency_seconds",
            "From an event's acceptance to the end of its delivery.",
            |meters| &meters.deliveries,
        );
        attempts(page, &brokers, max_triggers);
        replies(page, &brokers);
        filters(page, &brokers);
        if let Some(log) = &log {
            storage(page, log);
            let name = "volley_channel_log_orphans";
            let help =
                "Brokers that no file declares or that are not Ready, and whose backlog is kept.";
            page.family(name, help, Shape::Gauge);
            page.sample(name, &[], orphans::brokers(log, &plane).len() as f64);
        }
    })
}

/// What the log on disk does.
fn storage(page: &mut Page, log: &LogChannel) {
    let stats = log.stats();
    for (name, help, shape, value) in [
        (
            "volley_channel_log_segments",
            "Files of the log.",
            Shape::Gauge,
            stats.segments as u64,
        ),
        (
            "volley_channel_log_disk_bytes",
            "Disk that they take.",
            Shape::Gauge,
            stats.bytes_on_disk,
        ),
        (
            "volley_channel_log_unsnapshotted_bytes",
            "Log that a start would read now.",
            Shape::Gauge,
            stats.unsnapshotted,
        ),
        (
            "volley_channel_log_commits_total",
            "Writes that were synced.",
            Shape::Counter,
            stats.commits,
        ),
        (
            "volley_channel_log_events_total",
            "Events stored.",
            Shape::Counter,
            stats.events,
        ),
        (
            "volley_channel_log_written_bytes_total",
            "Bytes written, zeros ahead and snapshots not counted.",
            Shape::Counter,
            stats.bytes,
        ),
        (
            "volley_channel_log_damaged_total",
            "Places found damaged.",
            Shape::Counter,
            stats.damaged,
        ),
    ] {
        page.family(name, help, shape);
        page.sample(name, &[], value as f64);
    }
}

fn durations(
    page: &mut Page,
    brokers: &Measured,
    name: &str,
    help: &str,
    pick: fn(&Meters) -> &Histogram,
) {
    let bounds: Vec<f64> = BOUNDS_MS.iter().map(|ms| *ms as f64 / 1000.0).collect();
    page.family(name, help, Shape::Histogram);
    for (key, meters) in brokers {
        let histogram = pick(meters);
        page.histogram(
            name,
            &labels(key),
            &bounds,
            &histogram.buckets(),
            histogram.seconds(),
        );
    }
}

fn attempts(page: &mut Page, brokers: &Measured, max_triggers: usize) {
    const NAME: &str = "volley_delivery_attempts_total";
    page.family(
        NAME,
        "Attempts, by the class of their answer.",
        Shape::Counter,
    );
    let mut left = max_triggers;
    for (key, meters) in brokers {
        let mut others = [0; volley_dispatcher::CLASSES.len()];
        for (trigger, meters) in &meters.triggers() {
            let named = left > 0;
            left = left.saturating_sub(1);
            for (other, (class, count)) in others.iter_mut().zip(meters.attempts()) {
                if !named {
                    *other += count;
                } else if count > 0 {
                    attempt(page, NAME, key, trigger, class, count);
                }
            }
        }
        for (class, count) in volley_dispatcher::CLASSES.into_iter().zip(others) {
            if count > 0 {
                attempt(page, NAME, key, "_other", class, count);
            }
        }
    }
}

fn attempt(page: &mut Page, name: &str, key: &ObjectKey, trigger: &str, class: &str, count: u64) {
    let labels = [
        ("namespace", key.namespace.as_str()),
        ("broker", key.name.as_str()),
        ("trigger", trigger),
        ("code_class", class),
    ];
    page.sample(name, &labels, count as f64);
}

fn filters(page: &mut Page, brokers: &Measured) {
    type Read = fn(&Meters) -> u64;
    let families: [(&str, &str, Shape, Read); 2] = [
        (
            "volley_filter_errors_total",
            "CESQL expressions that failed on an event or gave no boolean: not true, so that a `not` around them passes.",
            Shape::Counter,
            |meters| meters.filter_errors(),
        ),
        (
            "volley_filter_unindexed",
            "Triggers whose filters are tried for every event.",
            Shape::Gauge,
            |meters| meters.unindexed() as u64,
        ),
    ];
    for (name, help, shape, read) in families {
        page.family(name, help, shape);
        for (key, meters) in brokers {
            page.sample(name, &labels(key), read(meters) as f64);
        }
    }
}

fn labels(key: &ObjectKey) -> [(&'static str, &str); 2] {
    [
        ("namespace", key.namespace.as_str()),
        ("broker", key.name.as_str()),
    ]
}

fn replies(page: &mut Page, brokers: &Measured) {
    const NAME: &str = "volley_replies_total";
    page.family(NAME, "Replies that subscribers gave.", Shape::Counter);
    for (key, meters) in brokers {
        let sum: u64 = meters
            .triggers()
            .iter()
            .map(|(_, meters)| meters.replies())
            .sum();
        page.sample(NAME, &labels(key), sum as f64);
    }
}
