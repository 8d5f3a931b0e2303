//! From pending to its end: places, lanes, waits, dead letters, replies.

use std::time::Duration;

use bytes::Bytes;
use volley_channel::{Bounds, Position, PublishError};
use volley_event::Event;
use volley_spec::route::{Order, Target, TriggerRoute};

use super::bench::{Bench, is_dead_letter, positions, retrying, sink, trigger};
use crate::{
    core::{Core, Image, Settings},
    outcome::{Answer, FailedKind, Outcome},
};

pub(super) fn reply() -> Outcome {
    let event = Event::builder()
        .id("r")
        .source("/reply")
        .kind("b")
        .build()
        .expect("a valid event");
    Outcome::Answered {
        status: 200,
        retry_after: None,
        answer: Answer::Reply(Box::new(event)),
        excerpt: Bytes::new(),
    }
}

#[test]
fn concurrency_bounds_what_is_in_flight() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        ..trigger(1)
    });
    bench.publish("-----");
    bench.read();
    let flying = bench.starts();
    assert_eq!(positions(&flying), [1, 2]);
    bench.succeeds(&flying[1]);
    assert_eq!(bench.positions(), [3]);
}

#[test]
fn a_key_waits_for_its_earlier_events_and_for_no_other_key() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        order: Order::Key,
        ..retrying(1, 1)
    });
    bench.publish("xyx-y");
    bench.read();
    let flying = bench.starts();
    assert_eq!(
        positions(&flying),
        [1, 2, 4],
        "an event without a key has no order"
    );
    bench.fails(&flying[0]);
    assert!(
        bench.positions().is_empty(),
        "the lane x waits for its retry"
    );
    bench.succeeds(&flying[1]);
    assert_eq!(bench.positions(), [5]);
    bench.wait(1100);
    let again = bench.one();
    assert_eq!((again.key.position.0, again.earlier), (1, 1));
    bench.fails(&again);
    assert_eq!(bench.positions(), [3], "dropped is ended too");
}

#[test]
fn switching_order_on_never_starts_an_event_twice_or_over_an_earlier_one() {
    let mut bench = Bench::new(100);
    bench.declare(retrying(1, 3));
    bench.publish("xxxx");
    bench.read();
    let flying = bench.starts();
    assert_eq!(positions(&flying), [1, 2, 3, 4]);
    bench.fails(&flying[1]);
    bench.declare(TriggerRoute {
        order: Order::Key,
        ..retrying(1, 3)
    });
    bench.wait(5000);
    assert!(
        bench.positions().is_empty(),
        "2 is due, but 1 has not ended"
    );
    bench.succeeds(&flying[0]);
    assert_eq!(bench.positions(), [2]);
    bench.succeeds(&flying[2]);
    bench.succeeds(&flying[3]);
    assert!(
        bench.positions().is_empty(),
        "3 and 4 were in flight and are not sent again"
    );
    assert_eq!(bench.row(1).delivered, 3);
}

#[test]
fn retries_wait_longer_each_time_and_then_the_dead_letter_is_due() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        dead_letter: Some(sink("dead")),
        ..retrying(1, 2)
    });
    bench.publish("-");
    bench.read();
    for wait in [1000, 2000] {
        let attempt = bench.one();
        bench.fails(&attempt);
        bench.wait(wait - 1);
        assert!(bench.starts().is_empty());
        bench.wait(1);
    }
    let last = bench.one();
    bench.fails(&last);
    bench.wait(0);
    let dead = bench.one();
    assert!(is_dead_letter(&dead));
    bench.fails(&dead);
    bench.wait(200);
    let again = bench.one();
    bench.succeeds(&again);
    let row = bench.row(1);
    assert_eq!((row.dead_lettered, row.pending), (1, 0));
}

