//! What happened, in the order in which it happened: the one thing that two runs are compared by,
//! and the only thing that the checks look at.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use volley_channel::{Clock, Jump};
use volley_spec::report::BrokerAccount;

use crate::schedule::{Declared, How, Trouble};

/// When the world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// The time of the world, of which each life of the process sees a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    /// The clock of this life: it begins with it.
    pub clock: Clock,
    /// The time of the world when this life began.
    pub begun: Duration,
}

impl Watch {
    /// Begins a life at `begun`, in a runtime of its own, on a machine whose clock somebody sets.
    pub(crate) fn at(begun: Duration, jumps: &[Jump]) -> Self {
        let since = u64::try_from(begun.as_millis()).expect("no world is so old");
        let (past, coming): (Vec<Jump>, Vec<Jump>) = jumps.iter().partition(|(at, _)| *at <= begun);
        let set = past.iter().map(|(_, by)| *by).sum();
        let coming: Vec<Jump> = coming.iter().map(|(at, by)| (*at - begun, *by)).collect();
        let clock = Clock::simulated((EPOCH_MS + since).saturating_add_signed(set));
        Self {
            // A handful a life, in a program that does not live long.
            clock: clock.with_jumps(coming.leak()),
            begun,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.begun + self.clock.now()
    }

    /// The moment at which the world is `at` old; now, if that was before this life.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.clock.instant(at.saturating_sub(self.begun))
    }
}

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
    /// A process begins, over what the one before left on disk.
    Begun { life: usize },
    /// Its log is open. Some of it was damaged, if `damaged`.
    Opened { damaged: u64, torn: u64 },
    /// When the process ended its log had told of so many damaged places.
    Told { damaged: u64 },
    /// Its log has failed: from here on this process stores nothing more.
    LogFailed,
    /// The process has ended.
    Ended { how: How },
    /// Something befalls the disk.
    Befallen(Trouble),
    /// A byte of a file was changed.
    Flipped { file: String, offset: usize },
    /// A write that counted as safe was never made.
    WriteLost { file: String, range: Range<usize> },
    /// A sector of a file can't be read any more.
    Spoiled { file: String, offset: usize },
    /// What should have come to an end did not.
    Stuck { what: String },
    /// A batch is handed to the channel.
    Storing {
        broker: String,
        events: Vec<Seen>,
        /// The hops that each has left.
        hops: Vec<u8>,
        reply: bool,
    },
    /// A write of progress that began at `began` was answered.
    Progress {
        broker: String,
        unit: u32,
        began: Duration,
        image: bool,
        done: bool,
    },
    /// A producer got its answer; `None`: the connection ended without one.
    Answered {
        producer: usize,
        broker: &'static str,
        ids: Vec<String>,
        status: Option<u16>,
    },
    /// The channel took an event, from a producer or (`reply`) from a delivery.
    Stored {
        broker: String,
        unit: u32,
        position: u64,
        event: Seen,
        hops: u8,
        reply: bool,
    },
    /// The channel refused an event, or did not say whether it took it.
    NotStored {
        broker: String,
        id: String,
        hops: u8,
        why: &'static str,
        reply: bool,
    },
    /// What is applied next lacks these: their files are not there.
    LeftOut(Vec<Who>),
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
        /// What it has read besides.
        event: Seen,
        data: String,
        /// How often this sink has seen this event for this Trigger, from 1.
        time: u32,
        /// What it is going to do.
        plan: String,
        /// The reply that it will give.
        reply: Option<String>,
    },
    /// A sink has said the whole of its answer to an attempt.
    Said { number: u64, status: u16 },
    /// A sink has nothing to do with an attempt any more.
    Over { number: u64 },
    /// A sink refused a connection.
    Refused { sink: usize },
    /// The channel asks that nothing below `until` be kept.
    Pressed {
        broker: String,
        unit: u32,
        until: u64,
    },
    /// The books at the end.
    Books(Box<BrokerAccount>),
    /// What a drain left behind.
    Left(Vec<(String, u64)>),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { life } => write!(f, "life {life} begins"),
            Self::Told { damaged } => write!(f, "told of {damaged} places damaged"),
            Self::Opened { damaged, torn } => {
                write!(f, "the log is open: {damaged} places damaged, {torn} torn")
            }
            Self::LogFailed => write!(f, "the log has failed"),
            Self::Ended { how } => write!(f, "the process ends: {how:?}"),
            Self::Befallen(trouble) => write!(f, "the disk: {trouble:?}"),
            Self::Flipped { file, offset } => write!(f, "changed byte {offset} of {file}"),
            Self::WriteLost { file, range } => write!(f, "lost the write of {range:?} of {file}"),
            Self::Spoiled { file, offset } => write!(f, "a bad sector at {offset} of {file}"),
            Self::Stuck { what } => write!(f, "stuck: {what}"),
            Self::Storing {
                broker,
                events,
                reply,
                ..
            } => {
                let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
                write!(f, "storing {ids:?} in {broker} (reply: {reply})")
            }
            other => other.write_more(f),
        }
    }
}

impl Fact {
    /// The facts about storage and deliveries, as text.
    fn write_more(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress {
                broker,
                unit,
                began,
                image,
                done,
            } => {
                let what = if *image { "image" } else { "delta" };
                write!(
                    f,
                    "{what} of {broker}/{unit} of {}us: {done}",
                    began.as_micros()
                )
            }
            Self::Over { number } => write!(f, "attempt {number} is over"),
            Self::Answered {
                producer,
                broker,
                ids,
                status,
            } => write!(f, "producer {producer} {ids:?} at {broker}: {status:?}"),
            Self::Stored {
                broker,
                unit,
                position,
                event,
                reply,
                ..
            } => {
                let Seen {
                    id, kind, source, ..
                } = event;
                let who = if *reply { "reply " } else { "" };
                write!(
                    f,
                    "stored {who}{id} at {broker}/{unit}/{position} ({kind} of {source})"
                )
            }
            Self::NotStored {
                broker,
                id,
                why,
                reply,
                ..
            } => {
                write!(f, "not stored {id} in {broker}: {why} (reply: {reply})")
            }
            Self::LeftOut(who) => write!(f, "left out: {who:?}"),
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
            Self::Pressed {
                broker,
                unit,
                until,
            } => write!(f, "{broker}/{unit} is to keep nothing below {until}"),
            Self::Books(books) => write!(f, "books {books:?}"),
            Self::Left(left) => write!(f, "left {left:?}"),
            _ => Ok(()),
        }
    }
}

/// All that happened, with its time.
pub(crate) type Facts = Vec<(Duration, Fact)>;

/// Shared by everything in a world; all in one thread.
#[derive(Clone)]
pub(crate) struct Trace {
    pub(crate) watch: Watch,
    facts: Arc<Mutex<Facts>>,
}

impl Trace {
    /// The trace of a life, which goes on with the facts of the earlier ones.
    pub(crate) fn new(watch: Watch, facts: Arc<Mutex<Facts>>) -> Self {
        Self { watch, facts }
    }

    /// Notes what happened now.
    pub(crate) fn note(&self, fact: Fact) {
        let now = self.watch.now();
        self.facts
            .lock()
            .expect("nobody panics with it")
            .push((now, fact));
    }
}

/// The trace as text, a line a fact: what two runs of one seed have to agree on to the byte.
pub(crate) fn text(facts: &[(Duration, Fact)]) -> Vec<String> {
    facts
        .iter()
        .map(|(at, fact)| format!("{:>14}us {fact}", at.as_micros()))
        .collect()
}
