//! The books as a table: a line a Broker, and under it a line a Trigger.

use serde_json::Value;

/// The names of the columns. Wide shows every figure of the laws.
pub(super) fn names(wide: bool, everywhere: bool) -> Vec<&'static str> {
    let mut names = vec!["NAMESPACE", "BROKER", "TRIGGER", "STATE"];
    if !everywhere {
        names.remove(0);
    }
    names.extend(of_broker(wide).iter().map(|(name, _)| *name));
    names.extend(figures(wide).iter().map(|(name, _)| *name));
    names.push("DROPPED");
    names
}

/// The lines of some Brokers.
pub(super) fn rows(items: &[Value], wide: bool, everywhere: bool) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for broker in items {
        rows.push(row(broker, None, wide, everywhere));
        let triggers = broker["triggers"].as_array();
        for trigger in triggers.into_iter().flatten() {
            rows.push(row(broker, Some(trigger), wide, everywhere));
        }
    }
    rows
}

/// The figures of a Broker itself.
fn of_broker(wide: bool) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 5] = [
        ("ACCEPTED", "accepted"),
        ("CARRIED", "carried"),
        ("UNHEARD", "unheard"),
        ("UNMATCHED", "unmatched"),
        ("ORPHANS", "orphans"),
    ];
    if wide { &ALL } else { &ALL[..1] }
}

/// The figures of a Trigger.
fn figures(wide: bool) -> &'static [(&'static str, &'static str)] {
    if wide { &WIDE } else { &NARROW }
}

const NARROW: [(&str, &str); 5] = [
    ("UNREAD", "unread"),
    ("MATCHED", "matched"),
    ("DELIVERED", "delivered"),
    ("DEAD_LETTERED", "deadLettered"),
    ("PENDING", "pending"),
];

const WIDE: [(&str, &str); 9] = [
    ("BEFORE", "before"),
    ("SEEN", "seen"),
    ("UNREAD", "unread"),
    ("FILTERED", "filtered"),
    ("MATCHED", "matched"),
    ("RECOVERED", "recovered"),
    ("DELIVERED", "delivered"),
    ("DEAD_LETTERED", "deadLettered"),
    ("PENDING", "pending"),
];

fn row(broker: &Value, trigger: Option<&Value>, wide: bool, everywhere: bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().map(|n| n.to_string()).unwrap_or_default();
    let mut row = Vec::new();
    if everywhere {
        row.push(text(&broker["namespace"]));
    }
    row.push(text(&broker["name"]));
    match trigger {
        None => {
            row.extend([String::new(), text(&broker["state"])]);
            let own = of_broker(wide).iter();
            row.extend(own.map(|(_, field)| number(&broker[field])));
            row.extend(figures(wide).iter().map(|_| String::new()));
            row.push(String::new());
        }
        Some(trigger) => {
            row.extend([text(&trigger["name"]), text(&trigger["state"])]);
            row.extend(of_broker(wide).iter().map(|_| String::new()));
            row.extend(
                figures(wide)
                    .iter()
                    .map(|(_, field)| number(&trigger[field])),
            );
            let dropped = trigger["dropped"].as_object();
            let each = dropped
                .into_iter()
                .flatten()
                .filter_map(|(_, count)| count.as_u64());
            row.push(each.sum::<u64>().to_string());
        }
    }
    row
}
