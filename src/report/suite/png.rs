//! Plots as PNG.

use std::sync::Arc;

use flate2::Crc;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::plot::FONT;
use super::results::MARK;

/// Number of pixels of an inch.
const DPI: f32 = 300.0;
/// Number of pixels of an inch in SVG and CSS.
const CSS_DPI: f32 = 96.0;
/// Number of inches of a metre.
const INCHES: f32 = 1e4 / 254.0;

/// Font of the plots: its licence is in the file beside it.
static FONT_FILE: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

/// Length of what a PNG begins with: its signature, and the chunk IHDR.
const BEGINNING: usize = 8 + 4 + 4 + 13 + 4;

/// Picture of the plot `svg` with 300 pixels an inch.
///
/// # Panics
/// When `svg` is not an SVG of this program.
pub fn of(svg: &str) -> Vec<u8> {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT_FILE.to_vec());
    let options =
        Options { font_family: FONT.into(), fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).expect("a plot is an SVG");
    let scale = DPI / CSS_DPI;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|side| (scale * side).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).expect("a plot has an area");
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let png = pixels.encode_png().expect("memory takes everything");
    let per_metre = ((DPI * INCHES).round() as u32).to_be_bytes();
    let (beginning, rest) = png.split_at(BEGINNING);
    let density = chunk(b"pHYs", &[&per_metre[..], &per_metre, &[1]].concat());
    let software = chunk(b"tEXt", format!("Software\0{MARK}").as_bytes());
    [beginning, &density, &software, rest].concat()
}

/// Chunk of a PNG: its length, kind, content and check sum (PNG specification, section 5.3).
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    let length = (content.len() as u32).to_be_bytes();
    [&length, &kind[..], content, &crc.sum().to_be_bytes()].concat()
}
