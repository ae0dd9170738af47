//! # im2col: convolution as a matrix product
//!
//! **Starting point.** [strided](super::strided).
//!
//! **Observation.** What is left in the convolution are runs of five products, too short for the
//! machine's vectors, each with a slice to cut first. In linear1 the forward pass is one long sum
//! whose every addition waits for the one before.
//!
//! **Idea.** Copy the window of every output into a column of a matrix, so that one long product
//! does all the work (Chellapilla, Puri & Simard 2006, section 4.1):
//!
//! ```text
//! columns[c·K·K + m·K + k, i·W' + j] = x[c, i·s + m − p, j·s + k − p]   (C·K·K) × (H'·W')
//!
//! y  = w · columns                    (O) × (C·K·K) times (C·K·K) × (H'·W')
//! dw = Σ over images of dy · columnsᵀ
//! dcolumns = wᵀ · dy, and each of its elements is added to the x it was copied from
//! ```
//!
//! The product goes block by block through copies that fit the cache, and inside a block along the
//! rows of the result, so that neighbouring elements are independent sums and fill a vector.
//! The linear layers are products as they stand.
//!
//! **What it costs.** 25 copies of every pixel, and a second way of writing every layer. Sums run
//! in another order: results agree with naive to rounding.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter im2col.

use super::kernels::LayerKernels;
use super::strided::Strided;
use crate::model::geometry::{Conv2d, Linear, MaxPool2d};
use crate::nn::Gradients;

/// Convolution by unfolding, products by blocks.
#[derive(Debug, Default)]
pub struct Im2col {
    /// (C·K·K, H'·W') of one image.
    columns: Vec<f32>,
}

/// Copies the windows of one image `x` (C, H, W) into `columns` (C·K·K, H'·W'); padding is 0.
pub fn unfold(conv: &Conv2d, x: &[f32], columns: &mut [f32]) {
    let output = conv.output();
    assert_eq!(x.len(), conv.input.len());
    assert_eq!(columns.len(), conv.taps() * output.plane());
    columns.fill(0.0);
    for (row, columns) in columns.chunks_exact_mut(output.plane()).enumerate() {
        for_each_run(conv, row, |outputs, at, length| {
            let columns = &mut columns[outputs..outputs + length];
            if conv.stride == 1 {
                columns.copy_from_slice(&x[at..at + length]);
            } else {
                columns
                    .iter_mut()
                    .zip(x[at..].iter().step_by(conv.stride))
                    .for_each(|(c, x)| *c = *x);
            }
        });
    }
}

/// Adds every element of `columns` (C·K·K, H'·W') to the element of `x` (C, H, W) that
/// [`unfold`] would have copied it from.
pub fn fold(conv: &Conv2d, columns: &[f32], x: &mut [f32]) {
    let output = conv.output();
    assert_eq!(x.len(), conv.input.len());
    assert_eq!(columns.len(), conv.taps() * output.plane());
    for (row, columns) in columns.chunks_exact(output.plane()).enumerate() {
        for_each_run(conv, row, |outputs, at, length| {
            let columns = &columns[outputs..outputs + length];
            x[at..]
                .iter_mut()
                .step_by(conv.stride)
                .zip(columns)
                .for_each(|(x, c)| *x += c);
        });
    }
}

/// Calls `run(outputs, at, length)` for every row of outputs of which kernel position `row` (of
/// C·K·K) sees pixels: outputs `outputs..outputs + length` see x at `at`, `at + stride`, ….
fn for_each_run(conv: &Conv2d, row: usize, mut run: impl FnMut(usize, usize, usize)) {
    let Conv2d {
        input,
        kernel,
        stride,
        padding,
        ..
    } = *conv;
    let output = conv.output();
    let (c, m, k) = (row / (kernel * kernel), row / kernel % kernel, row % kernel);
    let columns = conv.windows_inside(k, input.width, output.width);
    if columns.is_empty() {
        return;
    }
    for i in conv.windows_inside(m, input.height, output.height) {
        let at = c * input.plane()
            + (i * stride + m - padding) * input.width
            + (columns.start * stride + k - padding);
        run(i * output.width + columns.start, at, columns.len());
    }
}

/// A matrix in memory: element (i, j) is at i·`row_stride` + j·`column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `data` row by row.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Copies rows `rows` of columns `columns` to the front of `block`, row by row.
    fn copy_block(
        &self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        block: &mut [f32],
    ) {
        let mut places = block.iter_mut();
        for i in rows {
            let row = &self.data[i * self.row_stride + columns.start * self.column_stride..];
            let row = row.iter().step_by(self.column_stride).take(columns.len());
            row.zip(&mut places).for_each(|(from, to)| *to = *from);
        }
    }
}

