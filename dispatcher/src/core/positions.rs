//! A set of positions that costs little: most of what is pending only waits, and is nothing but a
//! number.

use std::collections::VecDeque;

use volley_channel::Position;

/// How many positions share a block.
const WIDTH: u64 = 64;

/// Positions in ascending order, in blocks of 64.
///
/// A block takes 16 bytes: where a Trigger wants every event a position costs a quarter of a byte,
/// and never more than 16 where it wants one in hundreds (a fifth more while the set grows). Room
/// is given back as the set gets smaller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// By number; none is empty.
    blocks: VecDeque<Block>,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    /// The block holds positions from `WIDTH * number` on.
    number: u64,
    bits: u64,
}

impl Block {
    fn of(position: Position) -> Self {
        Self {
            number: position.0 / WIDTH,
            bits: 1 << (position.0 % WIDTH),
        }
    }

    fn first(self) -> Position {
        Position(self.number * WIDTH + u64::from(self.bits.trailing_zeros()))
    }

    fn positions(mut self) -> impl Iterator<Item = Position> {
        std::iter::from_fn(move || {
            let first = (self.bits != 0).then(|| self.first())?;
            self.bits &= self.bits - 1;
            Some(first)
        })
    }
}

impl Positions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The lowest one.
    pub fn first(&self) -> Option<Position> {
        self.blocks.front().map(|block| block.first())
    }

    /// The highest one.
    pub fn last(&self) -> Option<Position> {
        let last = self.blocks.back()?;
        let highest = u64::from(last.bits.ilog2());
        Some(Position(last.number * WIDTH + highest))
    }

    /// All of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Position> {
        self.blocks.iter().flat_map(|block| block.positions())
    }

    /// Whether `position` is one of them.
    pub fn contains(&self, position: Position) -> bool {
        let one = Block::of(position);
        self.find(one.number)
            .is_ok_and(|at| self.blocks[at].bits & one.bits != 0)
    }

    /// Adds `position`; false if it was there.
    pub fn insert(&mut self, position: Position) -> bool {
        self.add(Block::of(position)) == 1
    }

    /// Adds all of `others` and says how many were not there.
    pub fn insert_all(&mut self, others: &Self) -> usize {
        others.blocks.iter().map(|block| self.add(*block)).sum()
    }

    /// How many of `others` are not there.
    pub fn lacks(&self, others: &Self) -> usize {
        let lacks = |block: &Block| {
            let here = self.find(block.number).map_or(0, |at| self.blocks[at].bits);
            (block.bits & !here).count_ones() as usize
        };
        others.blocks.iter().map(lacks).sum()
    }

    /// Removes `position`; false if it was not there.
    pub fn remove(&mut self, position: Position) -> bool {
        let one = Block::of(position);
        let Ok(at) = self.find(one.number) else {
            return false;
        };
        let block = &mut self.blocks[at];
        if block.bits & one.bits == 0 {
            return false;
        }
        block.bits &= !one.bits;
        self.len -= 1;
        if block.bits == 0 {
            self.blocks.remove(at);
            self.give_back();
        }
        true
    }

    /// Removes what lies below `position`.
    pub fn remove_below(&mut self, position: Position) {
        while let Some(first) = self.first().filter(|first| *first < position) {
            self.remove(first);
        }
    }

    /// Bytes that the blocks take, free room included.
    pub(crate) fn held_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    /// The blocks, as number and bits, for a compact record of the set.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.blocks.iter().map(|block| (block.number, block.bits))
    }

    /// Adds the positions of a block; false if it can't be one.
    pub(crate) fn insert_block(&mut self, number: u64, bits: u64) -> bool {
        let possible = bits != 0 && number <= u64::MAX / WIDTH;
        possible && self.add(Block { number, bits }) > 0
    }

    fn add(&mut self, added: Block) -> usize {
        let at = match self.find(added.number) {
            Ok(at) => at,
            Err(at) => {
                // Doubling would leave half of the memory of a long backlog unused.
                if self.blocks.len() == self.blocks.capacity() {
                    self.blocks.reserve_exact((self.blocks.len() / 4).max(2));
                }
                let number = added.number;
                self.blocks.insert(at, Block { number, bits: 0 });
                at
            }
        };
        let block = &mut self.blocks[at];
        let new = (added.bits & !block.bits).count_ones() as usize;
        block.bits |= added.bits;
        self.len += new;
        new
    }

    /// Where the block `number` is, or belongs. Mostly it is the last one or the first.
    fn find(&self, number: u64) -> Result<usize, usize> {
        match (self.blocks.front(), self.blocks.back()) {
            (Some(first), _) if first.number == number => Ok(0),
            (_, Some(last)) if last.number == number => Ok(self.blocks.len() - 1),
            (_, Some(last)) if last.number > number => self
                .blocks
                .binary_search_by_key(&number, |block| block.number),
            _ => Err(self.blocks.len()),
        }
    }

    fn give_back(&mut self) {
        let (used, room) = (self.blocks.len(), self.blocks.capacity());
        if room > 8 && used * 4 <= room {
            self.blocks.shrink_to(used * 2);
        }
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut set = Self::default();
        set.extend(positions);
        set
    }
}

