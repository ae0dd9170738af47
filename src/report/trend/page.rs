//! The page of a trend, which loads no scripts, fonts or other files.

use askama::Template;

use super::record::{Record, Suite};
use super::spark;
use super::steps::{Line, STEP, Trend};
use crate::report::date;

/// Text in every page, by which an earlier page is recognized.
pub const MARK: &str = "mnist-train report trend";

/// `trend` as one HTML page.
pub fn text(trend: &Trend) -> String {
    Page { trend }.render().expect("plain data")
}

/// Values that the template of the page shows.
#[derive(Template)]
#[template(path = "trend.html")]
struct Page<'a> {
    trend: &'a Trend,
}

impl Page<'_> {
    fn mark(&self) -> &'static str {
        MARK
    }

    fn factor(&self) -> String {
        format!("{STEP:.2}")
    }

    fn date(&self, record: &Record) -> String {
        date::of(record.unix_seconds)
    }

    /// Headings and rows of the measurements that have rows.
    fn suites(&self) -> Vec<(&'static str, Vec<&Line>)> {
        let lines = |suite| self.trend.lines.iter().filter(|line| line.id.suite == suite).collect();
        let all = Suite::ALL.map(|suite| (suite.title(), lines(suite)));
        all.into_iter().filter(|(_, lines): &(_, Vec<_>)| !lines.is_empty()).collect()
    }

    /// Name of the measurement called `title` in links.
    fn id(&self, title: &str) -> String {
        title.replace(' ', "-")
    }

    /// Number of rows that cannot have a step, because a record has too few rounds.
    fn without_interval(&self) -> usize {
        let is_unknown =
            |line: &&Line| line.points.iter().any(|point| !point.row.interval.is_confident);
        self.trend.lines.iter().filter(is_unknown).count()
    }

    fn plot(&self, line: &Line) -> String {
        spark::svg(line, self.trend.records.len())
    }

    /// First and last value of a row.
    fn ends(&self, line: &Line) -> String {
        let amounts = [line.points.first(), line.points.last()].map(|point| {
            point.map(|point| line.id.suite.amount(point.row.median)).unwrap_or_default()
        });
        amounts.join(" → ")
    }
}
