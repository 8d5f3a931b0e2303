//! What a pair of an event and a Trigger that wants it costs the core, from the head to its end.
//!
//! `cargo test -p volley-dispatcher --profile ci cost -- --ignored --nocapture` prints it. It
//! judges nothing: a slow machine is no fault of the code.

use std::time::Duration;

use volley_channel::{Position, Span};

use super::bench::{Bench, trigger};
use crate::outcome::Outcome;

#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_a_pair() {
    for triggers in [1u128, 10, 100, 1000] {
        let pairs = 400_000;
        let events = pairs / triggers as usize;
        let mut bench = Bench::new(1024);
        for uid in 1..=triggers {
            bench.declare(trigger(uid));
        }
        bench.publish(&"-".repeat(events));
        let taken = Outcome::status(200);
        #[expect(
            clippy::disallowed_methods,
            reason = "it is the time of the machine that is measured"
        )]
        let began = std::time::Instant::now();
        let mut ended = 0;
        for batch in bench.log.chunks(64) {
            let last = batch.last().expect("a chunk has an event");
            bench.core.read(Span {
                events: batch.to_vec(),
                next: last.position.following(),
                next_ordinal: last.ordinal + 1,
                at_head: false,
            });
            while let Some(slot) = bench.core.next_ready() {
                while let Some(start) = bench.core.start(slot, Duration::ZERO) {
                    bench.core.ended(Duration::ZERO, start.key, &taken, 0.0);
                    ended += 1;
                }
            }
            drop((bench.core.take_finished(), bench.core.take_delta()));
        }
        let nanoseconds = began.elapsed().as_nanos() / ended;
        assert_eq!(ended, events as u128 * triggers, "every pair ended");
        assert_eq!(bench.core.keep(), Position(events as u64 + 1));
        println!("{triggers:>5} Triggers want each event: {nanoseconds} ns a pair");
    }
}
