//! Reading: the head, the catch-up passes, and single positions again.

use std::{sync::Arc, time::Duration};

use tracing::{error, warn};
use volley_channel::{Budget, Cursor, Position, ReadError, Span, Start, Stored};

use super::{Actor, Done};
use crate::core::{PASSES, STEPS};

/// One read of the head. The wait only bounds how long a dead cursor goes unnoticed.
const HEAD: Budget = Budget {
    events: 256,
    bytes: 4 << 20,
    wait: Duration::from_secs(60),
};
/// One read of a catch-up pass, besides what the head took since the one before it. It is done in
/// one go, so it is what others on the core wait for.
const PASS: Budget = Budget {
    events: 16,
    bytes: 1 << 20,
    wait: Duration::ZERO,
};
/// The most that one read of a catch-up pass takes.
const PASS_MOST: Budget = Budget {
    events: 1_024,
    bytes: 4 << 20,
    wait: Duration::ZERO,
};
/// How long after an error that names no pause the next read is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// The cursor of a catch-up pass, kept between its reads.
#[derive(Default)]
pub(super) struct PassReader {
    cursor: Option<Box<dyn Cursor>>,
    arrived: Arrived,
}

/// What the head took since a pass last read. The pass takes as much and some more: whoever is
/// behind would fall back ever further if producers had more turns of a busy core than the pass.
#[derive(Clone, Copy, Default)]
struct Arrived {
    events: usize,
    bytes: usize,
}

impl Arrived {
    fn note(&mut self, events: usize, bytes: usize) {
        self.events = self.events.saturating_add(events);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// How much the next read of a pass takes.
    fn budget(self) -> Budget {
        Budget {
            events: PASS
                .events
                .saturating_add(self.events)
                .min(PASS_MOST.events),
            bytes: PASS.bytes.saturating_add(self.bytes).min(PASS_MOST.bytes),
            ..PASS
        }
    }
}

impl Actor {
    pub(super) fn read_head(&mut self, mut cursor: Box<dyn Cursor>) {
        self.head = Some(Box::pin(async move {
            let span = cursor.next(HEAD).await;
            (cursor, span)
        }));
    }

    pub(super) async fn head_was_read(
        &mut self,
        mut cursor: Box<dyn Cursor>,
        span: Result<Span, ReadError>,
    ) {
        match span {
            Ok(span) => {
                let bytes = span.events.iter().map(|stored| stored.event.size()).sum();
                self.progress.read(bytes);
                for pass in &mut self.passes {
                    pass.arrived.note(span.events.len(), bytes);
                }
                self.core.listen(self.around.teller.tap.is_open());
                self.core.begin_read(span);
                while !self.core.read_on(STEPS) {
                    tokio::task::yield_now().await;
                }
                self.tell_read();
            }
            Err(ReadError::Truncated {
                first,
                first_ordinal,
            }) => {
                warn!(unit = %self.unit, %first, "the channel dropped events before they were read");
                self.core.truncated(first, first_ordinal);
                cursor.seek(first);
            }
            Err(ReadError::Corrupt { at }) => {
                error!(unit = %self.unit, %at, "a stored record is damaged; it is left out");
                self.core.skip(at);
                cursor.seek(at.following());
            }
            Err(ReadError::Gone) => {
                self.reading = false;
                return;
            }
            Err(error) => return self.read_head_later(cursor, &error),
        }
        if self.reading {
            self.read_head(cursor);
        }
    }

    fn read_head_later(&mut self, mut cursor: Box<dyn Cursor>, error: &ReadError) {
        warn!(unit = %self.unit, %error, "reading is tried again");
        let pause = pause_of(error);
        self.head = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let span = cursor.next(HEAD).await;
            (cursor, span)
        }));
    }

    /// Lets each catch-up pass that has work read on.
    pub(super) fn catch_up(&mut self) {
        for which in 0..PASSES {
            let Some(at) = self.core.wants_pass(which) else {
                continue;
            };
            let channel = Arc::clone(self.around.publisher.channel());
            let (unit, cursor) = (self.unit, self.passes[which].cursor.take());
            let budget = std::mem::take(&mut self.passes[which].arrived).budget();
            self.later(async move {
                let opened = match cursor {
                    Some(cursor) => Ok(cursor),
                    None => channel.open(unit, Start::At(at)).await,
                };
                match opened {
                    Ok(mut cursor) => {
                        cursor.seek(at);
                        let span = cursor.next(budget).await;
                        Done::Pass(which, Some(cursor), span)
                    }
                    Err(error) => Done::Pass(which, None, Err(error)),
                }
            });
        }
    }

    pub(super) fn pass_was_read(
        &mut self,
        which: usize,
        cursor: Option<Box<dyn Cursor>>,
        span: Result<Span, ReadError>,
    ) {
        self.passes[which].cursor = cursor;
        match span {
            Ok(span) => {
                self.handled += span.events.len();
                self.core.caught_up(which, span);
            }
            Err(ReadError::Truncated {
                first,
                first_ordinal,
            }) => {
                self.core.pass_failed(which);
                self.core.truncated(first, first_ordinal);
            }
            Err(ReadError::Corrupt { at }) => {
                self.core.pass_failed(which);
                self.core.skip(at);
            }
            Err(error) => {
                warn!(unit = %self.unit, %error, "catching up is tried again");
                let pause = pause_of(&error);
                // The pass stays marked as reading until the pause is over.
                self.later(async move {
                    tokio::time::sleep(pause).await;
                    Done::Pass(which, None, Ok(Span::default()))
                });
            }
        }
    }

    /// Reads the bodies again that are no longer near.
    pub(super) fn read_again(&mut self) {
        let at = self.core.take_fetch();
        if at.is_empty() {
            return;
        }
        let channel = Arc::clone(self.around.publisher.channel());
        let unit = self.unit;
        self.later(async move {
            let found = channel.fetch(unit, &at).await;
            if let Err(error) = &found {
                tokio::time::sleep(pause_of(error)).await;
            }
            Done::Fetched(at, found)
        });
    }

    pub(super) fn was_fetched(
        &mut self,
        at: &[Position],
        found: Result<Vec<Option<Stored>>, ReadError>,
    ) {
        match found {
            Ok(found) => {
                self.handled += found.len();
                self.core.fetched(at, found);
            }
            Err(ReadError::Gone) => self.core.fetched(at, Vec::new()),
            Err(_) => self.core.fetch_failed(at),
        }
    }
}

fn pause_of(error: &ReadError) -> Duration {
    match error {
        ReadError::Down { retry_after, .. } => *retry_after,
        _ => PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_takes_more_than_the_head_did_but_not_without_bound() {
        let mut arrived = Arrived::default();
        assert_eq!(arrived.budget(), PASS);
        arrived.note(64, 64 << 10);
        arrived.note(64, 64 << 10);
        let budget = arrived.budget();
        assert_eq!(
            (budget.events, budget.bytes),
            (144, (1 << 20) + (128 << 10))
        );
        arrived.note(usize::MAX, usize::MAX);
        assert_eq!(arrived.budget(), PASS_MOST);
    }
}
