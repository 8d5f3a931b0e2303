//! Which Triggers a unit's progress knows (R10).
//!
//! An image says nothing of a Trigger that is simply complete below its base. So that a start can
//! tell one that is new from one that was there, the uids of all stand in side records, the
//! **roll**, cut into chunks by the first bits of a uid: a change of one Trigger writes one chunk,
//! and as long as no Trigger comes or goes nothing of it is written.
//!
//! A chunk is written before the image that needs it, and a crash may come between: then it
//! already names Triggers that the image found knows nothing of. So each name carries the number of
//! the first image that knows it, and what an absent Trigger had read holds until the first image
//! that knows better.

use std::collections::{BTreeMap, BTreeSet};

use volley_channel::{Position, SideKey};

use super::altered::Altered;

/// Names of a chunk that may be full before it is cut in two.
const MOST: usize = 4_096;
/// And at least so many, however small the records of a backend must be.
const LEAST: usize = 64;
/// Bytes that a name takes, with room for uneven chunks.
const NAME: usize = 64;
/// Chunks are cut so often at most.
const BITS_MOST: u8 = 16;

/// A part of the roll: what an image found says, or what is to be written with one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// There are two to the power of this many chunks.
    pub bits: u8,
    /// Whole chunks, by number.
    pub chunks: BTreeMap<u32, BTreeMap<u128, Name>>,
    /// Chunks that say more than the image found knows.
    pub(super) stale: BTreeSet<u32>,
}

/// What the roll says of one Trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Name {
    /// The first image that knows it; 0: every one that may be found.
    pub since: u64,
    /// It was declared by no file and had nothing pending.
    pub absent: Option<Absent>,
}

/// How far a Trigger was that no file declares, where only the roll tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// Complete below here.
    pub read: Position,
    /// The ordinal of the first event at or after `read`.
    pub ordinal: u64,
    /// The first image that knows better; 0: none does.
    pub until: u64,
}

impl Roll {
    /// The record that a chunk is kept in. Uids are of version 5 and never so high.
    pub fn key(bits: u8, chunk: u32) -> SideKey {
        SideKey::MAX - (u128::from(bits) << 32 | u128::from(chunk))
    }

    /// Whether a side record belongs to a roll.
    pub fn is_key(key: SideKey) -> bool {
        SideKey::MAX - key <= u128::from(BITS_MOST) << 32 | u128::from(u32::MAX)
    }

    /// What it says of a Trigger.
    pub(super) fn name(&self, uid: u128) -> Option<&Name> {
        self.chunks.get(&chunk(self.bits, uid))?.get(&uid)
    }

    /// Leaves what the image with this `sequence` knows. Chunks of which something went are to be
    /// written again before a later image knows it by its number.
    pub(super) fn settle(&mut self, sequence: u64) {
        for (chunk, names) in &mut self.chunks {
            let before = names.clone();
            names.retain(|_, name| name.since <= sequence);
            for name in names.values_mut() {
                let holds = |absent: &Absent| absent.until == 0 || sequence < absent.until;
                name.absent = name.absent.filter(holds);
            }
            if *names != before {
                self.stale.insert(*chunk);
            }
        }
    }
}

/// The roll of a running unit.
#[derive(Debug)]
pub(super) struct RollCall {
    bits: u8,
    /// Chunks to write with the next image, and those of the write under way.
    dirty: BTreeSet<u32>,
    writing: BTreeSet<u32>,
    /// The newest image that was begun; 0: none was, so a start finds none that knows less.
    begun: u64,
    /// Names that an image which may still be found does not know, each with the first that does.
    young: BTreeMap<u128, u64>,
    /// Triggers that came back, with what an image that may still be found would miss.
    back: BTreeMap<u128, Absent>,
}

impl RollCall {
    /// Of a unit without progress.
    pub(super) fn new() -> Self {
        Self {
            bits: 0,
            dirty: BTreeSet::from([0]),
            writing: BTreeSet::new(),
            begun: 0,
            young: BTreeMap::new(),
            back: BTreeMap::new(),
        }
    }

