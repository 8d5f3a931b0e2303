//! Limits of size and time, and the end of the port.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{EVENT, POOL, Stage, post, status};
use crate::ingress::{Door, IngressOptions, Phase, RoutingTable, accept, core};

fn chunked(headers: &str) -> String {
    format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}{headers}transfer-encoding: chunked\r\n\r\n")
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn heads_have_limits() {
    let mut stage = Stage::new().await;
    let field = |bytes: usize| format!("{EVENT}x: {}\r\n", "v".repeat(bytes));
    for (headers, path, wanted) in [
        (field(16_000), "/ns/b".to_owned(), 202),
        (field(16_384), "/ns/b".to_owned(), 431),
        (field(100_000), "/ns/b".to_owned(), 431),
        (field(16_000), format!("/ns/b?{}", "q".repeat(8_000)), 202),
        (String::new(), format!("/ns/b?{}", "q".repeat(8_192)), 414),
        (String::new(), format!("/ns/b?{}", "q".repeat(100_000)), 431),
        (
            (0..99).map(|n| format!("x-{n}: 1\r\n")).collect(),
            "/ns/b".to_owned(),
            431,
        ),
    ] {
        let answer = stage.ask(post(&path, &headers, "x")).await;
        assert_eq!(
            status(&answer),
            wanted,
            "{}",
            &answer[..answer.len().min(200)]
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    let head = format!(
        "POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        (1 << 20) + 1
    );
    client.send(head).await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_stored_declared_and_streamed() {
    let mut stage = Stage::new().await;
    let body = "x".repeat(1 << 20);
    assert_eq!(status(&stage.ask(post("/ns/b", EVENT, &body)).await), 202);
    let streamed = chunked("") + "100000\r\n" + &body + "\r\n0\r\n\r\n";
    assert_eq!(status(&stage.ask(streamed).await), 202);
    let stored = stage.stored().await;
    assert!(
        stored
            .iter()
            .all(|stored| stored.event.body() == body.as_bytes())
    );
    assert_eq!(stored.len(), 2);
}

#[tokio::test]
async fn a_streamed_body_over_the_limit_is_refused_and_the_answer_arrives() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    let body = "x".repeat(2 << 20);
    let sent = chunked("") + "200000\r\n" + &body + "\r\n0\r\n\r\n";
    client.send(sent).await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(stage.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds() {
    for begun in ["", "POST /ns/b HTTP/1.1\r\nce-id: "] {
        let mut stage = Stage::new().await;
        let mut client = stage.connect();
        client.send(begun).await;
        let began = Instant::now();
        let answer = client.rest().await;
        assert_eq!(status(&answer), 408);
        assert!(answer.contains("allow: POST, OPTIONS"), "{answer}");
        assert!(
            answer.ends_with("the request came too slowly\n"),
            "{answer}"
        );
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_gets_no_more_time() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    client.send(post("/ns/b", EVENT, "x")).await;
    assert_eq!(status(&client.answer().await), 202);
    sleep(secs(30)).await;
    let began = Instant::now();
    let (mut read, mut write) = tokio::io::split(client.0);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while write.write_all(b"P").await.is_ok() {
            sleep(secs(1)).await;
        }
    });
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.expect("read");
    assert_eq!(status(&answer), 408);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_and_in_the_end_closed() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    for _ in 0..3 {
        client.send(post("/ns/b", EVENT, "x")).await;
        assert_eq!(status(&client.answer().await), 202);
        sleep(secs(100)).await;
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_given_up() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    let head = format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}content-length: 100\r\n\r\nabc");
    client.send(head).await;
    let began = Instant::now();
    let answer = client.rest().await;
    assert_eq!(status(&answer), 408);
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(stage.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_given_up() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    client.send(chunked("")).await;
    let began = Instant::now();
    let (mut read, mut write) = tokio::io::split(client.0);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while write.write_all(b"1\r\nx\r\n").await.is_ok() {
            sleep(secs(1)).await;
        }
    });
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.expect("read");
    assert_eq!(status(&answer), 408);
    assert!((10..=12).contains(&began.elapsed().as_secs()));
}

// The pace was an average since the start: a megabyte at once bought four minutes of trickling.
#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_after_much_at_once_is_given_up_too() {
    let mut stage = Stage::new().await;
    let mut client = stage.connect();
    let head = format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}content-length: 1000000\r\n\r\n");
    client.send(head).await;
    client.send("x".repeat(999_000)).await;
    let began = Instant::now();
    let (mut read, mut write) = tokio::io::split(client.0);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            sleep(secs(5)).await;
        }
    });
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.expect("read");
    assert_eq!(status(&answer), 408);
    assert!(began.elapsed() <= secs(45), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_of_one_namespace_leave_room_for_those_of_others() {
    let options = IngressOptions {
        body_budget: 100_000,
        ..IngressOptions::default()
    };
    let mut stage = Stage::with(options).await;
    let bad = Door::new("bad", "b", POOL, stage.publisher.clone());
    let doors = [Arc::clone(&stage.door), Arc::clone(&bad)];
    stage.ingress.set_routes(RoutingTable::new(doors));
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\n{EVENT}content-length: 20000\r\n\r\n")
    };
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = stage.connect();
        client.send(head("/bad/b")).await;
        slow.push(client);
    }
    sleep(secs(3)).await;
    let mut other = stage.connect();
    other.send(head("/ns/b")).await;
    other.send("y".repeat(20_000)).await;
    assert_eq!(status(&other.answer().await), 202);
    // Half of the room is what one namespace may have: two bodies of these.
    for refused in slow.split_off(2) {
        assert_eq!(status(&refused.rest().await), 429);
    }
    for mut client in slow {
        client.send("x".repeat(20_000)).await;
        assert_eq!(status(&client.answer().await), 202);
    }
    assert_eq!(stage.accepted(), 3);
}

