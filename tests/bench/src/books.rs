//! The contender's own account of a run: `/api/v1/accounts` and the three laws it has to keep.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::Deserialize;
use tokio::time::sleep;

use crate::{admin, error::BenchError};

const PATH: &str = "/api/v1/accounts?namespace=default&limit=10";
/// How often the books are read until they are settled, and the pause between.
const READINGS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Books>,
}

/// The books of one Broker.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Books {
    name: String,
    settled: bool,
    carried: u64,
    accepted: u64,
    #[serde(default)]
    arrived: u64,
    triggers: Vec<Row>,
}

/// The books of one Trigger.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    state: String,
    before: u64,
    seen: u64,
    filtered: u64,
    matched: u64,
    unread: u64,
    recovered: u64,
    delivered: u64,
    dead_lettered: u64,
    dropped: BTreeMap<String, u64>,
    pending: u64,
}

impl Books {
    /// Reads the books of the Broker `default` until they are settled and nothing is pending for
    /// the first `takers` Triggers, or for some seconds: [`Books::problems`] judges what it got.
    pub(crate) async fn settled(admin: SocketAddr, takers: usize) -> Result<Self, BenchError> {
        let mut books = Self::read(admin).await?;
        for _ in 0..READINGS {
            let pending = books
                .of_takers(takers)
                .any(|row| row.pending + row.unread > 0);
            if books.settled && !pending {
                break;
            }
            sleep(PAUSE).await;
            books = Self::read(admin).await?;
        }
        Ok(books)
    }

    /// The books of the Broker `default` as they are now.
    pub(crate) async fn read(admin: SocketAddr) -> Result<Self, BenchError> {
        let text = admin::get(admin, PATH).await?;
        let text = text.ok_or_else(|| BenchError::Unreadable {
            what: "the admin port's answer",
            text: format!("{PATH} is not there"),
        })?;
        let page: Page = serde_json::from_slice(&text).map_err(|cause| BenchError::Unreadable {
            what: "the answer of /api/v1/accounts",
            text: format!("{cause}: {}", String::from_utf8_lossy(&text)),
        })?;
        let mut books = page.items.into_iter();
        books
            .find(|books| books.name == "default")
            .ok_or_else(|| BenchError::Unreadable {
                what: "the answer of /api/v1/accounts",
                text: "it has no Broker `default`".to_owned(),
            })
    }

    /// The rows of the Triggers whose subscribers take everything: `t0`, `t1`, ...
    fn of_takers(&self, takers: usize) -> impl Iterator<Item = &Row> {
        let number = |row: &Row| row.name.strip_prefix('t')?.parse::<usize>().ok();
        let rows = self.triggers.iter();
        rows.filter(move |row| number(row).is_some_and(|number| number < takers))
    }

    /// What is wrong with the books of a run in which `accepted` events were answered 202 and the
    /// first `takers` subscribers took everything.
    pub(crate) fn problems(&self, accepted: u64, takers: usize) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.settled {
            problems.push("the books did not settle".to_owned());
        }
        let short = self
            .of_takers(takers)
            .filter(|row| row.delivered != accepted);
        problems.extend(short.map(|row| {
            let Row { name, delivered, dropped, pending, .. } = row;
            format!("the books say of trigger {name}: {delivered} of {accepted} delivered, {pending} pending, dropped {dropped:?}")
        }));
        if self.accepted != accepted {
            problems.push(format!(
                "the books say {} accepted, the producers heard {accepted}",
                self.accepted
            ));
        }
        problems.extend(self.laws());
        problems
    }

    /// Every law that does not hold.
    pub(crate) fn laws(&self) -> Vec<String> {
        let stored = self.carried + self.accepted + self.arrived;
        let rows = self.triggers.iter();
        rows.flat_map(|row| row.problems(stored)).collect()
    }

    /// Events that were stored before this process started.
    pub(crate) fn carried(&self) -> u64 {
        self.carried
    }

    /// Events that a Trigger has yet to read or to finish; 0 for one that is not there.
    pub(crate) fn waiting(&self, trigger: &str) -> u64 {
        let row = self.triggers.iter().find(|row| row.name == trigger);
        row.map_or(0, |row| row.pending + row.unread)
    }
}

impl Row {
    fn problems(&self, stored: u64) -> Vec<String> {
        let dropped: u64 = self.dropped.values().sum();
        let done = self.delivered + self.dead_lettered + dropped + self.pending;
        let laws = [
            (
                "carried + accepted + arrived = before + seen + unread",
                stored,
                self.before + self.seen + self.unread,
            ),
            (
                "seen = filtered + matched",
                self.seen,
                self.filtered + self.matched,
            ),
            (
                "recovered + matched = delivered + deadLettered + dropped + pending",
                self.recovered + self.matched,
                done,
            ),
        ];
        // The first law of a deleted Trigger ends with its reading.
        let held = &laws[usize::from(self.state == "deleted")..];
        let broken = held.iter().filter(|(_, left, right)| left != right);
        broken
            .map(|(law, left, right)| format!("trigger {}: {law}: {left} != {right}", self.name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(change: impl FnOnce(&mut Books)) -> Vec<String> {
        let mut books: Page = serde_json::from_str(
            r#"{"items":[{"namespace":"default","name":"default","kind":"Broker","channel":"log",
            "settled":true,"carried":5000,"accepted":1000,"unheard":0,"arrived":0,"forwarded":0,
            "unmatched":12,"triggers":[{"name":"hello","uid":"x","state":"attached","before":4990,
            "seen":1010,"filtered":900,"matched":110,"unread":0,"recovered":2,"delivered":100,
            "deadLettered":5,"dropped":{"retriesExhausted":1},"pending":6}]}],"continue":null}"#,
        )
        .unwrap();
        change(&mut books.items[0]);
        books.items[0].problems(1000, 3)
    }

    #[test]
    fn a_taker_that_did_not_get_everything_is_named() {
        let problems = books(|books| books.triggers[0].name = "t2".to_owned());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("t2: 100 of 1000 delivered, 6 pending"),
            "{problems:?}"
        );
        assert_eq!(
            books(|books| books.triggers[0].name = "t3".to_owned()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn books_that_did_not_settle_are_a_problem() {
        assert_eq!(
            books(|books| books.settled = false),
            ["the books did not settle"]
        );
    }

    #[test]
    fn the_books_of_the_documentation_balance() {
        assert_eq!(books(|_| {}), Vec::<String>::new());
    }

    type Change = fn(&mut Books);

    #[test]
    fn each_broken_law_is_named_with_its_trigger() {
        let cases: [(&str, Change); 4] = [
            ("the producers heard 1000", |books| {
                books.accepted -= 1;
                books.carried += 1;
            }),
            ("before + seen + unread", |books| {
                books.triggers[0].unread += 1
            }),
            ("filtered + matched", |books| {
                books.triggers[0].filtered -= 1
            }),
            ("delivered + deadLettered", |books| {
                books.triggers[0].pending += 1
            }),
        ];
        for (text, change) in cases {
            let problems = books(change);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(text), "{problems:?}");
        }
    }
}