#[test]
fn a_sink_that_cannot_be_used_is_tried_again_and_gets_what_waits_once_it_is_mended() {
    let mut bench = Bench::new(100);
    bench.declare(retrying(1, 3));
    bench.publish("-");
    bench.read();
    let attempt = bench.one();
    bench.ends(
        &attempt,
        &Outcome::failed(FailedKind::Unusable, "no certificates"),
    );
    assert_eq!(bench.row(1).pending, 1, "nothing was sent");
    bench.declare(TriggerRoute {
        subscriber: Some(sink("mended")),
        ..retrying(1, 3)
    });
    bench.wait(1100);
    let again = bench.one();
    assert_eq!(again.earlier, 1);
    assert_eq!(again.route.subscriber, Some(sink("mended")));
    bench.succeeds(&again);
    let row = bench.row(1);
    assert_eq!((row.delivered, row.pending), (1, 0));
}

#[test]
fn a_dead_letter_that_cannot_be_sent_at_all_ends_and_lets_its_lane_go_on() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        dead_letter: Some(sink("dead")),
        order: Order::Partition,
        ..trigger(1)
    });
    bench.publish("--");
    bench.read();
    let attempt = bench.one();
    bench.fails(&attempt);
    bench.wait(0);
    let dead = bench.one();
    assert!(is_dead_letter(&dead));
    bench.ends(
        &dead,
        &Outcome::failed(FailedKind::Unusable, "no certificates"),
    );
    assert!(bench.starts().is_empty(), "its sink may yet change");
    bench.wait(10_000);
    let dead = bench.one();
    bench.ends(
        &dead,
        &Outcome::failed(FailedKind::Unsendable, "no such data"),
    );
    assert_eq!(bench.dropped(1)["retriesExhausted"], 1);
    assert_eq!(bench.one().event.position, Position(2));
}

#[test]
fn a_dead_letter_sink_that_is_taken_away_drops_what_is_parked_and_what_fails_after() {
    let mut bench = Bench::new(100);
    let with = TriggerRoute {
        dead_letter: Some(sink("dead")),
        ..trigger(1)
    };
    bench.declare(with);
    bench.publish("--");
    bench.read();
    for attempt in bench.starts() {
        bench.fails(&attempt);
    }
    bench.wait(0);
    let dead = bench.starts();
    bench.fails(&dead[0]);
    bench.declare(trigger(1));
    assert_eq!(bench.dropped(1)["retriesExhausted"], 1, "the parked one");
    bench.fails(&dead[1]);
    assert_eq!(bench.dropped(1)["retriesExhausted"], 2, "the one in flight");
    bench.publish("-");
    bench.read();
    assert_eq!(bench.positions(), [3], "the Trigger goes on");
}

#[test]
fn a_dead_letter_sink_that_is_changed_is_tried_at_once() {
    let mut bench = Bench::new(100);
    let with = |name: &str| TriggerRoute {
        dead_letter: Some(sink(name)),
        ..trigger(1)
    };
    bench.declare(with("down"));
    bench.publish("-");
    bench.read();
    let attempt = bench.one();
    bench.fails(&attempt);
    for wait in [0, 200, 400, 800] {
        bench.wait(wait);
        let dead = bench.one();
        bench.fails(&dead);
    }
    bench.declare(with("up"));
    bench.wait(0);
    let dead = bench.one();
    assert_eq!(dead.route.dead_letter, Some(sink("up")));
}

#[test]
fn a_delivery_is_done_when_its_reply_is_stored_and_the_subscriber_is_not_asked_again() {
    let mut bench = Bench::new(100);
    bench.declare(trigger(1));
    bench.publish("-");
    bench.read();
    let attempt = bench.one();
    bench.ends(&attempt, &reply());
    let full = Err(PublishError::Full {
        retry_after: Duration::from_secs(1),
    });
    for wait in [50, 100, 200] {
        let replies = bench.core.take_replies();
        assert_eq!(replies.len(), 1);
        bench.core.stored(bench.now, replies[0].key, &full, 0.0);
        bench.wait(wait);
        assert!(bench.starts().is_empty());
    }
    let replies = bench.core.take_replies();
    assert_eq!(bench.row(1).pending, 1);
    bench.core.stored(bench.now, replies[0].key, &Ok(()), 0.0);
    assert_eq!(bench.row(1).delivered, 1);
}

