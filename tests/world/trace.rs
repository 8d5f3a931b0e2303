//! What happened, in the order in which it happened: the one thing that two runs are compared by,
//! and the only thing that the checks look at.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use volley_channel::Clock;
use volley_spec::report::BrokerAccount;

use crate::schedule::Declared;

/// A Trigger in one of its lives: made again under its old name, it is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub trigger: String,
    pub life: u64,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.trigger, self.life)
    }
}

/// An event as the filters and lanes of this world see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub id: String,
    pub kind: String,
    pub source: String,
    pub key: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// A producer got its answer; `None`: the connection ended without one.
    Answered {
        producer: usize,
        ids: Vec<String>,
        status: Option<u16>,
    },
    /// The channel took an event, from a producer or (`reply`) from a delivery.
    Stored {
        unit: u32,
        position: u64,
        event: Seen,
        reply: bool,
    },
    /// The channel refused an event, or did not say whether it took it.
    NotStored {
        id: String,
        why: &'static str,
        reply: bool,
    },
    /// A change of the declared objects is handed to the data plane.
    Applying(Arc<Declared>),
    /// It is live.
    Live,
    /// A sink has read a whole request.
    Attempt {
        number: u64,
        who: Who,
        /// It came as a dead letter.
        dead: bool,
        id: String,
        /// How often this sink has seen this event for this Trigger, from 1.
        time: u32,
        /// What it is going to do.
        plan: String,
        /// The reply that it will give.
        reply: Option<String>,
    },
    /// A sink has said the whole of its answer to an attempt.
    Said { number: u64, status: u16 },
    /// A sink refused a connection.
    Refused { sink: usize },
    /// The books at the end.
    Books(Box<BrokerAccount>),
    /// What a drain left behind.
    Left(Vec<(String, u64)>),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered {
                producer,
                ids,
                status,
            } => write!(f, "producer {producer} {ids:?}: {status:?}"),
            Self::Stored {
                unit,
                position,
                event,
                reply,
            } => {
                let Seen {
                    id, kind, source, ..
                } = event;
                let who = if *reply { "reply " } else { "" };
                write!(
                    f,
                    "stored {who}{id} at {unit}/{position} ({kind} of {source})"
                )
            }
            Self::NotStored { id, why, reply } => {
                write!(f, "not stored {id}: {why} (reply: {reply})")
            }
            Self::Applying(declared) => write!(f, "applying {declared:?}"),
            Self::Live => write!(f, "live"),
            Self::Attempt {
                number,
                who,
                dead,
                id,
                time,
                plan,
                ..
            } => {
                let what = if *dead { "dead letter" } else { "event" };
                write!(f, "attempt {number}: {who} {what} {id} #{time}: {plan}")
            }
            Self::Said { number, status } => write!(f, "attempt {number} said {status}"),
            Self::Refused { sink } => write!(f, "sink {sink} refused"),
            Self::Books(books) => write!(f, "books {books:?}"),
            Self::Left(left) => write!(f, "left {left:?}"),
        }
    }
}

/// Shared by everything in a world; all in one thread.
#[derive(Clone)]
pub(crate) struct Trace {
    clock: Clock,
    facts: Arc<Mutex<Vec<(Duration, Fact)>>>,
}

impl Trace {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            facts: Arc::default(),
        }
    }

    /// Notes what happened now.
    pub(crate) fn note(&self, fact: Fact) {
        let now = self.clock.now();
        self.facts.lock().unwrap().push((now, fact));
    }

    /// Everything so far.
    pub(crate) fn facts(&self) -> Vec<(Duration, Fact)> {
        self.facts.lock().unwrap().clone()
    }
}

/// The trace as text, a line a fact: what two runs of one seed have to agree on to the byte.
pub(crate) fn text(facts: &[(Duration, Fact)]) -> Vec<String> {
    facts
        .iter()
        .map(|(at, fact)| format!("{:>14}us {fact}", at.as_micros()))
        .collect()
}
