//! Values under numbers, in pieces that never move: adding one to a million costs what adding the
//! first one does, because nothing is ever copied to a larger place.

/// How many values one piece holds.
const PIECE: usize = 1_024;

/// Values under numbers that are given out, taken back and given out again.
#[derive(Debug, Clone)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T: Default> Slab<T> {
    /// Keeps `value`; says under which number.
    pub(super) fn add(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            *self.at(number) = value;
            return number;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            // The first piece grows as it is needed: most indexes are small.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        let before = (self.pieces.len() - 1) * PIECE;
        let piece = self.pieces.last_mut().expect("it was put there above");
        piece.push(value);
        u32::try_from(before + piece.len() - 1).expect("there are fewer slots than 2^32")
    }

    /// Takes the value under `number` back.
    pub(super) fn take(&mut self, number: u32) -> T {
        self.free.push(number);
        std::mem::take(self.at(number))
    }

    /// The value under `number`, which was given out.
    pub(super) fn get(&self, number: u32) -> &T {
        let number = number as usize;
        &self.pieces[number / PIECE][number % PIECE]
    }

    /// As `get`, to change it.
    pub(super) fn at(&mut self, number: u32) -> &mut T {
        let number = number as usize;
        &mut self.pieces[number / PIECE][number % PIECE]
    }

    /// Calls `change` with every value, also with those that were taken back.
    pub(super) fn each(&mut self, change: impl FnMut(&mut T)) {
        self.pieces.iter_mut().flatten().for_each(change);
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        let made = self
            .pieces
            .last()
            .map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len());
        made - self.free.len()
    }
}
