//! The ways in which people write each digit.

use super::point::Point;
use super::size::CLASSES;
use crate::random::Stream;

/// One way of writing a character: its weight, which says how often it is chosen, and its strokes.
///
/// Strokes are separated by `;`. A stroke is a list of three or more control points `x,y` in a box
/// of about 100×100, with y downwards. It is a quadratic B-spline: it begins at the first point,
/// ends at the last and bends towards the points in between, so it stays smooth wherever they are
/// moved. At a point marked `!` it has a corner.
pub type Writing = (u32, &'static str);

/// Ways of writing each digit, by digit.
#[rustfmt::skip] // One line for each way of writing.
pub const WRITINGS: [&[Writing]; CLASSES] = [
    // 0
    &[
        (5, "55,4 18,2 6,40 8,70 22,100 60,102 90,80 92,38 78,3 42,2"), // closed at the top
        (2, "72,14 45,-6 12,12 4,62 18,102 65,104 96,66 92,14 58,-2 36,16"), // ends inside
        (2, "40,4 72,-4 98,26 92,80 58,106 18,100 4,60 10,14 52,0"), // clockwise
        (1, "60,2 16,8 4,66 28,104 80,98 98,40 84,6"), // left open
    ],
    // 1
    &[
        (12, "51,0 50,50 49,100"), // a bar
        (2, "51,0 56,50 46,100"), // a bent bar
        (3, "30,22 52,2! 51,50 50,100"), // with a flag
        (1, "28,24 50,2! 50,50 50,98; 22,98 50,97 80,98"), // with a flag and a base
    ],
    // 2
    &[
        (4, "14,26 20,0 66,-8 90,22 74,54 36,80 8,98! 50,95 94,94"), // an angle at the bottom
        (3, "12,24 22,0 66,-8 88,20 78,54 38,88 10,108 0,86 30,74 58,94 98,96"), // a loop
        (2, "16,18 40,0 82,0 84,30 60,60 12,94! 40,86 66,102 96,90"), // a waved base
        (1, "20,10 60,2 86,10 70,40 20,100 14,90 40,88 90,92"), // a rounded angle
        (2, "24,22 36,-2 72,4 66,36 30,76 4,94! 54,92 112,82"), // a long base
    ],
    // 3
    &[
        (4, "12,14 36,-6 86,0 86,38 40,47! 94,46 96,94 52,106 6,88"), // an angle in the middle
        (3, "14,12 40,-6 88,2 82,38 46,56 32,46 48,40 96,48 92,94 54,106 6,90"), // a loop
        (1, "12,6 50,6 82,4! 44,40! 98,36 96,98 48,106 8,88"), // a flat top
        (2, "18,8 60,-6 86,14 76,44 50,46 84,48 92,80 60,104 8,96"), // no angle
    ],
    // 4
    &[
        (4, "20,4 18,30 8,62 40,62 90,54; 74,8 70,50 64,100"), // open
        (2, "24,6 12,58! 50,56 92,52; 68,2 66,50 64,100"), // open with an angle
        (2, "64,2 36,36 6,66! 50,66 94,64; 64,4 63,50 60,100"), // closed
        (2, "20,6 8,46 30,62 72,50 78,4! 72,50 64,100"), // in one stroke
    ],
    // 5
    &[
        (4, "28,6 24,28 18,48! 50,32 94,48 90,96 46,106 8,88; 27,6 56,6 90,2"), // the hat last
        (3, "88,6 56,6 28,8! 20,46! 60,30 94,52 86,98 44,106 8,88"), // in one stroke
        (2, "88,6 40,-2 20,26 30,44 76,46 86,78 60,106 8,94"), // like an S
        (3, "36,22 34,34 28,52! 54,42 82,62 66,100 34,104 2,92; 35,22 66,16 104,2"), // a long hat
    ],
    // 6
    &[
        (4, "62,0 28,26 4,66 12,102 62,108 92,80 72,50 34,52 14,80"), // a curved stem
        (3, "46,0 18,44 6,88 34,110 88,96 84,58 42,54 12,84"), // a straight stem
        (2, "80,8 52,-6 16,24 4,76 30,108 84,100 88,62 50,46 14,70"), // a hooked stem
        (3, "58,0 22,38 4,80 24,108 66,106 74,76 52,58 26,74 18,94"), // a small ring
    ],
    // 7
    &[
        (5, "8,8 50,8 86,6! 64,46 46,100"), // an angle
        (2, "8,10 50,8 86,6! 62,46 44,100; 30,52 54,50 80,46"), // with a bar
        (2, "8,24 14,6! 50,10 86,4! 62,44 52,100"), // with a serif
        (2, "8,14 46,2 94,0 82,34 54,56 46,100"), // rounded
    ],
    // 8
    &[
        (4, "80,16 52,-8 10,4 18,40 56,50 96,70 82,108 20,106 6,74 44,52 84,34 80,8"), // S first
        (2, "50,46 14,34 18,-4 80,-4 84,34 50,46; 50,47 4,58 10,106 88,106 94,58 50,47"), // rings
        (3, "52,2 14,2 16,38 54,52 92,70 80,106 22,106 8,74 46,48 86,30 78,0 46,2"), // from the top
        (3, "88,10 46,-8 12,16 36,42 68,66 58,106 16,106 14,76 50,46 92,4"), // open at the top
    ],
    // 9
    &[
        (4, "80,18 58,-4 16,0 6,40 40,58 76,36 82,8! 78,50 70,100"), // a straight tail
        (3, "82,22 66,-6 18,-2 8,38 38,56 74,38 84,10! 90,70 70,104 18,96"), // a curved tail
        (3, "70,10 34,-8 8,16 12,50 54,52 82,22 76,0 78,50 58,100"), // in one turn
        (4, "68,14 44,-6 12,12 18,44 52,38 72,8! 66,50 54,100"), // a small ring
    ],
];

/// One way of writing a character, parsed from a [`Writing`].
pub struct Glyph {
    /// Frequency of this way, relative to the other ways of writing the character.
    weight: u32,
    /// Control points of each stroke, in a box of about 1×1. The point of a corner is in the list
    /// twice.
    pub strokes: Vec<Vec<Point>>,
}

/// The glyphs of each character of `writings`, by character.
pub fn parse_all(writings: &[&[Writing]]) -> Vec<Vec<Glyph>> {
    writings.iter().map(|ways| ways.iter().map(parse).collect()).collect()
}

fn parse(&(weight, strokes): &Writing) -> Glyph {
    Glyph { weight, strokes: strokes.split(';').map(parse_stroke).collect() }
}

fn parse_stroke(stroke: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for word in stroke.split_whitespace() {
        let (x, y) = word.trim_end_matches('!').split_once(',').expect("x,y");
        let point = [x, y].map(|number| number.parse::<f32>().expect("a number") / 100.0);
        points.push(point);
        if word.ends_with('!') {
            points.push(point);
        }
    }
    assert!(points.len() >= 3, "a stroke is a curve: {stroke}");
    points
}

/// Chooses one of `glyphs` at random, with probabilities proportional to their weights.
pub fn choose<'a>(glyphs: &'a [Glyph], random: &mut Stream) -> &'a Glyph {
    let mut lot = random.below(glyphs.iter().map(|glyph| glyph.weight).sum());
    for glyph in glyphs {
        if lot < glyph.weight {
            return glyph;
        }
        lot -= glyph.weight;
    }
    unreachable!("the lot is below the sum of the weights")
}