#[test]
fn a_reply_that_finds_no_room_until_the_timeout_is_a_failed_attempt() {
    let mut bench = Bench::new(100);
    bench.declare(retrying(1, 1));
    bench.publish("-");
    bench.read();
    let attempt = bench.one();
    bench.ends(&attempt, &reply());
    let full = Err(PublishError::Full {
        retry_after: Duration::from_secs(1),
    });
    while bench.now < Duration::from_secs(11) {
        for reply in bench.core.take_replies() {
            bench.core.stored(bench.now, reply.key, &full, 0.0);
        }
        bench.wait(50);
    }
    assert_eq!(bench.one().earlier, 1);
}

#[test]
fn a_reply_that_the_channel_refuses_for_good_is_a_failed_attempt_at_once() {
    let mut bench = Bench::new(100);
    bench.declare(retrying(1, 1));
    bench.publish("-");
    bench.read();
    let attempt = bench.one();
    bench.ends(&attempt, &reply());
    let refused = Err(PublishError::Refused {
        cause: "not authorised".to_owned(),
    });
    let replies = bench.core.take_replies();
    bench.core.stored(bench.now, replies[0].key, &refused, 0.0);
    assert!(bench.core.take_replies().is_empty());
    bench.wait(1_000);
    assert_eq!(bench.one().earlier, 1);
}

#[test]
fn a_rate_lets_no_attempt_start_early() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        rate: Some(4.0),
        ..trigger(1)
    });
    bench.publish("----------");
    bench.read();
    let mut started = 0;
    for _ in 0..100 {
        started += bench.starts().len();
        bench.wait(10);
    }
    assert_eq!(started, 4, "in one second");
}

#[test]
fn a_target_that_refuses_holds_its_trigger_to_one_probe() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        hold_when_refused: true,
        ..retrying(1, 9)
    });
    bench.publish("---");
    bench.read();
    for attempt in bench.starts() {
        bench.refuses(&attempt);
    }
    bench.wait(1000);
    let probe = bench.one();
    bench.succeeds(&probe);
    assert_eq!(bench.positions().len(), 2, "the target is back");
}

#[test]
fn a_hold_ends_with_the_last_event_that_could_probe() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        hold_when_refused: true,
        ..trigger(1)
    });
    bench.publish("-");
    bench.read();
    let only = bench.one();
    bench.refuses(&only);
    assert_eq!(bench.dropped(1)["retriesExhausted"], 1);
    bench.publish("-");
    bench.read();
    bench.catch_up();
    assert_eq!(bench.positions(), [2]);
}

#[test]
fn an_event_without_hops_is_dropped_before_it_enters_another_broker() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        subscriber: Some(Target::Broker {
            uid: uuid::Uuid::from_u128(9),
            url: "http://other/".into(),
        }),
        ..trigger(1)
    });
    bench.publish("--");
    bench.log[0].event = bench.log[0].event.clone().with_hops(1);
    bench.read();
    assert_eq!(bench.positions(), [2]);
    assert_eq!(bench.dropped(1)["ttl"], 1);
}

#[test]
fn after_a_restart_a_wait_begins_again_and_is_at_most_30_s() {
    let mut bench = Bench::new(100);
    bench.declare(retrying(1, 20));
    bench.publish("--");
    bench.read();
    let flying = bench.starts();
    let mut attempt = flying[0].clone();
    for n in 0..8 {
        bench.fails(&attempt);
        if n < 7 {
            bench.wait(1000 << n);
            attempt = bench.one();
        }
    }
    let image: Image = bench.core.checkpoint(usize::MAX);
    let bounds = Bounds {
        first: bench.log[0].position,
        first_ordinal: 0,
        next: bench.next(),
        next_ordinal: 2,
    };
    let known = vec![std::sync::Arc::new(retrying(1, 20))];
    bench.core = Core::recover(Settings::default(), image, &[], known, bounds, bench.now);
    assert_eq!(bench.row(1).recovered, 2);
    assert_eq!(
        bench.positions(),
        [2],
        "what was in flight is sent again at once"
    );
    bench.wait(29_999);
    assert!(bench.starts().is_empty());
    bench.wait(1);
    let again = bench.one();
    assert_eq!((again.key.position.0, again.earlier), (1, 8));
}
