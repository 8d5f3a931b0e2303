//! The books of deleted Brokers: a row each, with their Triggers, and one row for the oldest.

use std::{collections::VecDeque, sync::Arc};

use volley_channel::Tally;
use volley_spec::report::{BrokerAccount, BrokerPhase, OTHER, TriggerAccount, TriggerPhase};

/// How many deleted Brokers keep books of their own.
const MOST_BROKERS: usize = 1_024;
/// How many rows their Triggers keep between them, besides one a Broker.
const MOST_TRIGGERS: usize = 4_096;

/// The books of deleted Brokers.
///
/// Nothing that was counted is ever lost. Where there are too many rows of Triggers, those of the
/// Broker that was deleted first become one; where there are too many Brokers, so do these. Both
/// are called [`OTHER`].
#[derive(Debug, Default)]
pub(super) struct Graves {
    others: Option<BrokerAccount>,
    accounts: VecDeque<Grave>,
}

/// The books of one.
#[derive(Debug)]
struct Grave {
    account: BrokerAccount,
    /// What was under way to it when it was deleted may be stored, and is counted, after that.
    tally: Arc<Tally>,
}

impl Grave {
    fn account(&self) -> BrokerAccount {
        BrokerAccount {
            accepted: self.tally.accepted(),
            unheard: self.tally.unheard(),
            ..self.account.clone()
        }
    }
}

impl Graves {
    /// Adds the books of a Broker that was deleted just now.
    pub(super) fn push(&mut self, account: BrokerAccount, tally: Arc<Tally>) {
        let account = BrokerAccount {
            state: BrokerPhase::Deleted,
            ..account
        };
        self.accounts.push_back(Grave { account, tally });
        let each = |grave: &Grave| grave.account.triggers.len();
        let mut rows: usize = self.accounts.iter().map(each).sum();
        for Grave { account, .. } in &mut self.accounts {
            if rows <= MOST_TRIGGERS {
                break;
            }
            rows -= account.triggers.len().saturating_sub(1);
            fold(&mut account.triggers);
        }
        if self.accounts.len() > MOST_BROKERS
            && let Some(oldest) = self.accounts.pop_front()
        {
            let oldest = oldest.account();
            match &mut self.others {
                None => self.others = Some(nameless(oldest)),
                Some(others) => add_account(others, oldest),
            }
        }
    }

    /// The books of each, the oldest first.
    pub(super) fn accounts(&self) -> Vec<BrokerAccount> {
        let each = self.accounts.iter().map(Grave::account);
        self.others.iter().cloned().chain(each).collect()
    }
}

/// Makes one row of all.
fn fold(rows: &mut Vec<TriggerAccount>) {
    let mut each = std::mem::take(rows).into_iter();
    let Some(mut sum) = each.next() else { return };
    each.for_each(|row| sum.add(&row));
    rows.push(TriggerAccount {
        name: OTHER.to_owned(),
        uid: String::new(),
        state: TriggerPhase::Deleted,
        ..sum
    });
}

fn nameless(mut account: BrokerAccount) -> BrokerAccount {
    fold(&mut account.triggers);
    BrokerAccount {
        namespace: OTHER.to_owned(),
        name: OTHER.to_owned(),
        uid: String::new(),
        ..account
    }
}

