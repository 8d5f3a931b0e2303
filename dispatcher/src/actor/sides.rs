//! Which side records of a unit's progress are in the ledger, and which of them go with the next
//! image.
//!
//! A record that an image no longer refers to is removed with the image after that one: until the
//! newer one is safe, the older one may be what a start reads. The roll's records stay.

use volley_channel::Side;

use crate::core::Roll;

/// The keys of a unit's side records.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// The newest image refers to these.
    current: Vec<u128>,
    /// Only older images refer to these.
    stale: Vec<u128>,
    /// The write under way removes these.
    removing: Vec<u128>,
}

impl Sides {
    /// What an earlier owner left: the first image but one of this owner does without it.
    pub(super) fn found(keys: Vec<u128>) -> Self {
        Self {
            current: keys,
            ..Self::default()
        }
    }

    /// An image with these records is about to be written: adds the records that go with it.
    pub(super) fn write(&mut self, side: &mut Vec<Side>) {
        let written: Vec<u128> = side.iter().map(|(key, _)| *key).collect();
        let is_gone = |key: &u128| !written.contains(key);
        self.removing = std::mem::take(&mut self.stale);
        self.removing.retain(is_gone);
        side.extend(self.removing.iter().map(|key| (*key, None)));
        self.stale = self.current.iter().copied().filter(is_gone).collect();
        self.current = written;
        self.current.retain(|key| !Roll::is_key(*key));
    }

    /// The write is safe.
    pub(super) fn written(&mut self) {
        self.removing.clear();
    }

    /// The write has failed, or may have.
    pub(super) fn failed(&mut self) {
        self.stale.append(&mut self.removing);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn image(sides: &mut Sides, keys: &[u128]) -> Vec<u128> {
        let mut side: Vec<Side> = keys.iter().map(|key| (*key, Some(Bytes::new()))).collect();
        sides.write(&mut side);
        let removed = side.into_iter().filter(|(_, value)| value.is_none());
        removed.map(|(key, _)| key).collect()
    }

    #[test]
    fn a_record_goes_with_the_image_after_the_one_that_did_without_it() {
        let mut sides = Sides::default();
        assert_eq!(image(&mut sides, &[1, 2]), [0; 0]);
        sides.written();
        assert_eq!(image(&mut sides, &[2]), [0; 0]);
        sides.written();
        assert_eq!(image(&mut sides, &[2]), [1]);
        sides.written();
        assert_eq!(image(&mut sides, &[2]), [0; 0]);
    }

    #[test]
    fn a_record_whose_removal_failed_is_removed_later() {
        let mut sides = Sides::default();
        image(&mut sides, &[1]);
        sides.written();
        image(&mut sides, &[]);
        sides.written();
        assert_eq!(image(&mut sides, &[]), [1]);
        sides.failed();
        assert_eq!(image(&mut sides, &[]), [1]);
        sides.failed();
        assert_eq!(image(&mut sides, &[1]), [0; 0], "it is needed again");
        sides.written();
        assert_eq!(image(&mut sides, &[]), [0; 0]);
    }
}
