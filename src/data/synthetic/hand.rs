//! A hand: the irregularities with which one digit is written.

use super::glyphs::Glyph;
use super::point::{Point, Touch};
use crate::random::Stream;

/// Number of knots of the warp along each side of the glyph's box.
const KNOTS: usize = 3;
/// Number of straight pieces that approximate the curve near one control point.
const PIECES: usize = 6;

/// Random irregularities of one written digit.
///
/// The unit of length is the height of the glyph's box.
pub struct Hand {
    /// Factor of every irregularity of form. Most hands are tidy; a few are not, and their digits
    /// are hard to read.
    sloppiness: f32,
    /// Displacement of the glyph's box at each knot, row by row. Neighbouring points move together,
    /// so strokes that meet still meet, while the proportions change.
    warp: [[Point; KNOTS]; KNOTS],
    /// Stretch, slant and rotation as one 2×2 matrix, row by row.
    map: [[f32; 2]; 2],
}

impl Hand {
    /// A hand with random irregularities.
    pub fn new(random: &mut Stream) -> Self {
        let sloppiness = 0.5 + 1.5 * random.unit() * random.unit();
        let warp = [(); KNOTS].map(|()| [(); KNOTS].map(|()| offset(0.115 * sloppiness, random)));
        let width = 0.78 + 0.15 * bell(random);
        let slant = 0.2 + 0.2 * bell(random);
        // A rotation without sines: the direction (1, tangent) brought to length 1.
        let tangent = 0.13 * bell(random);
        let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
        let sine = cosine * tangent;
        // [cosine, −sine; sine, cosine] · [width, −slant; 0, 1]
        let map =
            [[cosine * width, -cosine * slant - sine], [sine * width, -sine * slant + cosine]];
        Self { sloppiness, warp, map }
    }

    /// Writes `glyph` and returns the touches along each stroke.
    pub fn write(&self, glyph: &Glyph, random: &mut Stream) -> Vec<Vec<Touch>> {
        let write_stroke = |stroke: &Vec<Point>| {
            let slip = offset(0.02 * self.sloppiness, random);
            let controls: Vec<Touch> = stroke
                .iter()
                .map(|&point| {
                    let tremor = offset(0.022 * self.sloppiness, random);
                    let pressure = 1.0 + 0.2 * bell(random);
                    let [x, y] = self.on_paper(add(add(point, slip), tremor));
                    [x, y, pressure]
                })
                .collect();
            flatten(&controls)
        };
        glyph.strokes.iter().map(write_stroke).collect()
    }

    /// Position on paper of `point` in the glyph's box.
    fn on_paper(&self, point: Point) -> Point {
        let [x, y] = add(point, self.displacement(point));
        self.map.map(|[from_x, from_y]| from_x * x + from_y * y)
    }

    /// Displacement of `point`: the warp, interpolated bilinearly between the four nearest knots.
    fn displacement(&self, point: Point) -> Point {
        let cells = (KNOTS - 1) as f32;
        let [(column, right), (row, down)] = point.map(|coordinate| {
            let place = coordinate.clamp(0.0, 1.0) * cells;
            let knot = place.floor().min(cells - 1.0);
            (knot as usize, place - knot)
        });
        let along = |row: usize| mix(self.warp[row][column], self.warp[row][column + 1], right);
        mix(along(row), along(row + 1), down)
    }
}

/// Touches along the quadratic B-spline of `controls`, which are three or more. The spline is a
/// chain of Bézier curves: each has one control point, and its ends are the middles between this
/// point and its two neighbours. The middle between two equal points is the point itself, so the
/// curve has a corner there.
fn flatten(controls: &[Touch]) -> Vec<Touch> {
    let last = controls.len() - 1;
    let mut start = controls[0];
    let mut line = vec![start];
    for index in 1..last {
        let control = controls[index];
        let end =
            if index + 1 == last { controls[last] } else { mix(control, controls[index + 1], 0.5) };
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            line.push(mix(mix(start, control, t), mix(control, end, t), t));
        }
        start = end;
    }
    line
}

/// Random number from a bell curve of mean 0 and standard deviation 1, within ±3.5. It is a scaled
/// sum of four uniform numbers and so needs no logarithm.
pub fn bell(random: &mut Stream) -> f32 {
    const DEVIATION: f32 = 0.577_350_26; // Standard deviation of the sum, √(4/12).
    let sum = random.unit() + random.unit() + random.unit() + random.unit();
    (sum - 2.0) / DEVIATION
}

/// Random vector whose coordinates have mean 0 and this standard deviation.
fn offset(deviation: f32, random: &mut Stream) -> Point {
    [deviation * bell(random), deviation * bell(random)]
}

fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1]]
}

/// Linear interpolation: `a` at `t` = 0, `b` at `t` = 1.
fn mix<const D: usize>(a: [f32; D], b: [f32; D], t: f32) -> [f32; D] {
    std::array::from_fn(|axis| a[axis] + (b[axis] - a[axis]) * t)
}
