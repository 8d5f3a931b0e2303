//! What changed between two routes of one Broker.

use std::sync::Arc;

use volley_spec::route::BrokerRoute;

use crate::core::Change;

/// The changes that lead from `old` to `new`, deletions first.
pub(super) fn changes(old: Option<&BrokerRoute>, new: &BrokerRoute) -> Vec<Change> {
    let known = |uid| old.and_then(|old| old.triggers.get(uid));
    let gone = old
        .into_iter()
        .flat_map(|old| old.triggers.keys())
        .filter(|uid| !new.triggers.contains_key(uid));
    let gone = gone.map(|uid| Change::Remove(uid.as_u128()));
    let changed = new.triggers.iter().filter(|(uid, route)| {
        known(uid).is_none_or(|before| !Arc::ptr_eq(before, route) && before != *route)
    });
    gone.chain(changed.map(|(_, route)| Change::Upsert(Arc::clone(route))))
        .collect()
}
