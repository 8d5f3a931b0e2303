//! The contract suite over the memory channel.

use std::sync::{Arc, Weak};

use super::{MemoryChannel, MemoryOptions};
use crate::{
    Clock, Fut, Position, SharedChannel, channel_contract,
    contract::{Backend, LedgerCut, Outage, Resources, Restart, Why, Wish},
};

/// Room enough for any contract that says nothing of space.
const SPACE: u64 = 256 << 20;

/// Makes memory channels and remembers which ones live.
#[derive(Debug, Default)]
struct InMemory {
    made: Vec<Weak<MemoryChannel>>,
}

impl InMemory {
    fn last(&self) -> Arc<MemoryChannel> {
        self.made
            .last()
            .and_then(Weak::upgrade)
            .expect("a channel was made and is in use")
    }
}

impl Backend for InMemory {
    fn make(&mut self, wish: Wish) -> Fut<'_, SharedChannel> {
        Box::pin(async move {
            let clock = Clock::simulated(1_767_225_600_000);
            let channel = MemoryChannel::new(MemoryOptions {
                max_event: 1 << 20,
                max_image: 1 << 20,
                first_position: Position(u64::from(wish.gaps)),
                max_gap: if wish.gaps { 3 } else { 0 },
                ..MemoryOptions::new(wish.space.unwrap_or(SPACE), clock)
            });
            self.made.push(Arc::downgrade(&channel));
            channel as SharedChannel
        })
    }

    fn virtual_time(&self) -> bool {
        true
    }

    fn dedupes(&self) -> Result<(), Why> {
        Err("it keeps no ids: a producer that hears no answer has lost the process too")
    }

    fn gaps(&self) -> Result<(), Why> {
        Ok(())
    }

    fn bound(&self) -> Result<(), Why> {
        Ok(())
    }

    fn outage(&mut self) -> Result<&mut dyn Outage, Why> {
        Err("nothing lies between the process and its memory")
    }

    fn restart(&mut self) -> Result<&mut dyn Restart, Why> {
        Err("its events end with the process, and it says so")
    }

    fn ledger_cut(&mut self) -> Result<&mut dyn LedgerCut, Why> {
        Ok(self)
    }

    fn resources(&mut self) -> Result<&mut dyn Resources, Why> {
        Ok(self)
    }
}

impl LedgerCut for InMemory {
    fn cut_after(&mut self, steps: u64) {
        self.last().cut_ledger_after(steps);
    }

    fn mend(&mut self) {
        self.last().mend_ledger();
    }
}

impl Resources for InMemory {
    fn count(&mut self) -> Fut<'_, Vec<(&'static str, usize)>> {
        let channels = self
            .made
            .iter()
            .filter(|channel| channel.strong_count() > 0)
            .count();
        Box::pin(async move { vec![("channels", channels)] })
    }
}

channel_contract!(contract, InMemory::default(), excluded: [6, 20, 21, 22, 23]);
