//! What producers are going to send, and when.

use std::{ops::Range, time::Duration};

use fastrand::Rng;

use super::{BROKERS, KINDS, SOURCES, pick, within};
use crate::trace::Seen;

/// How the ids of events begin whose body never comes whole.
pub(crate) const BROKEN: &str = "broken-";
const KEYS: [&str; 3] = ["k1", "k2", "k3"];

/// A request of a producer.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// The pause before it.
    pub after: Duration,
    pub form: Form,
    /// Which Broker it is for.
    pub broker: &'static str,
    pub events: Vec<Sample>,
    /// On a new connection, not the last one.
    pub anew: bool,
    /// Sent again, with the same ids, when it was not answered 202.
    pub insists: bool,
}

/// How a request looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Structured,
    Batch,
    /// In two pieces with a pause between them.
    Slowly,
    /// Without a type: 400.
    Wrong,
    /// For a Broker that is not there: 404.
    Nowhere,
    /// The connection ends in the middle of the body.
    Broken,
    /// The connection ends once the request is sent.
    Impatient,
}

/// An event as its producer makes it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub seen: Seen,
    /// Bytes of its data.
    pub size: usize,
    /// Its hop count, if it comes with one.
    pub hops: Option<u8>,
}

impl Sample {
    /// The hops with which it is stored.
    pub(crate) fn hops_at_first(&self) -> u8 {
        self.hops.unwrap_or(u8::MAX)
    }
}

pub(super) fn posts(
    rng: &mut Rng,
    producer: usize,
    span: Duration,
    counts: Range<usize>,
    sizes: &[usize],
) -> Vec<Post> {
    let count = rng.usize(counts);
    let pause = span / u32::try_from(count).expect("a schedule is short");
    let mut posts: Vec<Post> = Vec::new();
    for number in 0..count {
        let form = *pick(
            rng,
            &[
                Form::Binary,
                Form::Binary,
                Form::Binary,
                Form::Structured,
                Form::Structured,
                Form::Batch,
                Form::Batch,
                Form::Slowly,
                Form::Wrong,
                Form::Nowhere,
                Form::Broken,
                Form::Impatient,
            ],
        );
        let mark = if form == Form::Broken { BROKEN } else { "" };
        let burst = rng.bool();
        let events = if form == Form::Batch {
            rng.usize(0..6)
        } else {
            1
        };
        posts.push(Post {
            after: if burst {
                Duration::ZERO
            } else {
                within(rng, pause * 2)
            },
            form,
            broker: BROKERS[rng.usize(0..BROKERS.len())],
            events: (0..events)
                .map(|at| sample(rng, sizes, format!("{mark}p{producer}-{number}-{at}")))
                .collect(),
            anew: rng.u8(0..4) == 0,
            insists: rng.bool(),
        });
    }
    posts
}

/// Bytes of ordinary events.
pub(super) const SIZES: &[usize] = &[0, 10, 100, 1_000, 4_000];
/// Bytes of events of which some tens fill a file of the log.
pub(super) const LARGE: &[usize] = &[10, 4_000, 12_000, 16_000];

/// The data of the event `id`: so that nobody mistakes it for that of another one.
pub(crate) fn data(id: &str, size: usize) -> String {
    let endless = id.chars().chain(".".chars()).cycle();
    endless.take(size).collect()
}

fn sample(rng: &mut Rng, sizes: &[usize], id: String) -> Sample {
    Sample {
        seen: Seen {
            id,
            kind: (*pick(rng, &KINDS)).to_owned(),
            source: (*pick(rng, &SOURCES)).to_owned(),
            key: rng.bool().then(|| (*pick(rng, &KEYS)).to_owned()),
        },
        size: *pick(rng, sizes),
        hops: None,
    }
}
