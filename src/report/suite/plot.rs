//! Plots as SVG.
//!
//! A figure is a row of panels. Each panel is drawn for itself, so that a page can let panels wrap
//! where a file has them side by side. Colours are attributes, which a page replaces by rules for the
//! classes `s0`, `s1`, …; text and lines of the grid have the current colour.

use std::fmt::Write;

use super::results::MARK;

/// Size of a panel in pixels, of which there are 96 in an inch.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 320.0;
/// Sides of the area inside the axes.
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = HEIGHT - 48.0;
/// Space between an axis and the first mark.
const INSET: f64 = 18.0;
/// Share of the width of a place that a bar takes.
const BAR: f64 = 0.64;
/// Width of a character of a legend, on average.
const CHARACTER: f64 = 6.4;
/// Colours of the series, which people with any colour vision can distinguish (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Font of the text, which is embedded in the program.
pub const FONT: &str = "DejaVu Sans";

/// Row of panels.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of its file, without the extension.
    pub name: &'static str,
    /// Panels from left to right.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// The figure as an SVG file on white ground.
    pub fn svg(&self) -> String {
        let width = WIDTH * self.panels.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {width} {HEIGHT}\" color=\"#222222\" font-family=\"{FONT}, sans-serif\">\n\
             <desc>{MARK}</desc>\n<rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
        );
        for (index, panel) in self.panels.iter().enumerate() {
            let left = WIDTH * index as f64;
            _ = writeln!(svg, "<g transform=\"translate({left} 0)\">\n{}</g>", panel.content());
        }
        svg + "</svg>\n"
    }
}

/// Plot with two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Title above the plot.
    pub title: &'static str,
    /// Names of the horizontal and the vertical axis, with their units.
    pub axes: [&'static str; 2],
    /// Scale of the vertical axis.
    pub scale: Scale,
    /// What is drawn.
    pub marks: Marks,
}

/// Scale of a vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0, in equal steps.
    Linear,
    /// In equal factors. Values must be positive.
    Log,
}

/// What is drawn in a panel.
#[derive(Debug, Clone, PartialEq)]
pub enum Marks {
    /// Lines through points (x, y), each with its name. The horizontal axis is logarithmic.
    Lines(Vec<(String, Vec<(f64, f64)>)>),
    /// Bars at these labels, each a stack of the values of all series.
    Bars {
        /// Text below each bar.
        labels: Vec<String>,
        /// Names of the series, and a value for each bar.
        series: Vec<(String, Vec<f64>)>,
    },
}

impl Panel {
    /// The panel as an SVG element for a page, with its title as its description.
    #[cfg(feature = "plots")]
    pub fn svg(&self) -> String {
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}\">\n{}</svg>",
            escaped(self.title),
            self.content()
        )
    }

    /// The elements of the panel.
    fn content(&self) -> String {
        let mut svg = String::new();
        text(&mut svg, (WIDTH / 2.0, 20.0), "middle", 14, self.title);
        self.legend(&mut svg);
        let vertical = Vertical::new(self.scale, &self.heights());
        for tick in &vertical.ticks {
            let y = vertical.place(*tick);
            line(&mut svg, [(LEFT, y), (RIGHT, y)], 0.18);
            text(&mut svg, (LEFT - 6.0, y + 4.0), "end", 11, &number(*tick));
        }
        match &self.marks {
            Marks::Lines(series) => lines(&mut svg, series, &vertical),
            Marks::Bars { labels, series } => bars(&mut svg, labels, series, &vertical),
        }
        line(&mut svg, [(LEFT, TOP), (LEFT, BOTTOM)], 1.0);
        line(&mut svg, [(LEFT, BOTTOM), (RIGHT, BOTTOM)], 1.0);
        let [x, y] = self.axes;
        text(&mut svg, ((LEFT + RIGHT) / 2.0, HEIGHT - 10.0), "middle", 12, x);
        _ = writeln!(
            svg,
            "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\" \
             font-size=\"12\" fill=\"currentColor\">{}</text>",
            (TOP + BOTTOM) / 2.0,
            escaped(y)
        );
        svg
    }

    /// Values that the vertical axis must show.
    fn heights(&self) -> Vec<f64> {
        match &self.marks {
            Marks::Lines(series) => {
                series.iter().flat_map(|(_, points)| points).map(|point| point.1).collect()
            }
            Marks::Bars { labels, series } => {
                let stack = |bar: usize| series.iter().map(|(_, values)| values[bar]).sum();
                (0..labels.len()).map(stack).collect()
            }
        }
    }

    /// Appends the names of the series below the title; a series alone needs none.
    fn legend(&self, svg: &mut String) {
        let (names, has_lines): (Vec<&String>, bool) = match &self.marks {
            Marks::Lines(series) => (series.iter().map(|(name, _)| name).collect(), true),
            Marks::Bars { series, .. } => (series.iter().map(|(name, _)| name).collect(), false),
        };
        if names.len() < 2 {
            return;
        }
        let width = |name: &str| 30.0 + CHARACTER * name.chars().count() as f64;
        let total: f64 = names.iter().map(|name| width(name)).sum();
        let mut x = (WIDTH - total) / 2.0;
        for (series, name) in names.into_iter().enumerate() {
            if has_lines {
                polyline(svg, series, &[(x, 37.0), (x + 18.0, 37.0)]);
                mark(svg, series, (x + 9.0, 37.0));
            } else {
                rectangle(svg, series, (x + 4.0, 32.0), (11.0, 11.0));
            }
            text(svg, (x + 22.0, 41.0), "start", 11, name);
            x += width(name);
        }
    }
}

