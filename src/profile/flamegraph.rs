//! Folded stacks as pictures.

use std::io;

use inferno::differential;
use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Options, TextTruncateDirection};

use super::part::Part;
use super::stacks::Folded;

/// Functions that several parts call.
const SHARED: [u8; 3] = [228, 208, 178];
/// Behind the frames: light, because what is written on it is black, whatever the reader's theme,
/// and not white, which is what a differential graph says of frames that have not changed.
const BACKGROUND: [u8; 3] = [236, 236, 240];

/// What stands above a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// What it is of.
    pub title: String,
    /// Under which circumstances.
    pub subtitle: String,
}

/// The flamegraph of `stacks`, as SVG; `stage` is its root.
///
/// # Panics
/// When there are no samples.
pub fn draw(stacks: &Folded, stage: &str, heading: &Heading) -> String {
    let mut palette = palette(stacks, stage);
    let mut options = options(heading);
    options.palette_map = Some(&mut palette);
    svg(&mut options, &stacks.lines(stage))
}

/// How the phases of `after` differ from those of `before`: as wide as they are in `after`, red where
/// their share of the samples is larger and blue where it is smaller. Shares, because the numbers of
/// samples mean nothing; phases, because functions have other names in every stage.
///
/// # Panics
/// When there are no samples in one of them.
pub fn draw_difference(before: &Folded, after: &Folded, heading: &Heading) -> String {
    const ROOT: &str = "step";
    let mut lines = Vec::new();
    let options_of_difference = differential::Options { normalize: true, strip_hex: false };
    let (before, after) = (before.lines_of_parts(ROOT), after.lines_of_parts(ROOT));
    differential::from_readers(
        options_of_difference,
        before.as_bytes(),
        after.as_bytes(),
        &mut lines,
    )
    .expect("memory can be read and written");
    let lines = String::from_utf8(lines).expect("the lines were text");
    // It writes them in no order.
    let mut sorted: Vec<_> = lines.lines().collect();
    sorted.sort_unstable();
    svg(&mut options(heading), &sorted.join("\n"))
}

fn options(heading: &Heading) -> Options<'static> {
    let mut options = Options::default();
    options.title.clone_from(&heading.title);
    options.subtitle = Some(heading.subtitle.clone());
    options.bgcolors = Some(BackgroundColor::Flat(colour(BACKGROUND)));
    // Fixed, so that it can be read where no script runs.
    options.image_width = Some(1200);
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.deterministic = true;
    options
}

fn svg(options: &mut Options<'_>, lines: &str) -> String {
    let mut svg = Vec::new();
    let drawn: io::Result<()> = flamegraph::from_lines(options, lines.lines(), &mut svg);
    drawn.expect("there are samples, and memory can be written");
    String::from_utf8(svg).expect("names are text")
}

/// Every frame in the colour of its part.
fn palette(stacks: &Folded, stage: &str) -> PaletteMap {
    let mut palette = PaletteMap::default();
    // The frame below all others has no name.
    for name in ["", stage] {
        palette.insert(name, colour(Part::Waiting.colour()));
    }
    for part in Part::all() {
        palette.insert(part.name(), colour(part.colour()));
    }
    for (function, parts) in stacks.parts_of_functions() {
        let only = if parts.len() == 1 { parts.first() } else { None };
        palette.insert(function, colour(only.map_or(SHARED, |part| part.colour())));
    }
    palette
}

fn colour([r, g, b]: [u8; 3]) -> Color {
    Color { r, g, b }
}