/// Rows, depth and columns of a block: the copy of A is 16 KiB and that of B 64 KiB, which stay
/// in the first and second cache.
const BLOCK_ROWS: usize = 64;
const BLOCK_DEPTH: usize = 64;
const BLOCK_COLUMNS: usize = 256;

/// c += a · b, with c (a.rows, b.columns) row by row.
pub fn add_product(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(c.len(), a.rows * b.columns);
    let mut a_block = [0.0; BLOCK_ROWS * BLOCK_DEPTH];
    let mut b_block = [0.0; BLOCK_DEPTH * BLOCK_COLUMNS];
    for columns in blocks(b.columns, BLOCK_COLUMNS) {
        for depth in blocks(a.columns, BLOCK_DEPTH) {
            b.copy_block(depth.clone(), columns.clone(), &mut b_block);
            for rows in blocks(a.rows, BLOCK_ROWS) {
                a.copy_block(rows.clone(), depth.clone(), &mut a_block);
                for (i, a) in rows.zip(a_block.chunks_exact(depth.len())) {
                    let c = &mut c[i * b.columns..][columns.clone()];
                    add_row_product(a, &b_block[..depth.len() * columns.len()], c);
                }
            }
        }
    }
}

/// c += a · b for one row a (depth), b (depth, columns) and c (columns), four rows of b at a time
/// so that c is read and written once for four products.
fn add_row_product(a: &[f32], b: &[f32], c: &mut [f32]) {
    let columns = c.len();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.split_at(a_fours.len() * 4 * columns);
    for (a, b) in a_fours.iter().zip(b_fours.chunks_exact(4 * columns)) {
        let (b0, b) = b.split_at(columns);
        let (b1, b) = b.split_at(columns);
        let (b2, b3) = b.split_at(columns);
        for ((((c, b0), b1), b2), b3) in c.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
            *c += a[0] * b0 + a[1] * b1 + a[2] * b2 + a[3] * b3;
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest.chunks_exact(columns)) {
        c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
    }
}

fn blocks(length: usize, block: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..length)
        .step_by(block)
        .map(move |start| start..(start + block).min(length))
}

/// db (O) = the sum of the rows of dy (N, O).
pub fn sum_rows(dy: &[f32], db: &mut [f32]) {
    db.fill(0.0);
    for dy in dy.chunks_exact(db.len()) {
        db.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
    }
}