/// Vertical axis.
struct Vertical {
    scale: Scale,
    /// Lowest and highest value of the axis.
    range: (f64, f64),
    /// Values with a line of the grid.
    ticks: Vec<f64>,
}

impl Vertical {
    /// Axis with room for all `values`.
    fn new(scale: Scale, values: &[f64]) -> Self {
        let highest = values.iter().copied().fold(0.0, f64::max);
        let ticks = match scale {
            Scale::Linear => linear_ticks(highest),
            Scale::Log => {
                let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
                log_ticks(lowest, highest)
            }
        };
        let range = (ticks[0], ticks[ticks.len() - 1]);
        Self { scale, range, ticks }
    }

    /// Place of `value` in pixels from the top.
    fn place(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let share = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value / low).ln() / (high / low).ln(),
        };
        BOTTOM - share * (BOTTOM - TOP)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, from 0 to at least `highest`: four to eight steps.
fn linear_ticks(highest: f64) -> Vec<f64> {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let power = 10_f64.powf((highest / 4.0).log10().floor());
    let wanted = [5.0, 2.0, 1.0].into_iter().find(|step| step * power <= highest / 4.0);
    let step = wanted.unwrap_or(1.0) * power;
    (0..=(highest / step - 1e-9).ceil() as usize).map(|count| count as f64 * step).collect()
}

/// Powers of ten around `lowest` and `highest`, or 1, 2 and 5 times these if they are few.
fn log_ticks(lowest: f64, highest: f64) -> Vec<f64> {
    assert!(lowest > 0.0, "a logarithmic axis has positive values");
    let powers = lowest.log10().floor() as i32..=highest.log10().ceil() as i32;
    let steps: &[f64] = if powers.clone().count() > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> =
        powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power))).collect();
    let first = all.iter().rposition(|&tick| tick <= lowest * (1.0 + 1e-9)).unwrap_or(0);
    let last = all.iter().position(|&tick| tick >= highest * (1.0 - 1e-9)).unwrap_or(all.len() - 1);
    all[first..=last.max(first + 1)].to_vec()
}

/// `value` of a tick: with at most three digits after the point, and a letter for large powers of
/// ten.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let size = value.abs().log10().floor().min(0.0) as i32;
    let precision = 10_f64.powi(3 - size);
    let rounded = (value * precision).round() / precision;
    format!("{rounded}{unit}")
}

fn lines(svg: &mut String, series: &[(String, Vec<(f64, f64)>)], vertical: &Vertical) {
    let mut ticks: Vec<f64> = series.iter().flat_map(|(_, points)| points).map(|p| p.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else { return };
    let place = |x: f64| {
        let share = if last > first { (x / first).ln() / (last / first).ln() } else { 0.5 };
        LEFT + INSET + share * (RIGHT - LEFT - 2.0 * INSET)
    };
    for tick in ticks {
        line(svg, [(place(tick), TOP), (place(tick), BOTTOM)], 0.18);
        text(svg, (place(tick), BOTTOM + 16.0), "middle", 11, &number(tick));
    }
    for (index, (_, points)) in series.iter().enumerate() {
        let points: Vec<_> = points.iter().map(|&(x, y)| (place(x), vertical.place(y))).collect();
        polyline(svg, index, &points);
        points.into_iter().for_each(|point| mark(svg, index, point));
    }
}

fn bars(svg: &mut String, labels: &[String], series: &[(String, Vec<f64>)], vertical: &Vertical) {
    let place = (RIGHT - LEFT) / labels.len() as f64;
    for (bar, label) in labels.iter().enumerate() {
        let middle = LEFT + place * (bar as f64 + 0.5);
        text(svg, (middle, BOTTOM + 16.0), "middle", 11, label);
        let mut below = 0.0;
        for (index, (_, values)) in series.iter().enumerate() {
            let (bottom, top) = (vertical.place(below), vertical.place(below + values[bar]));
            let size = (BAR * place, bottom - top);
            rectangle(svg, index, (middle - size.0 / 2.0, top), size);
            below += values[bar];
        }
    }
}

/// Appends the text `content` of `size` pixels, which `anchor` puts at, before or around a point.
pub fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, size: usize, content: &str) {
    let content = escaped(content);
    _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
         fill=\"currentColor\">{content}</text>"
    );
}

