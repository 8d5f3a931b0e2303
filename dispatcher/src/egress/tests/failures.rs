//! Sinks that fail in every phase: an outcome each, and in time.

use std::time::Duration;

use super::stage::{
    Move, OK, Script, Stage, answers, answers_and_closes, endpoint, event, failed, say, status,
};
use crate::outcome::{FailedKind, Outcome};

/// The outcome of one attempt at a sink that plays this on every connection.
async fn against(script: Script) -> Outcome {
    let mut stage = Stage::new();
    stage.sink.then(script);
    let outcome = stage.attempt().await;
    stage.egress.close();
    stage.egress.run().await;
    stage.settle().await;
    assert_eq!(stage.sink.open(), 0, "a connection is left over");
    assert_eq!(
        stage.budget.free(),
        64 << 20,
        "room for replies is left taken"
    );
    outcome
}

fn says(text: impl AsRef<[u8]>) -> Script {
    vec![Move::Read, say(text), Move::Hold]
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_every_phase() {
    let late = || Move::Hold;
    let drip = |text: &str| {
        let slowly = [Move::Wait(Duration::from_secs(1)), say(text)];
        slowly.into_iter().cycle().take(200).collect::<Vec<_>>()
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for script in [
        vec![late()],
        vec![Move::ReadHead, late()],
        vec![Move::Read, late()],
        vec![Move::Read, say("HTTP/1.1 2"), late()],
        vec![Move::Read, say("HTTP/1.1 200 OK\r\nx: y\r\n"), late()],
        vec![Move::Read, say("HTTP/1.1 100 Continue\r\n\r\n"), late()],
        vec![Move::Read, say(head), late()],
        vec![Move::Read, say(chunked), say("3\r\nabc\r\n"), late()],
        [
            vec![Move::Read, say("HTTP/1.1 200 OK\r\n")],
            drip("x: y\r\n"),
        ]
        .concat(),
        [vec![Move::Read, say(head)], drip("x")].concat(),
        [vec![Move::Read, say(chunked)], drip("1\r\nx\r\n")].concat(),
        [vec![Move::Read], drip("HTTP/1.1 103 Early Hints\r\n\r\n")].concat(),
    ] {
        assert_eq!(
            failed(&against(script.clone()).await),
            FailedKind::TimedOut,
            "{script:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_the_connect_and_the_lookup() {
    let mut stage = Stage::new();
    stage.sink.connect_takes(Duration::from_secs(3600));
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
    stage.to = endpoint("http://sink.example/");
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
    stage.timeout = Duration::ZERO;
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_longer_than_any_clock_is_no_overflow() {
    let mut stage = Stage::new();
    stage.timeout = Duration::MAX;
    stage.sink.then(answers(OK));
    stage.start();
    assert_eq!(status(&stage.next().await.outcome), 202);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_reads_times_out() {
    let mut stage = Stage::new();
    stage.event = event(&vec![b'x'; 512 << 10]);
    stage
        .sink
        .then(vec![Move::ReadHead, Move::Wait(Duration::from_secs(3600))]);
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_broken() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    for text in [
        "\0\0\0\0\r\n\r\n",
        "<html>hello</html>\n",
        "\x15\x03\x01\x02\x02\x46",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 20000 OK\r\n\r\n",
        "HTTP/1.1 fine OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: some\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        &long,
    ] {
        let start = &text[..text.len().min(60)];
        assert_eq!(
            failed(&against(says(text)).await),
            FailedKind::Broken,
            "{start:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn floods_before_the_head_is_complete_are_cut_off() {
    for (first, flood) in [
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        (
            "",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
        ),
        ("HTTP/1.1 200 OK\r\n", "x-flood: y\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "xxxxxxxxxxxxxxxx"),
        ("HTTP/1.1 200 ", "xxxxxxxxxxxxxxxx"),
        ("", "\r\n"),
    ] {
        let script = vec![
            Move::Read,
            say(first),
            Move::Flood(flood.repeat(100).into_bytes()),
        ];
        assert_eq!(
            failed(&against(script).await),
            FailedKind::Broken,
            "{first:?} {flood:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_interim_answers_are_read_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5);
    assert_eq!(status(&against(says(hints + OK)).await), 202);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_an_answer_and_the_end_of_the_connection() {
    let upgrade = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01";
    assert_eq!(status(&against(says(upgrade)).await), 101);
}

#[tokio::test(start_paused = true)]
async fn redirects_are_answers_and_nobody_is_asked_elsewhere() {
    for code in [301, 302, 303, 307, 308] {
        let mut stage = Stage::new();
        let there = "Location: http://192.0.2.9/x\r\nContent-Length: 0\r\n\r\n";
        stage
            .sink
            .then(answers(format!("HTTP/1.1 {code} Moved\r\n{there}")));
        assert_eq!(status(&stage.attempt().await), code);
        stage.settle().await;
        assert_eq!((stage.sink.connects(), stage.sink.requests().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_after_an_answer_belong_to_no_other_request() {
    let mut stage = Stage::new();
    let second = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    stage.sink.then(answers(OK.to_owned() + second));
    for n in 1..=8 {
        assert_eq!(status(&stage.attempt().await), 202);
        stage.settle().await;
        assert_eq!((stage.sink.connects(), stage.egress.idle()), (n, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_late_cost_the_connection_and_no_attempt() {
    let mut stage = Stage::new();
    let late = Move::Wait(Duration::from_millis(3));
    stage
        .sink
        .then(vec![Move::Read, say(OK), late, say(OK), Move::Hold]);
    for _ in 0..8 {
        assert_eq!(status(&stage.attempt().await), 202);
        stage.settle().await;
    }
    assert_eq!(stage.sink.requests().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_request_was_read_counts() {
    let mut stage = Stage::new();
    stage.event = event(&vec![b'x'; 512 << 10]);
    let refused = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    stage.sink.then(vec![
        Move::ReadHead,
        say(refused),
        Move::Wait(Duration::from_secs(60)),
    ]);
    assert_eq!(status(&stage.attempt().await), 413);
    stage.settle().await;
    assert_eq!(
        stage.egress.idle(),
        0,
        "half a request is on its way: not to be used again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_says_goodbye_is_believed() {
    let mut stage = Stage::new();
    let goodbye = "HTTP/1.1 202 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stage.sink.then(vec![Move::Read, say(goodbye), Move::Hold]);
    for n in 1..=3 {
        assert_eq!(status(&stage.attempt().await), 202);
        stage.settle().await;
        assert_eq!((stage.sink.connects(), stage.sink.open()), (n, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn http_1_0_without_a_length_is_an_answer() {
    assert_eq!(
        status(&against(answers_and_closes("HTTP/1.0 202 OK\r\n\r\n")).await),
        202
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_start_of_its_body_and_its_wish_to_be_left_alone() {
    let body = "0123456789".repeat(100);
    let answer = format!(
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let Outcome::Answered {
        status,
        retry_after,
        excerpt,
        ..
    } = against(says(answer)).await
    else {
        panic!("it answered");
    };
    assert_eq!((status, retry_after), (503, Some(Duration::from_secs(7))));
    assert_eq!(excerpt, body.as_bytes()[..768]);
    let date = "HTTP/1.1 429 Wait\r\nRetry-After: Sun, 06 Nov 1994 08:50:00 GMT\r\n\
                Content-Length: 0\r\n\r\n";
    let Outcome::Answered { retry_after, .. } = against(says(date)).await else {
        panic!("it answered");
    };
    assert_eq!(
        retry_after,
        Some(Duration::from_secs(23)),
        "the clock stands at 08:49:37"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_an_endless_body_is_known_by_its_status() {
    let head = "HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 16 << 10], b"\r\n"].concat();
    let script = vec![Move::Read, say(head), Move::Flood(chunk)];
    assert_eq!(status(&against(script).await), 400);
    let gib = "HTTP/1.1 400 No\r\nContent-Length: 1073741824\r\n\r\n";
    let script = vec![Move::Read, say(gib), Move::Flood(vec![b'x'; 16 << 10])];
    assert_eq!(status(&against(script).await), 400);
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_body_is_cut_is_known_by_its_status() {
    let cut = "HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\nsorry";
    let Outcome::Answered {
        status, excerpt, ..
    } = against(answers_and_closes(cut)).await
    else {
        panic!("it answered");
    };
    assert_eq!((status, &excerpt[..]), (400, b"sorry".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_body_never_ends_is_known_by_its_status_when_time_is_over() {
    let mut stage = Stage::new();
    let head = "HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nso";
    stage.sink.then(vec![Move::Read, say(head), Move::Hold]);
    let ended = stage.attempt_held().await;
    assert_eq!((status(&ended.outcome), ended.took), (503, stage.timeout));
}
