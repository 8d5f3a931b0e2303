//! The model's ledger: what is durable, and the writes that are on their way to it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use volley_channel::Position;

/// What survives every crash.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) epoch: u64,
    pub(super) image: Option<Bytes>,
    pub(super) side: BTreeMap<u128, Bytes>,
    pub(super) deltas: Vec<Bytes>,
}

/// One durable step of a write.
#[derive(Debug)]
pub(super) enum Step {
    Side(u128, Bytes),
    RemoveSide(u128),
    Image(Bytes),
    Delta(Bytes),
    /// The write before it is complete: the log may forget below here, and this many finishes of
    /// each Trigger can't be repeated by a crash any more.
    Covered {
        keep: Position,
        finishes: BTreeMap<u128, u64>,
        noted: Vec<(u128, u64)>,
    },
}

/// Writes of one owner, in order.
pub(super) type Queue = VecDeque<Step>;

impl Durable {
    /// Takes one step under `epoch`; a deposed owner's step does nothing.
    pub(super) fn take(&mut self, step: &Step, epoch: u64, fenced: bool) -> bool {
        if fenced && epoch != self.epoch {
            return false;
        }
        match step {
            Step::Side(key, bytes) => {
                self.side.insert(*key, bytes.clone());
            }
            Step::RemoveSide(key) => {
                self.side.remove(key);
            }
            Step::Image(bytes) => {
                self.image = Some(bytes.clone());
                self.deltas.clear();
            }
            Step::Delta(bytes) => self.deltas.push(bytes.clone()),
            Step::Covered { .. } => {}
        }
        true
    }
}
