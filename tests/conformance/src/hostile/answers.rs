//! Answers that are no good HTTP, or say something other than they do.

use super::{ANY, BAD_ANSWER, Behaviour, FINE, NO_ANSWER, plays, says};
use crate::{
    scenario::End,
    sink::{Move, Turn},
};

pub(super) fn zoo() -> Vec<Behaviour> {
    [redirects(), malformed(), framed(), odd()].concat()
}

/// Never followed: the answer is final, and nobody is asked at the other place.
fn redirects() -> Vec<Behaviour> {
    macro_rules! redirect {
        ($($code:literal),*) => {
            vec![$(redirect(
                concat!("redirects with ", $code),
                $code,
                &[End::Dead($code)],
            )),*]
        };
    }
    redirect![301, 302, 303, 307, 308]
}

fn redirect(name: &'static str, code: u16, ends: &'static [End]) -> Behaviour {
    // Back to its own path: one that is followed shows as a second request.
    let answer = format!("HTTP/1.1 {code} Moved\r\nLocation: ?again\r\nContent-Length: 0\r\n\r\n");
    says(name, answer, ends).at_once()
}

/// No parser should take these for an answer.
fn malformed() -> Vec<Behaviour> {
    let long = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        "x: y\r\n".repeat(10_000)
    );
    vec![
        says(
            "a header without a colon",
            "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
            NO_ANSWER,
        ),
        says("HTTP/0.9", "<html>hello</html>\n", NO_ANSWER),
        says("only line ends", "\r\n\r\n\r\n\r\n", NO_ANSWER),
        says(
            "a NUL in a header's name",
            "HTTP/1.1 200 OK\r\nx\0: y\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says(
            "a NUL in a header's value",
            "HTTP/1.1 200 OK\r\nx: y\0z\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says("NULs and nothing else", vec![0; 4_096], NO_ANSWER),
        says("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", NO_ANSWER),
        says(
            "HTTP/2.0 in the status line",
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says(
            "HTTP/9.9 in the status line",
            "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says(
            "a status of two digits",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says(
            "a status of five digits",
            "HTTP/1.1 20000 OK\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says(
            "a status that is a word",
            "HTTP/1.1 fine OK\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
        says("a header of 1 MiB", long, NO_ANSWER),
        says("10,000 headers", many, NO_ANSWER),
        says(
            "a folded header",
            "HTTP/1.1 200 OK\r\nx: y\r\n z\r\nContent-Length: 0\r\n\r\n",
            ANY,
        ),
        says(
            "bare line feeds",
            "HTTP/1.1 202 OK\nContent-Length: 0\n\n",
            ANY,
        ),
        says(
            "the request as its own answer",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            NO_ANSWER,
        ),
    ]
}

/// A 200 with an event whose body is framed like this: the framing, the bytes after the head.
const FRAMED: &[(&str, &str, &str, &[End])] = &[
    (
        "a body shorter than declared",
        "Content-Length: 100",
        "short",
        BAD_ANSWER,
    ),
    (
        "a length of 10 TiB, then a close",
        "Content-Length: 10995116277760",
        "x",
        NO_ANSWER,
    ),
    (
        "a length beyond 64 bits",
        "Content-Length: 99999999999999999999999",
        "x",
        NO_ANSWER,
    ),
    ("a negative length", "Content-Length: -1", "x", NO_ANSWER),
    (
        "a length that is a word",
        "Content-Length: some",
        "x",
        NO_ANSWER,
    ),
    (
        "two lengths that differ",
        "Content-Length: 1\r\nContent-Length: 2",
        "xy",
        NO_ANSWER,
    ),
    (
        "garbage for a chunk size",
        CHUNKED,
        "zz\r\nabc\r\n0\r\n\r\n",
        NO_ANSWER,
    ),
    (
        "a chunk size beyond 64 bits",
        CHUNKED,
        "fffffffffffffffff\r\nabc\r\n",
        NO_ANSWER,
    ),
    (
        "a chunk longer than it says",
        CHUNKED,
        "1\r\nabcdef\r\n0\r\n\r\n",
        NO_ANSWER,
    ),
    ("chunks without an end", CHUNKED, "3\r\nabc\r\n", BAD_ANSWER),
];
const CHUNKED: &str = "Transfer-Encoding: chunked";

fn event_framed(framing: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\n\
         ce-type: reply\r\n{framing}\r\n\r\n{body}"
    )
}

/// Bodies that are not as long as they say.
fn framed() -> Vec<Behaviour> {
    let failing = FRAMED
        .iter()
        .map(|(name, framing, body, ends)| says(name, event_framed(framing, body), ends));
    let says_more = |name, bytes: &[u8]| plays(name, vec![Move::Say(bytes.to_vec())], FINE);
    let trailers = "3\r\nabc\r\n0\r\nx-trailer: 1\r\nce-id: 2\r\n\r\n";
    let more = vec![
        says(
            "both a length and chunks",
            format!("HTTP/1.1 202 OK\r\nContent-Length: 5\r\n{CHUNKED}\r\n\r\n0\r\n\r\n"),
            ANY,
        ),
        says(
            "an unknown transfer coding",
            event_framed("Transfer-Encoding: gzip", "x"),
            ANY,
        )
        .left_open(),
        says_more(
            "a body longer than declared",
            b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\nand more of it",
        ),
        says_more(
            "204 with a body",
            b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        ),
        Behaviour {
            replies: (1, 1),
            ..says(
                "a reply in chunks with trailers",
                event_framed(CHUNKED, trailers),
                FINE,
            )
        },
    ];
    failing.chain(more).collect()
}

impl Behaviour {
    /// It may also leave a reply, which the law of the books counts; only the ends are judged.
    fn left_open(self) -> Self {
        Self {
            replies: (0, 1),
            requests: (1, 2),
            is_final: true,
            ..self
        }
    }
}

/// Good HTTP that is still no good answer.
fn odd() -> Vec<Behaviour> {
    // A gzip member of `{}`: never opened, so it is no JSON.
    let gzip =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00";
    let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let zipped = Turn::answer(
        200,
        &[
            owned("content-type", "application/cloudevents+json"),
            owned("content-encoding", "gzip"),
        ],
        gzip,
    );
    let nested = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    let nested = [
        br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"#.to_vec(),
        nested,
        b"}".to_vec(),
    ]
    .concat();
    let nested = Turn::answer(
        200,
        &[owned("content-type", "application/cloudevents+json")],
        &nested,
    );
    vec![
        plays("a reply in gzip", zipped.moves, BAD_ANSWER),
        plays("a reply of nested JSON", nested.moves, BAD_ANSWER),
        says(
            "an upgrade to another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
            UPGRADED,
        )
        .left_open(),
        says("100 and then a close", "HTTP/1.1 100 Continue\r\n\r\n", NO_ANSWER),
        says(
            "HTTP/1.0 without a length",
            "HTTP/1.0 202 OK\r\n\r\n",
            FINE,
        ),
    ]
}

/// Final, since it is no success, or no answer at all.
const UPGRADED: &[End] = &[End::Dead(101), End::Dead(500), End::Dead(502)];
