//! One pool: its units, and how an event finds its own.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use super::part::Part;
use crate::{PoolId, Unit};

/// The units of one pool.
#[derive(Debug)]
pub(super) struct Pool {
    id: PoolId,
    parts: Box<[Arc<Part>]>,
    turn: AtomicU32,
    /// Held while the pool's health is worked out and said, so that the last word is the newest.
    pub(super) saying: Mutex<()>,
}

impl Pool {
    /// A pool of these parts, at least one.
    pub(super) fn new(id: PoolId, parts: Box<[Arc<Part>]>) -> Self {
        Self {
            id,
            parts,
            turn: AtomicU32::new(0),
            saying: Mutex::new(()),
        }
    }

    /// Which pool it is.
    pub(super) fn id(&self) -> PoolId {
        self.id
    }

    /// Its units, in order.
    pub(super) fn units(&self) -> Vec<Unit> {
        (0..self.count()).map(|part| self.unit(part)).collect()
    }

    /// The name of a part.
    pub(super) fn unit(&self, part: u32) -> Unit {
        Unit {
            pool: self.id,
            part,
        }
    }

    /// All parts, in order.
    pub(super) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// A part, if there is one of that number.
    pub(super) fn part(&self, number: u32) -> Option<&Arc<Part>> {
        self.parts.get(usize::try_from(number).ok()?)
    }

    /// The part for an event: always the same one for a key, in turns for none.
    pub(super) fn choose(&self, key: Option<&[u8]>) -> u32 {
        match key {
            _ if self.parts.len() == 1 => 0,
            Some(key) => u32::try_from(hash(key) % u64::from(self.count())).unwrap_or(0),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % self.count(),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }
}

/// FNV-1a, then mixed: its low bits alone are weak for short keys. The same in every process, so
/// that a key keeps its part.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let plain = key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (plain ^ (plain >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn short_keys_spread_over_the_parts() {
        let mut counts = [0_u32; 8];
        for key in 0_u32..8_000 {
            counts[usize::try_from(hash(key.to_string().as_bytes()) % 8).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        let known = [hash(b""), hash(b"a"), hash(b"order-1")];
        assert_eq!(
            known,
            [
                0xfdbd_f6ac_4fc5_2e7f,
                0x2ef7_d131_6eb8_6f71,
                0xcbb7_ef9d_1874_836b
            ]
        );
    }
}
