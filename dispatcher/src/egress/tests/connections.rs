//! Connections: reused, resent on, kept for a while, shared while a target refuses.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::stage::{Move, OK, Stage, answers, answers_and_closes, endpoint, failed, say, status};
use crate::outcome::FailedKind;

#[tokio::test(start_paused = true)]
async fn one_connection_serves_one_attempt_after_another() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    for _ in 0..10 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
    assert_eq!(
        (stage.sink.connects(), stage.sink.requests().len()),
        (1, 10)
    );
    assert_eq!((stage.egress.idle(), stage.egress.connections()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_an_answer_with_a_body() {
    let mut stage = Stage::new();
    stage
        .sink
        .then(answers("HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello"));
    for _ in 0..3 {
        assert_eq!(status(&stage.attempt().await), 404);
    }
    stage.sink.then(vec![]);
    assert_eq!(stage.sink.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_at_the_same_time_have_connections_of_their_own() {
    let mut stage = Stage::new();
    stage
        .sink
        .then([vec![Move::Wait(Duration::from_secs(1))], answers(OK)].concat());
    for _ in 0..20 {
        stage.start();
    }
    for _ in 0..20 {
        assert_eq!(status(&stage.next().await.outcome), 202);
    }
    assert_eq!((stage.sink.connects(), stage.egress.idle()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_idle_than_are_allowed() {
    let mut stage = Stage::with(|options| options.max_idle_per_target = 3);
    stage
        .sink
        .then([vec![Move::Wait(Duration::from_secs(1))], answers(OK)].concat());
    for _ in 0..10 {
        stage.start();
    }
    for _ in 0..10 {
        assert_eq!(status(&stage.next().await.outcome), 202);
    }
    stage.settle().await;
    assert_eq!((stage.egress.idle(), stage.sink.open()), (3, 3));
}

// Idle connections of one crowd of targets and attempts at another one were more than the process may open.
#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_most_there_may_be_takes_the_place_of_an_idle_one() {
    let mut stage = Stage::with(|options| options.max_connections = 4);
    stage
        .sink
        .then([vec![Move::Wait(Duration::from_secs(1))], answers(OK)].concat());
    for (round, port) in (1..=6).chain([6]).enumerate() {
        stage.to = endpoint(&format!("http://127.0.0.1:{port}/"));
        for _ in 0..2 {
            stage.start();
        }
        stage.settle().await;
        let open = stage.sink.open();
        assert!(open <= 4, "{open} in round {round}");
        for _ in 0..2 {
            assert_eq!(status(&stage.next().await.outcome), 202);
        }
        stage.settle().await;
    }
    assert_eq!((stage.egress.idle(), stage.sink.open()), (4, 4));
    // What was used last is still there.
    assert_eq!(stage.sink.connects(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_four_seconds_and_forgotten() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    assert_eq!(status(&stage.attempt().await), 202);
    sleep(Duration::from_millis(3_900)).await;
    assert_eq!((stage.sink.open(), stage.egress.idle()), (1, 1));
    assert_eq!(status(&stage.attempt().await), 202);
    sleep(Duration::from_millis(3_900)).await;
    assert_eq!(
        stage.sink.open(),
        1,
        "each use begins the four seconds again"
    );
    sleep(Duration::from_millis(200)).await;
    assert_eq!(
        (
            stage.sink.open(),
            stage.egress.idle(),
            stage.egress.connections()
        ),
        (0, 0, 0)
    );
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_connection_that_was_gone_is_sent_once_more_on_a_fresh_one() {
    let mut stage = Stage::new();
    // It answers, reads the next request and closes without a word.
    stage.sink.first([
        vec![Move::Read, say(OK), Move::Read, Move::Close],
        answers(OK),
    ]);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!((stage.sink.connects(), stage.sink.requests().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_once_more_and_not_twice() {
    let mut stage = Stage::new();
    stage
        .sink
        .first([vec![Move::Read, say(OK), Move::Read, Move::Close]]);
    stage.sink.then(vec![Move::Read, Move::Close]);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Broken);
    assert_eq!((stage.sink.connects(), stage.sink.requests().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_fresh_connection_is_sent_once() {
    let mut stage = Stage::new();
    stage.sink.then(vec![Move::Read, Move::Close]);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Broken);
    assert_eq!(stage.sink.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_one_byte_of_an_answer_it_is_not_sent_again() {
    let mut stage = Stage::new();
    stage
        .sink
        .first([vec![Move::Read, say(OK), Move::Read, say("H"), Move::Close]]);
    stage.sink.then(answers(OK));
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Broken);
    assert_eq!(stage.sink.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_costs_no_attempt() {
    let mut stage = Stage::new();
    stage.sink.then(answers_and_closes(OK));
    for n in 1..=8 {
        assert_eq!(status(&stage.attempt().await), 202);
        assert_eq!(stage.sink.requests().len(), n);
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_request_has_only_what_is_left_of_the_time() {
    let mut stage = Stage::new();
    let late = Move::Wait(Duration::from_secs(6));
    stage.sink.first([vec![
        Move::Read,
        say(OK),
        Move::Read,
        late.clone(),
        Move::Close,
    ]]);
    stage.sink.then(vec![Move::Read, late, say(OK), Move::Hold]);
    assert_eq!(status(&stage.attempt().await), 202);
    let ended = stage.attempt_held().await;
    assert_eq!(failed(&ended.outcome), FailedKind::TimedOut);
    assert_eq!(ended.took, stage.timeout);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_due_while_a_target_refuses_share_one_connect() {
    let mut stage = Stage::new();
    stage.sink.refuse(usize::MAX);
    for round in 1..=5 {
        for _ in 0..100 {
            stage.start();
        }
        for _ in 0..100 {
            assert_eq!(failed(&stage.next().await.outcome), FailedKind::Refused);
        }
        assert_eq!(stage.sink.connects(), round);
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_target_refuses_one_attempt_knocks_and_the_others_wait_for_it() {
    let mut stage = Stage::new();
    stage.sink.refuse(2);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Refused);
    stage.sink.connect_takes(Duration::from_secs(2));
    for _ in 0..50 {
        stage.start();
    }
    for _ in 0..50 {
        assert_eq!(failed(&stage.next().await.outcome), FailedKind::Refused);
    }
    assert_eq!(stage.sink.connects(), 2);
    // Back again: the first one finds out, then all connect at once.
    stage.sink.then(answers(OK));
    for _ in 0..50 {
        stage.start();
    }
    for _ in 0..50 {
        let ended = stage.next().await;
        assert_eq!(status(&ended.outcome), 202);
        assert!(ended.took <= Duration::from_secs(5), "{:?}", ended.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_before_does_not_count_for_a_request_that_is_sent_once_more() {
    let mut stage = Stage::new();
    let gone = [Move::Wait(Duration::from_secs(3)), Move::Close];
    stage
        .sink
        .first([[vec![Move::Read, say(OK), Move::Read], gone.to_vec()].concat()]);
    stage.sink.then(answers(OK));
    assert_eq!(status(&stage.attempt().await), 202);
    let on_the_old_one = stage.start();
    stage.sink.refuse(1);
    stage.start();
    assert_eq!(failed(&stage.next().await.outcome), FailedKind::Refused);
    let ended = stage.next().await;
    assert_eq!(
        (ended.key.serial, status(&ended.outcome)),
        (on_the_old_one, 202)
    );
}

#[tokio::test(start_paused = true)]
async fn one_who_knocks_and_runs_out_of_time_leaves_the_turn_to_the_next() {
    let mut stage = Stage::new();
    stage.sink.refuse(1);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Refused);
    stage.sink.connect_takes(Duration::from_secs(15));
    stage.start();
    stage.timeout = Duration::from_secs(40);
    stage.sink.then(answers(OK));
    stage.start();
    assert_eq!(failed(&stage.next().await.outcome), FailedKind::TimedOut);
    assert_eq!(status(&stage.next().await.outcome), 202);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_in_a_while_and_an_address_never() {
    let mut stage = Stage::new();
    stage.sink.then(answers_and_closes(OK));
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 0);
    stage.to = endpoint("http://sink.example/");
    for _ in 0..20 {
        stage.start();
    }
    for _ in 0..20 {
        assert_eq!(status(&stage.next().await.outcome), 202);
    }
    assert_eq!(stage.sink.lookups(), 1);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_unknown_is_asked_for_once_by_all_that_are_due() {
    let mut stage = Stage::new();
    stage.to = endpoint("http://nowhere.example/");
    for _ in 0..20 {
        stage.start();
    }
    for _ in 0..20 {
        assert_eq!(failed(&stage.next().await.outcome), FailedKind::Unreachable);
    }
    assert_eq!(stage.sink.lookups(), 1);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Unreachable);
    assert_eq!(stage.sink.lookups(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_a_lookup_is_late_the_addresses_from_before_do() {
    let mut stage = Stage::new();
    stage.sink.then(answers_and_closes(OK));
    stage.to = endpoint("http://sink.example/");
    assert_eq!(status(&stage.attempt().await), 202);
    stage.sink.lookup_takes(Duration::from_secs(300));
    sleep(Duration::from_secs(6)).await;
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "one of them waited, and not for long"
    );
    assert_eq!(stage.sink.lookups(), 2, "one is under way, and no more");
    // It is answered, and its answer taken.
    stage.sink.lookup_takes(Duration::ZERO);
    stage.sink.resolves_to(&["192.0.2.9:80"]);
    sleep(Duration::from_secs(50)).await;
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 2);
    // Nobody asked for it for so long that it says nothing of now.
    sleep(Duration::from_secs(250)).await;
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 3);
    let last = stage.sink.connected_to().last().copied();
    assert_eq!(last, Some("192.0.2.9:80".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_gives_up_leaves_its_lookup_to_the_next() {
    let mut stage = Stage::new();
    stage.sink.then(answers_and_closes(OK));
    stage.to = endpoint("http://sink.example/");
    stage.sink.lookup_takes(Duration::from_secs(20));
    stage.timeout = Duration::from_secs(15);
    assert_eq!(failed(&stage.attempt().await), FailedKind::TimedOut);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 1);
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_answers_for_keep_no_name_with_addresses_waiting() {
    let mut stage = Stage::new();
    stage.sink.then(answers_and_closes(OK));
    let healthy = endpoint("http://sink.example/");
    stage.to = Arc::clone(&healthy);
    assert_eq!(status(&stage.attempt().await), 202);
    stage.sink.lookup_takes(Duration::from_secs(3_600));
    for name in 0..400 {
        stage.to = endpoint(&format!("http://name{name}.example/"));
        stage.start();
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.sink.lookups(), 1 + 256);
    stage.sink.lookup_takes(Duration::ZERO);
    stage.to = healthy;
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.lookups(), 1 + 256 + 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_allowed_is_never_connected_to() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    stage.sink.deny("192.0.2.1:8000");
    assert_eq!(failed(&stage.attempt().await), FailedKind::Unreachable);
    assert_eq!(stage.sink.connects(), 0);
    stage.to = endpoint("http://sink.example/");
    stage.sink.resolves_to(&["192.0.2.1:8000", "192.0.2.2:80"]);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.connected_to(), ["192.0.2.2:80".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_makes_way_for_the_next() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    stage.sink.refuse(1);
    stage.to = endpoint("http://sink.example/");
    stage.sink.resolves_to(&["192.0.2.1:80", "192.0.2.2:80"]);
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn close_ends_idle_connections_and_lets_those_in_flight_finish() {
    let mut stage = Stage::new();
    stage.sink.first([answers(OK)]);
    stage.sink.then(vec![
        Move::Read,
        Move::Wait(Duration::from_secs(3)),
        say(OK),
        Move::Hold,
    ]);
    let one = stage.start();
    let two = stage.start();
    assert_eq!(stage.next().await.key.serial, one);
    stage.settle().await;
    stage.egress.close();
    stage.settle().await;
    assert_eq!((stage.egress.idle(), stage.egress.connections()), (0, 1));
    stage.start();
    assert_eq!(
        failed(&stage.next().await.outcome),
        FailedKind::Broken,
        "nothing new begins"
    );
    let ended = stage.next().await;
    assert_eq!((ended.key.serial, status(&ended.outcome)), (two, 202));
    stage.egress.run().await;
    stage.settle().await;
    assert_eq!(stage.sink.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_egress_ends_every_attempt_and_closes_every_connection() {
    let mut stage = Stage::new();
    stage.sink.first([vec![Move::Read, say(OK), Move::Hold]]);
    stage.sink.then(vec![Move::Read, Move::Hold]);
    assert_eq!(status(&stage.attempt().await), 202);
    for _ in 0..5 {
        stage.start();
    }
    stage.settle().await;
    let other = Stage::new().egress;
    drop(std::mem::replace(&mut stage.egress, other));
    for _ in 0..5 {
        assert_eq!(failed(&stage.next().await.outcome), FailedKind::Broken);
    }
    stage.nothing_more();
    stage.settle().await;
    assert_eq!(stage.sink.open(), 0);
}
