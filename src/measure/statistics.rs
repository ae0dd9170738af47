//! Statistics of timings: median, spread and comparison.
//!
//! Times on a shared machine have a minimum and a long tail. Median and median absolute deviation
//! describe them well, because a few disturbed rounds do not change them. Two programs are compared
//! by the ratios of their times in the same rounds: a disturbance that slows a whole round cancels
//! out of its ratio.

use serde::{Deserialize, Serialize};

/// Median, minimum and spread of some times or rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median of the values.
    pub median: f64,
    /// Smallest of the values.
    pub min: f64,
    /// Median absolute deviation: the median of the distances from the median.
    pub mad: f64,
}

impl Spread {
    /// Median, minimum and spread of `values`.
    ///
    /// # Panics
    /// When `values` is empty or contains NaN.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let median = median_of(&sorted);
        let distances: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
        Self { median, min: sorted[0], mad: median_of(&self::sorted(&distances)) }
    }

    /// This spread in another unit: each value is multiplied by `factor`.
    pub fn times(self, factor: f64) -> Self {
        let Self { median, min, mad } = self;
        Self { median: median * factor, min: min * factor, mad: mad * factor }
    }
}

/// Mean of some values, as far as they tell it, and their range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of values.
    pub count: usize,
    /// Mean of the values.
    pub mean: f64,
    /// Standard deviation of the distribution that the values come from, estimated with count − 1;
    /// `None` for one value.
    pub deviation: Option<f64>,
    /// Interval that contains the mean of this distribution with a confidence of 95 %, if the
    /// distribution is normal (Student's t); `None` for one value.
    pub interval: Option<[f64; 2]>,
    /// Smallest of the values.
    pub min: f64,
    /// Median of the values.
    pub median: f64,
    /// Largest of the values.
    pub max: f64,
}

impl Sample {
    /// Mean and range of `values`.
    ///
    /// # Panics
    /// When `values` is empty or contains NaN.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let count = sorted.len();
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        let interval = deviation.map(|deviation| {
            let reach = student_t(0.05, count - 1) * deviation / (count as f64).sqrt();
            [mean - reach, mean + reach]
        });
        let (min, median, max) = (sorted[0], median_of(&sorted), sorted[count - 1]);
        Self { count, mean, deviation, interval, min, median, max }
    }

    /// Probability of a mean of this size or larger by chance, if the mean of the distribution is
    /// `bound`: the one-sided p-value of Student's t-test. `None` for values that do not differ.
    pub fn chance_above(&self, bound: f64) -> Option<f64> {
        let deviation = self.deviation.filter(|deviation| *deviation > 0.0)?;
        let t = (self.mean - bound) / (deviation / (self.count as f64).sqrt());
        let freedom = (self.count - 1) as f64;
        let beyond = 0.5 * puruspe::betai(0.5 * freedom, 0.5, freedom / (freedom + t * t));
        Some(if t < 0.0 { 1.0 - beyond } else { beyond })
    }
}

/// Number that the size of Student's t with `freedom` degrees of freedom exceeds with this
/// `probability`.
fn student_t(probability: f64, freedom: usize) -> f64 {
    let freedom = freedom as f64;
    let x = puruspe::invbetai(probability, 0.5 * freedom, 0.5);
    (freedom * (1.0 - x) / x).sqrt()
}

/// Smallest of `values` that is not exceeded by the given share of them, 0 to 1 (nearest rank).
///
/// # Panics
/// When `values` is empty or contains NaN.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let rank = (share * values.len() as f64).ceil() as usize;
    sorted(values)[rank.clamp(1, values.len()) - 1]
}

/// Straight line y = intercept + slope·x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Value at x = 0.
    pub intercept: f64,
    /// Increase of y for each 1 of x.
    pub slope: f64,
    /// Share of the variance of y that the line explains, R².
    pub r_squared: f64,
}

impl Line {
    /// Line through the points (x, y) with the least squares of the errors of y.
    ///
    /// # Panics
    /// When there are fewer than two different x.
    pub fn fit(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| term(x - x_mean, y - y_mean)).sum()
        };
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        assert!(xx > 0.0, "{points:?}");
        let slope = xy / xx;
        let errors = yy - slope * xy;
        // Points of one height lie on a line.
        let r_squared = if yy > 0.0 { 1.0 - errors / yy } else { 1.0 };
        Self { intercept: y_mean - slope * x_mean, slope, r_squared }
    }
}