#[tokio::test(start_paused = true)]
async fn bodies_in_flight_are_bounded_and_a_request_without_room_is_throttled() {
    let options = IngressOptions {
        body_budget: 100_000,
        ..IngressOptions::default()
    };
    let mut stage = Stage::with(options).await;
    let head = |length| {
        format!("POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}content-length: {length}\r\n\r\n")
    };
    let mut first = stage.connect();
    first.send(head(90_000)).await;
    sleep(secs(1)).await;
    let mut second = stage.connect();
    let began = Instant::now();
    second.send(head(90_000)).await;
    let answer = second.rest().await;
    assert_eq!(status(&answer), 429, "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    // One second of patience, and one in which the client may still have been sending.
    assert!(began.elapsed() <= secs(2));
    // What has come whole needs no room.
    assert_eq!(status(&stage.ask(post("/ns/b", EVENT, "small")).await), 202);
    // The first one was not disturbed, and gives its room back.
    first.send("x".repeat(90_000)).await;
    assert_eq!(status(&first.answer().await), 202);
    let mut third = stage.connect();
    third.send(head(90_000)).await;
    third.send("y".repeat(90_000)).await;
    assert_eq!(status(&third.answer().await), 202);
    assert_eq!(stage.accepted(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_closing_port_answers_what_is_on_its_way_and_closes_the_rest() {
    let mut stage = Stage::new().await;
    let mut idle = stage.connect();
    idle.send(post("/ns/b", EVENT, "x")).await;
    idle.answer().await;
    let silent = stage.connect();
    let mut slow = stage.connect();
    slow.send(format!(
        "POST /ns/b HTTP/1.1\r\nhost: x\r\n{EVENT}content-length: 4\r\n\r\nab"
    ))
    .await;
    let mut late = stage.connect();
    late.send(post("/ns/b", EVENT, "x")).await;
    late.answer().await;
    sleep(secs(1)).await;
    stage.ingress.advance(Phase::Closing);
    sleep(Duration::from_millis(50)).await;
    late.send(post("/ns/b", EVENT, "x")).await;
    let answer = late.rest().await;
    assert_eq!(status(&answer), 202);
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
    sleep(secs(5)).await;
    slow.send("cd").await;
    let answer = slow.rest().await;
    assert_eq!(status(&answer), 202);
    assert!(answer.contains("connection: close"), "{answer}");
    stage.ended().await;
    assert_eq!((stage.accepted(), stage.unheard()), (4, 0));
}

#[tokio::test]
async fn a_refusing_port_says_503() {
    let mut stage = Stage::new().await;
    stage.ingress.advance(Phase::Refusing);
    let answer = stage.ask(post("/ns/b", EVENT, "x")).await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(status(&stage.ask(post("/ns", EVENT, "x")).await), 400);
    assert!(stage.stored().await.is_empty());
}

#[tokio::test]
async fn connections_spread_over_cores_and_those_over_the_cap_wait() {
    let options = IngressOptions {
        max_connections: 4,
        ..IngressOptions::default()
    };
    let mut stage = Stage::with(options).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (first, one) = core();
    let (second, two) = core();
    stage.tasks.spawn(one.run(Arc::clone(&stage.ingress)));
    stage.tasks.spawn(two.run(Arc::clone(&stage.ingress)));
    let ingress = Arc::clone(&stage.ingress);
    stage
        .tasks
        .spawn(async move { accept(listener, &ingress, vec![first, second]).await });
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(address).await.expect("connect");
        client
            .write_all(post("/ns/b", EVENT, "x").as_bytes())
            .await
            .expect("send");
        let mut some = [0; 12];
        client.read_exact(&mut some).await.expect("answer");
        assert_eq!(&some, b"HTTP/1.1 202");
        clients.push(client);
    }
    let mut fifth = TcpStream::connect(address)
        .await
        .expect("the kernel takes it");
    fifth
        .write_all(post("/ns/b", EVENT, "x").as_bytes())
        .await
        .expect("send");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(stage.accepted(), 4, "it waits");
    assert_eq!(stage.ingress.connections(), 4);
    clients.pop();
    let mut some = [0; 12];
    fifth
        .read_exact(&mut some)
        .await
        .expect("its turn has come");
    assert_eq!(stage.accepted(), 5);
    // What the kernel holds when the port closes is served.
    clients.clear();
    drop(fifth);
    stage.ingress.advance(Phase::Draining);
    let mut last = TcpStream::connect(address).await.expect("connect");
    last.write_all(post("/ns/b", EVENT, "x").as_bytes())
        .await
        .expect("send");
    stage.ingress.advance(Phase::Closing);
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.expect("answer");
    assert_eq!(status(&answer), 202);
    stage.ended().await;
    assert_eq!(stage.ingress.connections(), 0);
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!((stage.accepted(), stage.unheard()), (6, 0));
}
