//! Reading: the head, the catch-up passes, and single positions again.

use std::{sync::Arc, time::Duration};

use tracing::{error, warn};
use volley_channel::{Budget, Cursor, Position, ReadError, Span, Start, Stored};

use super::{Actor, Done};
use crate::core::PASSES;

/// One read of the head. The wait only bounds how long a dead cursor goes unnoticed.
const HEAD: Budget = Budget {
    events: 256,
    bytes: 4 << 20,
    wait: Duration::from_secs(60),
};
/// One read of a catch-up pass. It is done in one go, so it is what others on the core wait for.
const PASS: Budget = Budget {
    events: 16,
    bytes: 1 << 20,
    wait: Duration::ZERO,
};
/// How long after an error that names no pause the next read is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// The cursor of a catch-up pass, kept between its reads.
#[derive(Default)]
pub(super) struct PassReader {
    cursor: Option<Box<dyn Cursor>>,
}

impl Actor {
    pub(super) fn read_head(&mut self, mut cursor: Box<dyn Cursor>) {
        self.head = Some(Box::pin(async move {
            let span = cursor.next(HEAD).await;
            (cursor, span)
        }));
    }

    pub(super) fn head_was_read(
        &mut self,
        mut cursor: Box<dyn Cursor>,
        span: Result<Span, ReadError>,
    ) {
        match span {
            Ok(span) => {
                self.progress
                    .read(span.events.iter().map(|stored| stored.event.size()).sum());
                self.core.listen(self.around.teller.tap.is_open());
                self.core.read(span);
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
            self.later(async move {
                let opened = match cursor {
                    Some(cursor) => Ok(cursor),
                    None => channel.open(unit, Start::At(at)).await,
                };
                match opened {
                    Ok(mut cursor) => {
                        cursor.seek(at);
                        let span = cursor.next(PASS).await;
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
