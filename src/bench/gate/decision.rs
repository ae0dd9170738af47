//! The decision about rows, from the times of their rounds.
//!
//! Let r be the median of new time / old time, and R the largest accepted ratio. A row has
//!
//! - *regressed* if r > R,
//! - *improved* if r < 1/R,
//! - *passed* if r < R,
//!
//! each by a one-sided sign test. The tests of one kind are corrected together for the number of rows,
//! by Holm's method. With a single row, a test decides exactly if the 95 % interval of r, whose two
//! sides have 2.5 % each, lies on one side of the bound. A row that no test decides is *inconclusive*.

use crate::measure::statistics::{chance_above, holm, median_of, sorted, tails};
use crate::report::gate::{Ratio, Verdict};

/// Largest probability with which all tests of one kind together decide wrongly: one side of a 95 %
/// interval.
pub const LEVEL: f64 = 0.025;

/// What the rounds of a row say about its ratio.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// Ratio of the new time to the old time.
    pub ratio: Ratio,
    /// Probability of such rounds by chance if the row has not regressed.
    regressed: f64,
    /// Probability of such rounds by chance if the row has not improved.
    improved: f64,
    /// Probability of such rounds by chance if the ratio is not below the accepted one.
    passed: f64,
}

impl Evidence {
    /// Evidence of the times `new` and `old` in the same rounds.
    ///
    /// # Panics
    /// When there are no rounds, or the two differ in length.
    pub fn paired(new: &[f64], old: &[f64], max_regress: f64) -> Self {
        let ratio = Ratio::paired(new, old);
        let quotients = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a / b).collect();
        let (slower, faster): (Vec<f64>, Vec<f64>) = (quotients(new, old), quotients(old, new));
        Self {
            ratio,
            regressed: chance_above(max_regress, &slower),
            improved: chance_above(max_regress, &faster),
            passed: chance_above(max_regress.recip(), &faster),
        }
    }

    /// Evidence of the times `new` and `old` of different runs.
    ///
    /// Both medians lie in intervals by the sign test. If the two intervals are apart by the factor of
    /// a bound, the medians are too, but for the probability that one of the intervals is wrong.
    ///
    /// # Panics
    /// When one of the two is empty.
    pub fn unpaired(new: &[f64], old: &[f64], max_regress: f64) -> Self {
        let (new, old) = (sorted(new), sorted(old));
        let [low, high] = {
            // The narrowest pair of intervals with enough confidence; without one, the widest pair.
            let skipped = chances(&new, &old).take_while(|chance| *chance <= LEVEL).count();
            let skipped = skipped.saturating_sub(1);
            [quotient(&new, &old, skipped), quotient(&old, &new, skipped).recip()]
        };
        Self {
            ratio: Ratio { median: median_of(&new) / median_of(&old), low, high },
            regressed: chance_apart(max_regress, &new, &old),
            improved: chance_apart(max_regress, &old, &new),
            passed: chance_apart(max_regress.recip(), &old, &new),
        }
    }
}

/// Lower end of the interval of a's median over the upper end of b's, if `skipped` values lie outside
/// each end. The values are in ascending order.
fn quotient(a: &[f64], b: &[f64], skipped: usize) -> f64 {
    a[skipped] / b[b.len() - 1 - skipped]
}

/// Probability that an end of one of the two intervals is wrong, if 0, 1, … values lie outside each
/// end.
fn chances(a: &[f64], b: &[f64]) -> impl Iterator<Item = f64> {
    let some = a.len().min(b.len());
    tails(a.len()).zip(tails(b.len())).take(some).map(|(a, b)| a + b)
}

/// Probability of such values by chance, if the median of a is not more than `bound` times the median
/// of b. The values are in ascending order.
fn chance_apart(bound: f64, a: &[f64], b: &[f64]) -> f64 {
    let mut pairs = chances(a, b).enumerate();
    let apart = pairs.find(|(skipped, _)| quotient(a, b, *skipped) > bound);
    apart.map_or(1.0, |(_, chance)| chance.min(1.0))
}

/// Decisions about rows at this `level`, corrected for their number.
pub fn verdicts(evidence: &[Evidence], level: f64) -> Vec<Verdict> {
    let corrected = |chance: fn(&Evidence) -> f64| {
        let chances: Vec<f64> = evidence.iter().map(chance).collect();
        holm(&chances)
    };
    let regressed = corrected(|evidence| evidence.regressed);
    let improved = corrected(|evidence| evidence.improved);
    let passed = corrected(|evidence| evidence.passed);
    let verdict = |row: usize| {
        if regressed[row] <= level {
            Verdict::Regressed
        } else if improved[row] <= level {
            Verdict::Improved
        } else if passed[row] <= level {
            Verdict::Passed
        } else {
            Verdict::Inconclusive
        }
    };
    (0..evidence.len()).map(verdict).collect()
}

