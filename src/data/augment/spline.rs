//! Elastic deformation: a vector for each pixel, smooth from pixel to pixel.

use crate::random::Stream;

/// Distance between control points, in pixels.
const SPACING: usize = 7;
/// Largest component of the vector of a control point, in pixels.
const LARGEST: f32 = 1.5;

/// Field of vectors: a uniform cubic B-spline surface over random control points.
#[derive(Debug)]
pub struct Field {
    /// Weights of the four control points around each row and around each column.
    weights: [Vec<[f32; 4]>; 2],
    /// Number of control points in a row of them.
    columns: usize,
    /// Components [down, right] of the vectors of the control points, row by row.
    points: Vec<[f32; 2]>,
    /// Components for the row of control points at the present row of pixels.
    row: Vec<[f32; 2]>,
}

impl Field {
    /// Field without deformation for images with these `sides` [H, W].
    pub fn new(sides: [usize; 2]) -> Self {
        let count = |side: usize| (side - 1) / SPACING + 4;
        let [rows, columns] = sides.map(count);
        let weights = sides.map(|side| {
            let part = |pixel: usize| (pixel % SPACING) as f32 / SPACING as f32;
            (0..side).map(|pixel| weights(part(pixel))).collect()
        });
        Self {
            weights,
            columns,
            points: vec![[0.0; 2]; rows * columns],
            row: vec![[0.0; 2]; columns],
        }
    }

    /// Draws the vectors of the control points anew, multiplied by `strength`.
    pub fn draw(&mut self, stream: &mut Stream, strength: f32) {
        for point in &mut self.points {
            *point = [0; 2].map(|_| strength * stream.uniform(-LARGEST, LARGEST));
        }
    }

    /// Adds the vectors of row `y` of pixels to the components `down` and `right`, (W) each.
    pub fn add_row(&mut self, y: usize, down: &mut [f32], right: &mut [f32]) {
        let Self { weights: [of_rows, of_columns], columns, points, row } = self;
        let points = points[y / SPACING * *columns..].chunks_exact(*columns);
        row.fill([0.0; 2]);
        for (weight, points) in of_rows[y].iter().zip(points) {
            for (sum, point) in row.iter_mut().zip(points) {
                *sum = [sum[0] + weight * point[0], sum[1] + weight * point[1]];
            }
        }
        let pieces = down.chunks_mut(SPACING).zip(right.chunks_mut(SPACING));
        let pieces = pieces.zip(of_columns.chunks(SPACING)).zip(row.windows(4));
        for (((down, right), weights), points) in pieces {
            for ((down, right), weights) in down.iter_mut().zip(right).zip(weights) {
                for (weight, point) in weights.iter().zip(points) {
                    *down += weight * point[0];
                    *right += weight * point[1];
                }
            }
        }
    }
}

/// Weights of the four control points around a place, which is this `part` of the way from the second
/// to the third.
fn weights(part: f32) -> [f32; 4] {
    let rest = 1.0 - part;
    let inner = |near: f32| (4.0 - 6.0 * near * near + 3.0 * near * near * near) / 6.0;
    [rest * rest * rest / 6.0, inner(part), inner(rest), part * part * part / 6.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_join_smoothly() {
        for part in [0.0, 0.25, 0.5, 0.9] {
            let sum: f32 = weights(part).iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{part}");
        }
        // The end of one piece is the beginning of the next.
        let (end, beginning) = (weights(1.0), weights(0.0));
        for (end, beginning) in end[1..].iter().zip(&beginning[..3]) {
            assert!((end - beginning).abs() < 1e-6);
        }
        assert_eq!(beginning.map(|weight| (6.0 * weight).round()), [1.0, 4.0, 1.0, 0.0]);
    }

    #[test]
    fn equal_vectors_move_everything_alike() {
        let mut field = Field::new([28, 30]);
        // 7×7 points are 7 pixels apart for 28×28; 30 columns need one more.
        assert_eq!((field.points.len(), field.columns), (7 * 8, 8));
        field.points.fill([1.5, -0.5]);
        for y in 0..28 {
            let (mut down, mut right) = ([1.0; 30], [0.0; 30]);
            field.add_row(y, &mut down, &mut right);
            assert!(down.iter().all(|down| (down - 2.5).abs() < 1e-5), "{down:?}");
            assert!(right.iter().all(|right| (right + 0.5).abs() < 1e-5), "{right:?}");
        }
    }
}
