//! A list that mostly holds one value: 16 bytes, and nothing to follow while it does.

/// No, one or several values, of at most 8 bytes each.
#[derive(Debug, Clone, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    #[expect(
        clippy::box_collection,
        reason = "a vector in its place would make every list half as large again"
    )]
    Several(Box<Vec<T>>),
}

impl<T: Copy> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(value) => std::slice::from_mut(value),
            Self::Several(values) => values,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(super) fn push(&mut self, value: T) {
        self.insert(self.len(), value);
    }

    /// Puts `value` before what stands at `at`.
    pub(super) fn insert(&mut self, at: usize, value: T) {
        match self {
            Self::None => *self = Self::One(value),
            Self::One(first) => {
                let mut values = Vec::with_capacity(4);
                values.push(*first);
                values.insert(at, value);
                *self = Self::Several(Box::new(values));
            }
            Self::Several(values) => values.insert(at, value),
        }
    }

    /// Takes out what stands at `at`; those behind it move up.
    pub(super) fn remove(&mut self, at: usize) {
        if let Self::Several(values) = self {
            values.remove(at);
        }
        self.shrink();
    }

    /// Takes out what stands at `at`; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize) {
        if let Self::Several(values) = self {
            values.swap_remove(at);
        }
        self.shrink();
    }

    /// After one was taken out: a list of one is kept as one again.
    fn shrink(&mut self) {
        *self = match self {
            Self::Several(values) => match values[..] {
                [] => Self::None,
                [value] => Self::One(value),
                _ => return,
            },
            _ => Self::None,
        };
    }
}

impl<T: Copy> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut few = Self::None;
        values.into_iter().for_each(|value| few.push(value));
        few
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_a_vector_is(steps in prop::collection::vec((0..4_u8, any::<u8>(), any::<u32>()), 0..40)) {
            let (mut few, mut plain) = (Few::default(), Vec::new());
            for (step, at, value) in steps {
                let at = usize::from(at);
                match (step, plain.len()) {
                    (0, _) | (_, 0) => {
                        few.push(value);
                        plain.push(value);
                    }
                    (1, len) => {
                        few.insert(at % len, value);
                        plain.insert(at % len, value);
                    }
                    (2, len) => {
                        few.remove(at % len);
                        plain.remove(at % len);
                    }
                    (_, len) => {
                        few.swap_remove(at % len);
                        plain.swap_remove(at % len);
                    }
                }
                prop_assert_eq!(few.as_slice(), &plain);
                prop_assert_eq!(few.as_mut_slice(), &plain);
            }
        }
    }

    #[test]
    fn it_takes_two_words() {
        assert_eq!(size_of::<Few<(u32, u32)>>(), 16);
    }
}
