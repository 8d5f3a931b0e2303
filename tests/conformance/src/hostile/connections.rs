//! What goes wrong with the connection itself: resets, closes, silence, strange timing.

use std::time::Duration;

use super::{ANY, BAD_ANSWER, Behaviour, Does, FINE, NO_ANSWER, plays, says};
use crate::{
    sample::Data,
    scenario::End,
    sink::{Move, answer_bytes},
};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";

fn connects(name: &'static str, moves: Vec<Move>) -> Behaviour {
    Behaviour {
        does: Does::Connects(moves),
        requests: (0, 0),
        ..plays(name, vec![], NO_ANSWER)
    }
}

fn fine() -> Move {
    Move::Say(answer_bytes(202, &[], b""))
}

pub(super) fn zoo() -> Vec<Behaviour> {
    [silent(), cut(), timed()].concat()
}

/// Only a timeout ends these.
fn silent() -> Vec<Behaviour> {
    let drip = |bytes: &[u8]| Move::Repeat {
        bytes: bytes.to_vec(),
        times: u64::MAX,
        every: Duration::from_millis(100),
    };
    let say = |bytes: &[u8]| Move::Say(bytes.to_vec());
    vec![
        plays("never answers", vec![Move::Hold], NO_ANSWER).hanging(),
        Behaviour {
            hangs: true,
            requests: (0, 0),
            ..connects(
                "accepts and never reads",
                vec![Move::Wait(Duration::from_secs(10))],
            )
        },
        plays(
            "stops in the middle of the head",
            vec![say(b"HTTP/1.1 200 OK\r\nCont"), Move::Hold],
            NO_ANSWER,
        )
        .hanging(),
        plays(
            "stops after the head",
            vec![say(HEAD), Move::Hold],
            NO_ANSWER,
        )
        .hanging(),
        plays("drips the body", vec![say(HEAD), drip(b"x")], NO_ANSWER).hanging(),
        plays(
            "drips headers",
            vec![say(b"HTTP/1.1 200 OK\r\n"), drip(b"x-a: b\r\n")],
            NO_ANSWER,
        )
        .hanging(),
        plays(
            "leaves a large request unread",
            vec![Move::Wait(Duration::from_secs(5))],
            NO_ANSWER,
        )
        .early()
        .hanging(),
    ]
}

/// These end by a close or a reset.
fn cut() -> Vec<Behaviour> {
    let say = |bytes: &[u8]| Move::Say(bytes.to_vec());
    vec![
        connects("resets at accept", vec![Move::Reset]),
        connects("closes at accept", vec![Move::Close]),
        plays("resets without an answer", vec![Move::Reset], NO_ANSWER),
        plays(
            "resets in the middle of the request",
            vec![Move::Reset],
            NO_ANSWER,
        )
        .early(),
        plays("closes without an answer", vec![Move::Close], NO_ANSWER),
        plays(
            "half-closes without an answer",
            vec![Move::HalfClose],
            NO_ANSWER,
        ),
        plays(
            "resets in the middle of the head",
            vec![say(b"HTTP/1.1 20"), Move::Reset],
            NO_ANSWER,
        ),
        plays(
            "resets after the head of a 200",
            vec![say(HEAD), Move::Reset],
            NO_ANSWER,
        ),
        says("closes after the head of a 200", HEAD, BAD_ANSWER),
        plays(
            "half-closes after the head of a 200",
            vec![say(HEAD), Move::HalfClose],
            BAD_ANSWER,
        ),
    ]
}

/// Strange timing that a subscriber may well have.
fn timed() -> Vec<Behaviour> {
    let slowly = Move::ReadSlowly {
        chunk: 64 << 10,
        every: Duration::from_millis(20),
    };
    let whole = |behaviour: Behaviour| Behaviour {
        data: Data::Filled(512 << 10),
        ..behaviour
    };
    vec![
        plays("reads a large request slowly", vec![slowly, fine()], FINE).early(),
        whole(plays(
            "half-closes after its answer",
            vec![fine(), Move::HalfClose],
            FINE,
        )),
        plays("closes after its answer", vec![fine(), Move::Close], FINE),
        plays(
            "answers before it reads, then reads",
            vec![fine(), Move::Hold],
            ANY,
        )
        .early(),
        plays(
            "answers before it reads, then closes",
            vec![fine(), Move::Close],
            ANY,
        )
        .early(),
        plays(
            "answers before it reads, then resets",
            vec![fine(), Move::Reset],
            ANY,
        )
        .early(),
        Behaviour {
            requests: (0, 2),
            ends: ANY,
            ..connects("answers before it was asked", vec![fine(), Move::Hold])
        }
        .hanging(),
        plays(
            "refuses before it reads",
            vec![Move::Say(answer_bytes(413, &[], b"")), Move::Hold],
            REFUSED,
        )
        .early()
        .at_once(),
    ]
}

/// A refusal that comes early counts, unless the broken write hid it.
const REFUSED: &[End] = &[End::Dead(413)];
