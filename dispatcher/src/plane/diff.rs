//! What changed between two routes of one Broker.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use uuid::Uuid;
use volley_spec::route::BrokerRoute;

use crate::core::Change;

/// The changes that lead from `old` to `new`, deletions first.
pub(super) fn changes(old: Option<&BrokerRoute>, new: &BrokerRoute) -> Vec<Change> {
    let none = BTreeMap::new();
    let old = old.map_or(&none, |old| &old.triggers);
    let (gone, changed) = differences(old, &new.triggers);
    let gone = gone.into_iter().map(Change::Remove);
    let changed = changed.into_iter().map(Change::Upsert);
    gone.chain(changed).collect()
}

/// What is gone, and what is new or other than it was.
///
/// Both are walked side by side, since both are in order: of a million one has changed as a rule,
/// and to look up each of the others would take most of the time of its change.
fn differences<T: PartialEq>(
    old: &BTreeMap<Uuid, Arc<T>>,
    new: &BTreeMap<Uuid, Arc<T>>,
) -> (Vec<u128>, Vec<Arc<T>>) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let (mut gone, mut changed) = (Vec::new(), Vec::new());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (gone, changed),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((was, _)), Some((is, _))) => was.cmp(is),
        };
        let before = old.next_if(|_| order.is_le());
        let now = new.next_if(|_| order.is_ge());
        match (before, now) {
            (Some((_, before)), Some((_, now))) if Arc::ptr_eq(before, now) || before == now => {}
            (_, Some((_, now))) => changed.push(Arc::clone(now)),
            (before, None) => gone.extend(before.map(|(uid, _)| uid.as_u128())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_by_walking_as_by_looking_up() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut some = || -> BTreeMap<Uuid, Arc<u8>> {
                let uids = (0..12).filter(|_| rng.bool()).collect::<Vec<u128>>();
                let of = |uid| (Uuid::from_u128(uid), Arc::new(rng.u8(0..2)));
                uids.into_iter().map(of).collect()
            };
            let (old, new) = (some(), some());
            let gone = old.keys().filter(|uid| !new.contains_key(uid));
            let changed = new.iter().filter(|(uid, now)| old.get(uid) != Some(now));
            let looked_up = (
                gone.map(Uuid::as_u128).collect(),
                changed.map(|(_, now)| Arc::clone(now)).collect(),
            );
            assert_eq!(differences(&old, &new), looked_up, "seed {seed}");
        }
    }
}
