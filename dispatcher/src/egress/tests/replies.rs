//! What comes back: replies, their limits, and what is no reply.

use std::{sync::Arc, time::Duration};

use volley_channel::Position;

use super::stage::{
    Move, Script, Stage, answers, answers_and_closes, failed, reply, say, unusable,
};
use crate::{
    egress::{Ended, ReplyBudget, ReplyPath},
    outcome::{Answer, FailedKind, Outcome},
};

const EVENT: &str = "HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: r1\r\nce-source: /sink\r\n\
                     ce-type: com.example.reply\r\ncontent-type: text/plain\r\n";

fn event_with(framing: &str, body: &str) -> String {
    format!("{EVENT}{framing}\r\n\r\n{body}")
}

fn event_of(body: &str) -> String {
    event_with(&format!("Content-Length: {}", body.len()), body)
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_read_and_its_room_is_held() {
    let mut stage = Stage::new();
    stage.sink.then(answers(event_of("thanks")));
    for _ in 0..3 {
        let ended = stage.attempt_held().await;
        let event = reply(&ended.outcome);
        assert_eq!(
            (event.id(), &event.body()[..]),
            ("r1", b"thanks".as_slice())
        );
        assert_eq!(ended.hold.as_ref().unwrap().bytes(), 6);
        assert_eq!(stage.budget.free(), (64 << 20) - 6);
        drop(ended);
        assert_eq!(stage.budget.free(), 64 << 20);
    }
    assert_eq!(stage.sink.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_structured_reply_in_chunks_is_read() {
    let mut stage = Stage::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents+json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let body = r#"{"specversion":"1.0","id":"r2","source":"/s","type":"t","data":{"a":1.10}}"#;
    let (one, two) = body.split_at(20);
    let chunks = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\nx: y\r\n\r\n",
        one.len(),
        two.len()
    );
    stage.sink.then(answers(head.to_owned() + &chunks));
    let outcome = stage.attempt().await;
    assert_eq!(reply(&outcome).id(), "r2");
    assert_eq!(reply(&outcome).body(), body.as_bytes());
    assert_eq!(reply(&stage.attempt().await).id(), "r2");
    assert_eq!(stage.sink.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_data_is_a_reply() {
    let mut stage = Stage::new();
    stage.sink.then(answers(event_of("")));
    let ended = stage.attempt_held().await;
    assert_eq!(reply(&ended.outcome).id(), "r1");
    assert!(ended.hold.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_no_reply() {
    let mut stage = Stage::new();
    for head in [
        "200 OK\r\nContent-Length: 0",
        "204 No Content",
        "200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip",
    ] {
        stage.sink.then(answers(format!("HTTP/1.1 {head}\r\n\r\n")));
        let outcome = stage.attempt().await;
        let nothing = matches!(
            outcome,
            Outcome::Answered {
                answer: Answer::Nothing,
                ..
            }
        );
        assert!(nothing, "{head}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_202_is_never_a_reply() {
    let mut stage = Stage::new();
    stage
        .sink
        .then(answers(event_of("later").replace("200 OK", "202 OK")));
    for _ in 0..3 {
        let outcome = stage.attempt().await;
        let nothing = matches!(
            outcome,
            Outcome::Answered {
                status: 202,
                answer: Answer::Nothing,
                ..
            }
        );
        assert!(nothing, "{outcome:?}");
    }
    assert_eq!(stage.sink.connects(), 1, "its body was read over");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_sink_may_say_what_it_likes() {
    let mut stage = Stage::new();
    stage.wants_reply = false;
    stage
        .sink
        .then(answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthanx"));
    for _ in 0..2 {
        let outcome = stage.attempt().await;
        assert!(
            matches!(
                outcome,
                Outcome::Answered {
                    answer: Answer::Nothing,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
    assert_eq!(stage.sink.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_cut_after_any_byte_is_never_a_success() {
    let whole = [
        event_of("a reply"),
        event_with("Transfer-Encoding: chunked", "7\r\na reply\r\n0\r\n\r\n"),
    ];
    for whole in whole {
        for end in 0..whole.len() {
            let mut stage = Stage::new();
            stage.sink.then(answers_and_closes(&whole[..end]));
            let outcome = stage.attempt().await;
            match outcome {
                Outcome::Failed(ref failed) => assert_eq!(failed.kind, FailedKind::Broken),
                Outcome::Answered {
                    answer: Answer::Unusable(_),
                    ..
                } => {}
                other => panic!("cut at {end}: {other:?}"),
            }
        }
        let mut stage = Stage::new();
        stage.sink.then(answers_and_closes(&whole));
        assert_eq!(reply(&stage.attempt().await).id(), "r1");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_unusable_and_says_why() {
    for (answer, why) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            "not a CloudEvent",
        ),
        (event_of("x").replace("ce-id: r1\r\n", ""), "id"),
        (
            event_of("x").replace("OK\r\n", "OK\r\nContent-Encoding: gzip\r\n"),
            "Content-Encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents-batch+json\r\n\
             Content-Length: 2\r\n\r\n[]"
                .to_owned(),
            "batch",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents+json\r\n\
             Content-Length: 1\r\n\r\n{"
                .to_owned(),
            "envelope",
        ),
    ] {
        let mut stage = Stage::new();
        stage.sink.then(answers(&answer));
        let ended = stage.attempt_held().await;
        assert!(
            unusable(&ended.outcome).contains(why),
            "{:?}",
            ended.outcome
        );
        assert!(ended.hold.is_none());
        assert_eq!(stage.budget.free(), 64 << 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_up_to_the_limit_is_read_and_one_beyond_it_is_not() {
    let stage = Stage::with(|options| options.max_reply = 100_000);
    for framing in ["length", "chunks"] {
        for (size, fits) in [
            (99_999, true),
            (100_000, true),
            (100_001, false),
            (5_000_000, false),
        ] {
            let body = "x".repeat(size);
            let answer = match framing {
                "length" => event_of(&body),
                _ => event_with(
                    "Transfer-Encoding: chunked",
                    &format!("{size:x}\r\n{body}\r\n0\r\n\r\n"),
                ),
            };
            stage.sink.then(answers(answer));
            let mut stage = stage.again();
            let ended = stage.attempt_held().await;
            if fits {
                assert_eq!(reply(&ended.outcome).body().len(), size, "{framing}");
                assert_eq!(ended.hold.unwrap().bytes(), size);
            } else {
                assert!(
                    unusable(&ended.outcome).contains("larger than"),
                    "{framing} {size}"
                );
            }
            assert_eq!(stage.budget.free(), 64 << 20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_reply_is_cut_off() {
    for (framing, flood) in [
        (
            "Transfer-Encoding: chunked",
            [b"4000\r\n".as_slice(), &[b'x'; 16 << 10], b"\r\n"].concat(),
        ),
        ("Transfer-Encoding: chunked", b"1\r\nx\r\n".repeat(1000)),
        ("Connection: close", vec![b'x'; 16 << 10]),
    ] {
        let mut stage = Stage::new();
        stage.sink.then(vec![
            Move::Read,
            say(event_with(framing, "")),
            Move::Flood(flood),
        ]);
        assert!(unusable(&stage.attempt().await).contains("larger than"));
        stage.settle().await;
        assert_eq!(stage.sink.open(), 0);
    }
}

/// A budget of so many bytes, for replies of ten.
fn with_room_for(bytes: u32) -> Stage {
    let stage = Stage::with(|options| {
        options.replies = ReplyBudget::new(bytes);
        options.max_reply = 10;
    });
    stage.sink.then(answers(event_of("ten bytes!")));
    stage
}

impl Stage {
    /// Whether a reply finds room.
    async fn is_read(&mut self) -> Option<Ended> {
        let ended = self.attempt_held().await;
        if ended.hold.is_some() {
            return Some(ended);
        }
        assert_eq!(failed(&ended.outcome), FailedKind::ReplyNotStored);
        assert_eq!(ended.took, self.timeout);
        None
    }

    /// One that is read in full, and waits for room in its Broker.
    async fn start_and_read(&mut self, size: usize) -> Ended {
        let mut ended = self.attempt_held().await;
        assert_eq!(reply(&ended.outcome).body().len(), size);
        assert!(step_aside(&mut ended));
        ended
    }

    async fn is_held(&mut self) -> Ended {
        self.is_read().await.expect("there is room for it")
    }
}

/// Where one reply that waits has all that its namespace may read into; the next ones have ten bytes.
async fn with_little_left(answers: impl Fn(String) -> Script) -> (Stage, Ended) {
    let mut stage = Stage::with(|options| {
        options.replies = ReplyBudget::new(1280);
        options.max_reply = 640;
    });
    stage.path.stands(true, Position(0));
    stage.sink.then(answers(event_of(&"x".repeat(640))));
    let mut stuck = stage.is_held().await;
    assert!(step_aside(&mut stuck));
    stage.sink.then(answers(event_of("ten bytes!")));
    (stage.again(), stuck)
}

fn step_aside(ended: &mut Ended) -> bool {
    ended.hold.as_mut().expect("it is read").step_aside()
}

// It was called again after a second, and without a retry its event was dropped.
#[tokio::test(start_paused = true)]
async fn a_reply_without_room_is_left_unread_until_the_attempt_is_over() {
    let mut stage = with_room_for(10);
    let first = stage.is_held().await;
    assert!(stage.is_read().await.is_none());
    assert_eq!(stage.unread, [2]);
    stage.start();
    tokio::time::sleep(Duration::from_secs(9)).await;
    drop(first);
    let third = stage.next().await;
    assert_eq!(reply(&third.outcome).id(), "r1");
    assert!(third.took < Duration::from_secs(10), "{:?}", third.took);
    assert_eq!((stage.sink.connects(), &stage.unread[..]), (1, &[2, 3][..]));
}

#[tokio::test(start_paused = true)]
async fn of_many_large_replies_that_begin_together_each_is_read() {
    let size = 200_000;
    for framing in ["length", "chunks"] {
        let mut stage = Stage::with(|options| {
            options.replies = ReplyBudget::new(1_000_000);
            options.max_reply = size;
        });
        let body = "x".repeat(size);
        let head = match framing {
            "length" => event_with(&format!("Content-Length: {size}"), ""),
            _ => event_with("Transfer-Encoding: chunked", &format!("{size:x}")),
        };
        let end = if framing == "length" {
            ""
        } else {
            "\r\n0\r\n\r\n"
        };
        // All have begun before the rest of any comes.
        stage.sink.then(vec![
            Move::Read,
            say(head + if framing == "length" { "" } else { "\r\n" }),
            say(&body[..1]),
            Move::Wait(Duration::from_secs(1)),
            say(&body[1..]),
            say(end),
        ]);
        for _ in 0..40 {
            stage.start();
        }
        for _ in 0..40 {
            let ended = stage.next().await;
            assert_eq!(reply(&ended.outcome).body().len(), size, "{framing}");
        }
        assert_eq!(stage.budget.free(), 1_000_000);
    }
}

#[tokio::test(start_paused = true)]
async fn one_target_cannot_take_all_the_room_for_replies() {
    let mut stage = with_room_for(40);
    let held = stage.is_held().await;
    assert!(stage.is_read().await.is_none(), "its quarter is taken");
    stage.to = super::stage::endpoint("http://192.0.2.2/");
    let _another_target_has_its_own = stage.is_held().await;
    drop(held);
}

// Eight targets took all of it before, four quarters of it twice over.
#[tokio::test(start_paused = true)]
async fn the_targets_of_one_namespace_cannot_take_all_the_room_for_replies() {
    let mut stage = with_room_for(80);
    let mut held = Vec::new();
    for target in 1..=8 {
        stage.to = super::stage::endpoint(&format!("http://192.0.2.{target}/"));
        held.extend(stage.is_read().await);
    }
    assert_eq!(held.len(), 4, "half of it");
    stage.of("other");
    drop(stage.is_held().await);
    stage.of("default");
    assert!(stage.is_read().await.is_none());
    drop(held);
    assert_eq!(stage.budget.free(), 80);
    drop(stage.is_held().await);
}

#[tokio::test(start_paused = true)]
async fn namespaces_behind_one_gateway_have_shares_of_their_own() {
    let mut stage = with_room_for(40);
    let held = stage.is_held().await;
    assert!(stage.is_read().await.is_none());
    stage.of("other");
    drop(stage.is_held().await);
    drop(held);
}

// Where younger replies waited for room in a full Broker, they had the room for replies, and the oldest
// one's, for which they waited, could not be read.
#[tokio::test(start_paused = true)]
async fn the_reply_to_the_oldest_event_is_read_although_others_have_all_the_room() {
    let mut stage = with_room_for(40);
    let younger = stage.is_held().await;
    assert!(stage.is_read().await.is_none());
    stage.path.stands(false, Position(3));
    let oldest = stage.is_held().await;
    assert_eq!(stage.budget.free(), 30, "it takes nothing of the others'");
    stage.path.stands(false, Position(4));
    assert!(stage.is_read().await.is_none(), "there is not much of that");
    // One becomes the oldest while it waits.
    drop(oldest);
    stage.start();
    stage.settle().await;
    let moved = tokio::time::Instant::now();
    stage.path.stands(false, Position(5));
    assert_eq!(reply(&stage.next().await.outcome).id(), "r1");
    assert!(moved.elapsed() < Duration::from_millis(2), "it is told");
    drop(younger);
    stage.path.stands(false, Position(6));
    let _within = stage.is_held().await;
    assert_eq!(
        stage.budget.free(),
        30,
        "where there is room it is one of all"
    );
}

// Replies that waited for room in one Broker kept others of its namespace from replying.
#[tokio::test(start_paused = true)]
async fn replies_that_wait_for_room_in_their_broker_leave_the_room_for_others() {
    let mut stage = with_room_for(40);
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut ended = stage.is_held().await;
        assert!(step_aside(&mut ended), "there is twice as much for them");
        assert_eq!(stage.budget.free(), 40);
        waiting.push(ended);
    }
    let mut last = stage.is_held().await;
    assert!(!step_aside(&mut last));
    assert_eq!(stage.budget.free(), 30);
    // Those that have keep their place.
    assert!(waiting.iter_mut().all(step_aside));
    waiting.pop();
    assert!(step_aside(&mut last));
    assert_eq!(stage.budget.free(), 40);
    drop((waiting, last));
    let within = stage.is_held().await;
    assert_eq!(stage.budget.free(), 30);
    drop(within);
    assert_eq!(stage.budget.free(), 40);
}

// Read in with the others, they found no place to wait in, and their subscribers were called again.
#[tokio::test(start_paused = true)]
async fn replies_for_a_broker_that_refuses_them_are_read_only_where_they_may_wait() {
    let mut stage = with_room_for(40);
    stage.path.stands(true, Position(0));
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(stage.is_held().await);
        assert_eq!(stage.budget.free(), 40);
        // Its target's share is free for others again, once it is refused.
        assert!(waiting.iter_mut().all(step_aside));
    }
    assert!(stage.is_read().await.is_none());
    stage.start();
    stage.settle().await;
    // Another Broker of the namespace is none of theirs.
    let refusing = std::mem::replace(&mut stage.path, Arc::new(ReplyPath::new("default".into())));
    drop(stage.is_held().await);
    drop(waiting.pop());
    let mut read = stage.next().await;
    assert_eq!(reply(&read.outcome).id(), "r1");
    assert!(step_aside(&mut read));
    assert_eq!(stage.budget.free(), 40);
    // Once the Broker has room again they are read as others are.
    stage.path = refusing;
    stage.start();
    stage.settle().await;
    stage.path.stands(false, Position(0));
    let read_too = stage.next().await;
    assert_eq!(reply(&read_too.outcome).id(), "r1");
    assert_eq!(stage.budget.free(), 30);
    drop((waiting, read, read_too));
    assert_eq!(stage.budget.free(), 40);
}

// What was half read when its Broker began to refuse had the room for all until the attempt was over.
#[tokio::test(start_paused = true)]
async fn what_is_half_read_for_a_broker_that_begins_to_refuse_steps_aside() {
    let size = 100_000;
    let mut stage = Stage::with(|options| {
        options.replies = ReplyBudget::new(400_000);
        options.max_reply = size;
    });
    let body = "x".repeat(size);
    stage.sink.then(vec![
        Move::Read,
        say(event_with(&format!("Content-Length: {size}"), "x")),
        Move::Wait(Duration::from_secs(1)),
        say(&body[1..]),
    ]);
    // It reads in its part for two seconds, and all there is for its namespace is taken meanwhile.
    stage.path.stands(true, Position(0));
    let waiting = [
        stage.start_and_read(size).await,
        stage.start_and_read(size).await,
    ];
    stage.path = Arc::new(ReplyPath::new("default".into()));
    stage.start();
    stage.settle().await;
    assert_eq!(stage.budget.free(), 400_000 - (64 << 10));
    stage.path.stands(true, Position(0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.budget.free(), 400_000);
    drop(waiting);
    assert_eq!(reply(&stage.next().await.outcome).body().len(), size);
    assert_eq!(stage.unread, [3]);
}

// The replies of one Broker that could not move had all that its namespace had: another one, which could,
// had its own read one by one.
#[tokio::test(start_paused = true)]
async fn each_unit_has_a_little_room_of_its_own() {
    let (mut stage, _stuck) = with_little_left(answers).await;
    stage.path.stands(true, Position(0));
    let mut own = [stage.is_held().await, stage.is_held().await];
    assert!(own.iter_mut().all(step_aside), "they stay there");
    assert!(stage.is_read().await.is_none(), "a sixty-fourth");
    stage.of("default");
    stage.path.stands(true, Position(0));
    drop(stage.is_held().await);
}

// The replies to younger events of many units had it all, and each unit waited for its oldest.
#[tokio::test(start_paused = true)]
async fn replies_to_oldest_events_have_half_of_what_units_have_of_their_own() {
    let (mut stage, _stuck) = with_little_left(answers_and_closes).await;
    let mut younger = Vec::new();
    for _ in 0..40 {
        stage.of("default");
        stage.path.stands(true, Position(0));
        younger.extend(stage.is_read().await);
        younger.extend(stage.is_read().await);
    }
    assert_eq!(younger.len(), 32, "a quarter");
    stage.path.stands(true, Position(u64::MAX));
    drop(stage.is_held().await);
}
