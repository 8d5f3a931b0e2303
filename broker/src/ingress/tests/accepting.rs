//! Accepting, placing, and what is behind other path shapes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    time::sleep,
};
use volley_channel::{Clock, Fut};

use super::{Client, EVENT, Stage, post, status};
use crate::ingress::{Ingress, IngressOptions, Listener, Phase, Reply, Sources, accept, core};

/// A listener that is out of descriptors for a while.
struct Poor {
    failures: Arc<AtomicUsize>,
    inner: mpsc::Receiver<DuplexStream>,
}

impl Listener for Poor {
    type Arrived = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        if self.failures.load(Ordering::Relaxed) < 20 {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::from_raw_os_error(24));
        }
        self.inner.accept().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_without_descriptors_is_asked_again_without_spinning() {
    let mut stage = Stage::new().await;
    let failures = Arc::new(AtomicUsize::new(0));
    let (connect, inner) = mpsc::channel(8);
    let listener = Poor {
        failures: Arc::clone(&failures),
        inner,
    };
    let (handle, one) = core();
    stage.tasks.spawn(one.run(Arc::clone(&stage.ingress)));
    let ingress = Arc::clone(&stage.ingress);
    stage
        .tasks
        .spawn(async move { accept(listener, &ingress, vec![handle]).await });
    let (here, there) = duplex(1 << 16);
    connect.send(there).await.expect("the listener lives");
    let mut client = Client(here);
    client.send(post("/ns/b", EVENT, "x")).await;
    sleep(Duration::from_millis(210)).await;
    assert_eq!(failures.load(Ordering::Relaxed), 5, "every 50 ms");
    assert_eq!(status(&client.answer().await), 202);
    stage.ingress.drain(Duration::from_secs(2)).await;
    assert_eq!(client.rest().await, "");
    stage.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_to_the_core_with_the_fewest() {
    let mut stage = Stage::new().await;
    let (connect, listener) = mpsc::channel(8);
    let (first, one) = core();
    let (second, two) = core();
    let counts = [first.counter(), second.counter()];
    let open = || counts.each_ref().map(|open| open.load(Ordering::Relaxed));
    stage.tasks.spawn(one.run(Arc::clone(&stage.ingress)));
    stage.tasks.spawn(two.run(Arc::clone(&stage.ingress)));
    let ingress = Arc::clone(&stage.ingress);
    stage
        .tasks
        .spawn(async move { accept(listener, &ingress, vec![first, second]).await });
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (here, there) = duplex(64);
        connect.send(there).await.expect("the listener lives");
        sleep(Duration::from_millis(1)).await;
        clients.push(here);
    }
    assert_eq!(open(), [2, 2]);
    // The first core's connections close: the next two go there.
    clients.remove(2);
    clients.remove(0);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(open(), [0, 2]);
    for _ in 0..2 {
        let (here, there) = duplex(64);
        connect.send(there).await.expect("the listener lives");
        sleep(Duration::from_millis(1)).await;
        clients.push(here);
    }
    assert_eq!(open(), [2, 2]);
    stage.ingress.advance(Phase::Closing);
    drop(clients);
    stage.ended().await;
    assert_eq!(open(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_with_the_port_whatever_phases_came_before() {
    let mut stage = Stage::new().await;
    let (connect, listener) = mpsc::channel(8);
    let (handle, one) = core();
    stage.tasks.spawn(one.run(Arc::clone(&stage.ingress)));
    let ingress = Arc::clone(&stage.ingress);
    stage
        .tasks
        .spawn(async move { accept(listener, &ingress, vec![handle]).await });
    let (here, there) = duplex(1 << 16);
    connect.send(there).await.expect("the listener lives");
    let mut client = Client(here);
    client.send(post("/ns/b", EVENT, "x")).await;
    assert_eq!(status(&client.answer().await), 202);
    stage.ingress.advance(Phase::Draining);
    // The connection's task is woken by this phase too.
    sleep(Duration::from_millis(1)).await;
    stage.ingress.advance(Phase::Closing);
    let begun = tokio::time::Instant::now();
    assert_eq!(client.rest().await, "");
    // Virtual time: the grace, not the time that a head may take.
    assert!(begun.elapsed() < Duration::from_secs(1));
    stage.ended().await;
}

/// A source that knows one name.
struct Hooks;

impl Sources for Hooks {
    fn receive<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        headers: &'a HeaderMap,
        body: Bytes,
    ) -> Fut<'a, Option<Reply>> {
        let known = (namespace, name) == ("ns", "hook");
        let signed = headers.contains_key("x-signature") && &body[..] == b"{}";
        let reply = if signed {
            Reply {
                status: StatusCode::ACCEPTED,
                text: "".into(),
            }
        } else {
            Reply {
                status: StatusCode::UNAUTHORIZED,
                text: "the signature is wrong".into(),
            }
        };
        Box::pin(async move { known.then_some(reply) })
    }
}

#[tokio::test]
async fn webhooks_go_to_the_sources_within_the_same_limits() {
    let mut stage = Stage::new().await;
    let options = IngressOptions {
        max_event_bytes: 1_000,
        ..IngressOptions::default()
    };
    stage.ingress = Ingress::with_sources(options, Clock::simulated(1), Some(Arc::new(Hooks)));
    let signed = "x-signature: 1\r\n";
    let large = "x".repeat(1_001);
    for (path, headers, body, wanted) in [
        ("/sources/ns/hook", signed, "{}", 202),
        ("/sources/ns/hook/", signed, "{}", 202),
        ("/sources/ns/hook", "", "{}", 401),
        ("/sources/ns/nobody", signed, "{}", 404),
        ("/sources/ns/H", signed, "{}", 400),
        ("/sources/ns/hook", signed, large.as_str(), 413),
        ("/sources/ns/hook", "content-encoding: br\r\n", "{}", 415),
    ] {
        let answer = stage.ask(post(path, headers, body)).await;
        assert_eq!(status(&answer), wanted, "{path}: {answer}");
        assert!(answer.contains("allow: POST, OPTIONS\r\n"), "{answer}");
    }
}
