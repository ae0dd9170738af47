//! Max pooling along rows, without branches.

use crate::nn::primitives::pooling::{self, Pooling};
use crate::nn::primitives::window::Window;
use crate::nn::shape::ImageShape;
use crate::simd::Simd;

/// Writes the maximum of each window to `y` and its place in the window to `argmax`, as
/// [`max_forward`](crate::nn::primitives::pooling::max_forward) does. The loop over the windows of a row
/// is inside the loop over the rows of a window. Which element is the largest cannot be predicted, so
/// nothing branches on it.
///
/// # Shapes
/// x (N, C, H, W) → y (N, C, H', W') and argmax (N, C, H', W').
pub fn max_forward<S: Simd>(simd: S, pool: &Pooling, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let Pooling { input: ImageShape { height, width, .. }, rows, columns } = *pool;
    let output = pool.output();
    y.fill(f32::NEG_INFINITY);
    argmax.fill(0);
    let maps = y.chunks_exact_mut(output.plane()).zip(argmax.chunks_exact_mut(output.plane()));
    simd.vectorize(
        #[inline(always)]
        || {
            for (x, (y, argmax)) in x.chunks_exact(height * width).zip(maps) {
                let places = argmax.chunks_exact_mut(output.width);
                let windows = y.chunks_exact_mut(output.width).zip(places);
                for (i, (best, places)) in windows.enumerate() {
                    for m in rows.taps_inside(i, height) {
                        let row = &x[rows.position(i, m) * width..][..width];
                        let first_place = m * columns.kernel;
                        match columns {
                            Window { kernel: 2, stride: 2, padding: 0 } => {
                                side_by_side::<2>(row, first_place, best, places);
                            }
                            Window { kernel: 3, stride: 3, padding: 0 } => {
                                side_by_side::<3>(row, first_place, best, places);
                            }
                            _ => sliding(&columns, row, first_place, best, places),
                        }
                    }
                }
            }
        },
    );
}

/// Takes a row of x into account, over which windows of K columns lie side by side.
#[inline(always)]
fn side_by_side<const K: usize>(
    row: &[f32],
    first_place: usize,
    best: &mut [f32],
    places: &mut [u8],
) {
    for ((values, best), place) in row.as_chunks::<K>().0.iter().zip(best).zip(places) {
        for (k, &value) in values.iter().enumerate() {
            take(value, first_place + k, best, place);
        }
    }
}

/// Takes a row of x into account, over which windows of any kind lie.
#[inline(always)]
fn sliding(columns: &Window, row: &[f32], first_place: usize, best: &mut [f32], places: &mut [u8]) {
    for k in 0..columns.kernel {
        let windows = columns.windows_inside(k, row.len(), best.len());
        if windows.is_empty() {
            continue;
        }
        let values = row[columns.position(windows.start, k)..].iter().step_by(columns.stride);
        let of_windows = best[windows.clone()].iter_mut().zip(&mut places[windows]);
        for ((best, place), &value) in of_windows.zip(values) {
            take(value, first_place + k, best, place);
        }
    }
}

/// Replaces `best` and its `place` if `value` is larger or not a number. Written with masks, because
/// the compiler would make branches of conditions.
#[inline(always)]
fn take(value: f32, at: usize, best: &mut f32, place: &mut u8) {
    let is_larger = (value > *best) | value.is_nan();
    let mask = u32::from(is_larger).wrapping_neg();
    *best = f32::from_bits((value.to_bits() & mask) | (best.to_bits() & !mask));
    *place = ((at as u32 & mask) | (u32::from(*place) & !mask)) as u8;
}

/// Overwrites the gradient `dx` of the input of max pooling, as
/// [`max_backward`](pooling::max_backward) does. If the windows lie side by side, every element of dx
/// belongs to one window: it is dy of the window or 0.
///
/// # Shapes
/// argmax and dy (N, C, H', W') → dX (N, C, H, W).
pub fn max_backward<S: Simd>(simd: S, pool: &Pooling, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
    let kernel = pool.columns.kernel;
    let side_by_side = Window { kernel, stride: kernel, padding: 0 };
    simd.vectorize(
        #[inline(always)]
        || match kernel {
            2 if [pool.rows, pool.columns] == [side_by_side; 2] => {
                spread::<2>(pool, argmax, dy, dx)
            }
            3 if [pool.rows, pool.columns] == [side_by_side; 2] => {
                spread::<3>(pool, argmax, dy, dx)
            }
            _ => pooling::max_backward(pool, argmax, dy, dx),
        },
    );
}

/// Spreads `dy` over windows of K×K elements that lie side by side.
#[inline(always)]
fn spread<const K: usize>(pool: &Pooling, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
    let (width, output) = (pool.input.width, pool.output());
    let maps = argmax.chunks_exact(output.plane()).zip(dy.chunks_exact(output.plane()));
    for (dx, (argmax, dy)) in dx.chunks_exact_mut(pool.input.plane()).zip(maps) {
        let (windows, below) = dx.split_at_mut(output.height * K * width);
        below.fill(0.0);
        let rows = argmax.chunks_exact(output.width).zip(dy.chunks_exact(output.width));
        for (dx, (argmax, dy)) in windows.chunks_exact_mut(K * width).zip(rows) {
            for (m, dx) in dx.chunks_exact_mut(width).enumerate() {
                let (windows, right) = dx.split_at_mut(output.width * K);
                right.fill(0.0);
                let windows = windows.as_chunks_mut::<K>().0;
                for ((dx, &place), &dy) in windows.iter_mut().zip(argmax).zip(dy) {
                    for (k, dx) in dx.iter_mut().enumerate() {
                        *dx = if usize::from(place) == m * K + k { dy } else { 0.0 };
                    }
                }
            }
        }
    }
}
