//! What a data plane is asked: the books, what Triggers are doing, who waits.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use volley_spec::{
    Name,
    report::{BooksOf, BrokerAccount, TriggerState},
};

use super::{Dispatcher, Running, books};
use crate::{
    actor::{Control, UnitReport},
    core::Part,
};

/// How many Triggers an actor looks at before it goes on with events.
const AT_ONCE: usize = 1_024;

/// How often a unit's books are begun anew where Triggers come and go meanwhile.
const TRIES: usize = 3;

impl Dispatcher {
    pub(super) async fn accounts_of(&self, of: &BooksOf) -> Vec<BrokerAccount> {
        let takes = |namespace: &str, name: &str| of.takes(namespace, name);
        let mut accounts = self.state().graves.accounts();
        accounts.retain(|account| takes(&account.namespace, &account.name));
        let mut left = of.triggers;
        for running in self.running().values() {
            let key = &running.route.key;
            if takes(&key.namespace, &key.name) {
                let account = self.account_of(running, left).await;
                left = left.saturating_sub(account.triggers.len());
                accounts.push(account);
            }
        }
        accounts
    }

    async fn account_of(&self, running: &Running, named: usize) -> BrokerAccount {
        let channel = self.publisher.channel().caps().name;
        let tally = self.publisher.tally(running.pool);
        let accepted = tally.accepted();
        let mut reports = Vec::new();
        for (_, control) in &running.units {
            reports.extend(report(control, named).await);
        }
        books::account(running, &tally, accepted, reports, channel)
    }

    /// Of these Triggers.
    pub(super) async fn states_in_units(&self, of: Arc<[u128]>) -> BTreeMap<Uuid, TriggerState> {
        let mut states = BTreeMap::new();
        for running in self.running().values() {
            let ask = |answer| Control::States(Arc::clone(&of), answer);
            for (uid, state) in ask_units(running, ask).await.into_iter().flatten() {
                books::merge_state(&mut states, Uuid::from_u128(uid), state);
            }
        }
        states
    }

    pub(super) async fn all_blocked(&self) -> BTreeMap<Uuid, Name> {
        let mut blocked = BTreeMap::new();
        for (uid, running) in self.running() {
            let blockers = ask_units(&running, Control::Blocker).await;
            let first = blockers.into_iter().flatten().next();
            blocked.extend(first.map(|name| (uid, name)));
        }
        blocked
    }
}

/// What each unit of a Broker answers; those that have ended say nothing.
async fn ask_units<T>(running: &Running, ask: impl Fn(oneshot::Sender<T>) -> Control) -> Vec<T> {
    let mut asked = Vec::new();
    for (_, control) in &running.units {
        let (answer, told) = oneshot::channel();
        if control.send(ask(answer)).await.is_ok() {
            asked.push(told);
        }
    }
    let mut answers = Vec::new();
    for told in asked {
        answers.extend(told.await);
    }
    answers
}

/// The books of a unit, with so many Triggers `named`; nothing if it has ended. Where Triggers come
/// and go all the time, they are said not to be whole.
async fn report(control: &mpsc::Sender<Control>, named: usize) -> Option<UnitReport> {
    let mut tries = TRIES;
    loop {
        let report = parts(control, named).await?;
        tries -= 1;
        if report.whole || tries == 0 {
            return Some(report);
        }
    }
}

/// Asks a unit for its books part by part.
async fn parts(control: &mpsc::Sender<Control>, named: usize) -> Option<UnitReport> {
    let mut whole: Option<UnitReport> = None;
    loop {
        let (after, had) = whole.as_ref().map_or((None, 0), |report| {
            (report.account.more, report.account.triggers.len())
        });
        let part = Part {
            after,
            most: AT_ONCE,
            named: named.saturating_sub(had),
        };
        let (answer, told) = oneshot::channel();
        control.send(Control::Report(part, answer)).await.ok()?;
        let mut report = told.await.ok()?;
        if let Some(before) = whole {
            report.follow(before);
        }
        if report.account.more.is_none() {
            return Some(report);
        }
        whole = Some(report);
    }
}

impl UnitReport {
    /// It is the part behind `before`: now it is both.
    fn follow(&mut self, before: Self) {
        self.whole = before.whole && before.account.changes == self.account.changes;
        let mut rows = before.account.triggers;
        rows.append(&mut self.account.triggers);
        self.account.triggers = rows;
    }
}
