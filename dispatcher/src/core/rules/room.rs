//! Who goes first where a Broker has no room for what its deliveries end with.

use std::time::Duration;

use volley_channel::PublishError;
use volley_event::Event;
use volley_spec::route::TriggerRoute;

use super::{
    bench::{Bench, retrying, sink, trigger},
    pending::reply,
};
use crate::{
    core::ReplyToStore,
    outcome::{Answer, Outcome},
};

const FULL: Result<(), PublishError> = Err(PublishError::Full {
    retry_after: Duration::from_secs(1),
});

impl Bench {
    fn is_stored(&mut self, reply: &ReplyToStore, answer: &Result<(), PublishError>) {
        self.core.stored(self.now, reply.key, answer, 0.0);
    }

    /// The positions that start within two minutes, each of whose answers is left unread.
    fn all_left_unread(&mut self) -> Vec<u64> {
        let mut begun = Vec::new();
        for _ in 0..120 {
            self.wait(1_000);
            for start in self.starts() {
                begun.push(start.key.position.0);
                self.core.left_unread(start.key, 100);
            }
        }
        begun
    }

    /// The replies that are to be published now.
    fn replies(&mut self) -> Vec<(u64, ReplyToStore)> {
        self.core.tick(self.now);
        let replies = self.core.take_replies();
        let position = |reply: ReplyToStore| (reply.key.position.0, reply);
        replies.into_iter().map(position).collect()
    }
}

// Its place was taken by replies that could be stored only once it had ended.
#[test]
fn the_first_event_is_tried_again_although_replies_that_wait_have_all_the_places() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        ..retrying(1, 5)
    });
    bench.publish("-----");
    bench.read();
    let begun = bench.starts();
    bench.fails(&begun[0]);
    bench.ends(&begun[1], &reply());
    let third = bench.one();
    bench.ends(&third, &reply());
    for (_, reply) in bench.replies() {
        bench.is_stored(&reply, &FULL);
    }
    assert_eq!(bench.positions(), [0; 0], "both places wait for room");
    bench.wait(1_000);
    let first = bench.one();
    assert_eq!(first.key.position.0, 1);
    assert_eq!(bench.positions(), [0; 0]);
    bench.succeeds(&first);
    assert_eq!(
        bench.positions(),
        [0; 0],
        "the fourth has to wait for a place"
    );
}

// One after the other waited out its pause, since replies to younger ones had all the places.
#[test]
fn what_is_older_than_all_replies_that_wait_is_tried_together() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 3,
        ..retrying(1, 5)
    });
    bench.publish("--------");
    bench.read();
    for start in bench.starts() {
        bench.fails(&start);
    }
    for start in bench.starts() {
        bench.ends(&start, &reply());
    }
    for (_, reply) in bench.replies() {
        bench.is_stored(&reply, &FULL);
    }
    bench.wait(1_000);
    assert_eq!(bench.positions(), [1, 2, 3]);
}

/// An answer that asks for a pause.
fn asks_for(seconds: u64) -> Outcome {
    Outcome::Answered {
        status: 503,
        retry_after: Some(Duration::from_secs(seconds)),
        answer: Answer::Nothing,
        excerpt: bytes::Bytes::new(),
    }
}

/// An answer with so many bytes.
fn large(bytes: usize) -> Outcome {
    let event = Event::builder().id("r").source("/reply").kind("b");
    let event = event.untyped_data(vec![0; bytes]).build();
    Outcome::Answered {
        status: 200,
        retry_after: None,
        answer: Answer::Reply(Box::new(event.expect("a valid event"))),
        excerpt: bytes::Bytes::new(),
    }
}

#[test]
fn with_many_bytes_of_replies_that_wait_nothing_younger_is_tried() {
    let mut bench = Bench::new(100);
    bench.declare(trigger(1));
    bench.publish(&"-".repeat(20));
    bench.read();
    for start in bench.starts() {
        bench.ends(&start, &large(250_000));
    }
    let waiting = bench.replies();
    for (_, reply) in &waiting {
        bench.is_stored(reply, &FULL);
    }
    bench.publish("--");
    bench.read();
    assert_eq!(bench.positions(), [0; 0]);
    bench.wait(50);
    for (_, reply) in bench.replies().iter().take(5) {
        bench.is_stored(reply, &Ok(()));
    }
    assert_eq!(bench.positions(), [21, 22]);
}