/// Appends a line between two points.
pub fn line(svg: &mut String, [from, to]: [(f64, f64); 2], opacity: f64) {
    _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"currentColor\" \
         stroke-opacity=\"{opacity}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// Appends the line of `series` through `points`.
pub fn polyline(svg: &mut String, series: usize, points: &[(f64, f64)]) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    _ = writeln!(
        svg,
        "<polyline class=\"line s{series}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" \
         points=\"{}\"/>",
        COLOURS[series],
        points.join(" ")
    );
}

/// Appends a mark of `series` around a point; each series has a form of its own.
pub fn mark(svg: &mut String, series: usize, (x, y): (f64, f64)) {
    let form = match series {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        1 => "m-3.5-3.5h7v7h-7z",
        2 => "m0-5l5 5l-5 5l-5-5z",
        _ => "m0-5l5 8.5h-10z",
    };
    let colour = COLOURS[series];
    _ = writeln!(svg, "<path class=\"s{series}\" fill=\"{colour}\" d=\"M{x:.1} {y:.1}{form}\"/>");
}

fn rectangle(svg: &mut String, series: usize, (x, y): (f64, f64), (width, height): (f64, f64)) {
    _ = writeln!(
        svg,
        "<rect class=\"s{series}\" fill=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\"/>",
        COLOURS[series]
    );
}

/// `text` as the content or an attribute of an element.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_linear_axis_are_round_and_reach_the_highest_value() {
        for (highest, expected) in [
            (0.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0][..]),
            (1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (4.1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            (20.0, &[0.0, 5.0, 10.0, 15.0, 20.0]),
            (39_000.0, &[0.0, 5e3, 1e4, 1.5e4, 2e4, 2.5e4, 3e4, 3.5e4, 4e4]),
        ] {
            let found = linear_ticks(highest);
            assert_eq!(found.len(), expected.len(), "{highest}: {found:?}");
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b;
            assert!(found.iter().zip(expected).all(close), "{highest}: {found:?}");
        }
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_surround_the_values() {
        for (lowest, highest, expected) in [
            (0.03, 0.4, &[0.02, 0.05, 0.1, 0.2, 0.5][..]),
            (1.0, 1.0, &[1.0, 2.0]),
            (3.0, 200_000.0, &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]),
        ] {
            let found = log_ticks(lowest, highest);
            assert_eq!(found.len(), expected.len(), "{lowest}..{highest}: {found:?}");
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b;
            assert!(found.iter().zip(expected).all(close), "{lowest}..{highest}: {found:?}");
        }
    }

    #[test]
    fn ticks_have_short_names() {
        let cases = [
            (0.0, "0"),
            (0.000_2, "0.0002"),
            (0.1 + 0.2, "0.3"),
            (128.0, "128"),
            (5_000.0, "5000"),
            (25_000.0, "25k"),
            (1.5e6, "1.5M"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn panels_are_well_formed_and_nothing_leaves_them() {
        let lines = vec![
            ("1 thread".into(), vec![(1.0, 3.0), (64.0, 10.0), (256.0, 900.0)]),
            ("a < b & c".into(), vec![(1.0, 7.0)]),
        ];
        let series = vec![("parts".to_string(), vec![0.0, 2.0]), ("rest".into(), vec![1.0, 3.0])];
        let labels = vec!["conv1".into(), "fc1".into()];
        let panel = |scale, marks| Panel { title: "Speed", axes: ["batch", "x"], scale, marks };
        let figure = Figure {
            name: "speed",
            panels: vec![
                panel(Scale::Log, Marks::Lines(lines.clone())),
                panel(Scale::Linear, Marks::Lines(lines)),
                panel(Scale::Linear, Marks::Bars { labels, series }),
            ],
        };
        let svg = figure.svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let count = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
        // Each line has its mark in the legend, and each series of bars a rectangle.
        assert_eq!((count("polyline"), count("path"), count("rect")), (8, 12, 1 + 2 + 4));
        for node in document.descendants() {
            for (attribute, most) in [("x", 3.0 * WIDTH), ("y", HEIGHT), ("x2", WIDTH)] {
                let Some(value) = node.attribute(attribute) else { continue };
                let value: f64 = value.parse().unwrap();
                assert!((0.0..=most).contains(&value), "{node:?}");
            }
        }
    }
}
