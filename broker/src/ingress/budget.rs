//! How many bytes of request bodies are read at once, over all connections.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Room for bodies, in bytes. Given out in the order of asking.
#[derive(Debug)]
pub(super) struct Budget {
    room: Arc<Semaphore>,
    whole: u32,
}

/// A body's part of the budget; gives it back when dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let whole = u32::try_from(bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            room: Arc::new(Semaphore::new(whole as usize)),
            whole,
        }
    }

    /// Adds `bytes` to `held`, waiting up to `patience`. False: there was no room in time.
    ///
    /// A body larger than the whole budget takes all of it, so that it can be read at all.
    pub(super) async fn add(&self, held: &mut Held, bytes: usize, patience: Duration) -> bool {
        let most = (self.whole as usize).saturating_sub(held.bytes());
        let wanted = u32::try_from(bytes.min(most)).unwrap_or(self.whole);
        if wanted == 0 {
            return true;
        }
        let asked = Arc::clone(&self.room).acquire_many_owned(wanted);
        let Ok(Ok(more)) = timeout(patience, asked).await else {
            return false;
        };
        match &mut held.permit {
            Some(permit) => permit.merge(more),
            empty => *empty = Some(more),
        }
        true
    }
}