// Until its time was over it had the place of the one that could make room for it.
#[test]
fn a_reply_that_is_left_unread_leaves_its_place_to_what_is_older() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        ..retrying(1, 5)
    });
    bench.publish("-----");
    bench.read();
    let begun = bench.starts();
    bench.fails(&begun[0]);
    let third = bench.one();
    for start in [&begun[1], &third] {
        bench.core.left_unread(start.key, 100);
    }
    assert_eq!(bench.positions(), [0; 0], "what is younger has no place");
    bench.wait(1_000);
    let first = bench.one();
    assert_eq!(first.key.position.0, 1);
    bench.succeeds(&first);
    assert_eq!(bench.positions(), [0; 0]);
    // Read, they are replies like others.
    bench.ends(&begun[1], &reply());
    for (_, reply) in bench.replies() {
        bench.is_stored(&reply, &FULL);
        bench.is_stored(&reply, &Ok(()));
    }
    assert_eq!(bench.positions(), [4]);
    bench.fails(&third);
    assert_eq!(bench.positions(), [5]);
}

// Its Trigger had its part of the permits by the reply that waits for it.
#[test]
fn what_is_older_than_a_reply_left_unread_goes_first() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 1,
        ..retrying(1, 5)
    });
    bench.publish("---");
    bench.read();
    let first = bench.one();
    bench.fails(&first);
    let second = bench.one();
    assert!(!bench.core.goes_first(second.key.slot));
    bench.core.left_unread(second.key, 100);
    assert!(
        !bench.core.goes_first(second.key.slot),
        "the third is younger"
    );
    bench.wait(1_000);
    assert!(bench.core.goes_first(second.key.slot));
    assert_eq!(bench.positions(), [1]);
    assert!(!bench.core.goes_first(second.key.slot));
}

// Each that is older than all before goes beyond the places: in the order of youngest first there were as many
// calls as events.
#[test]
fn only_so_many_are_left_unread_beyond_the_places_but_for_the_oldest() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        ..retrying(1, 5)
    });
    bench.publish(&"-".repeat(30));
    bench.read();
    // All wait, the youngest for the shortest time.
    for n in 0..15 {
        for start in bench.starts() {
            bench.ends(&start, &asks_for(50 - n));
        }
    }
    let called = bench.all_left_unread();
    assert_eq!(called.len(), 2 + 8 + 1, "{called:?}");
    assert_eq!(called.last(), Some(&1));
}

// It was looked at again only when one of its own attempts ended: after delivery.timeout.
#[test]
fn what_becomes_the_oldest_by_the_end_of_another_triggers_event_is_tried() {
    let mut bench = Bench::new(100);
    let narrow = |uid| TriggerRoute {
        concurrency: 1,
        ..retrying(uid, 5)
    };
    bench.declare(trigger(2));
    bench.publish("-");
    bench.read();
    let others = bench.one();
    bench.declare(narrow(1));
    bench.publish(&"-".repeat(12));
    bench.read();
    // They come due youngest first.
    for n in 0..12 {
        for start in bench.starts() {
            if start.key.slot == others.key.slot {
                bench.succeeds(&start);
                continue;
            }
            bench.ends(&start, &asks_for(50 - n));
        }
    }
    let begun = bench.all_left_unread();
    assert_eq!(begun.len(), 9, "{begun:?}");
    assert!(!begun.contains(&2));
    // What was above it has ended long ago; now it is the oldest.
    bench.succeeds(&others);
    bench.wait(0);
    assert_eq!(bench.positions(), [2]);
}

