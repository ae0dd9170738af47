//! How one hand writes a glyph, once.

use super::glyphs::Glyph;
use super::point::{Point, Touch};
use crate::random::Stream;

/// Knots of the warp along each side of the glyph's box.
const KNOTS: usize = 3;
/// Straight pieces that stand for the curve drawn towards one control point.
const PIECES: usize = 6;

/// What is particular to one digit on paper.
///
/// Lengths are in parts of the height of the glyph's box.
pub struct Hand {
    /// Scales every irregularity of form. Most hands are tidy and a few are not, whose digits are
    /// hard to read.
    sloppiness: f32,
    /// How far the glyph's box is displaced at each knot, by rows. Because neighbours move
    /// together, strokes that meet still meet, and the proportions change.
    warp: [[Point; KNOTS]; KNOTS],
    /// Stretch, slant and rotation as one linear map, by rows.
    map: [[f32; 2]; 2],
}

impl Hand {
    /// A hand unlike any other.
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

    /// Writes `glyph`: one line of touches for each stroke.
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

    /// Where `point` of the glyph's box comes to lie.
    fn on_paper(&self, point: Point) -> Point {
        let [x, y] = add(point, self.displacement(point));
        self.map.map(|[from_x, from_y]| from_x * x + from_y * y)
    }

    /// The warp at `point`, interpolated bilinearly between the four knots around it.
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

/// The quadratic B-spline of `controls`, three or more, as touches along it: a chain of Bézier
/// curves, each with one control point as its control and the middles of the two edges beside that
/// point as its ends. A point that stands twice is such a middle: the curve has a corner there.
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

/// A bell curve without logarithms: four uniforms, summed and brought to mean 0 and standard
/// deviation 1. Never beyond ±3.5.
pub fn bell(random: &mut Stream) -> f32 {
    const DEVIATION: f32 = 0.577_350_26; // of the sum: √(4/12)
    let sum = random.unit() + random.unit() + random.unit() + random.unit();
    (sum - 2.0) / DEVIATION
}

fn offset(deviation: f32, random: &mut Stream) -> Point {
    [deviation * bell(random), deviation * bell(random)]
}

fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1]]
}

/// `a` where `t` is 0, `b` where it is 1.
fn mix<const D: usize>(a: [f32; D], b: [f32; D], t: f32) -> [f32; D] {
    std::array::from_fn(|axis| a[axis] + (b[axis] - a[axis]) * t)
}
