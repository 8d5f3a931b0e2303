//! The document that describes this port, held against the port.

use serde_json::Value;
use volley_spec::ObjectKind;

use super::Stage;

/// Every `$ref` in `value`.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_path_of_the_document_answers_as_it_says() {
    let stage = Stage::new().await;
    let document = stage.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths {
        if path == "/api/v1/stream" {
            // It has no end: its own test reads it.
            continue;
        }
        let target = path.replace("{namespace}", "a").replace("{name}", "x");
        let said = stage.get(&target).await;
        let response = &item["get"]["responses"][said.status.to_string()];
        let content = response["content"].as_object();
        let content = content.unwrap_or_else(|| panic!("{path}: {} is not told", said.status));
        let form = content.keys().next().expect("a media type");
        assert!(
            said.head.contains(&format!("content-type: {form}")),
            "{path}: {}",
            said.head
        );
        if form.ends_with("json") {
            said.json();
        }
    }
}

#[tokio::test]
async fn the_document_has_every_path_that_is_served() {
    let stage = Stage::new().await;
    let document = stage.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    // What a wrong path is told is there is written by hand beside the routes.
    let hint = stage.get("/nowhere").await.json();
    let hint = hint["hint"].as_str().expect("a hint");
    let words = hint.split([' ', ',']).filter(|word| word.starts_with('/'));
    let mut told: Vec<String> = words.map(str::to_owned).collect();
    told.retain(|path| path != "/api/v1/{kinds}");
    assert!(told.len() > 5, "{told:?}");
    for kind in ObjectKind::ALL {
        told.push(format!("/api/v1/{}", kind.plural()));
        told.push(format!("/api/v1/{}/{{namespace}}/{{name}}", kind.plural()));
    }
    told.sort();
    let mut described: Vec<String> = paths.keys().cloned().collect();
    described.sort();
    assert_eq!(described, told);
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let stage = Stage::new().await;
    let document = stage.get("/api/v1/openapi.json").await.json();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let at = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(at).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_books_are_described_field_by_field() {
    let stage = Stage::new().await;
    let document = stage.get("/api/v1/openapi.json").await.json();
    let books = stage.get("/api/v1/accounts").await.json();
    let (account, trigger) = (&books["items"][0], &books["items"][0]["triggers"][0]);
    for (shown, schema) in [(account, "BrokerAccount"), (trigger, "TriggerAccount")] {
        let described = &document["components"]["schemas"][schema]["properties"];
        let mut described: Vec<_> = described.as_object().expect(schema).keys().collect();
        let mut fields: Vec<_> = shown.as_object().expect("a row").keys().collect();
        described.sort();
        fields.sort();
        assert_eq!(described, fields);
    }
}
