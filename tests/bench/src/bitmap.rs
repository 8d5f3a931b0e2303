//! One bit an event: how a run knows what arrived, and what arrived twice.

/// A fixed row of bits, all clear at first.
#[derive(Debug, Clone)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    len: u64,
}

/// What [`Bitmap::set`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The bit was clear: the event is here for the first time.
    First,
    /// The bit was set already: a duplicate.
    Again,
    /// There is no such bit: nobody sent this event in this run.
    Unknown,
}

impl Bitmap {
    /// A row of `len` clear bits.
    pub(crate) fn new(len: u64) -> Self {
        let words = usize::try_from(len.div_ceil(64)).expect("a run's events fit in memory");
        Self {
            words: vec![0; words],
            len,
        }
    }

    /// Sets bit `index`.
    pub(crate) fn set(&mut self, index: u64) -> Mark {
        if index >= self.len {
            return Mark::Unknown;
        }
        let (word, bit) = Self::place(index);
        if self.words[word] & bit != 0 {
            return Mark::Again;
        }
        self.words[word] |= bit;
        Mark::First
    }

    /// How many bits are set here and clear in `other`: what was accepted and never arrived.
    pub(crate) fn count_missing_in(&self, other: &Self) -> u64 {
        let pairs = self.words.iter().zip(&other.words);
        pairs
            .map(|(mine, theirs)| u64::from((mine & !theirs).count_ones()))
            .sum()
    }

    /// How many bits are set.
    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    fn place(index: u64) -> (usize, u64) {
        let word = usize::try_from(index / 64).expect("checked against the length");
        (word, 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_first_once_and_again_ever_after() {
        let mut bits = Bitmap::new(130);
        for index in [0, 63, 64, 129] {
            assert_eq!(bits.set(index), Mark::First, "bit {index}");
            assert_eq!(bits.set(index), Mark::Again, "bit {index}");
        }
        assert_eq!(bits.count(), 4);
    }

    #[test]
    fn a_bit_beyond_the_end_is_unknown_and_not_counted() {
        let mut bits = Bitmap::new(65);
        assert_eq!(bits.set(65), Mark::Unknown);
        assert_eq!(bits.set(u64::MAX), Mark::Unknown);
        assert_eq!(bits.count(), 0);
    }

    #[test]
    fn what_was_accepted_and_did_not_arrive_is_missing() {
        let (mut accepted, mut arrived) = (Bitmap::new(200), Bitmap::new(200));
        for index in 0..200 {
            accepted.set(index);
        }
        for index in (0..200).filter(|index| index % 50 != 7) {
            arrived.set(index);
        }
        assert_eq!(accepted.count_missing_in(&arrived), 4);
        assert_eq!(arrived.count_missing_in(&accepted), 0);
    }
}
