//! What changed between two routes of one Broker.

use std::sync::Arc;

use volley_spec::route::{BrokerRoute, Table};

use crate::core::Change;

/// The changes that lead from `old` to `new`, deletions first.
pub(super) fn changes(old: Option<&BrokerRoute>, new: &BrokerRoute) -> Vec<Change> {
    let none = Table::default();
    let old = old.map_or(&none, |old| &old.triggers);
    let (gone, changed) = differences(old, &new.triggers);
    let gone = gone.into_iter().map(Change::Remove);
    let changed = changed.into_iter().map(Change::Upsert);
    gone.chain(changed).collect()
}

/// What is gone, and what is new or other than it was.
fn differences<T: PartialEq>(old: &Table<T>, new: &Table<T>) -> (Vec<u128>, Vec<Arc<T>>) {
    let (mut gone, mut changed) = (Vec::new(), Vec::new());
    for pair in old.differences(new) {
        match pair {
            (Some((_, before)), Some((_, now))) if before == now => {}
            (_, Some((_, now))) => changed.push(Arc::clone(now)),
            (before, None) => gone.extend(before.map(|(uid, _)| uid.as_u128())),
        }
    }
    (gone, changed)
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
        let (gone, changed) = differences(&old, &new);
        assert_eq!(gone, [1]);
        assert_eq!(changed, [Arc::new(2), Arc::new(1)]);
    }
}
