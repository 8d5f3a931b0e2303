//! The sink against a plain client.

use super::*;
use crate::wire::{ask, request, split_url};

async fn post(sink: &Sink, path: &str, body: &[u8]) -> io::Result<crate::wire::Answer> {
    let (authority, target) = split_url(&sink.url(path));
    ask(
        &authority,
        &request("POST", &target, &[("ce-id".into(), "1".into())], body),
        false,
    )
    .await
}

#[tokio::test]
async fn a_path_without_a_script_takes_everything() {
    let sink = Sink::listen().await.unwrap();
    assert_eq!(post(&sink, "/a", b"hello").await.unwrap().status(), 202);
    let seen = sink.seen("/a");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, b"hello");
    assert_eq!(seen[0].head.get("CE-ID"), Some("1"));
    assert_eq!(sink.count("/b"), 0);
}

#[tokio::test]
async fn a_sink_is_reached_by_the_host_that_its_url_names() {
    let place = Place::new("127.0.0.2".parse().unwrap(), Some("localhost")).unwrap();
    let sink = Sink::listen_in(&place).await.unwrap();
    let port = sink.address().port();
    assert_eq!(sink.url("/a"), format!("http://localhost:{port}/a"));
    let (authority, request) = (sink.address().to_string(), request("POST", "/a", &[], b""));
    assert_eq!(
        ask(&authority, &request, false).await.unwrap().status(),
        202
    );
}

#[tokio::test]
async fn a_script_is_followed_turn_by_turn() {
    let sink = Sink::listen().await.unwrap();
    sink.script("/a", Script::failing(2, 503));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(post(&sink, "/a", b"").await.unwrap().status());
    }
    assert_eq!(statuses, [503, 503, 202, 202]);
}

#[tokio::test]
async fn a_reply_carries_an_event() {
    let sink = Sink::listen().await.unwrap();
    sink.script(
        "/a",
        Script::always(Turn::reply(200, &crate::sample::PLAIN)),
    );
    let answer = post(&sink, "/a", b"").await.unwrap();
    assert_eq!(answer.head.get("ce-id"), Some("e-1"));
    assert_eq!(answer.body, br#"{"n": 1}"#);
}

#[tokio::test]
async fn a_reset_reaches_the_client() {
    let sink = Sink::listen().await.unwrap();
    sink.script("/a", Script::always(Turn::moves(vec![Move::Reset])));
    assert!(post(&sink, "/a", b"").await.is_err());
    assert_eq!(sink.count("/a"), 1);
}

#[tokio::test]
async fn a_connection_can_be_refused_before_it_is_read() {
    let sink = Sink::listen().await.unwrap();
    sink.on_accept(vec![vec![Move::Reset]], None);
    assert!(post(&sink, "/a", b"").await.is_err());
    assert_eq!(sink.count("/a"), 0);
    assert_eq!(post(&sink, "/a", b"").await.unwrap().status(), 202);
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn an_early_turn_answers_before_the_body() {
    let sink = Sink::listen().await.unwrap();
    let answer = answer_bytes(200, &[], b"");
    sink.script(
        "/a",
        Script::always(Turn::early(vec![Move::Say(answer), Move::Close])),
    );
    let answered = post(&sink, "/a", &vec![b'x'; 1 << 20]).await;
    // The answer may be lost in the reset that unread bytes cause; the request is recorded anyway.
    assert!(answered.is_err() || answered.unwrap().status() == 200);
    assert_eq!(sink.seen("/a")[0].body, b"");
}

#[tokio::test]
async fn waiting_ends_when_the_condition_holds_or_the_bound_is_over() {
    let sink = Sink::listen().await.unwrap();
    assert!(
        !sink
            .until(Duration::from_millis(20), |sink| sink.count("/a") > 0)
            .await
    );
    let (posted, met) = tokio::join!(
        post(&sink, "/a", b""),
        sink.until(Duration::from_secs(10), |sink| sink.count("/a") > 0),
    );
    assert!(posted.is_ok() && met);
}
