//! A profile as one page that needs nothing else: no network, no scripts or fonts from elsewhere.
//!
//! The template escapes everything that is put into it. The flamegraphs, which bring a script of
//! their own, stand in frames, so that their names do not meet.

use askama::Template;

use super::bench::BenchRow;
use super::profile::{Profile, ProfiledStage};
use super::text::numbers::{counted, digits, grouped, not_exact};
use crate::measure::statistics::Speedup;
use crate::profile::part::Part;

/// By this a page is known.
pub const TITLE: &str = "<title>mnist-train: where the time of each stage goes</title>";

/// The drawn graphs of a stage.
pub struct Graphs {
    /// SVG.
    pub flamegraph: String,
    /// SVG, where there is a stage to compare with.
    pub difference: Option<String>,
}

/// The page for `profile` with the graphs of each of its stages.
///
/// # Panics
/// When there are not as many graphs as stages.
pub fn page(profile: &Profile, graphs: &[Graphs]) -> String {
    assert_eq!(profile.stages.len(), graphs.len());
    let stages = profile.stages.iter().zip(graphs);
    let stages = stages.map(|(stage, graphs)| Stage::new(stage, profile.row(stage), graphs));
    let parts = Part::all().map(|part| Legend { name: part.name(), colour: css(part) });
    let page = Page { profile, stages: stages.collect(), parts: parts.collect() };
    page.render().expect("plain data")
}

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

    fn cpu(&self) -> &str {
        self.profile.ladder.environment.cpu.as_deref().unwrap_or("unknown CPU")
    }
}

struct Legend {
    name: &'static str,
    colour: String,
}

struct Stage<'a> {
    profile: &'a ProfiledStage,
    isa: String,
    time: String,
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

/// A graph in a frame of its height.
struct Frame<'a> {
    svg: &'a str,
    height: usize,
}

impl<'a> Frame<'a> {
    /// Of a file, without what stands before its element.
    fn new(file: &'a str) -> Self {
        let svg = &file[file.find("<svg").expect("is an SVG")..];
        let (_, height) = svg.split_once(" height=\"").expect("has a height");
        let height = height.split('"').next().and_then(|height| height.parse().ok());
        Self { svg, height: height.expect("in pixels") }
    }
}

/// The share of a part.
struct Bar {
    name: &'static str,
    colour: String,
    percent: f64,
    shown: String,
}

struct Function<'a> {
    name: &'a str,
    percent: String,
}

impl<'a> Stage<'a> {
    fn new(profile: &'a ProfiledStage, row: &BenchRow, graphs: &'a Graphs) -> Self {
        let absent = || "–".to_string();
        let percent = |samples: usize| 100.0 * samples as f64 / profile.samples as f64;
        let phases = profile.phases.iter().map(|one| (Part::Phase(one.phase), one.samples));
        let rest = [(Part::Waiting, profile.waiting_samples), (Part::Other, profile.other_samples)];
        let bar = |(part, samples): (Part, usize)| Bar {
            name: part.name(),
            colour: css(part),
            percent: percent(samples),
            shown: format!("{:.1} %", percent(samples)),
        };
        let function = |one: &'a super::profile::FunctionSamples| Function {
            name: &one.function,
            percent: format!("{:.1} %", percent(one.samples)),
        };
        Self {
            profile,
            isa: profile
                .isa
                .map_or_else(String::new, |isa| format!("{isa}{}", not_exact(row.precision))),
            time: digits(1e6 / row.images_per_second),
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

/// `count` passes in words.
pub fn passes(count: usize) -> String {
    if count == 1 { "1 pass".into() } else { format!("{} passes", grouped(count)) }
}

fn over(speedup: Option<Speedup>) -> String {
    match speedup {
        None => "–".into(),
        Some(Speedup { inconclusive: true, low, high, .. }) => {
            format!("undecided ({}–{})", digits(low), digits(high))
        }
        Some(Speedup { median, .. }) => format!("{}×", digits(median)),
    }
}

fn css(part: Part) -> String {
    let [r, g, b] = part.colour();
    format!("rgb({r}, {g}, {b})")
}