/// Number of rounds with which `rows` rows can all be decided at this `level`, although one round of
/// each says the opposite.
pub fn enough_rounds(rows: usize, level: f64) -> usize {
    let decides = |rounds: &usize| {
        let chance = tails(*rounds).nth(1).expect("two and more rounds");
        chance * rows as f64 <= level
    };
    (2..).find(decides).expect("the chance falls without end")
}

/// Fewest rounds of two runs with which one of `rows` rows can be decided at this `level`.
pub fn enough_unpaired_rounds(rows: usize, level: f64) -> usize {
    let chance = |rounds: &usize| 2.0 * 0.5_f64.powi(*rounds as i32);
    (1..)
        .find(|rounds| chance(rounds) * rows as f64 <= level)
        .expect("the chance falls without end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: f64 = 1.1;

    fn verdict(new: &[f64], old: &[f64]) -> Verdict {
        verdicts(&[Evidence::paired(new, old, R)], LEVEL)[0]
    }

    #[test]
    fn a_single_row_is_decided_by_the_side_of_its_interval() {
        // The interval of ten rounds reaches from the second ratio to the ninth.
        let old = [1.0; 10];
        let with = |many: f64, two: f64| {
            let mut new = [many; 10];
            new[..2].fill(two);
            verdict(&new, &old)
        };
        assert_eq!(with(1.2, 1.2), Verdict::Regressed);
        assert_eq!(with(1.2, 1.0), Verdict::Inconclusive);
        assert_eq!(with(1.0, 1.0), Verdict::Passed);
        assert_eq!(with(1.0, 1.2), Verdict::Inconclusive);
        assert_eq!(with(0.8, 0.8), Verdict::Improved);
        assert_eq!(with(0.8, 1.0), Verdict::Passed, "not above the bound, but not improved");
        assert_eq!(with(1.1, 1.1), Verdict::Inconclusive, "exactly the bound");
        let mut one_outlier = [1.0; 10];
        one_outlier[3] = 40.0;
        assert_eq!(verdict(&one_outlier, &old), Verdict::Passed);
    }

    #[test]
    fn the_interval_and_the_test_agree_whatever_the_rounds() {
        let mut stream = crate::random::Stream::new(1, "ratios", 0);
        let mut seen = [0; 2];
        for _ in 0..2000 {
            let rounds = 6 + stream.below(20) as usize;
            let centre = stream.uniform(0.95, 1.3);
            let new: Vec<f64> =
                (0..rounds).map(|_| f64::from(centre * stream.uniform(0.9, 1.1))).collect();
            let evidence = Evidence::paired(&new, &vec![1.0; rounds], R);
            let decided = verdicts(&[evidence], LEVEL)[0];
            assert_eq!(decided == Verdict::Regressed, evidence.ratio.low > R, "{evidence:?}");
            assert_eq!(decided <= Verdict::Passed, evidence.ratio.high < R, "{evidence:?}");
            seen[usize::from(decided == Verdict::Regressed)] += 1;
        }
        assert!(seen.iter().all(|&count| count > 200), "{seen:?}");
    }

    #[test]
    fn many_rows_need_more_rounds_than_one() {
        assert_eq!([1, 4, 180].map(|rows| enough_rounds(rows, LEVEL)), [9, 11, 17]);
        for rows in [1, 4, 180] {
            let rounds = enough_rounds(rows, LEVEL);
            let of = |rounds: usize| {
                let mut new = vec![1.0; rounds];
                new[0] = 9.0;
                let evidence = Evidence::paired(&new, &vec![1.0; rounds], R);
                verdicts(&vec![evidence; rows], LEVEL)
            };
            assert_eq!(of(rounds), vec![Verdict::Passed; rows]);
            assert_eq!(of(rounds - 1), vec![Verdict::Inconclusive; rows]);
        }
    }

    #[test]
    fn unpaired_rounds_decide_only_if_they_lie_apart() {
        let old = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09];
        let decide = |factor: f64, rounds: usize| {
            let new: Vec<f64> = old.iter().take(rounds).map(|ms| factor * ms).collect();
            verdicts(&[Evidence::unpaired(&new, &old, R)], LEVEL)[0]
        };
        assert_eq!(decide(1.5, 10), Verdict::Regressed);
        assert_eq!(decide(1.15, 10), Verdict::Inconclusive);
        assert_eq!(decide(1.0, 10), Verdict::Passed);
        assert_eq!(decide(1.06, 10), Verdict::Inconclusive);
        assert_eq!(decide(0.7, 10), Verdict::Improved);
        assert_eq!(decide(9.0, 3), Verdict::Inconclusive, "three rounds decide nothing");
        // One round of each that was disturbed is no objection; of all rows, it is.
        let mut disturbed = old;
        disturbed[9] = 7.0;
        let evidence = Evidence::unpaired(&disturbed, &old, R);
        assert_eq!(verdicts(&[evidence], LEVEL), [Verdict::Passed]);
        assert_eq!(verdicts(&[evidence; 30], LEVEL), [Verdict::Inconclusive; 30]);
        assert!(evidence.ratio.low <= 1.0 && 1.0 <= evidence.ratio.high, "{evidence:?}");
    }
}
