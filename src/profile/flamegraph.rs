//! Flamegraphs of folded stacks, as SVG.

use std::io;

use inferno::differential;
use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Options, TextTruncateDirection};

use super::part::Part;
use super::stacks::Folded;

/// Colour of functions that several parts call.
const SHARED: [u8; 3] = [228, 208, 178];
/// Colour behind the frames. It is light, because the text on it is black in every theme, but not
/// white, because white frames of a differential graph are the frames that have not changed.
const BACKGROUND: [u8; 3] = [236, 236, 240];

/// Heading of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Title, which names the stage.
    pub title: String,
    /// Subtitle, which names the circumstances of the measurement.
    pub subtitle: String,
}

/// Flamegraph of `stacks` as SVG, with the name of `stage` as its root.
///
/// # Panics
/// When there are no samples.
pub fn draw(stacks: &Folded, stage: &str, heading: &Heading) -> String {
    let mut palette = palette(stacks, stage);
    let mut options = options(heading);
    options.palette_map = Some(&mut palette);
    svg(&mut options, &stacks.lines(stage))
}

/// Differential flamegraph of the phases of `after` against `before`, as SVG. Phases have the
/// widths of `after`; a phase is red if its share of the samples is larger than in `before`, and
/// blue if it is smaller. Shares are compared, because the two numbers of samples are arbitrary;
/// phases are compared, because functions have other names in every stage.
///
/// # Panics
/// When `before` or `after` has no samples.
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
    // inferno writes the lines in random order.
    let mut sorted: Vec<_> = lines.lines().collect();
    sorted.sort_unstable();
    svg(&mut options(heading), &sorted.join("\n"))
}

/// Options that all graphs share.
fn options(heading: &Heading) -> Options<'static> {
    let mut options = Options::default();
    options.title.clone_from(&heading.title);
    options.subtitle = Some(heading.subtitle.clone());
    options.bgcolors = Some(BackgroundColor::Flat(colour(BACKGROUND)));
    // A fixed width, so that the graph can be read where scripts do not run.
    options.image_width = Some(1200);
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.deterministic = true;
    options
}

/// Draws folded `lines` as SVG.
fn svg(options: &mut Options<'_>, lines: &str) -> String {
    let mut svg = Vec::new();
    let drawn: io::Result<()> = flamegraph::from_lines(options, lines.lines(), &mut svg);
    drawn.expect("there are samples, and memory can be written");
    String::from_utf8(svg).expect("names are text")
}

/// Palette that gives every frame the colour of its part.
fn palette(stacks: &Folded, stage: &str) -> PaletteMap {
    let mut palette = PaletteMap::default();
    // The lowest frame has no name.
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
