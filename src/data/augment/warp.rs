//! Images whose pixels come from other places: each pixel is interpolated between the sixteen around its
//! place of origin, by the cubic convolution of Keys (1981). The weighted mean of the nearest four (bilinear) costs
//! less, but it blurs, and images that the network has to recognize later are not blurred.

use std::array;

use super::spline::Field;
use crate::random::Stream;

/// Largest move in each direction, in pixels.
const LARGEST_MOVE: f32 = 1.5;
/// Largest rotation, in degrees.
const LARGEST_ROTATION: f32 = 10.0;
/// Largest part by which an image grows or shrinks.
const LARGEST_SCALING: f32 = 0.1;
/// Largest shear: the part of its height above the middle that a pixel moves sideways.
const LARGEST_SHEAR: f32 = 0.15;

/// Parameter a of the cubic convolution. Keys found this value to be the only one that keeps straight
/// slopes of ink straight.
const SLOPE: f32 = -0.5;
/// Number of places from one pixel to the next that are told apart.
const STEPS: u32 = 64;

/// Places of origin, as a function of places relative to the middle of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Matrix [[yy, yx], [xy, xx]] by which a place (y, x) is multiplied.
    matrix: [[f32; 2]; 2],
    /// Distance [down, right] of the origin, in pixels.
    moved: [f32; 2],
}

impl Affine {
    /// Random move, rotation, scaling and shear, with all amounts multiplied by `strength`.
    pub fn random(stream: &mut Stream, strength: f32) -> Self {
        let mut within = |largest: f32| strength * stream.uniform(-largest, largest);
        let moved = [within(LARGEST_MOVE), within(LARGEST_MOVE)];
        let degrees = within(LARGEST_ROTATION);
        let scale = 1.0 + within(LARGEST_SCALING);
        Self::new(degrees, scale, within(LARGEST_SHEAR), moved)
    }

    /// Rotation by `degrees` to the left after a `shear`, and a `scale` above 1 for a larger image.
    fn new(degrees: f32, scale: f32, shear: f32, moved: [f32; 2]) -> Self {
        let (sine, cosine) = f64::from(degrees).to_radians().sin_cos();
        let [sine, cosine] = [sine, cosine].map(|value| value as f32 / scale);
        Self { matrix: [[cosine + sine * shear, sine], [cosine * shear - sine, cosine]], moved }
    }
}

/// Memory for images with the same sides.
#[derive(Debug)]
pub struct Warp {
    /// Number of rows and columns of an image, [H, W].
    sides: [usize; 2],
    /// The image with zeros around it, (H + 5, W + 5): two rows and columns before it, and three after it.
    padded: Vec<f32>,
    /// Weights of four pixels in a row for each number of steps from the second of them.
    weights: [[f32; 4]; STEPS as usize],
    /// Buffers for one row.
    row: Row,
}

/// Buffers for the pixels of one row, (W) each. Each loop over a row does one thing, so that the
/// compiler can make vectors of it: of several pixels of the row or, where places are read, of the four
/// pixels side by side there.
#[derive(Debug)]
struct Row {
    /// Places of origin: rows and columns in the image.
    down: Vec<f32>,
    right: Vec<f32>,
    /// Index of the upper left of the sixteen pixels around each place.
    corners: Vec<u32>,
    /// Steps down and right to each place from the pixel at or before it.
    below: Vec<u32>,
    beside: Vec<u32>,
    /// Weighted sum of each of the four columns of pixels around each place.
    sums: Vec<[f32; 4]>,
}

/// Weights of four pixels in a row for a place between the second and the third, at this `part` of the way.
fn weights(part: f32) -> [f32; 4] {
    let near = |x: f32| (SLOPE + 2.0) * x * x * x - (SLOPE + 3.0) * x * x + 1.0;
    let far = |x: f32| SLOPE * (x * x * x - 5.0 * x * x + 8.0 * x - 4.0);
    [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)]
}

impl Warp {
    /// Memory for images with these `sides` [H, W].
    pub fn new(sides: [usize; 2]) -> Self {
        let [rows, columns] = sides;
        let (places, indices) = (vec![0.0; columns], vec![0; columns]);
        let row = Row {
            down: places.clone(),
            right: places,
            corners: indices.clone(),
            below: indices.clone(),
            beside: indices,
            sums: vec![[0.0; 4]; columns],
        };
        Self {
            sides,
            padded: vec![0.0; (rows + 5) * (columns + 5)],
            weights: array::from_fn(|step| weights(step as f32 / STEPS as f32)),
            row,
        }
    }

