//! Progress in memory: a full ledger with fencing, for the model, the suite and memory Brokers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;

use crate::{Claim, Epoch, Fut, Ledger, LedgerError, NodeId, PoolId, Side, SideKey, Unit};

/// A ledger that lives as long as its channel.
///
/// Every change is a *step*: it happens whole or not at all, as on a disk. With the feature
/// `contract` a test can cut the ledger off between any two steps.
#[derive(Debug)]
pub(super) struct MemoryLedger {
    max_image: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<Unit, Progress>,
    /// Steps until the ledger is cut off, if it is to be.
    steps_left: Option<u64>,
}

#[derive(Debug, Default)]
struct Progress {
    epoch: Option<Epoch>,
    image: Option<Bytes>,
    side: BTreeMap<SideKey, Bytes>,
    deltas: Vec<Bytes>,
    delta_bytes: usize,
}

impl MemoryLedger {
    /// An empty ledger that stores values of up to `max_image` bytes.
    pub(super) fn new(max_image: usize) -> Self {
        Self {
            max_image,
            state: Mutex::default(),
        }
    }

    /// Makes a place for each of `units`.
    pub(super) fn open(&self, units: &[Unit]) {
        let mut state = self.state();
        for unit in units {
            state.units.entry(*unit).or_default();
        }
    }

    /// Forgets a pool: what is written about it from now on is fenced.
    pub(super) fn forget(&self, pool: PoolId) {
        self.state().units.retain(|unit, _| unit.pool != pool);
    }

    /// After `steps` more steps every call fails until [`mend`](Self::mend).
    #[cfg(any(test, feature = "contract"))]
    pub(super) fn cut_after(&self, steps: u64) {
        self.state().steps_left = Some(steps);
    }

    /// Takes calls again, with what was written before the cut.
    #[cfg(any(test, feature = "contract"))]
    pub(super) fn mend(&self) {
        self.state().steps_left = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the ledger")
    }

    fn claim_now(&self, unit: Unit, me: NodeId) -> Result<Claim, LedgerError> {
        let mut state = self.state();
        if !state.units.contains_key(&unit) {
            return Err(LedgerError::Fenced);
        }
        state.step()?;
        let progress = state.units.entry(unit).or_default();
        let number = progress.epoch.map_or(0, |epoch| epoch.number) + 1;
        let epoch = Epoch { number, owner: me };
        progress.epoch = Some(epoch);
        Ok(Claim {
            epoch,
            image: progress.image.clone(),
            side: progress
                .side
                .iter()
                .map(|(key, value)| (*key, value.clone()))
                .collect(),
            deltas: progress.deltas.clone(),
        })
    }

    fn append_now(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Result<(), LedgerError> {
        self.fits(&delta)?;
        let mut state = self.state();
        let held = state.owned(unit, epoch)?.delta_bytes;
        if held.saturating_add(delta.len()) > self.max_image {
            // Nothing grows without bound: an image makes the deltas void.
            return Err(down("too many deltas since the last image; write an image"));
        }
        state.step()?;
        let progress = state.owned(unit, epoch)?;
        progress.delta_bytes += delta.len();
        progress.deltas.push(delta);
        Ok(())
    }

    fn write_now(
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
        let mut state = self.state();
        state.owned(unit, epoch)?;
        let (removed, written): (Vec<_>, Vec<_>) =
            side.into_iter().partition(|(_, value)| value.is_none());
        for (key, value) in written {
            state.step()?;
            state
                .owned(unit, epoch)?
                .side
                .extend(value.map(|value| (key, value)));
        }
        state.step()?;
        let progress = state.owned(unit, epoch)?;
        progress.image = Some(image);
        progress.deltas = Vec::new();
        progress.delta_bytes = 0;
        for (key, _) in removed {
            state.step()?;
            state.owned(unit, epoch)?.side.remove(&key);
        }
        Ok(())
    }

    fn fits(&self, value: &Bytes) -> Result<(), LedgerError> {
        if value.len() > self.max_image {
            return Err(LedgerError::TooLarge {
                size: value.len(),
                limit: self.max_image,
            });
        }
        Ok(())
    }
}

impl State {
    /// The progress of a unit, for its owner only.
    fn owned(&mut self, unit: Unit, epoch: Epoch) -> Result<&mut Progress, LedgerError> {
        let progress = self.units.get_mut(&unit).ok_or(LedgerError::Fenced)?;
        if progress.epoch == Some(epoch) {
            Ok(progress)
        } else {
            Err(LedgerError::Fenced)
        }
    }

    fn step(&mut self) -> Result<(), LedgerError> {
        match &mut self.steps_left {
            None => Ok(()),
            Some(0) => Err(down("the test has cut it off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

fn down(reason: &str) -> LedgerError {
    LedgerError::Down {
        retry_after: Duration::from_secs(1),
        reason: reason.to_owned(),
    }
}

impl Ledger for MemoryLedger {
    fn claim(&self, unit: Unit, me: NodeId) -> Fut<'_, Result<Claim, LedgerError>> {
        Box::pin(async move { self.claim_now(unit, me) })
    }

    fn append(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.append_now(unit, epoch, delta) })
    }

    fn write(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: Bytes,
        side: Vec<Side>,
    ) -> Fut<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.write_now(unit, epoch, image, side) })
    }
}
