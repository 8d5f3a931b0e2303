//! Ways to break the index on purpose, so that the differential test shows that it would notice.
//!
//! Outside tests every question here is answered "no" at compile time.

use super::Index;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Altered {
    /// Of what is left to ask of an event, the last check is dropped.
    CheckDropped,
    /// A suffix is looked up as a prefix.
    SuffixAsPrefix,
    /// The stamp of the event before is used again.
    StampStale,
    /// A filter that is gone stays under its anchors.
    AnchorLeft,
    /// An anchor is not told that a Trigger came to its filter or went.
    AnchorNotTold,
    /// An OR stands under the anchor of its first member alone.
    MemberForgotten,
}

impl Index {
    /// Whether this index makes `mistake`.
    #[cfg(test)]
    pub(super) fn altered(&self, mistake: Altered) -> bool {
        self.altered == Some(mistake)
    }

    /// Whether this index makes `mistake`: it makes none.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "in tests it is asked")]
    pub(super) const fn altered(&self, _mistake: Altered) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use volley_event::Event;

    use super::*;
    use crate::{Expr, Filter};

    /// How many seeds a mistake may take until it is noticed.
    const SEEDS: u64 = 200;

    fn text(rng: &mut Rng) -> String {
        let length = rng.usize(1..4);
        (0..length)
            .map(|_| if rng.bool() { 'a' } else { 'b' })
            .collect()
    }

    fn clause(rng: &mut Rng) -> Expr {
        let name = ["type", "source", "subject", "one"][rng.usize(0..4)];
        let clause = [(name, text(rng))];
        match rng.u8(0..3) {
            0 => Expr::exact(clause),
            1 => Expr::prefix(clause),
            _ => Expr::suffix(clause),
        }
    }

    fn filter(rng: &mut Rng) -> Filter {
        let several = |rng: &mut Rng| (0..rng.usize(1..4)).map(|_| clause(rng)).collect();
        let expr = match rng.u8(0..5) {
            0 | 1 => clause(rng),
            2 => Expr::All(several(rng)),
            3 => Expr::Any(several(rng)),
            _ => Expr::All(vec![clause(rng), clause(rng).negated()]),
        };
        Filter::compile(&expr).expect("a valid filter")
    }

    fn event(rng: &mut Rng) -> Event {
        let event = Event::builder()
            .id("1")
            .source(text(rng))
            .kind(text(rng))
            .attribute("subject", text(rng))
            .attribute("one", text(rng));
        event.build().expect("a valid event")
    }

    /// Whether the index says at some step what asking each filter does not say.
    fn differs(altered: Option<Altered>, seed: u64) -> bool {
        let mut rng = Rng::with_seed(seed);
        let mut index = Index {
            altered,
            ..Index::new()
        };
        // A few filters again and again, so that some are shared.
        let filters: Vec<Filter> = (0..12).map(|_| filter(&mut rng)).collect();
        let mut held = vec![None; 20];
        let mut hits = Vec::new();
        for _ in 0..100 {
            let slot = rng.usize(0..held.len());
            let at = u32::try_from(slot).expect("a small number");
            if rng.u8(0..3) == 0 {
                index.remove(at);
                held[slot] = None;
            } else {
                let filter = rng.choice(&filters).expect("there are some");
                index.add(at, filter);
                held[slot] = Some(filter);
            }
            let event = event(&mut rng);
            index.matches(&event, &mut hits);
            let wants = |filter: &Option<&Filter>| filter.is_some_and(|held| held.matches(&event));
            let wanted = (0..).zip(&held).filter(|(_, filter)| wants(filter));
            if !wanted.map(|(slot, _)| slot).eq(hits.iter().copied()) {
                return true;
            }
        }
        false
    }

    #[test]
    fn an_index_without_mistakes_says_what_its_filters_say() {
        for seed in 0..2 * SEEDS {
            assert!(!differs(None, seed), "seed {seed}");
        }
    }

    #[test]
    fn every_mistake_is_noticed() {
        for mistake in [
            Altered::CheckDropped,
            Altered::SuffixAsPrefix,
            Altered::StampStale,
            Altered::AnchorLeft,
            Altered::AnchorNotTold,
            Altered::MemberForgotten,
        ] {
            let seed = (0..SEEDS).find(|seed| differs(Some(mistake), *seed));
            println!("{mistake:?}: noticed with seed {seed:?}");
            assert!(
                seed.is_some(),
                "{mistake:?} is not noticed in {SEEDS} seeds"
            );
        }
    }
}
