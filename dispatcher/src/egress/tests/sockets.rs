//! Over real sockets, where the kernel matters.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::stage::{Move, OK, Script, Sink, Stage, answers, event, failed, perform, say, status};
use crate::{
    egress::SystemNetwork,
    outcome::{FailedKind, Outcome},
};

/// A listener that plays one script after another, the last one for ever.
struct Server {
    url: String,
    tasks: JoinSet<()>,
}

async fn server(scripts: Vec<Script>, reset: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        let mut scripts = scripts.into_iter().peekable();
        let mut script = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            script = scripts.next().unwrap_or(script);
            connections.spawn(play(stream, script.clone(), reset));
        }
    });
    Server { url, tasks }
}

async fn play(mut stream: TcpStream, script: Script, reset: bool) {
    let mut buffer = Vec::new();
    for act in script {
        if perform(&mut stream, &mut buffer, act).await.is_err() {
            break;
        }
    }
    if reset {
        stream.set_zero_linger().unwrap();
    }
}

fn stage_at(server: &Server) -> Stage {
    Stage::over(
        Arc::new(SystemNetwork),
        Sink::default(),
        &server.url,
        |_| {},
    )
}

async fn against(script: Script, reset: bool) -> Outcome {
    let server = server(vec![script], reset).await;
    let mut stage = stage_at(&server);
    let outcome = stage.attempt().await;
    stage.egress.close();
    stage.egress.run().await;
    outcome
}

#[tokio::test]
async fn attempts_go_over_one_connection() {
    // A second connection would meet a sink that says nothing.
    let server = server(vec![answers(OK), vec![Move::Close]], false).await;
    let mut stage = stage_at(&server);
    for _ in 0..10 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
    assert_eq!(stage.egress.connections(), 1);
    drop(server.tasks);
}

#[tokio::test]
async fn a_large_event_arrives() {
    let server = server(vec![answers(OK)], false).await;
    let mut stage = stage_at(&server);
    stage.event = event(&vec![b'x'; 8 << 20]);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(status(&stage.attempt().await), 202);
}

#[tokio::test]
async fn nobody_there_is_a_refusal() {
    let server = server(vec![], false).await;
    let mut stage = stage_at(&server);
    drop(server);
    tokio::task::yield_now().await;
    assert_eq!(failed(&stage.attempt().await), FailedKind::Refused);
}

#[tokio::test]
async fn a_reset_in_any_phase_is_broken() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    for script in [
        vec![],
        vec![Move::ReadHead],
        vec![Move::Read],
        vec![Move::Read, say("HTTP/1.1 20")],
    ] {
        assert_eq!(failed(&against(script, true).await), FailedKind::Broken);
    }
    // The kernel may throw away what was said before a reset: either way it is no success.
    match against(vec![Move::Read, say(head)], true).await {
        Outcome::Failed(failed) => assert_eq!(failed.kind, FailedKind::Broken),
        outcome => assert!(super::stage::unusable(&outcome).contains("cut short")),
    }
}

#[tokio::test]
async fn a_connection_closed_after_each_answer_costs_no_attempt() {
    let server = server(vec![vec![Move::Read, say(OK), Move::Close]], false).await;
    let mut stage = stage_at(&server);
    for _ in 0..50 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
}

#[tokio::test]
async fn a_connection_reset_while_it_is_used_again_is_replaced() {
    let first = vec![Move::Read, say(OK), Move::ReadHead];
    let server = server(vec![first, answers(OK)], true).await;
    let mut stage = stage_at(&server);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(status(&stage.attempt().await), 202);
}

#[tokio::test]
async fn a_sink_that_accepts_and_hangs_frees_the_slot_in_time() {
    let server = server(
        vec![vec![Move::Read, Move::Wait(Duration::from_secs(30))]],
        false,
    )
    .await;
    let mut stage = stage_at(&server);
    stage.timeout = Duration::from_millis(50);
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
}
