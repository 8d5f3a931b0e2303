//! Bodies of every size class up to the limit, in both modes, as events and as replies: the bytes
//! that come out are the bytes that went in, by SHA-256.

use fastrand::Rng;
use sha2::{Digest, Sha256};
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::{Producer, headers, seed},
    sink::{Script, Sink, Turn},
    subject::{Subject, volley::Volley},
    wire,
};

/// The limit that is not set otherwise.
const LIMIT: usize = 1 << 20;
const SIZES: [usize; 7] = [0, 1, 1 << 10, 64 << 10, 256 << 10, LIMIT - 1, LIMIT];

type Request = (Vec<(String, String)>, Vec<u8>);

fn sum(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Any bytes at all.
fn binary(random: &mut Rng, id: &str, kind: &str, size: usize) -> Request {
    let mut headers = headers(id, kind, &[]);
    headers.retain(|(name, _)| name != "content-type");
    headers.push(("content-type".into(), "application/octet-stream".into()));
    (headers, (0..size).map(|_| random.u8(..)).collect())
}

/// An envelope of this size, or the smallest one with so much data.
fn structured(random: &mut Rng, id: &str, kind: &str, size: usize) -> Request {
    let envelope = |data: &str| {
        format!(
            "{{\"specversion\":\"1.0\", \"id\":\"{id}\",\"type\":\"{kind}\",\"source\":\"/tests\",\
             \"datacontenttype\":\"text/plain\",\"data\":\"{data}\"}}"
        )
    };
    let around = envelope("").len();
    let data = if size > around { size - around } else { size };
    let data: String = (0..data).map(|_| random.alphanumeric()).collect();
    let media = "application/cloudevents+json; charset=utf-8";
    let headers = vec![("content-type".into(), media.into())];
    (headers, envelope(&data).into_bytes())
}

/// Every size in both modes, under names of their own.
fn all(random: &mut Rng, kind: &str) -> Vec<Request> {
    let mut all = Vec::new();
    for size in SIZES {
        all.push(binary(random, &format!("b-{size}"), kind, size));
        all.push(structured(random, &format!("s-{size}"), kind, size));
    }
    all
}

async fn start(objects: &str) -> (Volley, Producer) {
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), objects, &[])
        .await
        .expect("it starts");
    let producer = Producer::new(volley.broker("default", "shop"));
    (volley, producer)
}

#[tokio::test]
async fn an_event_of_any_size_arrives_byte_for_byte() {
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let to = trigger("t", "shop", &sink.url("/t"));
    let (volley, mut producer) = start(&yaml(&[&broker("shop"), &to])).await;
    for (number, (headers, body)) in all(&mut random, "com.example.size").iter().enumerate() {
        let answer = producer.post(headers, body).await.expect("an answer");
        assert_eq!(answer.status(), 202, "{} bytes", body.len());
        let stored = number as u64 + 1;
        volley
            .books_until("default", "shop", |books| {
                books.is_done() && books.accepted == stored
            })
            .await
            .expect("it is delivered");
        let seen = sink.seen("/t").pop().expect("a request");
        assert_eq!(seen.body.len(), body.len());
        assert_eq!(sum(&seen.body), sum(body), "{} bytes", body.len());
        let length = body.len().to_string();
        assert_eq!(seen.head.get("content-length"), Some(length.as_str()));
    }
    assert_eq!(sink.count("/t"), SIZES.len() * 2);
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_reply_of_any_size_arrives_byte_for_byte() {
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let asks = trigger("asks", "shop", &sink.url("/asks"))
        .spec("filters: [{exact: {type: com.example.ask}}]");
    let answers = trigger("answers", "shop", &sink.url("/answers"))
        .spec("filters: [{exact: {type: com.example.answer}}]");
    let (volley, mut producer) = start(&yaml(&[&broker("shop"), &asks, &answers])).await;
    for (number, (headers, body)) in all(&mut random, "com.example.answer").iter().enumerate() {
        let turn = Turn::answer(200, headers, body);
        sink.script("/asks", Script::always(turn));
        let id = number.to_string();
        let status = producer.event(&id, "com.example.ask", &[]);
        assert_eq!(status.await.expect("an answer"), 202);
        let stored = (number as u64 + 1) * 2;
        volley
            .books_until("default", "shop", |books| {
                books.is_done() && books.accepted == stored
            })
            .await
            .expect("its reply is delivered");
        let seen = sink.seen("/answers").pop().expect("a request");
        assert_eq!(seen.body.len(), body.len());
        assert_eq!(sum(&seen.body), sum(body), "{} bytes", body.len());
    }
    assert_eq!(sink.count("/answers"), SIZES.len() * 2);
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_byte_over_the_limit_is_413_declared_or_streamed_and_the_limit_itself_is_not() {
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let to = trigger("t", "shop", &sink.url("/t"));
    let (volley, _) = start(&yaml(&[&broker("shop"), &to])).await;
    let (authority, target) = volley.broker("default", "shop");
    let mut accepted = 0;
    for (size, wanted) in [(LIMIT, 202), (LIMIT + 1, 413), (LIMIT * 8, 413)] {
        for (mode, (headers, body)) in [
            ("binary", binary(&mut random, "b", "com.example.size", size)),
            (
                "structured",
                structured(&mut random, "s", "com.example.size", size),
            ),
        ] {
            let declared = wire::request("POST", &target, &headers, &body);
            let mut chunked = headers.clone();
            chunked.push(("transfer-encoding".into(), "chunked".into()));
            let chunk = format!("{:x}\r\n", body.len()).into_bytes();
            let framed = [chunk.as_slice(), &body, b"\r\n0\r\n\r\n"].concat();
            let streamed = wire::request("POST", &target, &chunked, &framed);
            for (how, bytes) in [("declared", declared), ("streamed", streamed)] {
                let answer = wire::ask(&authority, &bytes, false).await;
                let status = answer.expect("an answer").status();
                assert_eq!(status, wanted, "{size} bytes, {mode}, {how}");
                accepted += u64::from(wanted == 202);
            }
        }
    }
    let books = volley.books_until("default", "shop", |books| books.is_done());
    assert_eq!(books.await.expect("books").accepted, accepted);
    assert_eq!(sink.count("/t") as u64, accepted);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_reply_over_the_limit_is_a_failed_attempt_and_leaves_no_event() {
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let dead = format!(
        "{{retry: 0, deadLetterSink: {{uri: {:?}}}}}",
        sink.url("/dead")
    );
    let asks = trigger("asks", "shop", &sink.url("/asks")).delivery(&dead);
    let (volley, mut producer) = start(&yaml(&[&broker("shop"), &asks])).await;
    let (headers, body) = binary(&mut random, "r", "com.example.answer", LIMIT + 1);
    sink.script("/asks", Script::always(Turn::answer(200, &headers, &body)));
    let status = producer.event("1", "com.example.ask", &[]).await;
    assert_eq!(status.expect("an answer"), 202);
    let books = volley
        .books_until("default", "shop", |books| books.is_done())
        .await
        .expect("it is finished");
    assert_eq!(books.accepted, 1, "the reply is not stored");
    let row = books.row("asks").expect("its row");
    assert_eq!((row.delivered, row.dead_lettered), (0, 1));
    let letter = sink.seen("/dead").pop().expect("a dead letter");
    assert_eq!(letter.head.get("ce-knativeerrorcode"), Some("502"));
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
