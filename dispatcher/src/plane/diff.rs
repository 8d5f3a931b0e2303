//! What changed between two routes of one Broker.

use std::sync::Arc;

use volley_spec::route::{BrokerRoute, Table};

use crate::core::Change;

/// What changes in a Broker.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Triggers that come.
    pub(super) arrivals: Vec<Change>,
    /// Triggers that go, and then those that change.
    pub(super) rest: Vec<Change>,
}

/// The changes that lead from `old` to `new`.
pub(super) fn changes(old: &BrokerRoute, new: &BrokerRoute) -> Changes {
    let found = differences(&old.triggers, &new.triggers);
    let gone = found.gone.into_iter().map(Change::Remove);
    let changed = found.changed.into_iter().map(Change::Upsert);
    Changes {
        arrivals: found.new.into_iter().map(Change::Upsert).collect(),
        rest: gone.chain(changed).collect(),
    }
}

/// All Triggers of a Broker, for a unit that knows none yet.
pub(super) fn all(new: &BrokerRoute) -> Vec<Change> {
    let triggers = new.triggers.values();
    triggers.map(|it| Change::Upsert(Arc::clone(it))).collect()
}

#[derive(Debug, PartialEq)]
struct Differences<T> {
    gone: Vec<u128>,
    changed: Vec<Arc<T>>,
    new: Vec<Arc<T>>,
}

fn differences<T: PartialEq>(old: &Table<T>, new: &Table<T>) -> Differences<T> {
    let mut found = Differences {
        gone: Vec::new(),
        changed: Vec::new(),
        new: Vec::new(),
    };
    for pair in old.differences(new) {
        match pair {
            (Some((_, before)), Some((_, now))) if before == now => {}
            (Some(_), Some((_, now))) => found.changed.push(Arc::clone(now)),
            (None, Some((_, now))) => found.new.push(Arc::clone(now)),
            (before, None) => found.gone.extend(before.map(|(uid, _)| uid.as_u128())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_declared_anew_and_the_same_has_not_changed() {
        let table = |values: &[(u128, u8)]| -> Table<u8> {
            let of = |(uid, value): &(u128, u8)| (Uuid::from_u128(*uid), Arc::new(*value));
            values.iter().map(of).collect()
        };
        let old = table(&[(1, 1), (2, 1), (3, 1)]);
        let new = table(&[(2, 1), (3, 2), (4, 1)]);
        let wanted = Differences {
            gone: vec![1],
            changed: vec![Arc::new(2)],
            new: vec![Arc::new(1)],
        };
        assert_eq!(differences(&old, &new), wanted);
    }
}
