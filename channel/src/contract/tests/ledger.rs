//! The ledger of the pretended backend.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{
    lies::Lie,
    pretend::{Storage, other},
};
use crate::{Channel as _, Claim, Epoch, Fut, Ledger, LedgerError, NodeId, Side, Unit};

/// Memory's ledger, and what the lie makes of it.
pub(super) struct PretendLedger {
    storage: Arc<Storage>,
    newest: Mutex<Option<Epoch>>,
}

impl PretendLedger {
    pub(super) fn new(storage: Arc<Storage>) -> Self {
        Self {
            storage,
            newest: Mutex::default(),
        }
    }

    fn inner(&self) -> &dyn Ledger {
        self.storage.memory.ledger()
    }

    /// The epoch that a write is taken for.
    fn epoch(&self, epoch: Epoch) -> Epoch {
        let newest = *self.newest.lock().unwrap();
        newest
            .filter(|_| self.storage.lie == Lie::NoFencing)
            .unwrap_or(epoch)
    }
}

impl Ledger for PretendLedger {
    fn claim(&self, unit: Unit, me: NodeId) -> Fut<'_, Result<Claim, LedgerError>> {
        Box::pin(async move {
            let mut claim = self.inner().claim(unit, me).await?;
            *self.newest.lock().unwrap() = Some(claim.epoch);
            match self.storage.lie {
                Lie::ImageDiffers => claim.image = claim.image.as_ref().map(other),
                Lie::LosesDeltas => claim.deltas.truncate(2),
                _ => {}
            }
            Ok(claim)
        })
    }

    fn append(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Fut<'_, Result<(), LedgerError>> {
        self.inner().append(unit, self.epoch(epoch), delta)
    }

    fn write(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: Bytes,
        side: Vec<Side>,
    ) -> Fut<'_, Result<(), LedgerError>> {
        let epoch = self.epoch(epoch);
        Box::pin(async move {
            if self.storage.lie == Lie::ImageFirst {
                self.inner()
                    .write(unit, epoch, image.clone(), Vec::new())
                    .await?;
            }
            let gone: Vec<Side> = side
                .iter()
                .filter(|(_, value)| value.is_none())
                .cloned()
                .collect();
            if self.storage.lie == Lie::RemovesFirst {
                let before = Bytes::from_static(b"old");
                self.inner().write(unit, epoch, before, gone).await?;
            }
            self.inner().write(unit, epoch, image, side).await
        })
    }
}
