//! A reader of the pretended backend.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{lies::Lie, pretend::Storage};
use crate::{Budget, Cursor, Fut, Position, ReadError, Span};

/// Memory's cursor, and what the lie makes of it.
pub(super) struct PretendCursor {
    inner: Box<dyn Cursor>,
    storage: Arc<Storage>,
    reads: u64,
    at: Position,
}

impl PretendCursor {
    pub(super) fn new(inner: Box<dyn Cursor>, storage: Arc<Storage>) -> Self {
        Self {
            inner,
            storage,
            reads: 0,
            at: Position(0),
        }
    }

    async fn read(&mut self, budget: Budget) -> Result<Span, ReadError> {
        self.reads += 1;
        if self.storage.down.load(Ordering::Acquire) {
            if self.storage.lie == Lie::ForgetsItsPlace {
                self.inner.seek(Position(self.at.0 + 3));
            }
            return Err(ReadError::Down {
                retry_after: Duration::from_millis(100),
                reason: "pretended".into(),
            });
        }
        let mut span = match self.storage.lie {
            Lie::SharedPlace => self.read_shared(budget).await?,
            // Late after every event: one that comes late only where the read is young may never
            // be seen, as the contract draws its pauses.
            Lie::WakesLate => {
                let span = self.inner.next(budget).await?;
                sleep(Duration::from_millis(90)).await;
                span
            }
            Lie::NotCancelSafe => {
                let span = self.inner.next(budget).await?;
                sleep(Duration::from_micros(500)).await;
                span
            }
            Lie::IgnoresEvents => {
                self.inner
                    .next(Budget {
                        events: 1_000,
                        ..budget
                    })
                    .await?
            }
            Lie::IgnoresBytes => {
                self.inner
                    .next(Budget {
                        bytes: usize::MAX,
                        ..budget
                    })
                    .await?
            }
            Lie::SkipsTruncated => self.read_over(budget).await?,
            _ => self.inner.next(budget).await?,
        };
        match self.storage.lie {
            Lie::Skips if span.events.len() > 3 => drop(span.events.remove(2)),
            Lie::WrongOrdinals => span
                .events
                .iter_mut()
                .for_each(|stored| stored.ordinal = stored.position.0),
            Lie::ForgetsTime => span
                .events
                .iter_mut()
                .for_each(|stored| stored.at_ms = u64::MAX - stored.ordinal),
            _ => {}
        }
        self.at = span.next;
        Ok(span)
    }

    async fn read_shared(&mut self, budget: Budget) -> Result<Span, ReadError> {
        let place = *self.storage.shared.lock().unwrap();
        self.inner.seek(place);
        let span = self.inner.next(budget).await?;
        *self.storage.shared.lock().unwrap() = span.next;
        Ok(span)
    }

    async fn read_over(&mut self, budget: Budget) -> Result<Span, ReadError> {
        match self.inner.next(budget).await {
            Err(ReadError::Truncated { first, .. }) => {
                self.inner.seek(first);
                self.inner.next(budget).await
            }
            other => other,
        }
    }
}

impl Cursor for PretendCursor {
    fn next(&mut self, budget: Budget) -> Fut<'_, Result<Span, ReadError>> {
        Box::pin(self.read(budget))
    }

    fn seek(&mut self, to: Position) {
        if self.storage.lie != Lie::NeverBack || to >= self.at {
            self.at = to;
            self.inner.seek(to);
        }
    }
}
