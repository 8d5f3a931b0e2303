//! How one attempt ended, as a value.

use std::time::Duration;

use bytes::Bytes;
use volley_event::Event;

/// How much of an answer's body is kept for `knativeerrordata`, in bytes: base64 makes 1024
/// characters of it.
pub const EXCERPT: usize = 768;

/// How one attempt ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The sink answered in full.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What the answer's body was.
        answer: Answer,
        /// The first [`EXCERPT`] bytes of its body.
        excerpt: Bytes,
    },
    /// It did not, or not in full.
    Failed(Failed),
}

/// What an answer's body was.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Empty.
    Nothing,
    /// A reply event.
    Reply(Box<Event>),
    /// Something that is no event although it should be one; why, for people.
    Unusable(String),
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What kind of failure.
    pub kind: FailedKind,
    /// What happened, for people: lower case, no full stop.
    pub message: String,
}

/// The kinds of failure that matter for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailedKind {
    /// Nobody takes connections there.
    Refused,
    /// The name is unknown, the network is away, the handshake failed.
    Unreachable,
    /// The attempt's whole time is over.
    TimedOut,
    /// The connection broke, or what came was no HTTP.
    Broken,
    /// This event can't be sent to anybody as it is to be sent: trying again can't help.
    Unsendable,
    /// Nothing can be sent to this sink, as it is declared. Its author may mend it while retries
    /// last: trying again asks how it is declared then.
    Unusable,
    /// The reply could not be stored in time.
    ReplyNotStored,
}

impl Outcome {
    /// A failure of `kind`.
    pub fn failed(kind: FailedKind, message: impl Into<String>) -> Self {
        Self::Failed(Failed {
            kind,
            message: message.into(),
        })
    }

    /// The answer `status` with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Answered {
            status,
            retry_after: None,
            answer: Answer::Nothing,
            excerpt: Bytes::new(),
        }
    }

    /// The status class for metrics: `2xx`, ..., or `none` where there was no answer.
    pub fn code_class(&self) -> &'static str {
        match self {
            Self::Answered { status, .. } => match status / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                _ => "5xx",
            },
            Self::Failed(_) => "none",
        }
    }
}
