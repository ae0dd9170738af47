//! Flamegraphs of folded stacks, as SVG.

use std::io;

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

/// Differential flamegraph of the phases of `after` against `before`, as SVG. Each of the two is
/// the stacks of a stage, and the time that it takes for an image, in µs. Phases have the widths of
/// `after`; a phase is red if its share of the samples is larger than in `before`, and blue if it
/// is smaller. Shares are compared, because the two numbers of samples are arbitrary; phases are
/// compared, because functions have other names in every stage. The name of a phase is followed by
/// the two times that it takes for an image.
///
/// # Panics
/// When `before` or `after` has no samples.
pub fn draw_difference(before: (&Folded, f64), after: (&Folded, f64), heading: &Heading) -> String {
    let share = |stacks: &Folded, part| stacks.of_part(part) as f64 / stacks.samples() as f64;
    let lines = Part::all().filter_map(|part| {
        let [old, new] = [before.0, after.0].map(|stacks| share(stacks, part));
        // inferno colours a frame by the difference of two counts.
        let [was, is] = [old, new].map(|share| (share * after.0.samples() as f64).round());
        let [old_time, new_time] = [old * before.1, new * after.1];
        let name = part.name();
        (was + is > 0.0)
            .then(|| format!("step;{name}: {old_time:.1} → {new_time:.1} µs/image {was} {is}\n"))
    });
    svg(&mut options(heading), &lines.collect::<String>())
}

/// Options that all graphs share.
fn options(heading: &Heading) -> Options<'static> {
    let mut options = Options::default();
    options.title.clone_from(&heading.title);
    options.subtitle = Some(heading.subtitle.clone());
    options.bgcolors = Some(BackgroundColor::Flat(colour(BACKGROUND)));
    // Letters are 0.6 wide, and inferno cuts a name a little too late. Where scripts run, they fit
    // the names into the frames.
    options.font_width = 0.69;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.deterministic = true;
    options
}

/// Draws folded `lines` as SVG.
fn svg(options: &mut Options<'_>, lines: &str) -> String {
    let mut svg = Vec::new();
    let drawn: io::Result<()> = flamegraph::from_lines(options, lines.lines(), &mut svg);
    drawn.expect("there are samples, and memory can be written");
    // inferno hides the button until the pointer is on it.
    let visible = "#search { opacity:1; text-decoration:underline; }\n</style>";
    String::from_utf8(svg).expect("names are text").replacen("</style>", visible, 1)
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

#[cfg(test)]
mod tests {
    use super::super::stacks::Stack;
    use super::*;

    /// Stacks of phases, `frames::NAME`, with twenty functions in each: the longer the name,
    /// the more samples.
    fn folded(phases: &[(&str, usize)]) -> Folded {
        let stacks = phases.iter().flat_map(|&(phase, samples)| {
            let phase = format!("mnist_train::engine::phases::frames::{phase}");
            (1..=20).map(move |size| Stack {
                functions: vec![phase.clone(), format!("a::b::{}", "W".repeat(3 * size))],
                samples: samples * size,
            })
        });
        Folded::of(&stacks.collect::<Vec<_>>())
    }

    fn heading() -> Heading {
        Heading { title: "title".into(), subtitle: "subtitle".into() }
    }

    #[test]
    fn names_fit_into_their_frames_without_scripts_too() {
        let svg = draw(&folded(&[("conv_forward", 1), ("loss", 9)]), "naive", &heading());
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&svg, options).unwrap();
        let frames = document.descendants().find(|node| node.attribute("id") == Some("frames"));
        let frames: Vec<_> = frames.unwrap().children().filter(|node| node.is_element()).collect();
        assert!(frames.len() > 40);
        let mut named = 0;
        for frame in frames {
            let child = |name| frame.children().find(|node| node.has_tag_name(name)).unwrap();
            let width: f64 =
                child("rect").attribute("width").unwrap().trim_end_matches('%').parse().unwrap();
            // A letter of the widest usual monospace font, and the space before the name.
            let name = child("text").text().unwrap_or_default();
            let needed = 3.0 + 7.25 * name.chars().count() as f64;
            assert!(name.is_empty() || needed <= 11.8 * width, "{name} in {width} %");
            named += usize::from(!name.is_empty());
        }
        assert!(named > 10, "only {named} frames have a name");
        assert!(svg.contains("#search { opacity:1;"));
    }

    #[test]
    fn a_difference_compares_shares_and_has_the_times_of_an_image() {
        let before = folded(&[("conv_forward", 30), ("loss", 10)]);
        let after = folded(&[("conv_forward", 1), ("optimizer", 1)]);
        let svg = draw_difference((&before, 400.0), (&after, 50.0), &heading());
        for frame in [
            "conv forward: 300.0 → 25.0 µs/image (210 samples, 50.00%; -25.00%)",
            "Adam: 0.0 → 25.0 µs/image (210 samples, 50.00%; +50.00%)",
        ] {
            assert!(svg.contains(frame), "{frame} is not in {svg}");
        }
        assert_eq!(svg, draw_difference((&before, 400.0), (&after, 50.0), &heading()));
    }
}
