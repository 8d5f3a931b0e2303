//! A reader of a unit in memory.

use std::sync::Arc;

use super::part::Part;
use crate::{Budget, Cursor, Fut, Position, ReadError, Span};

/// A place in a ring. Holds nothing back: what is freed under it is reported as truncated.
#[derive(Debug)]
pub(super) struct RingCursor {
    part: Arc<Part>,
    at: Position,
}

impl RingCursor {
    /// A reader of `part` that begins at `at`.
    pub(super) fn new(part: Arc<Part>, at: Position) -> Self {
        Self { part, at }
    }

    async fn read(&mut self, budget: Budget) -> Result<Span, ReadError> {
        let mut span = self.part.read(self.at, budget)?;
        if span.events.is_empty() && !budget.wait.is_zero() {
            // Whether the wait ended or was cut short, the following look says what there is.
            // Dropped in the wait, nothing has moved.
            let (Ok(()) | Err(_)) =
                tokio::time::timeout(budget.wait, self.part.wait(self.at)).await;
            span = self.part.read(self.at, budget)?;
        }
        self.at = span.next;
        Ok(span)
    }
}

impl Cursor for RingCursor {
    fn next(&mut self, budget: Budget) -> Fut<'_, Result<Span, ReadError>> {
        Box::pin(self.read(budget))
    }

    fn seek(&mut self, to: Position) {
        self.at = to;
    }
}
