//! What happens to events now, for whoever looks on.
//!
//! The data plane tells its [`Tap`]; who wants to hear gives it a [`Listener`]. While nobody
//! listens a data plane asks one relaxed atomic and goes on. What an event carries is never told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use schemars::JsonSchema;
use serde::Serialize;

use super::Trace;

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// The subscriber took it.
    Delivered,
    /// An attempt failed, and another one follows.
    Retrying,
    /// The dead-letter sink took it.
    DeadLettered,
    /// A named policy dropped it.
    Dropped,
    /// No Trigger wanted it.
    Unmatched,
    /// The one Trigger that was asked about did not want it.
    Filtered,
}

impl Happening {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::DeadLettered => "dead-lettered",
            Self::Dropped => "dropped",
            Self::Unmatched => "unmatched",
            Self::Filtered => "filtered",
        }
    }

    /// Whether somebody should look at it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Retrying | Self::DeadLettered | Self::Dropped)
    }
}

/// One thing that happened to one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The Broker's namespace.
    pub namespace: Arc<str>,
    /// The Broker's name.
    pub broker: Arc<str>,
    /// The Trigger's name; none where no Trigger wanted the event.
    pub trigger: Option<String>,
    /// What happened.
    pub outcome: Happening,
    /// To how many events: more than one only where a policy dropped many at once.
    pub events: u64,
    /// The event's names; none where the event is not at hand any more, or where they are many.
    pub event: Option<Names>,
    /// The trace that its producer is part of.
    pub trace: Option<Trace>,
    /// When the attempt began, in milliseconds since 1970.
    pub began_ms: Option<u64>,
    /// Which attempt at the subscriber this was, from 1.
    pub attempt: Option<u32>,
    /// The status that a sink answered with.
    pub status: Option<u16>,
    /// Why, in a few words.
    pub reason: Option<String>,
    /// When the next attempt is due, in milliseconds since 1970.
    pub next_attempt_ms: Option<u64>,
    /// From when the event was stored until now, in milliseconds.
    pub latency_ms: Option<u64>,
}

/// What an event is called. An attribute may be long: each is cut to [`Names::MOST`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Its `id`.
    pub id: String,
    /// Its `type`.
    pub kind: String,
    /// Its `source`.
    pub source: String,
    /// Its `subject`.
    pub subject: Option<String>,
}

impl Names {
    /// Bytes of one name at most, so that what waits for listeners is bounded.
    pub const MOST: usize = 1_024;

    /// These names, each cut to [`MOST`](Self::MOST) bytes, with `...` where something is missing.
    pub fn of(id: &str, kind: &str, source: &str, subject: Option<&str>) -> Self {
        Self {
            id: cut(id),
            kind: cut(kind),
            source: cut(source),
            subject: subject.map(cut),
        }
    }
}

fn cut(text: &str) -> String {
    if text.len() <= Names::MOST {
        return text.to_owned();
    }
    let ends = (0..=Names::MOST - "...".len()).rev();
    let mut whole = ends.filter(|at| text.is_char_boundary(*at));
    format!("{}...", &text[..whole.next().unwrap_or_default()])
}

/// Somebody who looks on.
pub trait Listener: Send + Sync {
    /// Takes note of `moment`. It must not wait: what there is no room for is dropped and counted.
    fn hear(&self, moment: &Moment);

    /// The Trigger of this Broker of which it wants to hear also what it did not want, by name.
    fn asks_about(&self, namespace: &str, broker: &str) -> Option<&str>;
}

/// Where a data plane tells what happens.
#[derive(Default)]
pub struct Tap {
    listening: AtomicUsize,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    all: Vec<(u64, Arc<dyn Listener>)>,
    next: u64,
    closed: bool,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listening = self.listening.load(Ordering::Relaxed);
        f.debug_struct("Tap")
            .field("listening", &listening)
            .finish_non_exhaustive()
    }
}