impl LayerKernels for Im2col {
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let output = conv.output();
        let samples = conv.input.images_in(x.len());
        assert_eq!(y.len(), samples * output.len());
        let weight = Matrix::new(weight, conv.out_channels, conv.taps());
        self.columns.resize(conv.taps() * output.plane(), 0.0);
        for (x, y) in x
            .chunks_exact(conv.input.len())
            .zip(y.chunks_exact_mut(output.len()))
        {
            unfold(conv, x, &mut self.columns);
            for (y, &bias) in y.chunks_exact_mut(output.plane()).zip(bias) {
                y.fill(bias);
            }
            add_product(
                weight,
                Matrix::new(&self.columns, conv.taps(), output.plane()),
                y,
            );
        }
    }

    fn conv2d_backward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        let output = conv.output();
        let samples = conv.input.images_in(x.len());
        assert_eq!(dy.len(), samples * output.len());
        let Gradients {
            weight: dw,
            bias: db,
            input: mut dx,
        } = gradients;
        dw.fill(0.0);
        db.fill(0.0);
        if let Some(dx) = dx.as_deref_mut() {
            dx.fill(0.0);
        }
        let weight = Matrix::new(weight, conv.out_channels, conv.taps());
        self.columns.resize(conv.taps() * output.plane(), 0.0);
        let samples = x
            .chunks_exact(conv.input.len())
            .zip(dy.chunks_exact(output.len()));
        for (sample, (x, dy)) in samples.enumerate() {
            for (db, dy) in db.iter_mut().zip(dy.chunks_exact(output.plane())) {
                *db += dy.iter().sum::<f32>();
            }
            let dy = Matrix::new(dy, conv.out_channels, output.plane());
            unfold(conv, x, &mut self.columns);
            let columns = Matrix::new(&self.columns, conv.taps(), output.plane());
            add_product(dy, columns.transposed(), dw);
            if let Some(dx) = dx.as_deref_mut() {
                self.columns.fill(0.0);
                add_product(weight.transposed(), dy, &mut self.columns);
                fold(
                    conv,
                    &self.columns,
                    &mut dx[sample * conv.input.len()..][..conv.input.len()],
                );
            }
        }
    }

    fn relu_forward(&mut self, x: &[f32], y: &mut [f32]) {
        Strided.relu_forward(x, y);
    }

    fn relu_backward(&mut self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        Strided.relu_backward(y, dy, dx);
    }

    fn maxpool2d_forward(&mut self, pool: &MaxPool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
        Strided.maxpool2d_forward(pool, x, y, argmax);
    }

    fn maxpool2d_backward(&mut self, pool: &MaxPool2d, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        Strided.maxpool2d_backward(pool, argmax, dy, dx);
    }

    fn linear_forward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let Linear {
            in_features,
            out_features,
        } = *linear;
        let samples = x.len() / in_features;
        for y in y.chunks_exact_mut(out_features) {
            y.copy_from_slice(bias);
        }
        let weight = Matrix::new(weight, out_features, in_features);
        add_product(Matrix::new(x, samples, in_features), weight.transposed(), y);
    }

    fn linear_backward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        let Linear {
            in_features,
            out_features,
        } = *linear;
        let samples = x.len() / in_features;
        let Gradients {
            weight: dw,
            bias: db,
            input: dx,
        } = gradients;
        sum_rows(dy, db);
        let dy = Matrix::new(dy, samples, out_features);
        dw.fill(0.0);
        add_product(dy.transposed(), Matrix::new(x, samples, in_features), dw);
        if let Some(dx) = dx {
            dx.fill(0.0);
            add_product(dy, Matrix::new(weight, out_features, in_features), dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::geometry::Shape;

    #[test]
    fn unfolding_gives_the_published_columns() {
        let conv = Conv2d {
            input: Shape::new(1, 2, 2),
            out_channels: 1,
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let mut columns = [f32::NAN; 36];
        unfold(&conv, &[1., 2., 3., 4.], &mut columns);
        let digits: String = columns
            .iter()
            .map(|&value| (b'0' + value as u8) as char)
            .collect();
        assert_eq!(digits, "000100120020010312342040030034004000");
    }

    #[test]
    fn folding_counts_how_often_each_pixel_was_copied() {
        let conv = Conv2d {
            input: Shape::new(2, 5, 4),
            out_channels: 1,
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let x: Vec<f32> = (1..=40).map(|n| n as f32).collect();
        let mut columns = vec![f32::NAN; conv.taps() * conv.output().plane()];
        unfold(&conv, &x, &mut columns);
        let mut folded = vec![0.0; 40];
        fold(&conv, &columns, &mut folded);
        for (index, (folded, x)) in folded.iter().zip(&x).enumerate() {
            let (h, w) = (index % 20 / 4, index % 4);
            let windows = |at, side| {
                (0..side)
                    .flat_map(|i| (0..3).map(move |m| (i, m)))
                    .filter(|&(i, m)| conv.position(i, m, 5) == Some(at))
                    .count()
            };
            let copies = windows(h, conv.output().height) * windows(w, conv.output().width);
            assert_eq!(*folded, *x * copies as f32, "at ({h}, {w})");
        }
    }

    #[test]
    fn blocked_products_agree_with_the_definition_around_the_block_edges() {
        let sizes = [1, 3, 4, 5, 63, 64, 65, 130];
        let columns = [1, 2, 255, 256, 257];
        for (rows, depth, columns) in sizes
            .into_iter()
            .flat_map(|rows| sizes.into_iter().map(move |depth| (rows, depth)))
            .flat_map(|(rows, depth)| {
                columns
                    .into_iter()
                    .map(move |columns| (rows, depth, columns))
            })
        {
            // Small whole numbers: every sum is exact, whatever its order.
            let values = |count: usize, modulus: usize| -> Vec<f32> {
                (0..count).map(|n| (n * 7 % modulus) as f32 - 5.0).collect()
            };
            let (a, b) = (values(rows * depth, 13), values(depth * columns, 11));
            let mut c = vec![1.0; rows * columns];
            add_product(
                Matrix::new(&a, rows, depth),
                Matrix::new(&b, depth, columns),
                &mut c,
            );
            let mut transposed = vec![1.0; rows * columns];
            let a_turned: Vec<f32> = (0..rows * depth)
                .map(|n| a[n % rows * depth + n / rows])
                .collect();
            let b_turned: Vec<f32> = (0..depth * columns)
                .map(|n| b[n % depth * columns + n / depth])
                .collect();
            add_product(
                Matrix::new(&a_turned, depth, rows).transposed(),
                Matrix::new(&b_turned, columns, depth).transposed(),
                &mut transposed,
            );
            assert_eq!(c, transposed, "{rows}×{depth}×{columns}");
            for (place, &found) in c.iter().enumerate().step_by(17) {
                let (i, j) = (place / columns, place % columns);
                let expected: f32 = (0..depth)
                    .map(|k| a[i * depth + k] * b[k * columns + j])
                    .sum();
                assert_eq!(
                    found,
                    expected + 1.0,
                    "{rows}×{depth}×{columns} at ({i}, {j})"
                );
            }
        }
    }
}
