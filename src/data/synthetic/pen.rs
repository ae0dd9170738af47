//! A pen, which turns the lines of a digit into pixels.

use super::hand::bell;
use super::point::{Point, Touch};
use super::size::SIDE;
use crate::data::picture::normalize::centred;
use crate::random::Stream;

/// Number of pixels along each side of the box that a digit fills.
const BOX_SIDE: usize = 20;

/// Pixels of a digit in its box, (20, 20); 0 is background.
pub type Boxed = [[u8; BOX_SIDE]; BOX_SIDE];

/// Pen of random breadth. Lengths are in pixels.
pub struct Pen {
    /// Half the breadth of a stroke, from its middle to where it is half as bright as ink.
    radius: f32,
    /// Half the breadth of a stroke's edge, where ink fades to background.
    blur: f32,
}

impl Pen {
    /// A pen of random breadth.
    pub fn new(random: &mut Stream) -> Self {
        Self { radius: (1.22 + 0.32 * bell(random)).max(0.75), blur: 0.72 + 0.1 * bell(random) }
    }

    /// Draws `lines` as large as the box allows.
    pub fn ink(&self, lines: &[Vec<Touch>]) -> Boxed {
        let lines = fit(lines, BOX_SIDE as f32 - 2.0 * self.radius);
        // Depth of each pixel's centre in the ink: 0 at the outer side of the edge, 1 at the inner.
        let mut depths = [[0.0_f32; BOX_SIDE]; BOX_SIDE];
        for ends in lines.iter().flat_map(|line| line.windows(2)) {
            self.ink_piece(ends[0], ends[1], &mut depths);
        }
        depths.map(|row| row.map(brightness))
    }

    /// Draws the straight piece from `a` to `b`; its radius is proportional to the pressure.
    fn ink_piece(&self, a: Touch, b: Touch, depths: &mut [[f32; BOX_SIDE]; BOX_SIDE]) {
        let reach = self.radius * a[2].max(b[2]) + self.blur;
        let pixels = |axis: usize| {
            // These casts turn a negative number into 0.
            let first = (a[axis].min(b[axis]) - reach) as usize;
            let end = (a[axis].max(b[axis]) + reach) as usize + 1;
            first..end.min(BOX_SIDE)
        };
        for row in pixels(1) {
            for column in pixels(0) {
                let centre = [column as f32 + 0.5, row as f32 + 0.5];
                let (t, distance) = nearest(centre, a, b);
                let radius = self.radius * (a[2] + (b[2] - a[2]) * t);
                let depth = 0.5 + 0.5 * (radius - distance) / self.blur;
                depths[row][column] = depths[row][column].max(depth);
            }
        }
    }
}

/// Scales `lines`, with their aspect ratio kept, until the larger of width and height is `size`,
/// and moves their middle to the middle of the box.
fn fit(lines: &[Vec<Touch>], size: f32) -> Vec<Vec<Touch>> {
    let touches = || lines.iter().flatten();
    let [(x_middle, width), (y_middle, height)] = [0, 1].map(|axis| {
        let low = touches().fold(f32::MAX, |low, touch| low.min(touch[axis]));
        let high = touches().fold(f32::MIN, |high, touch| high.max(touch[axis]));
        (0.5 * (low + high), high - low)
    });
    let scale = size / width.max(height);
    let half = 0.5 * BOX_SIDE as f32;
    let fit_touch = |&[x, y, pressure]: &Touch| {
        [(x - x_middle) * scale + half, (y - y_middle) * scale + half, pressure]
    };
    lines.iter().map(|line| line.iter().map(fit_touch).collect()).collect()
}

/// Brightness of a pixel at this `depth` in the ink: a smooth step, because black and white are
/// more frequent than grey in MNIST.
fn brightness(depth: f32) -> u8 {
    let depth = depth.min(1.0);
    (depth * depth * (3.0 - 2.0 * depth) * 255.0 + 0.5) as u8
}

/// Point of the straight piece from `a` to `b` that is nearest to `point`: its position on the
/// piece, from 0 at `a` to 1 at `b`, and its distance to `point`.
fn nearest(point: Point, a: Touch, b: Touch) -> (f32, f32) {
    let along = [b[0] - a[0], b[1] - a[1]];
    let from_a = [point[0] - a[0], point[1] - a[1]];
    let length_squared = (along[0] * along[0] + along[1] * along[1]).max(f32::MIN_POSITIVE);
    let t = (from_a[0] * along[0] + from_a[1] * along[1]) / length_squared;
    let t = t.clamp(0.0, 1.0);
    let away = [from_a[0] - t * along[0], from_a[1] - t * along[1]];
    (t, (away[0] * away[0] + away[1] * away[1]).sqrt())
}

/// Image (28, 28) with `digit` at the middle, as MNIST's digits are.
pub fn place(digit: &Boxed) -> Vec<u8> {
    centred(digit.as_flattened(), [BOX_SIDE; 2], [SIDE; 2])
}
