//! What the plane asks of an actor: changes, books, an orderly end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::oneshot;
use tracing::warn;
use volley_channel::{
    Bounds, Health, ReadError,
    planted::{self, Planted},
};
use volley_spec::{Name, report::TriggerState};

use super::Actor;
use crate::core::{Change, Part, UnitAccount};

/// A question or an order.
pub(crate) enum Control {
    /// Takes these changes up; answered once they are live.
    Changes(Vec<Change>, oneshot::Sender<()>),
    /// Gives up what Triggers left that no file declares; answered with how many there were.
    GiveUpAbsent(oneshot::Sender<usize>),
    /// Says what it has done: a part at a time, so that events go on between them.
    Report(Part, oneshot::Sender<UnitReport>),
    /// Says what Triggers are doing: these, by uid.
    States(Arc<[u128]>, oneshot::Sender<States>),
    /// Says which Trigger's backlog blocks the Broker's producers, if one does.
    Blocker(oneshot::Sender<Option<Name>>),
    /// Ends: with all work done if `finish`, else with what is in flight done; at `deadline` in
    /// any case. Answered with what is left.
    Drain {
        finish: bool,
        deadline: Duration,
        answer: oneshot::Sender<BTreeMap<String, u64>>,
    },
    /// The Broker was deleted: everything is dropped, counted and reported.
    Retire(oneshot::Sender<UnitReport>),
}

/// What an actor has done.
#[derive(Debug, Clone)]
pub(crate) struct UnitReport {
    pub(crate) account: UnitAccount,
    pub(crate) bounds: Bounds,
    /// No Trigger came or went between its parts.
    pub(crate) whole: bool,
}

/// What Triggers are doing, each with its uid.
pub(crate) type States = Vec<(u128, TriggerState)>;

/// An orderly end that is under way.
pub(super) struct Drain {
    pub(super) starts_nothing: bool,
    pub(super) deadline: Duration,
    answer: Option<oneshot::Sender<BTreeMap<String, u64>>>,
    last_image: Option<oneshot::Receiver<()>>,
}

impl Actor {
    pub(super) async fn on_control(&mut self, control: Control) {
        match control {
            Control::Changes(changes, live) => self.take_up(changes, live).await,
            Control::GiveUpAbsent(answer) => {
                let gone = self.core.give_up_absent();
                if gone > 0 {
                    drop(self.progress.want());
                }
                // Who asked may be gone.
                answer.send(gone).ok();
            }
            Control::Report(part, answer) => {
                let report = self.report(part).await;
                // Who asked may be gone.
                answer.send(report).ok();
            }
            Control::States(of, answer) => {
                let now_ms = self.around.clock.wall_ms();
                answer.send(self.core.states(&of, now_ms)).ok();
            }
            Control::Blocker(answer) => {
                answer.send(self.core.blocker().cloned()).ok();
            }
            Control::Drain {
                finish,
                deadline,
                answer,
            } => {
                self.drain = Some(Drain {
                    starts_nothing: !finish,
                    deadline,
                    answer: Some(answer),
                    last_image: None,
                });
            }
            Control::Retire(answer) => {
                self.core.remove_all();
                let report = self.report(Part::WHOLE).await;
                self.stopped = true;
                answer.send(report).ok();
            }
        }
    }

    /// Notes changes at the unit's `next`. New Triggers are live once their start is safe (R15).
    async fn take_up(&mut self, changes: Vec<Change>, live: oneshot::Sender<()>) {
        let bounds = self.bounds().await;
        let now = self.around.clock.now();
        for change in changes {
            self.leave_line(&change);
            self.core
                .note(change, bounds.next, bounds.next_ordinal, now);
        }
        self.replies.sweep(|key| self.core.is_replying(key));
        let safe = self.progress.want();
        self.later(async move {
            if safe.await.is_ok() {
                live.send(()).ok();
            }
            super::Done::Pause
        });
    }

    /// A Trigger that changes applies anew: it may have another sink, or be gone and its slot be
    /// given to another one.
    fn leave_line(&mut self, change: &Change) {
        let uid = match change {
            Change::Upsert(route) => route.uid.as_u128(),
            Change::Remove(uid) => *uid,
        };
        let Some(slot) = self.core.slot_of(uid) else {
            return;
        };
        self.turns.give_back(slot);
        if self.in_line.remove(&slot).is_some() || self.awaiting.remove(&slot) {
            self.core.not_yet(slot);
        }
    }

    async fn bounds(&mut self) -> Bounds {
        loop {
            match self.around.publisher.channel().bounds(self.unit).await {
                Ok(bounds) => return bounds,
                Err(ReadError::Gone) => return self.bounds_of_head(),
                Err(error) => {
                    warn!(unit = %self.unit, %error, "the unit's bounds are asked for again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn bounds_of_head(&self) -> Bounds {
        let (head, ordinal) = (self.core.head(), self.core.head_ordinal());
        Bounds {
            first: head,
            first_ordinal: ordinal,
            next: head,
            next_ordinal: ordinal,
        }
    }

    async fn report(&mut self, part: Part) -> UnitReport {
        let bounds = self.bounds().await;
        let now_ms = self.around.clock.wall_ms();
        UnitReport {
            account: self.core.account(part, bounds.next_ordinal, now_ms),
            bounds,
            whole: true,
        }
    }

    /// Ends the actor when its orderly end is reached.
    pub(super) async fn check_drain(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let late = self.around.clock.now() >= drain.deadline;
        // What can't be written now never will be: neither progress nor replies are waited for.
        let in_vain = matches!(*self.health.borrow(), Health::Poisoned { .. });
        if let Some(last) = &mut drain.last_image {
            if late || in_vain || last.try_recv().is_ok() {
                self.end_drain().await;
            }
            return;
        }
        let starts_nothing = drain.starts_nothing;
        let bounds = self.bounds().await;
        let done = if starts_nothing {
            // A delivery whose reply is not stored yet would be made again by the next start.
            let forgets = planted::is(Planted::DrainForgetsReplies);
            self.flights.is_empty() && (forgets || in_vain || self.replies.is_empty())
        } else {
            self.core.is_done(bounds.next_ordinal)
        };
        if done || late {
            let last = self.progress.want();
            if let Some(drain) = &mut self.drain {
                drain.starts_nothing = true;
                drain.last_image = Some(last);
            }
            let now = self.around.clock.now();
            self.record(now);
        }
    }

    async fn end_drain(&mut self) {
        let report = self.report(Part::WHOLE).await;
        let left = report
            .account
            .triggers
            .iter()
            .map(|row| (row.name.clone(), row.pending + row.unread));
        let left = left.filter(|(_, count)| *count > 0).collect();
        self.stopped = true;
        if let Some(answer) = self.drain.as_mut().and_then(|drain| drain.answer.take()) {
            answer.send(left).ok();
        }
    }
}
