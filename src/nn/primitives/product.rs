//! The product of two matrices.

use crate::scalar::Scalar;

/// Matrix in memory: row by row or, if it is transposed, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: &'a [T],
    /// Number of rows of the matrix.
    pub rows: usize,
    /// Number of columns of the matrix.
    pub columns: usize,
    transposed: bool,
    unchanged: bool,
}

impl<'a, T: Scalar> Matrix<'a, T> {
    /// Matrix whose elements are `data`, row by row.
    ///
    /// # Panics
    /// When `data` does not have `rows` · `columns` elements.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, rows, columns, transposed: false, unchanged: false }
    }

    /// Transpose of the matrix, over the same elements in memory.
    pub fn transposed(self) -> Self {
        let Self { rows, columns, transposed, .. } = self;
        Self { rows: columns, columns: rows, transposed: !transposed, ..self }
    }

    /// The same matrix, with the word of the caller that its elements did not change since it was
    /// the right factor of an earlier product, if it was one. A set of primitives may then use what
    /// it made of the factor for that product.
    pub fn unchanged(self) -> Self {
        Self { unchanged: true, ..self }
    }

    /// Whether the elements did not change since an earlier product: see
    /// [`unchanged`](Self::unchanged).
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Elements of the matrix, row by row or, if it [is transposed](Self::is_transposed), column by
    /// column.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// Whether the elements lie in memory column by column.
    pub fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// Distances in memory between neighbouring rows and between neighbouring columns, in elements.
    #[inline]
    fn strides(&self) -> [usize; 2] {
        if self.transposed { [1, self.rows] } else { [self.columns, 1] }
    }

    /// Element in row `i` and column `j`.
    #[inline]
    pub fn get(&self, i: usize, j: usize) -> T {
        let [row, column] = self.strides();
        self.data[i * row + j * column]
    }

    /// Elements of row `i` from column `from` on.
    #[inline]
    pub fn row(&self, i: usize, from: usize) -> impl Iterator<Item = T> + use<'a, T> {
        let [row, column] = self.strides();
        let data = &self.data[i * row + from * column..];
        data.iter().step_by(column).take(self.columns - from).copied()
    }

    /// Row `i` or, if the matrix [is transposed](Self::is_transposed), column `i`: elements that
    /// are neighbours in memory.
    #[inline]
    fn line(&self, i: usize) -> &'a [T] {
        let length = if self.transposed { self.rows } else { self.columns };
        &self.data[i * length..][..length]
    }
}

/// Matrices of one shape, one after the other in memory, each of them row by row or, if they are
/// transposed, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Matrices<'a, T = f32> {
    data: &'a [T],
    /// Number of rows of each matrix.
    pub rows: usize,
    /// Number of columns of each matrix.
    pub columns: usize,
    transposed: bool,
}

impl<'a, T: Scalar> Matrices<'a, T> {
    /// Matrices whose elements are `data`, row by row.
    ///
    /// # Panics
    /// When a matrix is not complete.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert!(data.len().is_multiple_of(rows * columns));
        Self { data, rows, columns, transposed: false }
    }

    /// Transpose of each matrix, over the same elements in memory.
    pub fn transposed(self) -> Self {
        let Self { data, rows, columns, transposed } = self;
        Self { data, rows: columns, columns: rows, transposed: !transposed }
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        self.data.len() / (self.rows * self.columns)
    }

    /// Matrix `index`.
    pub fn get(&self, index: usize) -> Matrix<'a, T> {
        let Self { rows, columns, transposed, .. } = *self;
        let data = &self.data[index * rows * columns..][..rows * columns];
        Matrix { data, rows, columns, transposed, unchanged: false }
    }
}

/// Adds the product of two matrices: c += a · b, with c (a.rows, b.columns) in row-major order, by
/// the reference arithmetic.
///
/// ```text
/// c[i,j] += Σ_k a[i,k] · b[k,j]
/// ```
///
/// The terms are added to each element of c in the order of k. The loops over i, j and k are nested
/// so that the innermost loop reads neighbouring elements of b.
pub fn add_product<T: Scalar>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(c.len(), a.rows * b.columns);
    for (i, c) in c.chunks_exact_mut(b.columns).enumerate() {
        if b.is_transposed() {
            for (j, c) in c.iter_mut().enumerate() {
                // The sum is a local value, which stays in a register: c itself would be stored and
                // loaded again for every term.
                *c = a.row(i, 0).zip(b.line(j)).fold(*c, |sum, (a, &b)| sum + a * b);
            }
        } else {
            for k in 0..a.columns {
                let a = a.get(i, k);
                for (c, &b) in c.iter_mut().zip(b.line(k)) {
                    *c += a * b;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_added_whichever_factor_is_transposed() {
        let (a, b) = ([1_f32, 2., 3., 4., 5., 6.], [1_f32, 0., -1., 2., 1., 3.]);
        let (a_columns, b_columns) = ([1., 4., 2., 5., 3., 6.], [1., -1., 1., 0., 2., 3.]);
        for a in [Matrix::new(&a, 2, 3), Matrix::new(&a_columns, 3, 2).transposed()] {
            for b in [Matrix::new(&b, 3, 2), Matrix::new(&b_columns, 2, 3).transposed()] {
                let mut c = [10., 20., 30., 40.];
                add_product(a, b, &mut c);
                assert_eq!(c, [12., 33., 35., 68.]);
            }
        }
    }
}
