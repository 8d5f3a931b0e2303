//! Lines that are served round robin by namespace.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// A line that is served round robin by namespace.
#[derive(Debug)]
pub(super) struct Line<T> {
    turns: VecDeque<Arc<str>>,
    waiting: BTreeMap<Arc<str>, VecDeque<T>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> Line<T> {
    pub(super) fn push(&mut self, namespace: &Arc<str>, one: T) {
        let queue = self.waiting.entry(Arc::clone(namespace)).or_default();
        if queue.is_empty() {
            self.turns.push_back(Arc::clone(namespace));
        }
        queue.push_back(one);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let namespace = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        next
    }
}
