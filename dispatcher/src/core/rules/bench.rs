//! One core, its log and its clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Uuid;
use volley_channel::{Position, Span, Stored};
use volley_event::Event;
use volley_filter::{Expr, Filter};
use volley_spec::{
    report::TriggerAccount,
    route::{Backoff, Delivery, HttpTarget, ObjectKey, Order, Target, TriggerRoute},
};

use crate::{
    core::{Change, Core, PASSES, Part, Settings, Start, Work},
    outcome::{FailedKind, Outcome},
};

pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) log: Vec<Stored>,
    pub(super) now: Duration,
}

impl Bench {
    pub(super) fn new(window: usize) -> Self {
        let settings = Settings {
            window,
            ..Settings::default()
        };
        Self::with(settings)
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self {
            core: Core::new(settings, Position(1), 0),
            log: Vec::new(),
            now: Duration::ZERO,
        }
    }

    pub(super) fn next(&self) -> Position {
        Position(self.log.len() as u64 + 1)
    }

    /// Declares or changes a Trigger from the end of the log on.
    pub(super) fn declare(&mut self, route: TriggerRoute) {
        let (next, ordinal) = (self.next(), self.log.len() as u64);
        self.core
            .note(Change::Upsert(Arc::new(route)), next, ordinal, self.now);
    }

    pub(super) fn delete(&mut self, uid: u128) {
        let (next, ordinal) = (self.next(), self.log.len() as u64);
        self.core.note(Change::Remove(uid), next, ordinal, self.now);
    }

    /// Stores events of the kind `a`, one for each letter of `keys`: its `partitionkey`, or none
    /// for `-`.
    pub(super) fn publish(&mut self, keys: &str) {
        for key in keys.chars() {
            self.store("a", key);
        }
    }

    pub(super) fn store(&mut self, kind: &str, key: char) {
        let position = self.next();
        let mut event = Event::builder()
            .id(position.0.to_string())
            .source("/rules")
            .kind(kind);
        if key != '-' {
            event = event.attribute("partitionkey", key.to_string());
        }
        self.log.push(Stored {
            position,
            ordinal: position.0 - 1,
            at_ms: position.0,
            event: event.build().expect("a valid event"),
        });
    }

    pub(super) fn span(&self, from: Position) -> Span {
        let at = usize::try_from(from.0 - 1).expect("a short log");
        Span {
            events: self.log[at..].to_vec(),
            next: self.next(),
            next_ordinal: self.log.len() as u64,
            at_head: true,
        }
    }

    /// The head reads everything.
    pub(super) fn read(&mut self) {
        self.core.read(self.span(self.core.head()));
    }

    /// Every catch-up pass that wants to reads to the end, again and again.
    pub(super) fn catch_up(&mut self) {
        for _ in 0..10 {
            for which in 0..PASSES {
                if let Some(at) = self.core.wants_pass(which) {
                    self.core.caught_up(which, self.span(at));
                }
            }
        }
    }

    /// Starts everything that may start now; reads again what has to be.
    pub(super) fn starts(&mut self) -> Vec<Start> {
        let mut started = Vec::new();
        loop {
            let fetch = self.core.take_fetch();
            let found = fetch
                .iter()
                .map(|at| self.log.get(at.0 as usize - 1).cloned());
            self.core.fetched(&fetch, found.collect());
            let Some(slot) = self.core.next_ready() else {
                return started;
            };
            while self.core.startable(slot, self.now).is_some() {
                let Some(start) = self.core.start(slot, self.now) else {
                    break;
                };
                started.push(start);
            }
        }
    }

    /// The positions that start now.
    pub(super) fn positions(&mut self) -> Vec<u64> {
        positions(&self.starts())
    }

    /// The only attempt that starts now.
    pub(super) fn one(&mut self) -> Start {
        let starts = self.starts();
        assert_eq!(starts.len(), 1, "one attempt was to start: {starts:?}");
        starts.into_iter().next().expect("there is one")
    }

    pub(super) fn ends(&mut self, start: &Start, outcome: &Outcome) {
        self.core.ended(self.now, start.key, outcome, 0.0);
    }

    pub(super) fn succeeds(&mut self, start: &Start) {
        self.ends(start, &Outcome::status(200));
    }

    pub(super) fn fails(&mut self, start: &Start) {
        self.ends(start, &Outcome::status(503));
    }

    pub(super) fn refuses(&mut self, start: &Start) {
        self.ends(start, &Outcome::failed(FailedKind::Refused, "refused"));
    }

    pub(super) fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.core.tick(self.now);
    }

    /// The books' row of the Trigger `uid`; its laws hold.
    pub(super) fn row(&self, uid: u128) -> TriggerAccount {
        let stored = self.log.len() as u64;
        let uid = Uuid::from_u128(uid).to_string();
        let account = self.core.account(Part::WHOLE, stored, 0);
        let mut rows = account.triggers.into_iter();
        let row = rows.find(|row| row.uid == uid).expect("it has a row");
        assert_eq!(row.seen, row.filtered + row.matched, "{row:?}");
        let ends = row.delivered + row.dead_lettered + row.dropped.values().sum::<u64>();
        assert_eq!(row.recovered + row.matched, ends + row.pending, "{row:?}");
        row
    }

    pub(super) fn dropped(&self, uid: u128) -> BTreeMap<&'static str, u64> {
        self.row(uid).dropped
    }
}

pub(super) fn positions(starts: &[Start]) -> Vec<u64> {
    starts.iter().map(|start| start.key.position.0).collect()
}

pub(super) fn is_dead_letter(start: &Start) -> bool {
    matches!(start.work, Work::DeadLetter(_))
}

pub(super) fn sink(name: &str) -> Target {
    Target::Http(HttpTarget {
        url: format!("http://{name}/"),
        ca_certs: None,
    })
}

pub(super) fn kind(kind: &str) -> Option<Filter> {
    Some(Filter::compile(&Expr::exact([("type", kind)])).expect("a valid filter"))
}

pub(super) fn cesql(expression: &str) -> Option<Filter> {
    Some(Filter::compile(&Expr::Cesql(expression.to_owned())).expect("a valid filter"))
}

/// A Trigger for the kind `a` without retries or dead letter, 100 attempts at once.
pub(crate) fn trigger(uid: u128) -> TriggerRoute {
    TriggerRoute {
        uid: Uuid::from_u128(uid),
        key: ObjectKey::new("default", format!("t{uid}")),
        filter: kind("a"),
        subscriber: Some(sink("subscriber")),
        dead_letter: None,
        delivery: Delivery {
            retry: 0,
            backoff: Backoff::Exponential,
            delay: Duration::from_secs(1),
            backoff_max: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(60),
            format: None,
        },
        order: Order::None,
        concurrency: 100,
        rate: None,
        overflow: None,
        hold_when_refused: false,
    }
}

pub(super) fn retrying(uid: u128, retry: u32) -> TriggerRoute {
    let mut route = trigger(uid);
    route.delivery.retry = retry;
    route
}