/// Confidence interval of a median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether the interval contains the true median with a confidence of at least 95 %.
    pub is_confident: bool,
}

impl Interval {
    /// Interval of the median of the distribution that `values` come from.
    ///
    /// It contains the true median with a confidence of at least 95 %, whatever the distribution (the
    /// sign test; Conover, "Practical Nonparametric Statistics", 1999, section 3.2). It reaches from
    /// the k-th smallest value to the k-th largest, where k is as large as the binomial distribution
    /// allows. With fewer than six values there is no such interval; then its ends are the smallest
    /// and the largest value.
    ///
    /// # Panics
    /// When `values` is empty or contains NaN.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let outside = outside(sorted.len());
        let skipped = outside.unwrap_or(0);
        let (low, high) = (sorted[skipped], sorted[sorted.len() - 1 - skipped]);
        Self { low, high, is_confident: outside.is_some() }
    }
}

/// Speed of one program relative to another: 2 means that it takes half the time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speedup {
    /// Median of the ratios of the rounds.
    pub median: f64,
    /// Lower end of the confidence interval of the median, see [`Interval`].
    pub low: f64,
    /// Upper end of the confidence interval of the median.
    pub high: f64,
    /// Whether the sign test does not decide which of the two is faster.
    pub inconclusive: bool,
}

impl Speedup {
    /// Speedup of a program that took the times `own` over a program that took the times `other`,
    /// in the same rounds.
    ///
    /// Its interval is the [`Interval`] of the ratios. If this is not confident, the result is
    /// inconclusive.
    ///
    /// # Panics
    /// When there are no rounds, or `own` and `other` differ in length.
    pub fn of(own: &[f64], other: &[f64]) -> Self {
        assert_eq!(own.len(), other.len(), "rounds are paired");
        let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| other / own).collect();
        let Interval { low, high, is_confident } = Interval::of(&ratios);
        let inconclusive = !is_confident || (low..=high).contains(&1.0);
        Self { median: median_of(&sorted(&ratios)), low, high, inconclusive }
    }
}

/// Largest number of `count` values that may lie outside each end of the interval for 95 %
/// confidence: the largest k with 2·P(Binomial(count, ½) ≤ k) ≤ 5 %. `None` if `count` is so small
/// that even k = 0 gives less confidence.
fn outside(count: usize) -> Option<usize> {
    tails(count).take_while(|below| 2.0 * below <= 0.05).count().checked_sub(1)
}

/// P(Binomial(count, ½) ≤ k) for k = 0, 1, …, `count`.
pub fn tails(count: usize) -> impl Iterator<Item = f64> {
    let mut probability = 0.5_f64.powi(i32::try_from(count).expect("a number of rounds"));
    let mut below = 0.0;
    (0..=count).map(move |k| {
        below += probability;
        probability *= (count - k) as f64 / (k + 1) as f64;
        below
    })
}

/// Probability that at least as many of `values` lie above `bound` by chance, if their median is
/// not above it: the one-sided p-value of the sign test.
pub fn chance_above(bound: f64, values: &[f64]) -> f64 {
    let not_above = values.iter().filter(|value| **value <= bound).count();
    tails(values.len()).nth(not_above).expect("not more than all values")
}

