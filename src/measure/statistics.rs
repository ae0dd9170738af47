//! What a set of timings says, and what it does not.
//!
//! Times on a shared machine have a hard floor and a long tail, so the middle and the spread are
//! told by median and median absolute deviation, which a few disturbed rounds do not move. Two
//! things are compared by the ratios of their times in the same rounds: what slows a whole round
//! down cancels out of its ratio.

use serde::Serialize;

/// The middle, the best and the spread of some times or rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half are smaller, half are larger.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The median of the distances from the median.
    pub mad: f64,
}

impl Spread {
    /// Of `values`.
    ///
    /// # Panics
    /// When there are none, or one is not a number.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let median = middle(&sorted);
        let distances: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
        Self { median, min: sorted[0], mad: middle(&self::sorted(&distances)) }
    }

    /// In other units.
    pub fn times(self, factor: f64) -> Self {
        let Self { median, min, mad } = self;
        Self { median: median * factor, min: min * factor, mad: mad * factor }
    }
}

/// How many times as fast one thing is as another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speedup {
    /// The median of the ratios.
    pub median: f64,
    /// Lower end of an interval around it, see [`Speedup::of`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether the interval leaves it open which is faster.
    pub inconclusive: bool,
}

impl Speedup {
    /// Of what took `own` over what took `other`, the two paired by rounds.
    ///
    /// The interval holds the true median with a confidence of 95 % or more, whatever the
    /// distribution (the sign test; Conover, "Practical Nonparametric Statistics", 1999, section
    /// 3.2): it reaches from the k-th smallest ratio to the k-th largest, where k is as large as
    /// the binomial distribution allows. Fewer than six rounds have no such interval; theirs
    /// reaches from the smallest to the largest ratio and decides nothing.
    ///
    /// # Panics
    /// When there are no rounds, or not the same number of both.
    pub fn of(own: &[f64], other: &[f64]) -> Self {
        assert_eq!(own.len(), other.len(), "rounds are paired");
        let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| other / own).collect();
        let ratios = sorted(&ratios);
        let outside = outside(ratios.len());
        let skipped = outside.unwrap_or(0);
        let (low, high) = (ratios[skipped], ratios[ratios.len() - 1 - skipped]);
        let inconclusive = outside.is_none() || (low..=high).contains(&1.0);
        Self { median: middle(&ratios), low, high, inconclusive }
    }
}

/// How many of `count` values may lie beyond each end of the interval for 95 % confidence: the
/// largest k with 2·P(Binomial(count, ½) ≤ k) ≤ 5 %.
fn outside(count: usize) -> Option<usize> {
    let mut probability = 0.5_f64.powi(i32::try_from(count).expect("a number of rounds"));
    let mut below = 0.0;
    for k in 0..count {
        below += probability;
        if 2.0 * below > 0.05 {
            return k.checked_sub(1);
        }
        probability *= (count - k) as f64 / (k + 1) as f64;
    }
    None
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(!values.is_empty() && values.iter().all(|value| !value.is_nan()), "{values:?}");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[half - 1] + sorted[half]) / 2.0,
        _ => sorted[half],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither_the_median_nor_the_deviation() {
        let spread = Spread::of(&[3.0, 1.0, 2.0, 4.0, 1000.0]);
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, mad: 1.0 });
        assert_eq!(spread.times(2.0), Spread { median: 6.0, min: 2.0, mad: 2.0 });
    }

    #[test]
    fn an_even_number_of_values_has_its_median_between_two_of_them() {
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, min: 1.0, mad: 1.5 });
        assert_eq!(Spread::of(&[7.0]), Spread { median: 7.0, min: 7.0, mad: 0.0 });
    }

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // 2·P(Binomial(n, ½) ≤ k): 6 → 3.1 %; 10 → 2.1 % for k = 1, 10.9 % for 2;
        // 20 → 4.1 % for k = 5, 11.5 % for 6.
        for (count, expected) in
            [(1, None), (5, None), (6, Some(0)), (9, Some(1)), (10, Some(1)), (20, Some(5))]
        {
            assert_eq!(outside(count), expected, "{count} rounds");
        }
    }

    #[test]
    fn a_speedup_is_the_median_of_the_ratios_of_the_rounds() {
        // The second half of the rounds ran on a machine half as fast.
        let own = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0];
        let other = own.map(|ms| 3.0 * ms);
        let speedup = Speedup::of(&own, &other);
        assert_eq!(speedup, Speedup { median: 3.0, low: 3.0, high: 3.0, inconclusive: false });
        assert!((Speedup::of(&other, &own).median - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn rounds_that_disagree_or_are_too_few_decide_nothing() {
        let own = [1.0; 10];
        let mut other = [1.2; 10];
        other[0] = 0.5;
        assert!(!Speedup::of(&own, &other).inconclusive, "one disturbed round is no objection");
        other[1] = 0.9;
        let speedup = Speedup::of(&own, &other);
        assert_eq!((speedup.low, speedup.inconclusive), (0.9, true));
        assert!(Speedup::of(&own[..5], &[2.0; 5]).inconclusive);
        assert!(!Speedup::of(&own[..6], &[2.0; 6]).inconclusive);
    }
}
