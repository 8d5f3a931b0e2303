//! What a data plane says about itself, and how it is told what to run.
//!
//! `dispatcher` implements [`DataPlane`], `broker` shows what it says (books, status, metrics)
//! and hands it each new plan; neither imports the other.

mod tap;
mod trace;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{name::Name, route::Plan};

pub use tap::{Happening, Listener, Listening, Moment, Names, Tap};
pub use trace::Trace;

/// A boxed future of a data plane's call.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What runs the routes.
pub trait DataPlane: Send + Sync {
    /// Takes up `plan` and answers once it is live.
    ///
    /// Live means that every unit has noted the position from which the plan holds: an event
    /// answered 202 before the call saw the old world, one posted after the answer sees the new.
    /// Calls are taken up in their order. Cancelling the wait does not take the plan back.
    ///
    /// The answer names what could not be taken up, by the object's uid; the rest is live.
    fn apply(&self, plan: Arc<Plan>) -> Answer<'_, Vec<Refused>>;

    /// The books of the Brokers `of` those that this process has run, deleted Triggers included.
    fn accounts<'a>(&'a self, of: &'a BooksOf) -> Answer<'a, Vec<BrokerAccount>>;

    /// What these Triggers are doing, by uid; those that do not run are left out. It costs as much
    /// as they are many, however many others run.
    fn states_of<'a>(&'a self, triggers: &'a [Uuid]) -> Answer<'a, BTreeMap<Uuid, TriggerState>>;

    /// The Brokers, by uid, whose producers wait now because of a Trigger's backlog, each with the
    /// name of such a Trigger.
    fn blocked(&self) -> Answer<'_, BTreeMap<Uuid, Name>>;

    /// Where it tells what happens, for whoever looks on.
    fn tap(&self) -> &Arc<Tap>;

    /// In how many places the storage of events was found damaged since it was opened.
    fn damage(&self) -> u64 {
        0
    }

    /// Why no event can be stored any more until the process is started again, if that is so.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// Which books are asked for; by default all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooksOf {
    /// Only Brokers of this namespace.
    pub namespace: Option<String>,
    /// Only Brokers of this name.
    pub name: Option<String>,
    /// How many running Triggers have rows of their own, those with the lowest uids first. The
    /// others of each Broker are one row called [`OTHER`].
    pub triggers: usize,
}

impl Default for BooksOf {
    fn default() -> Self {
        Self {
            namespace: None,
            name: None,
            triggers: usize::MAX,
        }
    }
}

impl BooksOf {
    /// Are the books of this Broker among them?
    pub fn takes(&self, namespace: &str, name: &str) -> bool {
        let is = |wanted: &Option<String>, found| wanted.as_ref().is_none_or(|it| it == found);
        is(&self.namespace, namespace) && is(&self.name, name)
    }
}

/// An object that the data plane could not take up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The Broker or Trigger.
    pub uid: Uuid,
    /// A sentence for its status.
    pub message: String,
}

/// The books of one Broker since this process started.
///
/// For every Trigger: `carried + accepted + arrived = before + seen + unread`,
/// `seen = filtered + matched` and
/// `recovered + matched = delivered + dead_lettered + sum(dropped) + pending`.
/// They hold exactly when `settled` is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerAccount {
    /// The Broker's namespace.
    pub namespace: String,
    /// The Broker's name.
    pub name: String,
    /// `Broker` (or `Channel`).
    pub kind: &'static str,
    /// The Broker's uid: one that was deleted and made again has another one. Empty for the row
    /// that sums up several.
    pub uid: String,
    /// Whether it still runs.
    pub state: BrokerPhase,
    /// The backend's name.
    pub channel: &'static str,
    /// True when nothing was between the two counters while they were read.
    pub settled: bool,
    /// Events stored before this process started, ever.
    pub carried: u64,
    /// Events stored through this process.
    pub accepted: u64,
    /// Of these, the ones whose producer did not get its 202.
    pub unheard: u64,
    /// Events that other processes stored in units owned here.
    pub arrived: u64,
    /// Events stored here for units owned elsewhere; outside the laws.
    pub forwarded: u64,
    /// Events that no Trigger wanted.
    pub unmatched: u64,
    /// Triggers that its progress knows and no file declares: what they left is kept for a while
    /// and not delivered. They have no rows.
    pub orphans: u64,
    /// One row a Trigger; the oldest deleted ones beyond a number as one row called [`OTHER`].
    pub triggers: Vec<TriggerAccount>,
}

