//! The ledger over the log: progress rides in the same commits as events.
//!
//! A write is one record after the other, side records first, then the image, removals last. They
//! mostly share a frame, and a frame counts whole or not at all; where they don't, their order is
//! the one that a reader relies on.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    commit::{Commit, Committed, Outcome},
    progress::Effect,
    shared::Shared,
    state::{RETRY_AFTER, State},
};
use crate::{
    Claim, Epoch, Fut, Ledger, LedgerError, NodeId, PublishError, Side, Unit,
    planted::{self, Planted},
};

/// How long a delta waits for a commit that is made anyway. A crash within it repeats deliveries.
const PATIENCE: Duration = Duration::from_millis(5);

/// Progress in the log.
#[derive(Debug)]
pub(super) struct LogLedger {
    shared: Arc<Shared>,
    max_image: usize,
}

impl LogLedger {
    pub(super) fn new(shared: Arc<Shared>, max_image: usize) -> Self {
        Self { shared, max_image }
    }

    fn fits(&self, value: &Bytes) -> Result<(), LedgerError> {
        let (size, limit) = (value.len(), self.max_image);
        if size > limit {
            return Err(LedgerError::TooLarge { size, limit });
        }
        Ok(())
    }

    async fn claim_now(&self, unit: Unit, me: NodeId) -> Result<Claim, LedgerError> {
        let claim = |state: &mut State| {
            let (number, found) = state.unit(unit).ok_or(LedgerError::Fenced)?;
            let epoch = found.progress.next_epoch(me);
            Ok(((number, epoch), Effect::Claim(number, epoch)))
        };
        let ((number, epoch), commit) = self.shared.write(claim, refused).await?;
        finished(commit).await?;
        let state = self.shared.state();
        let progress = &state
            .units
            .get(&number)
            .ok_or(LedgerError::Fenced)?
            .progress;
        let side = progress
            .side
            .iter()
            .map(|(key, value)| (*key, value.clone()));
        Ok(Claim {
            epoch,
            image: progress.image.clone(),
            side: side.collect(),
            deltas: progress.deltas.clone(),
        })
    }

    async fn append_now(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Result<(), LedgerError> {
        self.fits(&delta)?;
        let append = |state: &mut State| {
            let (number, held) = owned(state, unit, epoch)?;
            if held.saturating_add(delta.len()) > self.max_image {
                // Nothing grows without bound: an image makes the deltas void.
                return Err(down("too many deltas since the last image; write an image"));
            }
            Ok(((), Effect::Delta(number, delta.clone())))
        };
        let ((), commit) = self.shared.write(append, refused).await?;
        let mut joined = pin!(finished(Arc::clone(&commit)));
        match tokio::time::timeout(PATIENCE, &mut joined).await {
            Ok(answer) => answer,
            Err(_) => {
                self.shared.hurry(&commit);
                joined.await
            }
        }
    }

    async fn write_now(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: Bytes,
        side: Vec<Side>,
    ) -> Result<(), LedgerError> {
        self.fits(&image)?;
        for value in side.iter().filter_map(|(_, value)| value.as_ref()) {
            self.fits(value)?;
        }
        let (removed, written): (Vec<_>, Vec<_>) =
            side.into_iter().partition(|(_, value)| value.is_none());
        let number = owned(&self.shared.state(), unit, epoch)?.0;
        let sides = written
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| Effect::Side(number, key, value)));
        let image = std::iter::once(Effect::Image(number, image));
        let removals = removed
            .into_iter()
            .map(|(key, _)| Effect::Unside(number, key));
        let mut commits: Vec<Arc<Commit>> = Vec::new();
        for effect in sides.chain(image).chain(removals) {
            let write = |state: &mut State| {
                owned(state, unit, epoch)?;
                Ok(((), effect.clone()))
            };
            let ((), commit) = self.shared.write(write, refused).await?;
            if commits
                .last()
                .is_none_or(|last| !Arc::ptr_eq(last, &commit))
            {
                commits.push(commit);
            }
        }
        for commit in commits {
            finished(commit).await?;
        }
        Ok(())
    }
}

/// The number of a unit that `epoch` still owns, and the bytes of its deltas.
fn owned(state: &State, unit: Unit, epoch: Epoch) -> Result<(u32, usize), LedgerError> {
    let (number, found) = state.unit(unit).ok_or(LedgerError::Fenced)?;
    if found.progress.is_owned_by(epoch) {
        Ok((number, found.progress.delta_bytes))
    } else {
        Err(LedgerError::Fenced)
    }
}

async fn finished(commit: Arc<Commit>) -> Result<(), LedgerError> {
    if planted::is(Planted::LedgerAnswersEarly) {
        return Ok(());
    }
    match Committed::of(commit).await {
        Outcome::Done => Ok(()),
        Outcome::Refused(reason) | Outcome::Unknown(reason) => Err(down(&reason)),
    }
}

fn refused(error: PublishError) -> LedgerError {
    match error {
        PublishError::Down {
            retry_after,
            reason,
        } => LedgerError::Down {
            retry_after,
            reason,
        },
        other => down(&other.to_string()),
    }
}

fn down(reason: &str) -> LedgerError {
    LedgerError::Down {
        retry_after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

impl Ledger for LogLedger {
    fn claim(&self, unit: Unit, me: NodeId) -> Fut<'_, Result<Claim, LedgerError>> {
        Box::pin(self.claim_now(unit, me))
    }

    fn append(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(self.append_now(unit, epoch, delta))
    }

    fn write(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: Bytes,
        side: Vec<Side>,
    ) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(self.write_now(unit, epoch, image, side))
    }
}
