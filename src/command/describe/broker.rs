//! What is said of a Broker: its address, where its events are kept, and who reads them.

use serde_json::Value;

use super::Page;
use crate::{client::Server, failure::Failure, output};

/// How many Triggers are named.
const NAMED: usize = 50;

/// Its account since the process started.
pub(super) async fn account(server: &Server, object: &Value) -> Result<Option<Value>, Failure> {
    let metadata = &object["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let query = [("namespace", text("namespace")), ("name", text("name"))];
    let accounts = server.list("/api/v1/accounts", &query).await?;
    let mut own = accounts.into_iter();
    Ok(own.find(|row| row["uid"] == metadata["uid"]))
}

/// Adds what there is to say.
pub(super) async fn describe(
    page: &mut Page,
    server: &Server,
    object: &Value,
) -> Result<(), Failure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let address = object["status"]["address"]["url"].as_str();
    page.field("Address", address.unwrap_or("none yet"));
    let own = account(server, object).await?;
    let conditions = object["status"]["conditions"].as_array();
    let durable = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Durable");
    if let Some(account) = &own {
        page.field("Channel", text(&account["channel"]));
    }
    page.field(
        "Durable",
        match durable.and_then(|durable| durable["status"].as_str()) {
            Some("True") => "yes: an event that was answered 202 outlives a crash".to_owned(),
            Some("False") => format!("no: {}", text(&durable.unwrap_or(&Value::Null)["message"])),
            _ => "not known".to_owned(),
        },
    );
    if let Some(account) = &own {
        page.section("Books since volley serve started");
        for (title, field) in [
            ("carried", "carried"),
            ("accepted", "accepted"),
            ("unheard", "unheard"),
            ("unmatched", "unmatched"),
        ] {
            let count = account[field].as_u64().unwrap_or_default();
            page.within(1, format!("{title:<15}{count}"));
        }
        if let orphans @ 1.. = account["orphans"].as_u64().unwrap_or_default() {
            let said = "Triggers that no file declares any more; their backlog is kept (--orphans)";
            page.within(1, format!("{:<15}{orphans} ({said})", "orphans"));
        }
    }
    let triggers = server
        .list("/api/v1/triggers", &[("namespace", namespace.as_str())])
        .await?;
    let reads = |trigger: &&Value| {
        let spec = &trigger["spec"];
        let by_name = spec["broker"].as_str().filter(|broker| !broker.is_empty());
        by_name.or(spec["brokerRef"]["name"].as_str()) == Some(name.as_str())
    };
    let own: Vec<&Value> = triggers.iter().filter(reads).collect();
    page.section("Triggers");
    readers(page, &own);
    Ok(())
}

fn readers(page: &mut Page, triggers: &[&Value]) {
    if triggers.is_empty() {
        page.within(1, "none: nobody gets its events");
        return;
    }
    let row = |trigger: &&Value| {
        let conditions = trigger["status"]["conditions"].as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Ready");
        let ready = ready.cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        vec![
            text(&trigger["metadata"]["name"]),
            text(&ready["status"]),
            text(&trigger["status"]["subscriberUri"]),
            text(&ready["reason"]),
        ]
    };
    let rows: Vec<Vec<String>> = triggers.iter().take(NAMED).map(row).collect();
    let names = ["NAME", "READY", "SUBSCRIBER_URI", "REASON"];
    for line in output::table(&names, &rows).lines() {
        page.within(1, line);
    }
    if let Some(more) = triggers.len().checked_sub(NAMED).filter(|more| *more > 0) {
        page.within(1, format!("and {more} more: volley get triggers"));
    }
}
