//! The books of `/api/v1/accounts`: reading them, and the laws that they must keep.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One page of the books.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    /// The accounts on this page.
    pub items: Vec<Account>,
    /// Where the next page starts.
    #[serde(rename = "continue")]
    pub next: Option<String>,
}

/// The account of one Broker or Channel.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether nothing is between two counters.
    pub settled: bool,
    /// Stored before this process started.
    pub carried: u64,
    /// Stored through this process.
    pub accepted: u64,
    /// Of these, the ones without a 202.
    pub unheard: u64,
    /// Stored by other processes in units of this one.
    pub arrived: u64,
    /// Events that no Trigger wanted.
    #[serde(default)]
    pub unmatched: u64,
    /// Triggers that its progress knows and no file declares.
    #[serde(default)]
    pub orphans: u64,
    /// Its Triggers or Subscriptions.
    pub triggers: Vec<Row>,
}

/// The account of one Trigger.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// `attached`, `detached`, `parked` or `deleted`.
    pub state: String,
    /// Stored earlier than where its reading started.
    pub before: u64,
    /// Read by it.
    pub seen: u64,
    /// Read and not wanted.
    pub filtered: u64,
    /// Read and wanted.
    pub matched: u64,
    /// Not read yet.
    pub unread: u64,
    /// Pending from an earlier run.
    pub recovered: u64,
    /// Taken by the subscriber.
    pub delivered: u64,
    /// Taken by the dead-letter sink.
    pub dead_lettered: u64,
    /// Given up by a named policy.
    pub dropped: BTreeMap<String, u64>,
    /// Not finished.
    pub pending: u64,
}

impl Row {
    /// The sum over all policies.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl Account {
    /// The row of a Trigger that is not deleted.
    pub fn row(&self, trigger: &str) -> Option<&Row> {
        self.triggers
            .iter()
            .find(|row| row.name == trigger && row.state != "deleted")
    }

    /// Whether everything accepted was read and finished.
    pub fn is_done(&self) -> bool {
        self.settled
            && self
                .triggers
                .iter()
                .all(|row| row.pending == 0 && row.unread == 0)
    }

    /// Every law that does not hold, as sentences. Exact only when `settled` is true.
    pub fn broken_laws(&self) -> Vec<String> {
        self.triggers
            .iter()
            .flat_map(|row| self.broken_by(row))
            .collect()
    }

    fn broken_by(&self, row: &Row) -> Vec<String> {
        let stored = self.carried + self.accepted + self.arrived;
        let read = row.before + row.seen + row.unread;
        let wanted = row.recovered + row.matched;
        let ended = row.delivered + row.dead_lettered + row.dropped_total() + row.pending;
        let sorted = row.filtered + row.matched;
        // The first law ends with a deleted Trigger's reading.
        let alive = row.state != "deleted";
        let laws = [
            (
                !alive || stored == read,
                format!("carried + accepted + arrived = {stored}, before + seen + unread = {read}"),
            ),
            (
                row.seen == sorted,
                format!("seen = {}, filtered + matched = {sorted}", row.seen),
            ),
            (
                wanted == ended,
                format!(
                    "recovered + matched = {wanted}, delivered + deadLettered + dropped + pending = {ended}"
                ),
            ),
        ];
        let whose = format!("{}/{} trigger {}", self.namespace, self.name, row.name);
        laws.into_iter()
            .filter(|(holds, _)| !holds)
            .map(|(_, what)| format!("{whose}: {what}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: &str = r#"{"items":[{"namespace":"default","name":"default","kind":"Broker",
        "channel":"log","settled":true,"carried":5000,"accepted":1000,"unheard":0,"arrived":0,
        "forwarded":0,"unmatched":12,"triggers":[{"name":"hello","uid":"u","state":"attached",
        "before":4990,"seen":1010,"filtered":900,"matched":110,"unread":0,"recovered":2,
        "delivered":100,"deadLettered":5,"dropped":{"retriesExhausted":1},"pending":6}]}],
        "continue":null}"#;

    fn account() -> Account {
        serde_json::from_str::<Page>(BOOKS).unwrap().items.remove(0)
    }

    #[test]
    fn books_in_order_break_no_law() {
        let account = account();
        assert_eq!(account.broken_laws(), Vec::<String>::new());
        assert!(!account.is_done(), "six are pending");
        assert_eq!(account.row("hello").unwrap().dropped_total(), 1);
    }

    #[test]
    fn each_law_is_noticed_when_broken() {
        let broken = |change: fn(&mut Account)| {
            let mut account = account();
            change(&mut account);
            account.broken_laws().len()
        };
        assert_eq!(broken(|account| account.accepted += 1), 1);
        assert_eq!(broken(|account| account.triggers[0].filtered += 1), 1);
        assert_eq!(broken(|account| account.triggers[0].delivered += 1), 1);
    }

    #[test]
    fn the_first_law_ends_with_a_deleted_trigger() {
        let mut account = account();
        account.triggers[0].state = "deleted".into();
        account.accepted += 1;
        assert_eq!(account.broken_laws(), Vec::<String>::new());
        assert!(account.row("hello").is_none());
    }
}
