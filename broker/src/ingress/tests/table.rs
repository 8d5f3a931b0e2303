//! What each kind of request is answered.

use super::{EVENT, Stage, post, status};
use crate::ingress::{Kind, Phase};

const STRUCTURED: &str = "content-type: application/cloudevents+json\r\n";
const BATCH: &str = "content-type: application/cloudevents-batch+json\r\n";
const ENVELOPE: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

fn bare(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

/// Sends each request to a new port: the status, and that the answer is well made.
async fn check(rows: &[(&str, String, u16)]) {
    for (name, request, wanted) in rows {
        let mut stage = Stage::new().await;
        let answer = stage.ask(request).await;
        assert_eq!(status(&answer), *wanted, "{name}: {answer}");
        assert!(
            answer.contains("allow: POST, OPTIONS\r\n"),
            "{name}: {answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        if *wanted >= 400 && !head.starts_with("HTTP/1.1 503") {
            assert!(
                body.ends_with('\n') && body.lines().count() == 1,
                "{name}: {body:?}"
            );
            assert!(body.len() < 400 && body.len() > 10, "{name}: {body:?}");
        } else {
            assert_eq!(body, "", "{name}");
        }
        let stored = stage.stored().await.len();
        assert_eq!(stored, usize::from(*wanted == 202), "{name}: stored");
        assert_eq!(stage.accepted(), stored as u64, "{name}");
        stage.ended().await;
        assert_eq!(stage.unheard(), 0, "{name}");
    }
}

#[tokio::test]
async fn methods_and_health() {
    check(&[
        ("GET", bare("GET", "/ns/b", ""), 405),
        ("PUT", bare("PUT", "/ns/b", EVENT), 405),
        ("PATCH", bare("PATCH", "/", ""), 405),
        ("DELETE", bare("DELETE", "/nowhere/at/all", ""), 405),
        ("an unknown method", bare("BREW", "/ns/b", ""), 405),
        ("GET health", bare("GET", "/healthz", ""), 200),
        ("HEAD health", bare("HEAD", "/healthz", ""), 200),
        ("health with a query", bare("GET", "/healthz?x", ""), 200),
        ("POST of health is a path", post("/healthz", EVENT, ""), 400),
        (
            "a probe",
            bare("GET", "/a/b/c/d", "User-Agent: kube-probe/1.31\r\n"),
            200,
        ),
        (
            "a probe by POST",
            post("/ns/b", "user-agent: kube-probe/1\r\n", ""),
            200,
        ),
        (
            "no probe",
            bare("GET", "/ns/b", "user-agent: xkube-probe/\r\n"),
            405,
        ),
        ("OPTIONS", bare("OPTIONS", "/ns/b", ""), 200),
        ("OPTIONS of the root", bare("OPTIONS", "/", ""), 200),
        ("OPTIONS of the server", bare("OPTIONS", "*", ""), 200),
    ])
    .await;
}

#[tokio::test]
async fn head_of_a_broker_is_405_without_a_body() {
    let mut stage = Stage::new().await;
    let answer = stage.ask(bare("HEAD", "/ns/b", "")).await;
    assert_eq!(status(&answer), 405);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn paths() {
    check(&[
        ("the Broker's", post("/ns/b", EVENT, "x"), 202),
        ("with a slash", post("/ns/b/", EVENT, "x"), 202),
        ("with a query", post("/ns/b?a=/b&c=%20", EVENT, "x"), 202),
        ("with a slash and a query", post("/ns/b/?", EVENT, "x"), 202),
        (
            "absolute",
            post("http://elsewhere:99/ns/b?q", EVENT, "x"),
            202,
        ),
        ("two slashes", post("/ns/b//", EVENT, "x"), 400),
        ("slashes before", post("//ns/b", EVENT, "x"), 400),
        ("three segments", post("/ns/b/c", EVENT, "x"), 400),
        ("one segment", post("/ns", EVENT, "x"), 400),
        ("an escape", post("/ns/%62", EVENT, "x"), 400),
        ("upper case", post("/ns/B", EVENT, "x"), 400),
        ("the root", post("/", EVENT, "x"), 404),
        ("an absolute root", post("http://x", EVENT, "x"), 404),
        ("an unknown Broker", post("/ns/other", EVENT, "x"), 404),
        ("an unknown namespace", post("/other/b", EVENT, "x"), 404),
        (
            "an invalid event to an unknown Broker",
            post("/ns/other", "", "x"),
            400,
        ),
        (
            "an unknown Channel",
            post("/channels/ns/c", EVENT, "x"),
            404,
        ),
        (
            "an invalid event to a Channel",
            post("/channels/ns/c", "", "x"),
            400,
        ),
        (
            "a Channel of no name",
            post("/channels/ns/C", EVENT, "x"),
            400,
        ),
        ("an unknown source", post("/sources/ns/s", "", "x"), 404),
        ("a source of no name", post("/sources/ns/S", "", "x"), 400),
        (
            "a bad path before a bad encoding",
            post("/x", "content-encoding: gzip\r\n", ""),
            400,
        ),
    ])
    .await;
}

#[tokio::test]
async fn events_and_encodings() {
    let gzip = format!("{EVENT}content-encoding: gzip\r\n");
    let identity = format!("{EVENT}Content-Encoding: Identity\r\n");
    let both = format!("{EVENT}content-encoding: identity, br\r\n");
    let two = format!("{EVENT}content-encoding: identity\r\ncontent-encoding: gzip\r\n");
    let hops = format!("{EVENT}ce-knativebrokerttl: 0\r\n");
    let twice = format!("{EVENT}ce-id: 2\r\n");
    check(&[
        ("no data", post("/ns/b", EVENT, ""), 202),
        ("structured", post("/ns/b", STRUCTURED, ENVELOPE), 202),
        ("identity", post("/ns/b", &identity, "x"), 202),
        (
            "a batch of one",
            post("/ns/b", BATCH, &format!("[{ENVELOPE}]")),
            202,
        ),
        ("gzip", post("/ns/b", &gzip, "x"), 415),
        ("two encodings", post("/ns/b", &both, "x"), 415),
        ("two encoding headers", post("/ns/b", &two, "x"), 415),
        (
            "gzip of no event",
            post("/ns/b", "content-encoding: gzip\r\n", "x"),
            415,
        ),
        ("gzip to nobody", post("/ns/nobody", &gzip, "x"), 415),
        (
            "a transfer coding",
            format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        (
            "no host",
            format!("POST /ns/b HTTP/1.1\r\n{EVENT}content-length: 0\r\n\r\n"),
            400,
        ),
        (
            "an older version without a host",
            format!("POST /ns/b HTTP/1.0\r\n{EVENT}content-length: 0\r\n\r\n"),
            202,
        ),
        ("two hosts", post("/ns/b", &format!("{EVENT}host: y\r\n"), ""), 400),
        ("no event", post("/ns/b", "", "x"), 400),
        ("no envelope", post("/ns/b", STRUCTURED, ""), 400),
        ("hops used up", post("/ns/b", &hops, "x"), 400),
        ("a header twice", post("/ns/b", &twice, "x"), 400),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_names_the_attribute() {
    let mut stage = Stage::new().await;
    let headers = EVENT.replace("ce-id: 1\r\n", "");
    let answer = stage.ask(post("/ns/b", &headers, "x")).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(
        head.contains("content-type: text/plain; charset=utf-8"),
        "{head}"
    );
    assert!(body.contains("\"id\""), "{body}");
    assert_eq!(stage.door.counts().of(Kind::Invalid), 1);
}

#[tokio::test]
async fn a_handshake_is_answered_with_the_origin_that_asks() {
    let mut stage = Stage::new().await;
    let answer = stage.ask(bare("OPTIONS", "/ns/b", "")).await;
    assert!(answer.contains("webhook-allowed-origin: *\r\n"), "{answer}");
    assert!(answer.contains("webhook-allowed-rate: *\r\n"), "{answer}");
    let origin = "WebHook-Request-Origin: producer.example\r\n";
    let answer = stage.ask(bare("OPTIONS", "/ns/b", origin)).await;
    assert!(
        answer.contains("webhook-allowed-origin: producer.example\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_all_are_counted() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    for _ in 0..3 {
        client.send(post("/ns/b", EVENT, "body")).await;
        assert_eq!(status(&client.answer().await), 202);
    }
    // Two at once, the second one bad.
    let both = post("/ns/b", EVENT, "body") + &post("/ns/nobody", EVENT, "body");
    client.send(both).await;
    assert_eq!(status(&client.answer().await), 202);
    assert_eq!(status(&client.answer().await), 404);
    drop(client);
    stage.ended().await;
    assert_eq!(stage.accepted(), 4);
    assert_eq!(stage.unheard(), 0);
    assert_eq!(stage.door.counts().of(Kind::Accepted), 4);
    assert_eq!(stage.ingress.strangers().of(Kind::NotFound), 1);
    let (buckets, _) = stage.door.counts().durations();
    assert_eq!(buckets.iter().sum::<u64>(), 4);
}

#[tokio::test]
async fn what_is_stored_is_what_came() {
    let mut stage = Stage::new().await;
    let headers = format!("{EVENT}ce-partitionkey: k\r\nx-request-id: 5\r\n");
    stage.ask(post("/ns/b", &headers, "hello")).await;
    let stored = stage.stored().await;
    let event = &stored[0].event;
    assert_eq!((event.id(), event.kind()), ("1", "t"));
    assert_eq!(event.partition_key(), Some("k"));
    assert_eq!(&event.body()[..], b"hello");
    let traveling: Vec<_> = event.traveling_headers().collect();
    assert_eq!(traveling, [("x-request-id", &b"5"[..])]);
}

#[tokio::test]
async fn health_says_503_while_draining_and_events_are_still_taken() {
    let mut stage = Stage::new().await;
    stage.ingress.advance(Phase::Draining);
    let answer = stage.ask(bare("GET", "/healthz", "")).await;
    assert_eq!(status(&answer), 503);
    let probe = bare("GET", "/x", "user-agent: kube-probe/1\r\n");
    assert_eq!(status(&stage.ask(probe).await), 503);
    assert_eq!(status(&stage.ask(post("/ns/b", EVENT, "x")).await), 202);
    stage.ingress.advance(Phase::Serving);
    assert_eq!(stage.ingress.phase(), Phase::Draining, "never back");
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_refused_whole() {
    let mut stage = Stage::new().await;
    let three = format!("[{ENVELOPE},{ENVELOPE},{ENVELOPE}]");
    assert_eq!(status(&stage.ask(post("/ns/b", BATCH, &three)).await), 202);
    assert_eq!(stage.accepted(), 3);
    let bad = format!("[{ENVELOPE},{{\"specversion\":\"1.0\"}},{ENVELOPE}]");
    let answer = stage.ask(post("/ns/b", BATCH, &bad)).await;
    assert_eq!(status(&answer), 400);
    assert!(answer.contains("event 1 of the batch"), "{answer}");
    assert_eq!(status(&stage.ask(post("/ns/b", BATCH, "[]")).await), 202);
    assert_eq!(
        status(&stage.ask(post("/ns/nobody", BATCH, "[]")).await),
        404
    );
    assert_eq!(stage.accepted(), 3);
    assert_eq!(stage.door.counts().of(Kind::Accepted), 3);
}

#[tokio::test]
async fn framing_that_two_parsers_could_read_in_two_ways_ends_the_connection() {
    let smuggled = "POST /ns/b HTTP/1.1\r\nhost: x\r\n\r\n";
    for (framing, body, stored) in [
        (
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
            1,
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            "0\r\n\r\n",
            1,
        ),
        ("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n", 0),
        ("transfer-encoding: gzip\r\n", "", 0),
        ("content-length: 1\r\ncontent-length: 2\r\n", "xy", 0),
        ("content-length: -1\r\n", "", 0),
        ("content-length: +1\r\n", "x", 0),
        ("content-length: 1, 2\r\n", "x", 0),
        ("content-length: 0x1\r\n", "x", 0),
    ] {
        let mut stage = Stage::new().await;
        let request =
            format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}{framing}\r\n{body}{smuggled}");
        let answer = stage.ask(request).await;
        let wanted = if stored == 1 { 202 } else { 400 };
        assert_eq!(status(&answer), wanted, "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
        assert_eq!(stage.stored().await.len(), stored, "{framing}");
    }
}
