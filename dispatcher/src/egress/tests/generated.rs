//! Any script of any sink: every attempt ends once, in time, and leaves nothing behind.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tokio::runtime::Builder;

use super::stage::{Move, Script, Stage, say};

const PIECES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 202 Accepted\r\n",
    "HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n",
    "HTTP/1.1 204 No\r\n",
    "Content-Length: 0\r\n\r\n",
    "Content-Length: 5\r\n\r\n",
    "Content-Length: 99999999999\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "Connection: close\r\n",
    "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n",
    "content-type: application/cloudevents+json\r\n",
    "\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "{\"specversion\":\"1.0\"",
    "\0",
];

fn act() -> impl Strategy<Value = Move> {
    let piece = proptest::sample::select(PIECES);
    let pieces = vec(piece, 1..5).prop_map(|pieces| say(pieces.concat()));
    prop_oneof![
        4 => Just(Move::Read),
        8 => pieces,
        1 => vec(any::<u8>(), 0..200).prop_map(Move::Say),
        1 => Just(Move::ReadHead),
        1 => proptest::sample::select(PIECES)
            .prop_map(|piece| Move::Flood(piece.repeat(50).into_bytes())),
        1 => (0_u64..20_000).prop_map(|ms| Move::Wait(Duration::from_millis(ms))),
        1 => Just(Move::Close),
        1 => Just(Move::Hold),
    ]
}

/// What is done on the side of egress.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Wait(u64),
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Start),
        1 => (0_u64..6_000).prop_map(Step::Wait),
        2 => Just(Step::Finish),
    ]
}

/// Plays it and returns what happened, for comparing two runs.
async fn run(scripts: Vec<Script>, steps: Vec<Step>, refusals: usize) -> Vec<String> {
    let mut stage = Stage::new();
    stage.sink.then(scripts.last().cloned().unwrap_or_default());
    stage.sink.first(scripts);
    stage.sink.refuse(refusals);
    let (mut started, mut ended) = (0_u64, Vec::new());
    let mut trace = Vec::new();
    for step in steps.into_iter().chain([Step::Finish]) {
        match step {
            Step::Start => started = stage.start(),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Finish => {
                while ended.len() < usize::try_from(started).unwrap() {
                    let end = stage.next().await;
                    assert!(end.took <= stage.timeout, "{end:?}");
                    trace.push(format!("{end:?}"));
                    ended.push(end.key.serial);
                }
            }
        }
    }
    stage.egress.close();
    stage.egress.run().await;
    stage.settle().await;
    stage.nothing_more();
    ended.sort_unstable();
    assert_eq!(ended, (1..=started).collect::<Vec<_>>());
    assert_eq!(stage.budget.free(), 64 << 20);
    assert_eq!((stage.egress.idle(), stage.egress.connections()), (0, 0));
    trace
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_attempt_ends_once_whatever_the_sink_does(
        scripts in vec(vec(act(), 0..12), 1..6),
        steps in vec(step(), 1..20),
        refusals in 0_usize..3,
    ) {
        let once = in_virtual_time(run(scripts.clone(), steps.clone(), refusals));
        let again = in_virtual_time(run(scripts, steps, refusals));
        prop_assert_eq!(once, again, "one schedule gives one trace");
    }
}
