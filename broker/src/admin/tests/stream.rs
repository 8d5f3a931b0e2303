//! The stream: who hears what, what is missed, and how it ends.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use volley_spec::report::{Happening, Moment, Names};

use super::Stage;

/// Something that happened to an event of type `kind`.
fn moment(kind: &str, outcome: Happening) -> Moment {
    Moment {
        at_ms: 1_767_225_600_000,
        namespace: "default".into(),
        broker: "b".into(),
        trigger: Some("hello".into()),
        outcome,
        events: 1,
        trace: None,
        began_ms: None,
        event: Some(Names {
            id: "1".into(),
            kind: kind.into(),
            source: "/s".into(),
            subject: None,
        }),
        attempt: Some(1),
        status: Some(503),
        reason: Some("answered 503".into()),
        next_attempt_ms: Some(1_767_225_601_500),
        latency_ms: Some(7),
    }
}

/// A reader of the stream that is listened to.
async fn reader(stage: &Stage, query: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(stage.address).await.expect("connect");
    let request = format!("GET /api/v1/stream{query} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("send");
    let read = until(&mut stream, ": listening").await;
    (stream, read)
}

/// Reads until `words` came.
async fn until(stream: &mut TcpStream, words: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(words) {
        let got = stream.read_buf(&mut read).await.expect("it can be read");
        assert!(got > 0, "it ended: {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).expect("text")
}

#[tokio::test]
async fn a_listener_hears_what_it_asked_for_as_one_object_a_line() {
    let stage = Stage::new().await;
    let (mut stream, head) = reader(&stage, "?type=com.*&failed=true&broker=b").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(stage.tap.is_open());
    stage.tap.tell(&moment("org.x", Happening::Retrying));
    stage.tap.tell(&moment("com.y", Happening::Delivered));
    stage.tap.tell(&moment("com.z", Happening::Retrying));
    let read = until(&mut stream, "\"latencyMs\"").await;
    let line = read
        .lines()
        .find(|line| line.starts_with("data: "))
        .expect("data");
    assert_eq!(
        line,
        "data: {\"time\":\"2026-01-01T00:00:00.000Z\",\"namespace\":\"default\",\"broker\":\"b\",\
         \"trigger\":\"hello\",\"outcome\":\"retrying\",\"id\":\"1\",\"type\":\"com.z\",\"source\":\"/s\",\
         \"attempt\":1,\"status\":503,\"reason\":\"answered 503\",\
         \"nextAttempt\":\"2026-01-01T00:00:01.500Z\",\"latencyMs\":7}"
    );
    // The end of the tap is the end of the answer, in full.
    stage.tap.close();
    assert!(until(&mut stream, "0\r\n\r\n").await.ends_with("0\r\n\r\n"));
    assert_eq!(stage.get("/api/v1/stream").await.status, 503);
}

#[tokio::test]
async fn what_a_slow_listener_misses_is_counted_and_told() {
    let stage = Stage::new().await;
    let (mut stream, _) = reader(&stage, "").await;
    // Nothing else runs on this thread: nothing is read meanwhile.
    for _ in 0..3_000 {
        stage.tap.tell(&moment("com.a", Happening::Delivered));
    }
    let read = until(&mut stream, "event: missed").await + &until(&mut stream, "\n\n").await;
    assert!(read.contains("data: {\"missed\":1976}"), "{read}");
}

#[tokio::test]
async fn filtered_is_told_only_to_who_asks_about_the_trigger() {
    let stage = Stage::new().await;
    let (mut one, _) = reader(&stage, "?trigger=hello").await;
    let (mut all, _) = reader(&stage, "?namespace=default").await;
    assert_eq!(stage.tap.asks_about("default", "b"), ["hello"]);
    stage.tap.tell(&moment("com.a", Happening::Filtered));
    stage.tap.tell(&moment("com.b", Happening::Delivered));
    assert!(until(&mut one, "com.b").await.contains("filtered"));
    assert!(!until(&mut all, "com.b").await.contains("filtered"));
    assert_eq!(stage.get("/api/v1/stream?nonsense=1").await.status, 400);
}

#[tokio::test]
async fn a_listener_that_goes_away_is_forgotten() {
    let stage = Stage::new().await;
    let (stream, _) = reader(&stage, "").await;
    drop(stream);
    while stage.tap.is_open() {
        stage.tap.tell(&moment("com.a", Happening::Delivered));
        tokio::task::yield_now().await;
    }
}
