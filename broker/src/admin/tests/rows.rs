//! What each path answers.

use std::sync::atomic::Ordering;

use super::{Stage, fakes::UID};
use crate::{admin::AdminOptions, ingress::Phase};

fn is_problem(said: &super::Said, status: u16) {
    assert_eq!(said.status, status, "{}", said.body);
    assert!(
        said.head.contains("content-type: application/problem+json"),
        "{}",
        said.head
    );
    let body = said.json();
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], "about:blank");
    assert!(
        body["detail"].is_string() && body["hint"].is_string(),
        "{body}"
    );
}

#[tokio::test]
async fn it_is_alive_as_soon_as_it_answers() {
    let stage = Stage::new().await;
    for path in ["/healthz", "/livez"] {
        assert_eq!(stage.get(path).await.status, 200);
        let head = stage.ask("HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    }
}

#[tokio::test]
async fn it_is_ready_once_objects_are_live_and_until_it_drains() {
    let stage = Stage::new().await;
    let early = stage.get("/readyz").await;
    assert_eq!(early.status, 503);
    assert!(
        early.body.contains("[-] objects: 3 declared\n"),
        "{}",
        early.body
    );
    assert!(early.body.ends_with("not ready\n"));
    stage.objects.live.store(true, Ordering::Relaxed);
    let ready = stage.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    for query in ["verbose", "verbose=1", "x=1&verbose"] {
        let verbose = stage.get(&format!("/readyz?{query}")).await;
        assert_eq!(verbose.status, 200);
        let lines: Vec<_> = verbose.body.lines().collect();
        let wanted = [
            "[+] ingress: taking events",
            "[+] storage: events can be stored",
            "[+] objects: 3 declared",
            "[-] files: a.yaml:1:1: no such thing",
            "ready",
        ];
        assert_eq!(lines, wanted);
    }
    stage.ingress.advance(Phase::Draining);
    let draining = stage.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert!(
        draining.body.contains("[-] ingress: stopping"),
        "{}",
        draining.body
    );
    assert_eq!(stage.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_named_as_it_was_asked_for() {
    let stage = Stage::new().await;
    for path in ["/api/v1", "/api/v1/triggers/", "/nothing"] {
        let said = stage.get(path).await;
        is_problem(&said, 404);
        let detail = said.json()["detail"].clone();
        assert_eq!(detail, format!("there is nothing at {path}"));
    }
    let held = stage.get("/api/v1/triggers/a/held").await;
    is_problem(&held, 404);
    let detail = held.json()["detail"].clone();
    assert_eq!(
        detail,
        "Trigger a/held is declared and not taken up: a.yaml has errors"
    );
}

#[tokio::test]
async fn objects_of_kinds_that_are_not_served_are_listed() {
    let stage = Stage::new().await;
    let kinds = |said: &super::Said| -> Vec<String> {
        let body = said.json();
        let items = body["items"].as_array().expect("items").iter();
        items.map(|item| item["kind"].to_string()).collect()
    };
    let all = stage.get("/api/v1/skipped").await;
    assert_eq!(kinds(&all), ["\"Parallel\"", "\"Sequence\""]);
    let one = stage.get("/api/v1/skipped?namespace=b").await;
    assert_eq!(kinds(&one), ["\"Sequence\""]);
}

#[tokio::test]
async fn the_books_are_shown_in_order_by_page_and_by_name() {
    let stage = Stage::new().await;
    let names = |said: &super::Said| -> Vec<String> {
        let body = said.json();
        let items = body["items"].as_array().expect("items");
        let name = |item: &serde_json::Value| {
            format!(
                "{}/{}",
                item["namespace"].as_str().unwrap(),
                item["name"].as_str().unwrap()
            )
        };
        items.iter().map(name).collect()
    };
    let all = stage.get("/api/v1/accounts").await;
    assert!(
        all.head.contains("content-type: application/json"),
        "{}",
        all.head
    );
    assert_eq!(names(&all), ["default/a", "default/b", "z/b"]);
    assert!(all.json()["continue"].is_null());
    let row = &all.json()["items"][0]["triggers"][1];
    assert_eq!(row["deadLettered"], 2);
    assert_eq!(row["state"], "attached");
    let some = stage
        .get("/api/v1/accounts?limit=100&namespace=default")
        .await;
    assert_eq!(names(&some), ["default/a", "default/b"]);
    let one = stage.get("/api/v1/accounts?name=b&namespace=z").await;
    assert_eq!(names(&one), ["z/b"]);
    let first = stage.get("/api/v1/accounts?limit=2").await;
    let next = first.json()["continue"].as_str().expect("more").to_owned();
    let rest = stage
        .get(&format!("/api/v1/accounts?limit=2&continue={next}"))
        .await;
    assert_eq!(names(&rest), ["z/b"]);
    assert!(rest.json()["continue"].is_null());
    let refused = stage.get("/api/v1/accounts?limit=no").await;
    is_problem(&refused, 400);
    let said = refused.json()["detail"].clone();
    assert_eq!(said, "the query can't be read: limit: \"no\" is no number");
    is_problem(&stage.get("/api/v1/accounts?nam=x").await, 400);
}

#[tokio::test]
async fn objects_are_listed_and_found() {
    let stage = Stage::new().await;
    let all = stage.get("/api/v1/triggers").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3));
    assert!(all["continue"].is_null());
    let page = stage
        .get("/api/v1/triggers?limit=1&namespace=a")
        .await
        .json();
    assert_eq!(page["items"][0]["metadata"]["name"], "x");
    assert_eq!(page["continue"], "a/x");
    let none = stage.get("/api/v1/brokers").await.json();
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
    let one = stage.get("/api/v1/triggers/a/x").await.json();
    assert_eq!(one["metadata"]["namespace"], "a");
    is_problem(&stage.get("/api/v1/triggers/a/nobody").await, 404);
    let unknown = stage.get("/api/v1/widgets").await;
    is_problem(&unknown, 404);
    let hint = unknown.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("brokers, triggers"), "{hint}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_hint() {
    let stage = Stage::new().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/triggers/a",
        "/api/v1/a/b/c/d",
        "/x",
    ] {
        is_problem(&stage.get(path).await, 404);
    }
    for (method, path) in [
        ("POST", "/api/v1/triggers"),
        ("DELETE", "/api/v1/triggers/a/x"),
        ("PUT", "/metrics"),
    ] {
        let said = stage.ask(method, path).await;
        is_problem(&said, 405);
        assert!(said.head.contains("allow: GET, HEAD"), "{}", said.head);
    }
}

#[tokio::test]
async fn off_loopback_only_health_and_metrics_are_served() {
    let stage = Stage::with(AdminOptions {
        open: false,
        ..AdminOptions::default()
    })
    .await;
    for path in ["/healthz", "/livez", "/metrics"] {
        assert_eq!(stage.get(path).await.status, 200, "{path}");
    }
    assert_eq!(stage.get("/readyz").await.status, 503);
    for path in [
        "/api/v1/accounts",
        "/api/v1/brokers",
        "/api/v1/secrets/a/x",
        "/api/v1/what",
    ] {
        let said = stage.get(path).await;
        is_problem(&said, 403);
        let open = said.body.contains("--admin-open");
        assert!(open && said.body.contains("--admin on"), "{}", said.body);
    }
    is_problem(&stage.ask("POST", "/api/v1/brokers").await, 403);
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_no_series_comes_twice() {
    let stage = Stage::new().await;
    let page = stage.get("/metrics").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    let text = &page.body;
    for line in [
        "volley_ingress_connections 0",
        r#"volley_ingress_events_total{namespace="default",broker="b",result="accepted"} 0"#,
        r#"volley_ingress_events_total{namespace="_other",broker="_other",result="not_found"} 0"#,
        r#"volley_ingress_request_duration_seconds_bucket{namespace="default",broker="b",le="+Inf"} 0"#,
        r#"volley_trigger_events_total{namespace="z",broker="b",trigger="hello",outcome="delivered"} 4"#,
        r#"volley_trigger_events_total{namespace="z",broker="b",trigger="hello",outcome="dropped"} 4"#,
        r#"volley_trigger_pending{namespace="z",broker="b",trigger="other"} 1"#,
        r#"volley_trigger_oldest_seconds{namespace="z",broker="b",trigger="hello"} 2.5"#,
        r#"volley_trigger_state{namespace="z",broker="b",trigger="hello",state="attached"} 1"#,
        r#"volley_trigger_state{namespace="z",broker="b",trigger="other",state="parked"} 1"#,
        r#"volley_unmatched_total{namespace="z",broker="b"} 5"#,
        r#"volley_channel_used_bytes{namespace="default",broker="b"} 0"#,
        "volley_replies_total 4",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line}\nin\n{text}"
        );
    }
    assert!(text.contains("volley_build_info{version=\""), "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let mut names: Vec<_> = series
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a series comes twice");
    assert!(!text.contains(UID), "no uid is a label");
}

#[tokio::test]
async fn triggers_beyond_a_number_are_summed() {
    let stage = Stage::with(AdminOptions {
        max_triggers: 1,
        ..AdminOptions::default()
    })
    .await;
    let text = stage.get("/metrics").await.body;
    let other = r#"volley_trigger_events_total{namespace="default",broker="b",trigger="_other",outcome="delivered"} 4"#;
    assert!(text.lines().any(|line| line == other), "{text}");
    // One that is named, and a row of others for each of the three Brokers.
    assert_eq!(text.matches("outcome=\"delivered\"").count(), 4);
}

#[tokio::test]
async fn heads_are_limited_and_the_port_stops_when_told() {
    let mut stage = Stage::new().await;
    let long = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(30_000));
    assert_eq!(stage.say(&long).await.status, 431);
    // An open, idle connection does not hold the port.
    let _idle = tokio::net::TcpStream::connect(stage.address)
        .await
        .expect("connect");
    stage.stop.take();
    while let Some(ended) = stage.tasks.join_next().await {
        ended.expect("no task dies");
    }
    assert!(tokio::net::TcpStream::connect(stage.address).await.is_err());
}