fn add_account(sum: &mut BrokerAccount, mut other: BrokerAccount) {
    sum.settled &= other.settled;
    sum.carried += other.carried;
    sum.accepted += other.accepted;
    sum.unheard += other.unheard;
    sum.arrived += other.arrived;
    sum.forwarded += other.forwarded;
    sum.unmatched += other.unmatched;
    sum.orphans += other.orphans;
    sum.triggers.append(&mut other.triggers);
    fold(&mut sum.triggers);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt as _;
    use volley_channel::{
        Channel as _, Class, Clock, PoolId, PoolSpec, Publisher, Put, Retention,
        memory::{MemoryChannel, MemoryOptions},
    };
    use volley_event::Event;

    use super::*;

    fn trigger(name: usize) -> TriggerAccount {
        TriggerAccount {
            name: name.to_string(),
            uid: name.to_string(),
            state: TriggerPhase::Deleted,
            before: 0,
            seen: 4,
            filtered: 1,
            matched: 3,
            unread: 0,
            recovered: 0,
            delivered: 1,
            dead_lettered: 0,
            dropped: BTreeMap::from([("deleted", 2)]),
            pending: 0,
            filter_errors: 0,
            oldest_ms: 0,
        }
    }

    fn account(name: usize, triggers: usize) -> BrokerAccount {
        BrokerAccount {
            namespace: "default".to_owned(),
            name: name.to_string(),
            kind: "Broker",
            uid: name.to_string(),
            state: BrokerPhase::Live,
            channel: "memory",
            settled: true,
            carried: 0,
            accepted: 4,
            unheard: 0,
            arrived: 0,
            forwarded: 0,
            unmatched: 0,
            orphans: 0,
            triggers: (0..triggers).map(trigger).collect(),
        }
    }

    /// Stores events in a Broker's pool; where it is counted.
    fn store(publisher: &Publisher, events: usize) -> Arc<Tally> {
        let tally = publisher.tally(PoolId(1));
        let event = Event::builder().id("1").source("/s").kind("a");
        let event = event.build().expect("a valid event");
        let put = Put {
            pool: PoolId(1),
            key: None,
            dedupe: None,
            class: Class::Producer,
            origin: None,
            event,
        };
        let stored = publisher.publish(&tally, vec![put; events]);
        stored.now_or_never().expect("memory never waits");
        tally
    }

    fn publisher() -> Publisher {
        let options = MemoryOptions::new(1 << 20, Clock::simulated(0));
        let channel = MemoryChannel::new(options);
        let pool = PoolSpec {
            pool: PoolId(1),
            name: "test".to_owned(),
            parts: 1,
            retention: Retention::default(),
        };
        let made = channel.prepare(&pool).now_or_never();
        made.expect("memory never waits").expect("it is made");
        Publisher::new(channel)
    }

    #[test]
    fn what_is_stored_after_its_broker_was_deleted_is_counted() {
        let (mut graves, publisher) = (Graves::default(), publisher());
        graves.push(account(0, 1), store(&publisher, 4));
        store(&publisher, 2).add_unheard(1);
        let accounts = graves.accounts();
        assert_eq!((accounts[0].accepted, accounts[0].unheard), (6, 1));
    }

    fn sums(accounts: &[BrokerAccount]) -> [u64; 4] {
        let rows = || accounts.iter().flat_map(|account| &account.triggers);
        [
            accounts.iter().map(|account| account.accepted).sum(),
            rows().map(|row| row.matched).sum(),
            rows().map(|row| row.delivered).sum(),
            rows().map(|row| row.dropped["deleted"]).sum(),
        ]
    }

    #[test]
    fn the_books_of_deleted_brokers_are_bounded_and_no_count_is_lost() {
        let mut graves = Graves::default();
        let (brokers, triggers) = (2 * MOST_BROKERS, 5);
        let tally = store(&publisher(), 4);
        for name in 0..brokers {
            graves.push(account(name, triggers), Arc::clone(&tally));
        }
        let accounts = graves.accounts();
        assert_eq!(accounts.len(), MOST_BROKERS + 1);
        let rows: usize = accounts.iter().map(|account| account.triggers.len()).sum();
        assert!(rows <= MOST_BROKERS + MOST_TRIGGERS, "{rows}");
        assert_eq!(accounts[0].name, OTHER);
        assert_eq!(accounts[1].triggers.len(), 1);
        assert_eq!(accounts[1].triggers[0].name, OTHER);
        let last = accounts.last().expect("the newest");
        assert_eq!(
            (last.triggers.len(), last.state),
            (triggers, BrokerPhase::Deleted)
        );
        let (brokers, rows) = (brokers as u64, (brokers * triggers) as u64);
        assert_eq!(sums(&accounts), [4 * brokers, 3 * rows, rows, 2 * rows]);
        for row in accounts.iter().flat_map(|account| &account.triggers) {
            assert_eq!(row.seen, row.filtered + row.matched);
            assert_eq!(row.matched, row.delivered + row.dropped["deleted"]);
        }
    }

    #[test]
    fn a_single_broker_with_very_many_triggers_is_one_row() {
        let mut graves = Graves::default();
        let tally = store(&publisher(), 4);
        graves.push(account(0, MOST_TRIGGERS + 1), Arc::clone(&tally));
        let accounts = graves.accounts();
        assert_eq!(accounts[0].triggers.len(), 1);
        assert_eq!(sums(&accounts)[1], 3 * (MOST_TRIGGERS as u64 + 1));
    }
}