// Each probe that was left unread let another one go, as long as there were permits.
#[test]
fn a_held_trigger_whose_probe_is_answered_is_held_no_longer() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        hold_when_refused: true,
        ..retrying(1, 5)
    });
    bench.publish("-----");
    bench.read();
    for start in bench.starts() {
        bench.refuses(&start);
    }
    bench.wait(1_000);
    let probe = bench.one();
    bench.core.left_unread(probe.key, 100);
    let beside = bench.one();
    bench.core.left_unread(beside.key, 100);
    assert_eq!(bench.positions(), [0; 0], "two have its places");
}

#[test]
fn with_many_bytes_of_replies_left_unread_nothing_younger_is_tried() {
    let mut bench = Bench::new(100);
    bench.declare(trigger(1));
    bench.publish("-----");
    bench.read();
    let begun = bench.starts();
    for start in &begun {
        bench.core.left_unread(start.key, 1 << 20);
        // Told twice, it is one all the same.
        bench.core.left_unread(start.key, 1 << 20);
    }
    bench.publish("--");
    bench.read();
    assert_eq!(bench.positions(), [0; 0]);
    bench.succeeds(&begun[0]);
    assert_eq!(bench.positions(), [0; 0], "four are left");
    bench.succeeds(&begun[1]);
    assert_eq!(bench.positions(), [6, 7]);
}

// Held, it has one place, which replies had that waited for what only a probe could free.
#[test]
fn a_held_trigger_probes_although_replies_wait_for_room() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        hold_when_refused: true,
        ..retrying(1, 5)
    });
    bench.publish("---");
    bench.read();
    let begun = bench.starts();
    for start in &begun[1..] {
        bench.ends(start, &reply());
    }
    for (_, reply) in bench.replies() {
        bench.is_stored(&reply, &FULL);
    }
    bench.refuses(&begun[0]);
    bench.wait(1_000);
    assert_eq!(bench.positions(), [1]);
}

#[test]
fn a_subscriber_never_has_more_at_once_than_it_takes() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        concurrency: 2,
        ..retrying(1, 5)
    });
    bench.publish("---");
    bench.read();
    let begun = bench.starts();
    bench.fails(&begun[0]);
    assert_eq!(bench.positions(), [3]);
    bench.wait(1_000);
    assert_eq!(bench.positions(), [0; 0], "two are at the subscriber");
}

#[test]
fn of_replies_that_wait_for_room_the_oldest_ask_again_once_there_is_some() {
    let mut bench = Bench::new(100);
    bench.declare(trigger(1));
    bench.publish("--------");
    bench.read();
    let begun = bench.starts();
    for start in begun.iter().rev() {
        bench.ends(start, &reply());
    }
    for _ in 0..4 {
        for (_, reply) in bench.replies() {
            bench.is_stored(&reply, &FULL);
        }
        bench.wait(400);
    }
    for (_, reply) in bench.replies() {
        bench.is_stored(&reply, &FULL);
    }
    // Between two of their own looks each success lets two more look.
    bench.core.room_again(bench.now);
    let asked = bench.replies();
    assert_eq!(asked.iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2]);
    bench.is_stored(&asked[0].1, &Ok(()));
    bench.is_stored(&asked[1].1, &FULL);
    let asked: Vec<u64> = bench.replies().iter().map(|it| it.0).collect();
    assert_eq!(asked, [3, 4]);
}

#[test]
fn the_oldest_dead_letters_ask_for_room_every_second() {
    let mut bench = Bench::new(100);
    bench.declare(TriggerRoute {
        dead_letter: Some(sink("dead")),
        ..trigger(1)
    });
    bench.publish("-----");
    bench.read();
    for start in bench.starts() {
        bench.fails(&start);
    }
    // Until their own waits are long.
    for _ in 0..10 {
        bench.wait(60_000);
        for start in bench.starts() {
            bench.fails(&start);
            bench.core.no_room(bench.now, start.key);
        }
    }
    bench.wait(1_000);
    let mut asked = bench.starts();
    assert_eq!(super::bench::positions(&asked), [1, 2]);
    bench.succeeds(&asked.remove(0));
    bench.core.room_again(bench.now);
    bench.wait(0);
    assert_eq!(bench.positions(), [3, 4]);
}