    /// Goes on from the roll that was found with the image `sequence`; `None`: it had none.
    pub(super) fn resume(found: Option<&Roll>, sequence: u64) -> Self {
        let mut call = Self::new();
        call.begun = sequence;
        if let Some(found) = found {
            call.bits = found.bits;
            call.dirty.clone_from(&found.stale);
        }
        call
    }

    /// What the roll says of a Trigger has changed.
    pub(super) fn touch(&mut self, uid: u128) {
        self.dirty.insert(chunk(self.bits, uid));
    }

    /// A Trigger is new. `sequence` is the newest image's.
    pub(super) fn join(&mut self, uid: u128, sequence: u64) {
        self.touch(uid);
        if self.begun > 0 {
            self.young.insert(uid, sequence + 1);
        }
    }

    /// A Trigger is gone.
    pub(super) fn leave(&mut self, uid: u128) {
        self.touch(uid);
        self.young.remove(&uid);
        self.back.remove(&uid);
    }

    /// A Trigger that was absent, and had read so far, is declared again.
    pub(super) fn come_back(&mut self, uid: u128, read: Position, ordinal: u64, sequence: u64) {
        self.touch(uid);
        let until = sequence + 1;
        self.back.insert(
            uid,
            Absent {
                read,
                ordinal,
                until,
            },
        );
    }

    /// The chunks to write with image `sequence`. `names` gives the Triggers between two uids, and
    /// how far those are that nobody declares; there are `count` of them. A record takes at most
    /// `limit` bytes.
    pub(super) fn write(
        &mut self,
        sequence: u64,
        count: usize,
        limit: usize,
        altered: Option<Altered>,
        names: impl Fn(u128, u128) -> Vec<(u128, Option<Absent>)>,
    ) -> Roll {
        let most = (limit / NAME).clamp(LEAST, MOST);
        while count > most << self.bits && self.bits < BITS_MOST {
            self.bits += 1;
            self.dirty = (0..1 << self.bits).collect();
        }
        self.begun = sequence;
        let mut roll = Roll {
            bits: self.bits,
            ..Roll::default()
        };
        for chunk in std::mem::take(&mut self.dirty) {
            let spare = 128 - u32::from(self.bits);
            let low = u128::from(chunk).unbounded_shl(spare);
            let high = low | u128::MAX.unbounded_shr(u32::from(self.bits));
            let named = names(low, high).into_iter().map(|(uid, absent)| {
                let young = self.young.get(&uid).copied().unwrap_or(0);
                let back = self.back.get(&uid).copied();
                let name = Name {
                    since: if altered == Some(Altered::RollEarly) {
                        0
                    } else {
                        young
                    },
                    absent: absent.or(back.filter(|_| altered != Some(Altered::RollForgetsAbsent))),
                };
                (uid, name)
            });
            roll.chunks.insert(chunk, named.collect());
            self.writing.insert(chunk);
        }
        roll
    }

    /// Whether a side record is a chunk of this roll as it is cut now.
    pub(super) fn owns(&self, key: SideKey) -> bool {
        let (low, high) = (Roll::key(self.bits, u32::MAX), Roll::key(self.bits, 0));
        (low..=high).contains(&key)
    }

    /// The image that was begun last is safe: no older one is found any more.
    pub(super) fn written(&mut self) {
        let begun = self.begun;
        self.writing.clear();
        self.young.retain(|_, since| *since > begun);
        self.back.retain(|_, absent| absent.until > begun);
    }

    /// The write has failed, or may have.
    pub(super) fn failed(&mut self) {
        self.dirty.append(&mut self.writing);
    }
}

/// The chunk that names a Trigger.
fn chunk(bits: u8, uid: u128) -> u32 {
    uid.unbounded_shr(128 - u32::from(bits)) as u32
}
