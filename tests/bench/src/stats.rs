//! What many rounds say together: the lowest, the middle and the highest value.

use serde::Serialize;

/// Three numbers that stand for a series of rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Sums up `values`; `None` when there are none.
    ///
    /// Of an even number of values the median is the mean of the two in the middle.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { min, median, max })
    }

    /// How far the highest value lies above the lowest one: 0.15 is 15 %.
    pub(crate) fn spread(&self) -> f64 {
        self.max / self.min - 1.0
    }

    /// The same with three digits after the point, for people and for diffs.
    pub(crate) fn rounded(&self) -> Self {
        let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
        Self {
            min: round(self.min),
            median: round(self.median),
            max: round(self.max),
        }
    }
}

/// The value that the share `part` (0 to 1) of `sorted` does not exceed: 0.5 is the median, 0.99
/// what one in a hundred exceeds. `None` when there are no values.
pub(crate) fn quantile(sorted: &[f32], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = (part * sorted.len() as f64).ceil() as usize;
    Some(f64::from(sorted[rank.saturating_sub(1).min(last)]))
}

/// `numerators[i] / denominators[i]` for every round that has both.
pub(crate) fn ratios(numerators: &[f64], denominators: &[f64]) -> Vec<f64> {
    let pairs = numerators.iter().zip(denominators);
    pairs.map(|(top, bottom)| top / bottom).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_series_is_its_middle_value() {
        let summary = Summary::of(&[5.0, 1.0, 9.0]).unwrap();
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 5.0, 9.0));
    }

    #[test]
    fn the_median_of_an_even_series_lies_between_the_two_in_the_middle() {
        let summary = Summary::of(&[4.0, 1.0, 2.0, 100.0]).unwrap();
        assert_eq!(summary.median, 3.0);
    }

    #[test]
    fn no_values_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_spread_is_what_the_highest_has_over_the_lowest() {
        let summary = Summary::of(&[20.0, 23.0, 21.0]).unwrap();
        assert!((summary.spread() - 0.15).abs() < 1e-9);
    }

    #[test]
    fn a_quantile_is_the_value_that_its_share_does_not_exceed() {
        let values: Vec<f32> = (1..=200u8).map(f32::from).collect();
        let parts = [0.0, 0.5, 0.99, 0.991, 1.0];
        let found = parts.map(|part| quantile(&values, part).unwrap());
        assert_eq!(found, [1.0, 100.0, 198.0, 199.0, 200.0]);
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_not_between_medians() {
        // Between the medians it would be 20/10 = 2; within each round it is 1.
        assert_eq!(ratios(&[10.0, 20.0, 40.0], &[10.0, 20.0, 40.0]), [1.0; 3]);
        assert_eq!(ratios(&[10.0, 30.0], &[20.0, 10.0]), [0.5, 3.0]);
    }
}