impl Extend<Position> for Positions {
    fn extend<I: IntoIterator<Item = Position>>(&mut self, positions: I) {
        for position in positions {
            self.insert(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fastrand::Rng;

    use super::*;

    #[test]
    fn it_answers_as_a_plain_set_does_whatever_is_added_and_removed() {
        for seed in 0..300 {
            let mut rng = Rng::with_seed(seed);
            let (mut set, mut plain) = (Positions::default(), BTreeSet::new());
            let reach = [10, 200, 100_000][rng.usize(0..3)];
            let base = [0, u64::MAX - reach][rng.usize(0..2)];
            for _ in 0..300 {
                let position = Position(base + rng.u64(0..=reach));
                match rng.u8(0..8) {
                    0..4 => assert_eq!(set.insert(position), plain.insert(position), "seed {seed}"),
                    4..7 => {
                        assert_eq!(set.remove(position), plain.remove(&position), "seed {seed}");
                    }
                    _ if rng.u8(0..20) == 0 => {
                        set.remove_below(position);
                        plain = plain.split_off(&position);
                    }
                    _ => {}
                }
                assert_eq!(set.contains(position), plain.contains(&position));
                assert_eq!(set.first(), plain.first().copied(), "seed {seed}");
                assert_eq!(set.last(), plain.last().copied(), "seed {seed}");
                assert_eq!(set.len(), plain.len(), "seed {seed}");
            }
            assert!(set.iter().eq(plain.iter().copied()), "seed {seed}");
            let mut again = Positions::default();
            for (number, bits) in set.blocks() {
                assert!(again.insert_block(number, bits), "seed {seed}");
            }
            assert_eq!(again, set, "seed {seed}");
        }
    }

    #[test]
    fn what_another_set_adds_is_counted_once() {
        let set = |range: std::ops::Range<u64>| range.map(Position).collect::<Positions>();
        let (mut one, other) = (set(0..100), set(50..300));
        assert_eq!(one.lacks(&other), 200);
        assert_eq!(one.insert_all(&other), 200);
        assert_eq!(one.lacks(&other), 0);
        assert_eq!(one, set(0..300));
    }

    #[test]
    fn room_is_given_back_and_never_much_more_than_what_is_used() {
        let sparse = |n: u64| Position(n * 1_000);
        let mut set: Positions = (0..10_000).map(sparse).collect();
        assert!(set.held_bytes() <= 10_000 * 20, "{}", set.held_bytes());
        for n in 0..9_990 {
            set.remove(sparse(n));
        }
        assert!(set.held_bytes() <= 10 * 16 * 4, "{}", set.held_bytes());
    }
}
