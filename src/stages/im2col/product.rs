//! A plain matrix product, block by block.

use std::ops::Range;

use crate::nn::primitives::product::Matrix;
use crate::scalar::Scalar;

/// Number of rows in a block of the factor a. The copy of the block has 16 KiB and fits the
/// first-level cache.
const BLOCK_ROWS: usize = 64;
/// Number of columns in a block of the factor a, and of rows in a block of the factor b.
const BLOCK_DEPTH: usize = 64;
/// Number of columns in a block of the factor b. The copy of the block has 64 KiB and fits the
/// second-level cache.
const BLOCK_COLUMNS: usize = 256;

/// Adds the product of two matrices: c += a · b, with c (a.rows, b.columns) in row-major order.
pub fn add_product<T: Scalar>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(c.len(), a.rows * b.columns);
    let mut a_block = [T::zero(); BLOCK_ROWS * BLOCK_DEPTH];
    let mut b_block = [T::zero(); BLOCK_DEPTH * BLOCK_COLUMNS];
    for columns in blocks(b.columns, BLOCK_COLUMNS) {
        for depth in blocks(a.columns, BLOCK_DEPTH) {
            copy_block(&b, depth.clone(), columns.clone(), &mut b_block);
            for rows in blocks(a.rows, BLOCK_ROWS) {
                copy_block(&a, rows.clone(), depth.clone(), &mut a_block);
                for (i, a) in rows.zip(a_block.chunks_exact(depth.len())) {
                    let c = &mut c[i * b.columns..][columns.clone()];
                    add_row_product(a, &b_block[..depth.len() * columns.len()], c);
                }
            }
        }
    }
}

/// Copies the block of `matrix` in `rows` and `columns` to the front of `block`, row by row.
fn copy_block<T: Scalar>(
    matrix: &Matrix<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    block: &mut [T],
) {
    let mut places = block.iter_mut();
    for i in rows {
        let row = matrix.row(i, columns.start).take(columns.len());
        row.zip(&mut places).for_each(|(from, to)| *to = from);
    }
}

/// Adds the product of a row and a matrix: c += a · b, with a (depth), b (depth, columns) and c
/// (columns). Takes four rows of b at a time, so that c is read and written once for four products.
fn add_row_product<T: Scalar>(a: &[T], b: &[T], c: &mut [T]) {
    let columns = c.len();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.split_at(a_fours.len() * 4 * columns);
    for (a, b) in a_fours.iter().zip(b_fours.chunks_exact(4 * columns)) {
        let (b0, b) = b.split_at(columns);
        let (b1, b) = b.split_at(columns);
        let (b2, b3) = b.split_at(columns);
        for ((((c, &b0), &b1), &b2), &b3) in c.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
            *c += a[0] * b0 + a[1] * b1 + a[2] * b2 + a[3] * b3;
        }
    }
    for (&a, b) in a_rest.iter().zip(b_rest.chunks_exact(columns)) {
        c.iter_mut().zip(b).for_each(|(c, &b)| *c += a * b);
    }
}

fn blocks(length: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(block).map(move |start| start..(start + block).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_products_agree_with_the_definition_around_the_block_edges() {
        let sizes = [1, 3, 4, 5, 63, 64, 65, 130];
        let columns = [1, 2, 255, 256, 257];
        for (rows, depth, columns) in sizes
            .into_iter()
            .flat_map(|rows| sizes.into_iter().map(move |depth| (rows, depth)))
            .flat_map(|(rows, depth)| {
                columns.into_iter().map(move |columns| (rows, depth, columns))
            })
        {
            // Small whole numbers: every sum is exact, whatever its order.
            let values = |count: usize, modulus: usize| -> Vec<f32> {
                (0..count).map(|n| (n * 7 % modulus) as f32 - 5.0).collect()
            };
            let (a, b) = (values(rows * depth, 13), values(depth * columns, 11));
            let mut c = vec![1.0; rows * columns];
            add_product(Matrix::new(&a, rows, depth), Matrix::new(&b, depth, columns), &mut c);
            let mut transposed = vec![1.0; rows * columns];
            let a_turned: Vec<f32> =
                (0..rows * depth).map(|n| a[n % rows * depth + n / rows]).collect();
            let b_turned: Vec<f32> =
                (0..depth * columns).map(|n| b[n % depth * columns + n / depth]).collect();
            add_product(
                Matrix::new(&a_turned, depth, rows).transposed(),
                Matrix::new(&b_turned, columns, depth).transposed(),
                &mut transposed,
            );
            assert_eq!(c, transposed, "{rows}×{depth}×{columns}");
            for (place, &found) in c.iter().enumerate().step_by(17) {
                let (i, j) = (place / columns, place % columns);
                let expected: f32 = (0..depth).map(|k| a[i * depth + k] * b[k * columns + j]).sum();
                assert_eq!(found, expected + 1.0, "{rows}×{depth}×{columns} at ({i}, {j})");
            }
        }
    }
}
