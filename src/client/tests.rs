//! A server of a few lines, and what the client makes of its answers.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::Server;
use crate::failure::Failure;

/// Answers each request with the next of `answers`; gives back the request lines.
async fn serve(answers: Vec<String>) -> (Server, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).await.expect("a request");
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            asked.push(head.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.expect("taken");
        }
        asked
    });
    let server = Server::new(&format!("http://{address}")).expect("a URL");
    (server, running)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn told(failure: &Failure) -> String {
    let mut out = Vec::new();
    failure.report(true, &mut out);
    String::from_utf8(out).expect("text")
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let pages = vec![
        answer("200 OK", r#"{"items":[1,2],"continue":"a b"}"#),
        answer("200 OK", r#"{"items":[3],"continue":null}"#),
    ];
    let (server, mut running) = serve(pages).await;
    let query = [("namespace", "default")];
    let items = server
        .list("/api/v1/brokers", &query)
        .await
        .expect("a list");
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    let asked = running
        .join_next()
        .await
        .expect("it ran")
        .expect("it ended");
    assert_eq!(
        asked,
        [
            "GET /api/v1/brokers?namespace=default&limit=500 HTTP/1.1",
            "GET /api/v1/brokers?namespace=default&limit=500&continue=a+b HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn answers_that_say_no_become_codes_and_words() {
    for (status, body, code, words) in [
        (
            "404 Not Found",
            r#"{"detail":"there is no broker x","hint":"look"}"#,
            "not-found",
            "there is no broker x",
        ),
        (
            "403 Forbidden",
            r#"{"title":"Forbidden"}"#,
            "denied",
            "Forbidden",
        ),
        ("503 Service Unavailable", "", "unreachable", "503"),
        ("400 Bad Request", "no json", "invalid", "400"),
        ("500 Oops", "", "failed", "500"),
        ("200 OK", "<html>", "failed", "no JSON"),
        ("200 OK", "{}", "failed", "no items"),
        ("200 OK", r#"{"items":{}}"#, "failed", "no items"),
    ] {
        let (server, _running) = serve(vec![answer(status, body)]).await;
        let failure = server.list("/api/v1/brokers", &[]).await.expect_err("no");
        let said = told(&failure);
        assert!(
            said.contains(&format!("\"code\":\"{code}\"")),
            "{status}: {said}"
        );
        assert!(said.contains(words), "{status}: {said}");
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_noticed() {
    let page = answer("200 OK", r#"{"items":[1],"continue":"same"}"#);
    let (server, _running) = serve(vec![page.clone(), page]).await;
    let failure = server.list("/api/v1/brokers", &[]).await.expect_err("no");
    assert!(told(&failure).contains("does not end"));
}

#[tokio::test]
async fn nobody_there_is_said_with_a_way_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let server = Server::new(&format!("http://{address}")).expect("a URL");
    let said = told(
        &server
            .get("/api/v1/brokers", &[])
            .await
            .expect_err("nobody"),
    );
    assert!(
        said.contains("\"code\":\"unreachable\"") && said.contains("VOLLEY_SERVER"),
        "{said}"
    );
    for wrong in ["", "127.0.0.1:8081", "https://x", "ftp://x"] {
        assert!(Server::new(wrong).is_err(), "{wrong}");
    }
}