impl Tap {
    /// Whether anybody listens: ask before putting a moment together.
    pub fn is_open(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// Tells everybody who listens.
    pub fn tell(&self, moment: &Moment) {
        for (_, listener) in &self.listeners().all {
            listener.hear(moment);
        }
    }

    /// The Triggers of this Broker of which somebody wants to hear also what they did not want:
    /// their names, each once, in order.
    pub fn asks_about(&self, namespace: &str, broker: &str) -> Vec<String> {
        let listeners = self.listeners();
        let all = listeners.all.iter();
        let names = all.filter_map(|(_, listener)| listener.asks_about(namespace, broker));
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Lets `listener` hear until the answer is dropped or the tap is closed.
    ///
    /// `None` when `most` listen already, or the tap is closed: try again later.
    pub fn listen(self: &Arc<Self>, listener: Arc<dyn Listener>, most: usize) -> Option<Listening> {
        let mut listeners = self.listeners();
        if listeners.closed || listeners.all.len() >= most {
            return None;
        }
        let number = listeners.next;
        listeners.next += 1;
        listeners.all.push((number, listener));
        self.listening.store(listeners.all.len(), Ordering::Relaxed);
        Some(Listening {
            tap: Arc::clone(self),
            number,
        })
    }

    /// Nothing more will be told: lets every listener go. True if there were any.
    pub fn close(&self) -> bool {
        let mut listeners = self.listeners();
        listeners.closed = true;
        self.listening.store(0, Ordering::Relaxed);
        !std::mem::take(&mut listeners.all).is_empty()
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody listens as long as this lives.
#[derive(Debug)]
pub struct Listening {
    tap: Arc<Tap>,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.tap.listeners();
        listeners.all.retain(|(number, _)| *number != self.number);
        self.tap
            .listening
            .store(listeners.all.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Ear(AtomicUsize);

    impl Listener for Ear {
        fn hear(&self, _: &Moment) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn asks_about(&self, _: &str, broker: &str) -> Option<&str> {
            (broker == "b").then_some("t")
        }
    }

    fn moment() -> Moment {
        Moment {
            at_ms: 0,
            namespace: "n".into(),
            broker: "b".into(),
            trigger: None,
            outcome: Happening::Unmatched,
            events: 1,
            event: None,
            trace: None,
            began_ms: None,
            attempt: None,
            status: None,
            reason: None,
            next_attempt_ms: None,
            latency_ms: None,
        }
    }

    #[test]
    fn a_long_name_is_cut_between_two_letters() {
        let long = "\u{e9}".repeat(3_000);
        let names = Names::of(&long, "short", "", Some(&long));
        assert!(names.id.len() <= Names::MOST && names.id.ends_with("\u{e9}..."));
        assert_eq!((names.kind.as_str(), names.source.as_str()), ("short", ""));
        assert_eq!(names.subject, Some(names.id));
    }

    #[test]
    fn a_tap_is_open_while_somebody_listens_and_never_again_once_closed() {
        let (tap, ear) = (Arc::new(Tap::default()), Arc::new(Ear::default()));
        assert!(!tap.is_open() && tap.asks_about("n", "b").is_empty());
        let first = tap.listen(Arc::clone(&ear) as _, 1).expect("room for one");
        assert!(
            tap.listen(Arc::clone(&ear) as _, 1).is_none(),
            "no room for two"
        );
        assert!(tap.is_open() && tap.asks_about("n", "c").is_empty());
        assert_eq!(tap.asks_about("n", "b"), ["t"]);
        tap.tell(&moment());
        drop(first);
        assert!(!tap.is_open());
        tap.tell(&moment());
        let _second = tap.listen(Arc::clone(&ear) as _, 1).expect("room again");
        assert!(tap.close() && !tap.close() && !tap.is_open());
        tap.tell(&moment());
        assert!(tap.listen(Arc::clone(&ear) as _, 1).is_none());
        assert_eq!(ear.0.load(Ordering::Relaxed), 1);
    }
}
