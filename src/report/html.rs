//! A profile as one self-contained HTML page, which loads no scripts, fonts or other files.
//!
//! The template escapes every value. Each flamegraph has its own script and is in its own frame, so
//! that the names in the scripts do not collide.

use askama::Template;

use super::bench::BenchRow;
use super::date;
use super::profile::{Profile, ProfiledStage};
use super::text::numbers::{counted, digits, grouped, not_exact};
use crate::measure::statistics::Speedup;
use crate::profile::part::Part;

/// Title element of the page, by which a page of an earlier run is recognized.
pub const TITLE: &str = "<title>mnist-train: where the time of each stage goes</title>";

/// Flamegraphs of a stage.
pub struct Graphs {
    /// Flamegraph of the stage as SVG.
    pub flamegraph: String,
    /// Differential flamegraph as SVG, if there is a stage to compare with.
    pub difference: Option<String>,
}

/// HTML page of `profile`, with the `graphs` of its stages in the same order.
///
/// # Panics
/// When the number of graphs is not the number of stages.
pub fn page(profile: &Profile, graphs: &[Graphs]) -> String {
    assert_eq!(profile.stages.len(), graphs.len());
    let stages = profile.stages.iter().zip(graphs);
    let row = |stage: &ProfiledStage| profile.ladder.row(stage.stage, stage.threads);
    let stages = stages.map(|(stage, graphs)| Stage::new(stage, row(stage), graphs));
    let parts = Part::all().map(|part| Legend { name: part.name(), colour: css(part) });
    let page = Page { profile, stages: stages.collect(), parts: parts.collect() };
    page.render().expect("plain data")
}

/// Values that the template of the page shows.
#[derive(Template)]
#[template(path = "profile.html")]
struct Page<'a> {
    profile: &'a Profile,
    stages: Vec<Stage<'a>>,
    parts: Vec<Legend>,
}

impl Page<'_> {
    fn data(&self) -> &str {
        &self.profile.ladder.dataset_description
    }

    fn images(&self) -> String {
        grouped(self.profile.images_per_pass)
    }

    fn enough(&self) -> String {
        grouped(self.profile.enough_samples)
    }

    fn date(&self) -> String {
        date::of(self.profile.ladder.environment.unix_seconds)
    }

    fn cpu(&self) -> &str {
        self.profile.ladder.environment.cpu.as_deref().unwrap_or("unknown CPU")
    }
}

/// Name and colour of a part in the legend.
struct Legend {
    name: &'static str,
    colour: String,
}

/// Values of one stage, as text.
struct Stage<'a> {
    profile: &'a ProfiledStage,
    isa: String,
    time: String,
    step_ms: String,
    rate: String,
    over_first: String,
    over_previous: String,
    gflops: String,
    peak_share: String,
    allocations: String,
    peak_rss: String,
    samples: String,
    passes: String,
    threads: String,
    bars: Vec<Bar>,
    functions: Vec<Function<'a>>,
    flamegraph: Frame<'a>,
    difference: Option<Frame<'a>>,
}

/// Flamegraph in a frame.
struct Frame<'a> {
    svg: &'a str,
    /// Height of the graph in pixels.
    height: usize,
}

impl<'a> Frame<'a> {
    /// A frame for the content of an SVG file, without its XML declaration.
    fn new(file: &'a str) -> Self {
        let svg = &file[file.find("<svg").expect("is an SVG")..];
        let (_, height) = svg.split_once(" height=\"").expect("has a height");
        let height = height.split('"').next().and_then(|height| height.parse().ok());
        Self { svg, height: height.expect("in pixels") }
    }
}

/// Bar whose width is the share of a part.
struct Bar {
    name: &'static str,
    colour: String,
    percent: f64,
    shown: String,
    ms: String,
}

/// Name of a function, and the share and time of its own samples.
struct Function<'a> {
    name: &'a str,
    percent: String,
    ms: String,
}

impl<'a> Stage<'a> {
    fn new(profile: &'a ProfiledStage, row: &BenchRow, graphs: &'a Graphs) -> Self {
        let absent = || "–".to_string();
        let percent = |samples: usize| 100.0 * samples as f64 / profile.samples as f64;
        let ms = |samples| digits(percent(samples) / 100.0 * row.step_ms.median);
        let phases = profile.phases.iter().map(|one| (Part::Phase(one.phase), one.samples));
        let rest = [(Part::Waiting, profile.waiting_samples), (Part::Other, profile.other_samples)];
        let bar = |(part, samples): (Part, usize)| Bar {
            name: part.name(),
            colour: css(part),
            percent: percent(samples),
            shown: format!("{:.1} %", percent(samples)),
            ms: ms(samples),
        };
        let function = |one: &'a super::profile::FunctionSamples| Function {
            name: &one.function,
            percent: format!("{:.1} %", percent(one.samples)),
            ms: ms(one.samples),
        };
        Self {
            profile,
            isa: profile
                .isa
                .map_or_else(String::new, |isa| format!("{isa}{}", not_exact(row.precision))),
            time: digits(1e6 / row.images_per_second),
            step_ms: digits(row.step_ms.median),
            rate: grouped(row.images_per_second as usize),
            over_first: over(row.over_naive),
            over_previous: over(row.over_previous),
            gflops: digits(row.gflops),
            peak_share: row.peak_share.map_or_else(absent, |share| {
                format!("{:.1} % of {}", 100.0 * share, row.peak_name())
            }),
            allocations: row.allocations_per_step.map_or_else(absent, digits),
            peak_rss: row.peak_rss_bytes.map_or_else(absent, |bytes| digits(bytes as f64 / 1e6)),
            samples: counted(profile.samples, "sample"),
            passes: passes(profile.passes),
            threads: counted(profile.threads, "thread"),
            bars: phases.chain(rest).filter(|&(_, samples)| samples > 0).map(bar).collect(),
            functions: profile.top_functions.iter().map(function).collect(),
            flamegraph: Frame::new(&graphs.flamegraph),
            difference: graphs.difference.as_deref().map(Frame::new),
        }
    }
}

/// `count` with its noun: `1 pass`, `2 passes`.
pub fn passes(count: usize) -> String {
    if count == 1 { "1 pass".into() } else { format!("{} passes", grouped(count)) }
}

/// Median of a speedup; if it is inconclusive, its interval.
fn over(speedup: Option<Speedup>) -> String {
    match speedup {
        None => "–".into(),
        Some(Speedup { inconclusive: true, low, high, .. }) => {
            format!("inconclusive ({}–{})", digits(low), digits(high))
        }
        Some(Speedup { median, .. }) => format!("{}×", digits(median)),
    }
}

/// Colour of a part in CSS.
fn css(part: Part) -> String {
    let [r, g, b] = part.colour();
    format!("rgb({r}, {g}, {b})")
}