/// The p-values of several tests, corrected so that all of them together reject a true hypothesis with
/// the probability of one test at most (Holm, "A Simple Sequentially Rejective Multiple Test
/// Procedure", 1979).
///
/// # Panics
/// When a value is NaN.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|&a, &b| chances[a].partial_cmp(&chances[b]).expect("a probability"));
    let mut corrected = vec![1.0; chances.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(chances[index] * (chances.len() - rank) as f64).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

/// `values` in ascending order.
///
/// # Panics
/// When there are none, or one is NaN.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(!values.is_empty() && values.iter().all(|value| !value.is_nan()), "{values:?}");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Median of values in ascending order.
pub fn median_of(sorted: &[f64]) -> f64 {
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
    fn the_median_of_an_even_number_of_values_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, min: 1.0, mad: 1.5 });
        assert_eq!(Spread::of(&[7.0]), Spread { median: 7.0, min: 7.0, mad: 0.0 });
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_students_t() {
        // Tables of the t-distribution, 2.5 % on each side.
        for (freedom, expected) in
            [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (39, 2.0227), (999, 1.9623)]
        {
            let found = student_t(0.05, freedom);
            assert!((found - expected).abs() < 1e-4, "{freedom}: {found}");
        }
        let sample = Sample::of(&[1.0, 3.0, 2.0, 4.0, 5.0]);
        let deviation = 2.5_f64.sqrt();
        let reach = 2.776_445 * deviation / 5.0_f64.sqrt();
        assert_eq!((sample.count, sample.mean, sample.median), (5, 3.0, 3.0));
        assert_eq!((sample.min, sample.max, sample.deviation), (1.0, 5.0, Some(deviation)));
        let interval = sample.interval.unwrap();
        for (found, expected) in interval.into_iter().zip([3.0 - reach, 3.0 + reach]) {
            assert!((found - expected).abs() < 1e-5, "{interval:?}");
        }
        let one = Sample::of(&[7.0]);
        assert_eq!((one.mean, one.deviation, one.interval), (7.0, None, None));
    }

    #[test]
    fn a_mean_above_a_bound_has_the_chance_of_students_test() {
        // t = (3 − 1)/(√2.5/√5) = 2.8284 with 4 degrees of freedom: p = 0.0237; and the other side.
        let sample = Sample::of(&[1.0, 3.0, 2.0, 4.0, 5.0]);
        for (bound, expected) in [(1.0, 0.023_71), (3.0, 0.5), (5.0, 0.976_29)] {
            let found = sample.chance_above(bound).unwrap();
            assert!((found - expected).abs() < 1e-4, "{bound}: {found}");
        }
        assert_eq!(Sample::of(&[2.0, 2.0]).chance_above(1.0), None);
    }

    #[test]
    fn a_line_has_the_least_squares() {
        let exact = Line::fit(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert_eq!(exact, Line { intercept: 3.0, slope: 2.0, r_squared: 1.0 });
        // Of these points, Σ(x−2)(y−2) = 1, Σ(x−2)² = 2 and Σ(y−2)² = 2.
        let rough = Line::fit(&[(1.0, 2.0), (2.0, 1.0), (3.0, 3.0)]);
        assert_eq!(rough, Line { intercept: 1.0, slope: 0.5, r_squared: 0.25 });
        assert_eq!(Line::fit(&[(0.0, 1.0), (1.0, 1.0)]).r_squared, 1.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        for (share, expected) in
            [(0.0, 1.0), (0.5, 100.0), (0.95, 190.0), (0.99, 198.0), (1.0, 200.0)]
        {
            assert_eq!(percentile(&values, share), expected, "{share}");
        }
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn the_interval_is_the_interval_of_the_sign_test() {
        // 2·P(Binomial(n, ½) ≤ k): 6 → 3.1 %; 10 → 2.1 % for k = 1, 10.9 % for 2;
        // 20 → 4.1 % for k = 5, 11.5 % for 6.
        for (count, expected) in
            [(1, None), (5, None), (6, Some(0)), (9, Some(1)), (10, Some(1)), (20, Some(5))]
        {
            assert_eq!(outside(count), expected, "{count} rounds");
        }
    }

    #[test]
    fn the_chance_is_the_share_of_a_fair_coins_throws() {
        // Of 5 throws: P(≤ 0) = 1/32, P(≤ 1) = 6/32, P(≤ 5) = 1.
        for (values, expected) in [
            ([2.0, 3.0, 4.0, 5.0, 6.0], 1.0 / 32.0),
            ([1.0, 3.0, 4.0, 5.0, 6.0], 6.0 / 32.0),
            ([0.0; 5], 1.0),
        ] {
            assert!((chance_above(1.0, &values) - expected).abs() < 1e-12, "{values:?}");
        }
        let all_of_the_most_rounds = chance_above(1.0, &[2.0; 1000]);
        assert!(all_of_the_most_rounds > 0.0 && all_of_the_most_rounds < 1e-300);
    }

    #[test]
    fn holm_multiplies_the_smallest_chance_by_their_number_and_keeps_the_order() {
        let corrected = holm(&[0.04, 0.01, 0.03, 0.5]);
        for (found, expected) in corrected.iter().zip([0.09, 0.04, 0.09, 0.5]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
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
    fn rounds_that_disagree_or_are_too_few_are_inconclusive() {
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
