//! Which path leads to which Broker.

use std::{collections::HashMap, sync::Arc};

use super::{Door, path};

/// The Brokers that can be posted to, by path. Made anew whenever they change.
#[derive(Debug, Default, Clone)]
pub struct RoutingTable {
    /// Only looked up, never walked: its order decides nothing.
    by_path: HashMap<Box<str>, Arc<Door>>,
    /// The same doors in the order of namespace and name.
    doors: Vec<Arc<Door>>,
}

impl RoutingTable {
    /// The table of these Brokers. Of two with one path the later one counts.
    pub fn new(doors: impl IntoIterator<Item = Arc<Door>>) -> Self {
        let mut by_path = HashMap::new();
        for door in doors {
            by_path.insert(
                format!("/{}/{}", door.namespace(), door.name()).into(),
                door,
            );
        }
        let mut doors: Vec<_> = by_path.values().cloned().collect();
        doors.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Self { by_path, doors }
    }

    /// All doors, in the order of namespace and name.
    pub fn doors(&self) -> &[Arc<Door>] {
        &self.doors
    }

    /// The Broker behind a path, with or without one trailing slash.
    pub(super) fn find(&self, target: &str) -> Option<&Arc<Door>> {
        self.by_path.get(path::without_slash(target))
    }
}
