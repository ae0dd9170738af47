//! The order in which the sums of the rows of cells are added: a fixed binary tree.
//!
//! ```text
//!                            +
//!              ┌─────────────┴─────────────┐
//!              +                           +
//!       ┌──────┴──────┐             ┌──────┴──────┐
//!       +             +             +             +
//!    ┌──┴──┐       ┌──┴──┐       ┌──┴──┐       ┌──┴──┐
//!   0+6   1+5     2+4    3     13+7  12+8    11+9   10       rows of cells
//! ```
//!
//! The tree does not depend on who computes which row. So 2, 4 or 8 processes can each own a part of the
//! tree, from left to right, and exchange sums only where their parts meet; the bits are those of one
//! process. A dense row from the middle of the images stands beside one from their edge, so that parts
//! take about as long.

use super::network::CELLS;
use crate::simd::Simd;

/// Number of rows in half of the tree.
const HALF: usize = CELLS / 2;

/// Rows of cells in the order of the leaves.
const LEAVES: [usize; CELLS] = [0, 6, 1, 5, 2, 4, 3, 13, 7, 12, 8, 11, 9, 10];

/// Largest number of parts into which the tree can be cut.
pub const MOST_PARTS: usize = 8;

/// Rows of cells in part `index` of `parts`, in the order of the leaves.
///
/// # Panics
/// When `parts` is no power of two up to [`MOST_PARTS`].
pub fn part(index: usize, parts: usize) -> &'static [usize] {
    assert!(parts.is_power_of_two() && parts <= MOST_PARTS);
    // In a tree of 16 leaves, the last leaf of each half would be empty.
    let leaf = |place: usize| place / (HALF + 1) * HALF + place % (HALF + 1);
    let own = 2 * (HALF + 1) / parts;
    &LEAVES[leaf(index * own)..leaf((index + 1) * own)]
}

/// Adds up the rows of a part of the tree in its order: `add` adds the sum of the second row to that of
/// the first one. The sum of the part is then that of its first row.
pub fn reduce<T>(rows: &mut [T], mut add: impl FnMut(&mut T, &T)) {
    for half in rows.chunks_mut(HALF) {
        let mut distance = 1;
        while distance < half.len() {
            for first in (0..half.len() - distance).step_by(2 * distance) {
                let (before, after) = half.split_at_mut(first + distance);
                add(&mut before[first], &after[0]);
            }
            distance *= 2;
        }
    }
    if let Some((first, [second, ..])) = rows.split_at_mut_checked(HALF) {
        add(&mut first[0], second);
    }
}

/// Sum of the vectors of all rows, which `vector` returns by the index of a leaf, in the order of the
/// tree.
#[inline(always)]
pub fn sum<S: Simd>(simd: S, vector: impl Fn(usize) -> S::Vector) -> S::Vector {
    let mut halves = [simd.splat(0.0); 2];
    for (half, sum) in halves.iter_mut().enumerate() {
        let first = half * HALF;
        let pair = |leaf: usize| simd.add(vector(first + leaf), vector(first + leaf + 1));
        *sum = simd.add(simd.add(pair(0), pair(2)), simd.add(pair(4), vector(first + 6)));
    }
    simd.add(halves[0], halves[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    #[test]
    fn every_row_is_in_one_part() {
        for parts in [1, 2, 4, 8] {
            let all = (0..parts).flat_map(|index| part(index, parts));
            assert!(all.eq(&LEAVES));
            let sizes = (0..parts).map(|index| part(index, parts).len());
            assert!(sizes.max().unwrap() <= 16 / parts);
        }
        let mut rows = LEAVES;
        rows.sort_unstable();
        assert!((0..CELLS).eq(rows));
    }

    #[test]
    fn all_cuts_of_the_tree_have_the_same_sum() {
        // Texts show the order of the additions.
        let add = |a: &mut String, b: &String| *a = format!("({a} {b})");
        let names = |leaves: &[usize]| leaves.iter().map(usize::to_string).collect::<Vec<_>>();
        let expected = "((((0 6) (1 5)) ((2 4) 3)) (((13 7) (12 8)) ((11 9) 10)))";
        for parts in [1, 2, 4, 8] {
            let of_part = |index| {
                let mut rows = names(part(index, parts));
                reduce(&mut rows, add);
                rows.swap_remove(0)
            };
            let mut sums: Vec<String> = (0..parts).map(of_part).collect();
            while sums.len() > 1 {
                sums = sums.chunks(2).map(|pair| format!("({} {})", pair[0], pair[1])).collect();
            }
            assert_eq!(sums[0], expected);
        }
        // The sum of vectors has the same order; rounding makes it visible.
        let value = |leaf: usize| 1.0 / (3 + 7 * leaf) as f32;
        let mut rows: Vec<f32> = (0..CELLS).map(value).collect();
        reduce(&mut rows, |a, b| *a += b);
        let mut vector = [0.0; Portable::LANES];
        Portable.store(sum(Portable, |leaf| Portable.splat(value(leaf))), &mut vector);
        assert_eq!(vector, [rows[0]; Portable::LANES]);
    }
}
