//! Words that are well-formed HTTP and still mean harm: waits that are asked for, statuses that
//! nobody knows, replies beyond every measure.

use std::time::Duration;

use super::{BAD_ANSWER, Behaviour, FINE, NO_ANSWER, plays, says};
use crate::{
    scenario::End,
    sink::{Move, Turn, answer_bytes},
};

pub(super) fn zoo() -> Vec<Behaviour> {
    [waits(), statuses(), slow(), replies()].concat()
}

/// What it asks for instead of an answer: honoured up to `retryAfterMax`, and only if it is one.
const WAITS: [(&str, &str); 6] = [
    (
        "asks to wait longer than the world is old",
        "Retry-After: 999999999999999999999999\r\n",
    ),
    (
        "asks to wait until the year 9999",
        "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
    ),
    (
        "asks to wait until a day that is over",
        "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    ),
    ("asks to wait for less than no time", "Retry-After: -5\r\n"),
    (
        "asks to wait for no number",
        "Retry-After: 1e9 \x22soon\x22\r\n",
    ),
    (
        "asks twice, for different waits",
        "Retry-After: 0\r\nRetry-After: 86400\r\n",
    ),
];

fn waits() -> Vec<Behaviour> {
    let asking = |(name, header): &(&'static str, &str)| Behaviour {
        waits: true,
        ..plays(
            name,
            vec![Move::Say(
                format!("HTTP/1.1 503 Later\r\n{header}Content-Length: 0\r\n\r\n").into_bytes(),
            )],
            LATER,
        )
    };
    WAITS.iter().map(asking).collect()
}

const LATER: &[End] = &[End::Dead(503)];

/// Statuses of no class that has a meaning here.
fn statuses() -> Vec<Behaviour> {
    let status = |name, line: &str, ends| says(name, format!("{line}\r\n\r\n"), ends);
    vec![
        status(
            "304 with a length and no body",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 100",
            &[End::Dead(304)],
        )
        .at_once(),
        status(
            "a status of 999",
            "HTTP/1.1 999 Beyond\r\nContent-Length: 0",
            &[End::Dead(999)],
        )
        .at_once(),
        status(
            "a status of 000",
            "HTTP/1.1 000 Nothing\r\nContent-Length: 0",
            NO_ANSWER,
        ),
    ]
}

/// A good answer that takes its time, byte by byte.
fn slow() -> Vec<Behaviour> {
    let bytes = answer_bytes(202, &[], b"");
    let moves = bytes.iter().flat_map(|byte| {
        let pause = Move::Wait(Duration::from_millis(2));
        [Move::Say(vec![*byte]), pause]
    });
    vec![plays("an answer in single bytes", moves.collect(), FINE)]
}

/// Replies that can't be stored: the attempt failed, however large or strange they are.
fn replies() -> Vec<Behaviour> {
    let envelope = |name, text: Vec<u8>, media: &str| {
        let headers = [("content-type".to_owned(), media.to_owned())];
        plays(name, Turn::answer(200, &headers, &text).moves, BAD_ANSWER)
    };
    let with = |more: &str| {
        format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#).into_bytes()
    };
    let many: String = (0..1_000).map(|n| format!(r#","a{n}":"""#)).collect();
    let long = format!(r#","subject":"{}""#, "s".repeat(80 << 10));
    let wide: Vec<u8> = with("").iter().flat_map(|byte| [*byte, 0]).collect();
    let json = "application/cloudevents+json";
    let mut broken = with(r#","subject":"??""#);
    let place = broken.iter().position(|byte| *byte == b'?').unwrap_or(0);
    broken[place] = 0xff;
    vec![
        envelope("a reply of 1,000 attributes", with(&many), json),
        envelope("a reply with an attribute of 80 KiB", with(&long), json),
        envelope(
            "a reply that has an attribute twice",
            with(r#","id":"2""#),
            json,
        ),
        envelope("a reply that is no UTF-8", broken, json),
        envelope("a reply in UTF-16", wide, json),
        envelope(
            "a reply in a format that nobody speaks",
            with(""),
            "application/cloudevents+avro",
        ),
        says(
            "a reply whose attribute is no UTF-8",
            b"HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: \xff\xfe\r\nce-source: /s\r\n\
              ce-type: t\r\nContent-Length: 1\r\n\r\nx",
            BAD_ANSWER,
        ),
    ]
}
