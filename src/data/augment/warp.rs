//! Images whose pixels come from other places: each pixel is interpolated between the four around its
//! place of origin (bilinear).

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

/// Places of origin, as a function of places relative to the middle of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Matrix [[yy, yx], [xy, xx]] by which a place (y, x) is multiplied.
    matrix: [[f32; 2]; 2],
    /// Distance [down, right] of the origin, in pixels.
    moved: [f32; 2],
}

impl Affine {
    /// Random move, rotation, scaling and shear.
    pub fn random(stream: &mut Stream) -> Self {
        let mut within = |largest: f32| stream.uniform(-largest, largest);
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
    /// The image with zeros around it, (H + 3, W + 3): one row and column before it, and two after it.
    padded: Vec<f32>,
    /// Buffers for one row.
    row: Row,
}

/// Buffers for the pixels of one row, (W) each. Each loop over a row does one thing, so that the
/// compiler can make vectors of all but the one that reads at the places.
#[derive(Debug)]
struct Row {
    /// Places of origin: rows and columns in the padded image.
    down: Vec<f32>,
    right: Vec<f32>,
    /// Index of the upper left of the four pixels around each place, and the place relative to it.
    corners: Vec<u32>,
    below: Vec<f32>,
    beside: Vec<f32>,
    /// The four pixels, row by row.
    around: [Vec<f32>; 4],
}

impl Warp {
    /// Memory for images with these `sides` [H, W].
    pub fn new(sides: [usize; 2]) -> Self {
        let [rows, columns] = sides;
        let zeros = || vec![0.0; columns];
        let row = Row {
            down: zeros(),
            right: zeros(),
            corners: vec![0; columns],
            below: zeros(),
            beside: zeros(),
            around: [zeros(), zeros(), zeros(), zeros()],
        };
        Self { sides, padded: vec![0.0; (rows + 3) * (columns + 3)], row }
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
        let stride = columns + 3;
        for (row, padded) in
            image.chunks_exact(columns).zip(self.padded[stride..].chunks_exact_mut(stride))
        {
            padded[1..=columns].iter_mut().zip(row).for_each(|(to, pixel)| *to = f32::from(*pixel));
        }
        let [middle_y, middle_x] = self.sides.map(|side| (side - 1) as f32 / 2.0);
        let Affine { matrix: [of_y, of_x], moved } = affine;
        let Row { down, right, corners, below, beside, around } = &mut self.row;
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
            // Outside, the image is blank, so it does not matter how far outside a place is.
            let places = down.iter().zip(&*right);
            let relative = below.iter_mut().zip(&mut *beside);
            for ((corner, (below, beside)), (down, right)) in
                corners.iter_mut().zip(relative).zip(places)
            {
                let down = down.clamp(-1.0, rows as f32) + 1.0;
                let right = right.clamp(-1.0, columns as f32) + 1.0;
                let (row, column) = (down as i32, right as i32);
                *below = down - row as f32;
                *beside = right - column as f32;
                *corner = (row * stride as i32 + column) as u32;
            }
            let [upper_left, upper_right, lower_left, lower_right] = around;
            let upper = upper_left.iter_mut().zip(&mut *upper_right);
            let lower = lower_left.iter_mut().zip(&mut *lower_right);
            for (corner, (upper, lower)) in corners.iter().zip(upper.zip(lower)) {
                let four = &self.padded[*corner as usize..][..stride + 2];
                (*upper.0, *upper.1) = (four[0], four[1]);
                (*lower.0, *lower.1) = (four[stride], four[stride + 1]);
            }
            let upper = upper_left.iter().zip(&*upper_right);
            let lower = lower_left.iter().zip(&*lower_right);
            let relative = below.iter().zip(&*beside);
            for ((to, (below, beside)), (upper, lower)) in
                to.iter_mut().zip(relative).zip(upper.zip(lower))
            {
                let upper = upper.0 + beside * (upper.1 - upper.0);
                let lower = lower.0 + beside * (lower.1 - lower.0);
                *to = (upper + below * (lower - upper) + 0.5) as u8;
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
    fn half_a_pixel_is_the_mean_of_two() {
        let image = [10, 20, 40, 80];
        let moved = |moved| warped(&image, [2, 2], &Affine { moved, ..IDENTITY });
        assert_eq!(moved([0.0, 0.5]), [15, 10, 60, 40]);
        assert_eq!(moved([-0.5, 0.0]), [5, 10, 25, 50]);
        assert_eq!(moved([50.0, 0.0]), [0; 4]);
        assert_eq!(moved([0.0, -1.0]), [0, 10, 0, 40]);
    }

    #[test]
    fn a_scale_of_two_halves_the_distances_and_a_shear_moves_rows() {
        let image = [0, 0, 0, 0, 0, 0, 100, 100, 0, 0, 0, 0, 0, 0, 0];
        let larger = warped(&image, [3, 5], &Affine::new(0.0, 2.0, 0.0, [0.0; 2]));
        assert_eq!(larger, [50, 50, 50, 25, 0, 100, 100, 100, 50, 0, 50, 50, 50, 25, 0]);
        let column = [0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0];
        let sheared = warped(&column, [3, 5], &Affine::new(0.0, 1.0, 1.0, [0.0; 2]));
        assert_eq!(sheared, [0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0]);
    }
}
