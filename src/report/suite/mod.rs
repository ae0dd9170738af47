//! The report of `mnist-train bench all`: all measurements of one run, in several formats.
//!
//! `tables` and `figures` say what the report shows; `markdown`, `page` and `plot` say how. So a column
//! or a curve is described once.

mod document;
mod figures;
mod markdown;
#[cfg(feature = "plots")]
mod page;
pub mod plot;
#[cfg(feature = "plots")]
mod png;
pub mod results;
mod table;
mod tables;

use serde_json::Value;

use self::document::Document;
use self::results::{MARK, Results};
use super::{csv, json};

/// Name of the report of times.
pub const BENCHMARK_REPORT: &str = "BENCHMARK_REPORT.md";
/// Name of the report of memory.
pub const MEMORY_REPORT: &str = "MEMORY_REPORT.md";
/// Name of the file with the results as JSON lines.
pub const RESULTS: &str = "results.json";
const ROWS: &str = "rows.csv";
#[cfg(feature = "plots")]
const PAGE: &str = "index.html";

/// Files of the report of `results`: their names and contents, in the order of [`names`].
pub fn files(results: &Results) -> Vec<(String, Vec<u8>)> {
    let events = results.events();
    let lines: String = events.iter().map(|event| json::line(event) + "\n").collect();
    let documents = [Document::of_times(results), Document::of_memory(results)];
    let [times, memory] = documents.each_ref().map(markdown::text);
    let mut files = vec![
        (RESULTS.into(), lines.into_bytes()),
        (ROWS.into(), csv::lines(&events).into_bytes()),
        (BENCHMARK_REPORT.into(), times.into_bytes()),
        (MEMORY_REPORT.into(), memory.into_bytes()),
    ];
    for figure in documents.iter().flat_map(Document::figures) {
        let svg = figure.svg();
        #[cfg(feature = "plots")]
        files.push((format!("{}.png", figure.name), png::of(&svg)));
        files.push((format!("{}.svg", figure.name), svg.into_bytes()));
    }
    #[cfg(feature = "plots")]
    files.push((PAGE.into(), page::text(&documents).into_bytes()));
    files
}

/// Names of the files of a report.
pub fn names() -> Vec<String> {
    let mut names = [RESULTS, ROWS, BENCHMARK_REPORT, MEMORY_REPORT].map(String::from).to_vec();
    for figure in figures::NAMES {
        #[cfg(feature = "plots")]
        names.push(format!("{figure}.png"));
        names.push(format!("{figure}.svg"));
    }
    #[cfg(feature = "plots")]
    names.push(PAGE.into());
    names
}

/// Whether `content` is the file called `name` of an earlier report.
pub fn is_of_report(name: &str, content: &[u8]) -> bool {
    let is_event = |line: &str| {
        let value = serde_json::from_str::<Value>(line).unwrap_or_default();
        value["event"].as_str().is_some_and(|event| event.starts_with("bench"))
    };
    match name {
        RESULTS => str::from_utf8(content).is_ok_and(|text| text.lines().all(is_event)),
        ROWS => content.starts_with(csv::HEADING.as_bytes()),
        _ => content.windows(MARK.len()).any(|part| part == MARK.as_bytes()),
    }
}
