//! A sum of gradients in the order of a fixed binary tree.
//!
//! ```text
//! ((g₀ + g₁) + (g₂ + g₃)) + (g₄ + g₅)
//! ```
//!
//! The gradients arrive one after the other. The sum of a complete part of the tree waits until the
//! part beside it is complete, so K gradients need memory for log₂ K sums. Whoever computes a part of
//! the tree elsewhere, and adds the parts in the order of the tree, gets the same bits.

/// Sums of the complete parts of the tree that wait for the part beside them.
#[derive(Debug)]
pub struct TreeSum {
    /// The sum in place l is over 2ˡ gradients.
    waiting: Vec<Vec<f32>>,
}

impl TreeSum {
    /// Sum of up to `most` gradients of `len` numbers.
    pub fn new(most: usize, len: usize) -> Self {
        Self { waiting: vec![vec![0.0; len]; Self::waiting(most)] }
    }

    /// Number of sums that may wait, if there are up to `most` gradients.
    pub fn waiting(most: usize) -> usize {
        (usize::BITS - most.saturating_sub(1).leading_zeros()) as usize
    }

    /// Adds gradient number `index` of `count`. After the last one, `gradient` is the sum of all;
    /// before that, its content is of no use.
    pub fn add(&mut self, index: usize, count: usize, gradient: &mut [f32]) {
        let is_last = index + 1 == count;
        // Bit l of the index says whether a sum waits in place l.
        let complete = index.trailing_ones() as usize;
        for (level, sum) in self.waiting.iter_mut().enumerate() {
            let waits = (index >> level) & 1 == 1;
            if waits && (is_last || level < complete) {
                gradient.iter_mut().zip(sum).for_each(|(value, sum)| *value += *sum);
            } else if level == complete && !is_last {
                sum.copy_from_slice(gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of `values` as the definition says: the largest power of two below their number of the
    /// first ones is a part of its own.
    fn by_definition(values: &[f32]) -> f32 {
        match values.len() {
            1 => values[0],
            count => {
                let (first, second) = values.split_at(count.next_power_of_two() / 2);
                by_definition(first) + by_definition(second)
            }
        }
    }

    #[test]
    fn the_sum_has_the_order_of_the_tree() {
        for count in 1..=20 {
            // Rounding makes the order visible.
            let values: Vec<f32> = (0..count).map(|index| 1.0 / (3 + index) as f32).collect();
            let mut sum = TreeSum::new(count, 2);
            assert!(sum.waiting.len() <= 5);
            let mut gradient = [0.0; 2];
            for (index, &value) in values.iter().enumerate() {
                gradient = [value, -value];
                sum.add(index, count, &mut gradient);
            }
            let expected = by_definition(&values);
            assert_eq!(gradient, [expected, -expected], "{count}");
        }
    }
}
