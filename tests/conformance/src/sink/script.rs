//! What a sink does with a request, as data: a [`Script`] of [`Turn`]s made of [`Move`]s.

use std::time::Duration;

use crate::sample::{Data, Sample};

/// One thing that a sink does on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Reads the rest of the request, this many bytes at a time with a pause in between.
    ReadSlowly {
        /// Bytes a read.
        chunk: usize,
        /// The pause after each.
        every: Duration,
    },
    /// Waits.
    Wait(Duration),
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Sends the same bytes again and again; `u64::MAX` times is for ever.
    Repeat {
        /// What is sent.
        bytes: Vec<u8>,
        /// How often.
        times: u64,
        /// The pause after each.
        every: Duration,
    },
    /// Does nothing until the peer closes.
    Hold,
    /// Sends no more, goes on reading until the peer closes.
    HalfClose,
    /// Closes in order.
    Close,
    /// Closes with a reset.
    Reset,
}

/// Everything that is done for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whether the body is left unread before the moves begin.
    pub early: bool,
    /// What is done, in order. A turn that does not close keeps the connection.
    pub moves: Vec<Move>,
}

impl Turn {
    /// An answer with a status and nothing else.
    pub fn status(code: u16) -> Self {
        Self::answer(code, &[], b"")
    }

    /// A whole answer in good order.
    pub fn answer(code: u16, headers: &[(String, String)], body: &[u8]) -> Self {
        Self::moves(vec![Move::Say(answer_bytes(code, headers, body))])
    }

    /// An answer with a status, headers as text and a body.
    pub fn with(code: u16, headers: &[(&str, &str)], body: Data) -> Self {
        let owned: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Self::answer(code, &owned, &body.bytes())
    }

    /// An answer that carries an event.
    pub fn reply(code: u16, event: &Sample) -> Self {
        let (headers, body) = event.encode();
        Self::answer(code, &headers, &body)
    }

    /// The same, after a while.
    pub fn after(mut self, wait: Duration) -> Self {
        self.moves.insert(0, Move::Wait(wait));
        self
    }

    /// A turn made of moves, taken when the whole request was read.
    pub fn moves(moves: Vec<Move>) -> Self {
        Self {
            early: false,
            moves,
        }
    }

    /// The status of the answer that it gives, if it gives one whose start is no riddle.
    pub fn says(&self) -> Option<u16> {
        let said = self.moves.iter().find_map(|step| match step {
            Move::Say(bytes) => Some(bytes),
            _ => None,
        })?;
        let code = said.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        std::str::from_utf8(code).ok()?.parse().ok()
    }

    /// A turn made of moves, taken when only the head of the request was read.
    pub fn early(moves: Vec<Move>) -> Self {
        Self { early: true, moves }
    }
}

/// An answer as bytes, with its length.
pub fn answer_bytes(code: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {code} Scripted\r\n").into_bytes();
    for (name, value) in headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// What one path answers: the first requests in turn, then always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For the first requests.
    pub first: Vec<Turn>,
    /// For all others.
    pub then: Turn,
}

impl Script {
    /// Always the same turn.
    pub fn always(turn: Turn) -> Self {
        Self {
            first: Vec::new(),
            then: turn,
        }
    }

    /// Takes everything: 202 without a body.
    pub fn accepting() -> Self {
        Self::always(Turn::status(202))
    }

    /// These turns, then 202.
    pub fn first(turns: Vec<Turn>) -> Self {
        Self {
            first: turns,
            then: Turn::status(202),
        }
    }

    /// This many failures with a status, then 202.
    pub fn failing(times: usize, code: u16) -> Self {
        Self::first(vec![Turn::status(code); times])
    }

    /// The turn for the request with this number, counted from 0.
    pub fn turn(&self, number: usize) -> &Turn {
        self.first.get(number).unwrap_or(&self.then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_knows_the_status_that_it_gives() {
        let late = Turn::status(503).after(Duration::from_secs(1));
        assert_eq!(late.says(), Some(503));
        assert_eq!(Turn::moves(vec![Move::Reset]).says(), None);
        let garbage = Turn::moves(vec![Move::Say(b"HTTP/1.1 20".to_vec())]);
        assert_eq!(garbage.says(), None);
    }
}