    /// Writes `image`, (H, W), to `to`: each pixel comes from the place that `affine` and `field` say.
    pub fn apply(
        &mut self,
        image: &[u8],
        affine: &Affine,
        mut field: Option<&mut Field>,
        to: &mut [u8],
    ) {
        let [rows, columns] = self.sides;
        let stride = columns + 5;
        for (row, padded) in
            image.chunks_exact(columns).zip(self.padded[2 * stride..].chunks_exact_mut(stride))
        {
            padded[2..].iter_mut().zip(row).for_each(|(to, pixel)| *to = f32::from(*pixel));
        }
        let [middle_y, middle_x] = self.sides.map(|side| (side - 1) as f32 / 2.0);
        let Affine { matrix: [of_y, of_x], moved } = affine;
        let Row { down, right, corners, below, beside, sums } = &mut self.row;
        for (y, to) in to.chunks_exact_mut(columns).enumerate() {
            let above = y as f32 - middle_y;
            let first = [
                of_y[0] * above - of_y[1] * middle_x + middle_y + moved[0],
                of_x[0] * above - of_x[1] * middle_x + middle_x + moved[1],
            ];
            for (x, (down, right)) in (0_u16..).zip(down.iter_mut().zip(&mut *right)) {
                let x = f32::from(x);
                *down = first[0] + of_y[1] * x;
                *right = first[1] + of_x[1] * x;
            }
            if let Some(field) = &mut field {
                field.add_row(y, down, right);
            }
            // From a pixel outside the image on, all is taken for blank: in that direction, the weights of ink
            // are 0 or negative.
            let to_steps = |place: f32, side: usize| {
                ((place.clamp(-1.0, side as f32) + 1.0) * STEPS as f32 + 0.5) as i32 as u32
            };
            let parts = below.iter_mut().zip(&mut *beside);
            for ((corner, (below, beside)), (down, right)) in
                corners.iter_mut().zip(parts).zip(down.iter().zip(&*right))
            {
                let (down, right) = (to_steps(*down, rows), to_steps(*right, columns));
                (*below, *beside) = (down % STEPS, right % STEPS);
                *corner = down / STEPS * stride as u32 + right / STEPS;
            }
            let parts = below.iter().zip(&*beside);
            for ((sums, corner), (below, beside)) in sums.iter_mut().zip(&*corners).zip(parts) {
                let around = &self.padded[*corner as usize..][..3 * stride + 4];
                let [of_rows, of_columns] =
                    [below, beside].map(|part| &self.weights[*part as usize]);
                *sums = [0.0; 4];
                for (weight, row) in of_rows.iter().zip(around.chunks(stride)) {
                    let row: &[f32; 4] = row.first_chunk().expect("four pixels");
                    *sums = array::from_fn(|column| sums[column] + weight * row[column]);
                }
                *sums = array::from_fn(|column| sums[column] * of_columns[column]);
            }
            for (to, [a, b, c, d]) in to.iter_mut().zip(&*sums) {
                // The conversion clamps to 0 to 255.
                *to = ((a + b) + (c + d) + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Affine = Affine { matrix: [[1.0, 0.0], [0.0, 1.0]], moved: [0.0; 2] };

    fn warped(image: &[u8], sides: [usize; 2], affine: &Affine) -> Vec<u8> {
        let mut to = vec![7; image.len()];
        let mut warp = Warp::new(sides);
        // What a warp before has left must not matter.
        warp.apply(&vec![255; image.len()], &IDENTITY, None, &mut to);
        warp.apply(image, affine, None, &mut to);
        to
    }

    #[test]
    fn without_a_change_all_pixels_stay() {
        let image: Vec<u8> = (0..=254).collect();
        assert_eq!(warped(&image, [15, 17], &IDENTITY), image);
        assert_eq!(warped(&image, [15, 17], &Affine::new(0.0, 1.0, 0.0, [0.0; 2])), image);
    }

    #[test]
    fn a_quarter_turn_turns_rows_into_columns() {
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let turned = warped(&image, [3, 3], &Affine::new(90.0, 1.0, 0.0, [0.0; 2]));
        assert_eq!(turned, [3, 6, 9, 2, 5, 8, 1, 4, 7]);
    }

    #[test]
    fn the_weights_keep_straight_slopes() {
        for part in [0.0, 0.25, 0.5, 0.875] {
            let weights = weights(part);
            let [sum, place] = [[1.0; 4], [-1.0, 0.0, 1.0, 2.0]].map(|values: [f32; 4]| {
                weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f32>()
            });
            assert!((sum - 1.0).abs() < 1e-6, "{part}: {sum}");
            assert!((place - part).abs() < 1e-6, "{part}: {place}");
        }
        assert_eq!(weights(0.0), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(weights(0.5), [-0.0625, 0.5625, 0.5625, -0.0625]);
    }

    #[test]
    fn half_a_pixel_weighs_the_four_nearest() {
        let image = [0, 160, 255, 255, 160, 0];
        let moved = |moved| warped(&image, [1, 6], &Affine { moved, ..IDENTITY });
        // (9 · 160 − 255) / 16 = 74.06, (9 · (160 + 255) − 255) / 16 = 217.5; 266.875 and −10 are clamped.
        assert_eq!(moved([0.0, 0.5]), [74, 218, 255, 218, 74, 0]);
        assert_eq!(moved([0.0, -0.5]), [0, 74, 218, 255, 218, 74]);
        assert_eq!(moved([0.0, 1.0]), [160, 255, 255, 160, 0, 0]);
        assert_eq!(moved([50.0, 0.0]), [0; 6]);
        let column = |moved| warped(&image, [6, 1], &Affine { moved, ..IDENTITY });
        assert_eq!(column([0.5, 0.0]), [74, 218, 255, 218, 74, 0]);
    }

    #[test]
    fn a_scale_of_two_halves_the_distances_and_a_shear_moves_rows() {
        let image = [0, 0, 0, 0, 0, 0, 100, 100, 0, 0, 0, 0, 0, 0, 0];
        let larger = warped(&image, [3, 5], &Affine::new(0.0, 2.0, 0.0, [0.0; 2]));
        assert_eq!(larger, [56, 63, 56, 28, 0, 100, 113, 100, 50, 0, 56, 63, 56, 28, 0]);
        let column = [0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0];
        let sheared = warped(&column, [3, 5], &Affine::new(0.0, 1.0, 1.0, [0.0; 2]));
        assert_eq!(sheared, [0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0]);
    }
}