/// Whether a Broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BrokerPhase {
    /// It runs.
    Live,
    /// It was deleted; its books stay while the process lives.
    Deleted,
}

/// The name of a row of the books that sums up Triggers or Brokers, so that they stay bounded: the
/// ones deleted first, or those beyond a number that was asked for. The second and third law hold for it as they do for each of them.
pub const OTHER: &str = "_other";

/// The books of one Trigger since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAccount {
    /// The Trigger's name.
    pub name: String,
    /// The Trigger's uid. Empty for the row that sums up several.
    pub uid: String,
    /// What it is doing.
    pub state: TriggerPhase,
    /// Events stored earlier than where its reading started in this process.
    pub before: u64,
    /// Events that it has read.
    pub seen: u64,
    /// Of these, the ones that it did not want.
    pub filtered: u64,
    /// Of these, the ones that it wanted.
    pub matched: u64,
    /// Events that it has yet to read.
    pub unread: u64,
    /// Deliveries pending from an earlier run when this process started.
    pub recovered: u64,
    /// Deliveries that its subscriber took.
    pub delivered: u64,
    /// Deliveries that its dead-letter sink took.
    pub dead_lettered: u64,
    /// Deliveries given up by a named policy, by its name.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Deliveries not finished.
    pub pending: u64,
    /// How often an expression of its filter failed or gave no boolean while an event was judged.
    /// Outside the laws: such an event is counted as any other that its filter let pass or not.
    pub filter_errors: u64,
    /// Age of its oldest unfinished event in milliseconds; 0 when there is none. Not in the books,
    /// which say how much and not how long.
    #[serde(skip)]
    pub oldest_ms: u64,
}

impl TriggerAccount {
    /// Adds the figures of another row: the same Trigger in another unit, or one to be summed up.
    pub fn add(&mut self, row: &Self) {
        // A Trigger is attached only if it is so everywhere.
        if self.state == TriggerPhase::Attached {
            self.state = row.state;
        }
        self.before += row.before;
        self.seen += row.seen;
        self.filtered += row.filtered;
        self.matched += row.matched;
        self.unread += row.unread;
        self.recovered += row.recovered;
        self.delivered += row.delivered;
        self.dead_lettered += row.dead_lettered;
        self.pending += row.pending;
        self.filter_errors += row.filter_errors;
        self.oldest_ms = self.oldest_ms.max(row.oldest_ms);
        for (why, count) in &row.dropped {
            *self.dropped.entry(why).or_insert(0) += count;
        }
    }
}

/// What a Trigger is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TriggerPhase {
    /// It reads with the head of its unit.
    Attached,
    /// It reads at its own pace, behind the head.
    Detached,
    /// It has no subscriber, or none it can use: nothing is delivered and nothing dropped.
    Parked,
    /// It was deleted; the row stays while the process lives.
    Deleted,
}

/// What a running Trigger's sinks and backlog look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerState {
    /// What it is doing.
    pub phase: TriggerPhase,
    /// Whether its subscriber answers: `None` until the first attempt ends.
    pub sink: Option<SinkHealth>,
    /// Whether its dead-letter sink answers: `None` until it is first used.
    pub dead_letter_sink: Option<SinkHealth>,
    /// Deliveries dropped because its backlog filled the Broker's space.
    pub dropped_overflow: u64,
    /// True while its backlog blocks its Broker's producers.
    pub blocks_publish: bool,
    /// True while the reply or the dead letter of its oldest event finds no room in a Broker.
    pub waits_for_room: bool,
    /// Deliveries not finished.
    pub pending: u64,
    /// Age of its oldest unfinished event in milliseconds; 0 when there is none.
    pub oldest_ms: u64,
    /// For a Trigger behind the head whose filter changed: the position from which it applies.
    pub filter_from: Option<u64>,
}

/// Whether a sink takes what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkHealth {
    /// True when the latest attempt was taken.
    pub healthy: bool,
    /// What the latest failed attempt met, for people.
    pub message: String,
}
