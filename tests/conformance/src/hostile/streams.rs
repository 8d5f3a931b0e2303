//! Answers without an end, and floods: what is read is bounded, and so is the memory.

use std::time::Duration;

use super::{BAD_ANSWER, Behaviour, FINE, NO_ANSWER, plays};
use crate::{
    scenario::End,
    sink::{Move, answer_bytes},
};

/// What is said again and again.
#[derive(Debug, Clone, Copy)]
enum Unit {
    /// 16 KiB without structure.
    Block,
    /// The same as one chunk.
    Chunk,
    /// This text.
    Text(&'static str),
}

/// What is said first, what is said for ever after it, and how the event ends.
const ENDLESS: &[(&str, &[&str], Unit, &[End])] = &[
    (
        "an endless body in chunks",
        &[OK, PLAIN, CHUNKED],
        Unit::Chunk,
        BAD_ANSWER,
    ),
    (
        "an endless body that a close would end",
        &[OK, PLAIN, "\r\n"],
        Unit::Block,
        BAD_ANSWER,
    ),
    (
        "an endless reply event",
        &[OK, EVENT, CHUNKED],
        Unit::Chunk,
        BAD_ANSWER,
    ),
    (
        "a reply of a declared 1 GiB",
        &[OK, EVENT, GIB],
        Unit::Block,
        BAD_ANSWER,
    ),
    (
        "an endless body in chunks of a byte",
        &[OK, PLAIN, CHUNKED],
        Unit::Text("1\r\nx\r\n"),
        BAD_ANSWER,
    ),
    (
        "an endless chunk extension",
        &[OK, EVENT, CHUNKED, "1;"],
        Unit::Block,
        NO_ANSWER,
    ),
    (
        "endless trailers",
        &[OK, EVENT, CHUNKED, "1\r\nx\r\n0\r\n"],
        Unit::Text("x: y\r\n"),
        NO_ANSWER,
    ),
    (
        "endless headers",
        &[OK],
        Unit::Text("x-flood: y\r\n"),
        NO_ANSWER,
    ),
    ("an endless header", &[OK, "x: "], Unit::Block, NO_ANSWER),
    (
        "an endless status line",
        &["HTTP/1.1 200 "],
        Unit::Block,
        NO_ANSWER,
    ),
];

/// Floods that no limit on size need stop: the timeout does at the latest.
const FLOODS: &[(&str, &str)] = &[
    ("endless line ends", "\r\n"),
    ("a flood of 100", "HTTP/1.1 100 Continue\r\n\r\n"),
    (
        "a flood of 103",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
    ),
];

const OK: &str = "HTTP/1.1 200 OK\r\n";
const PLAIN: &str = "Content-Type: text/plain\r\n";
const EVENT: &str = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: reply\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const GIB: &str = "Content-Length: 1073741824\r\n\r\n";
/// The status decides, however long the body is.
const REFUSED: &[End] = &[End::Dead(400)];

impl Unit {
    fn bytes(self) -> Vec<u8> {
        let block = vec![b'x'; 16 << 10];
        match self {
            Self::Block => block,
            Self::Chunk => [b"4000\r\n".as_slice(), &block, b"\r\n"].concat(),
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }
}

fn repeat(bytes: Vec<u8>, times: u64) -> Move {
    Move::Repeat {
        bytes,
        times,
        every: Duration::ZERO,
    }
}

fn endless(first: &[&str], unit: Unit) -> Vec<Move> {
    vec![
        Move::Say(first.concat().into_bytes()),
        repeat(unit.bytes(), u64::MAX),
    ]
}

pub(super) fn zoo() -> Vec<Behaviour> {
    let streams = ENDLESS
        .iter()
        .map(|(name, first, unit, ends)| plays(name, endless(first, *unit), ends));
    let floods = FLOODS
        .iter()
        .map(|(name, text)| plays(name, endless(&[], Unit::Text(text)), NO_ANSWER).hanging());
    let refusal = ["HTTP/1.1 400 No\r\n", CHUNKED];
    let hints = repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), 5);
    let fine = Move::Say(answer_bytes(202, &[], b""));
    let more = [
        plays(
            "a refusal with an endless body",
            endless(&refusal, Unit::Chunk),
            REFUSED,
        )
        .at_once(),
        plays("five times 103, then 202", vec![hints, fine], FINE),
    ];
    streams.chain(floods).chain(more).collect()
}
