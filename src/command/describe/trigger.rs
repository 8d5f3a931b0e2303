//! What is said of a Trigger: where its events come from and go, its filter, delivery and books.

use serde_json::Value;
use volley_spec::{
    Object, ObjectKind,
    defaults::{BROKER_DEFAULTS, Defaults, SYSTEM_NAMESPACE},
    kinds::{Broker, Trigger},
    plan::{Limits, delivery_of},
    route::Order,
};

use super::{Page, delivery, filter};
use crate::{client::Server, failure::Failure};

/// Adds what there is to say.
pub(super) async fn describe(
    page: &mut Page,
    server: &Server,
    object: &Value,
) -> Result<(), Failure> {
    let Ok(Object::Trigger(trigger)) = Object::from_json(ObjectKind::Trigger, object.clone())
    else {
        return Ok(());
    };
    let status = |field: &str| object["status"][field].as_str();
    page.field("Broker", trigger.broker_name());
    page.field(
        "Subscriber",
        status("subscriberUri").unwrap_or("none yet: its events wait"),
    );
    filter::describe(page, &trigger.spec);
    let broker = broker_of(server, &trigger).await?;
    let dead_letters = dead_letters(object);
    delivery::describe(page, &delivery_of(&trigger, broker.as_ref()), dead_letters);
    limits(page, Limits::of(&trigger.metadata));
    if let Some(row) = row_of(server, &trigger, object).await? {
        books(page, &row);
    }
    Ok(())
}

/// Where its dead letters go; `None`: nowhere.
pub(super) fn dead_letters(object: &Value) -> Option<&str> {
    let status = &object["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let is_unresolved =
        |it: &Value| it["type"] == "DeadLetterSinkResolved" && it["status"] == "False";
    match status["deadLetterSinkUri"].as_str() {
        None if conditions.clone().any(is_unresolved) => {
            Some("its dead-letter sink, and waits until that is resolved")
        }
        known => known,
    }
}

/// Its order and limits as `-o json` shows them.
pub(super) fn limits_of(object: &Value) -> Option<Limits> {
    match Object::from_json(ObjectKind::Trigger, object.clone()) {
        Ok(Object::Trigger(trigger)) => Some(Limits::of(&trigger.metadata)),
        _ => None,
    }
}

/// How its attempts go beside each other.
fn limits(page: &mut Page, limits: Limits) {
    let order = match limits.order {
        Order::None => "side by side, in no order",
        Order::Key => "one attempt at a time for each partitionkey",
        Order::Partition => "one attempt at a time, in the order of the log",
    };
    page.within(1, order);
    let most = limits.concurrency;
    page.within(1, format!("at most {most} attempts in flight at once"));
    if let Some(rate) = limits.rate {
        let each = match rate {
            rate if rate >= 1.0 => format!("{rate} attempts are started a second"),
            rate => format!("one attempt is started every {:.0} s", 1.0 / rate),
        };
        page.within(1, format!("at most {each}"));
    }
}

/// Its row in the books since the process started.
pub(super) async fn row(server: &Server, object: &Value) -> Result<Option<Value>, Failure> {
    match Object::from_json(ObjectKind::Trigger, object.clone()) {
        Ok(Object::Trigger(trigger)) => row_of(server, &trigger, object).await,
        _ => Ok(None),
    }
}

async fn row_of(
    server: &Server,
    trigger: &Trigger,
    object: &Value,
) -> Result<Option<Value>, Failure> {
    let namespace = trigger.metadata.namespace();
    let query = [("namespace", namespace), ("name", trigger.broker_name())];
    let accounts = server.list("/api/v1/accounts", &query).await?;
    let rows = accounts.iter().filter_map(|it| it["triggers"].as_array());
    let mut rows = rows.flatten();
    Ok(rows
        .find(|row| row["uid"] == object["metadata"]["uid"])
        .cloned())
}

/// Its Broker with the defaults filled in.
async fn broker_of(server: &Server, trigger: &Trigger) -> Result<Option<Broker>, Failure> {
    let namespace = trigger.metadata.namespace();
    let path = format!("/api/v1/brokers/{namespace}/{}", trigger.broker_name());
    let Some(Object::Broker(broker)) = found(server, ObjectKind::Broker, &path).await? else {
        return Ok(None);
    };
    let path = format!("/api/v1/configmaps/{SYSTEM_NAMESPACE}/{BROKER_DEFAULTS}");
    let defaults = match found(server, ObjectKind::ConfigMap, &path).await? {
        Some(Object::ConfigMap(map)) => Defaults::from_config(&map),
        _ => None,
    };
    Ok(Some(defaults.unwrap_or_default().broker(&broker)))
}

async fn found(server: &Server, kind: ObjectKind, path: &str) -> Result<Option<Object>, Failure> {
    match server.get(path, &[]).await {
        Ok(json) => Ok(Object::from_json(kind, json).ok()),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn books(page: &mut Page, row: &Value) {
    page.section("Books since volley serve started");
    let number = |field: &str| row[field].as_u64().unwrap_or_default();
    for (title, field) in [
        ("matched", "matched"),
        ("recovered", "recovered"),
        ("delivered", "delivered"),
        ("dead-lettered", "deadLettered"),
    ] {
        page.within(1, format!("{title:<15}{}", number(field)));
    }
    let dropped = row["dropped"].as_object().into_iter().flatten();
    let dropped: Vec<(&str, u64)> = dropped
        .filter_map(|(why, count)| Some((why.as_str(), count.as_u64()?)))
        .collect();
    let sum: u64 = dropped.iter().map(|(_, count)| count).sum();
    let each: Vec<String> = dropped
        .iter()
        .map(|(why, count)| format!("{why} {count}"))
        .collect();
    let why = if each.is_empty() {
        String::new()
    } else {
        format!(" ({})", each.join(", "))
    };
    page.within(1, format!("{:<15}{sum}{why}", "dropped"));
    page.within(1, format!("{:<15}{}", "pending", number("pending")));
    page.within(1, format!("{:<15}{}", "to be read", number("unread")));
    if let errors @ 1.. = number("filterErrors") {
        page.within(
            1,
            format!(
                "{:<15}{errors} (volley filter test --explain says why its filter fails)",
                "filter errors"
            ),
        );
    }
    page.within(
        1,
        format!(
            "{:<15}{}",
            "it is",
            row["state"].as_str().unwrap_or_default()
        ),
    );
}
