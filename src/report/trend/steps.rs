//! The steps of a trend: the rows over the records, and where they have changed.

use std::collections::HashMap;

use super::record::{Record, Row, RowId};
use crate::report::date;

/// Factor between the medians of two records above which a change is a step.
pub const STEP: f64 = 1.10;

/// Records of one machine and build, and what has changed.
#[derive(Debug)]
pub struct Trend {
    /// Records in the order of time.
    pub records: Vec<Record>,
    /// Reasons why records are left out, each with the record.
    pub left_out: Vec<String>,
    /// Rows in the order of the newest record, followed by the rows that it no longer has.
    pub lines: Vec<Line>,
}

/// One row over the records.
#[derive(Debug)]
pub struct Line {
    /// Identity of the row.
    pub id: RowId,
    /// Values in the order of time.
    pub points: Vec<Point>,
    /// Steps in the order of time.
    pub steps: Vec<Step>,
}

/// Value of a row in a record.
#[derive(Debug)]
pub struct Point {
    /// Index of the record.
    pub record: usize,
    /// The row in this record.
    pub row: Row,
}

/// Change from one record to the next that has the row.
#[derive(Debug)]
pub struct Step {
    /// Index of the record with the new value.
    pub record: usize,
    /// New median divided by the old one.
    pub ratio: f64,
}

impl Trend {
    /// Trend over those of `records` whose machine, build and settings are those of the first.
    ///
    /// # Errors
    /// The reason why there is none: fewer than two records are left.
    ///
    /// # Panics
    /// When `records` is empty.
    pub fn of(records: Vec<Record>) -> Result<Self, String> {
        let difference = |record: &Record| record.difference(&records[0]);
        let differences: Vec<_> = records.iter().map(difference).collect();
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for (record, difference) in records.into_iter().zip(differences) {
            match difference {
                None => kept.push(record),
                Some(difference) => left_out.push(format!("{}: {difference}", record.name)),
            }
        }
        if kept.len() < 2 {
            let others = left_out.first().map(|one| format!("; left out {one}"));
            return Err(format!(
                "a trend needs two records of one machine, and there is only {}{}",
                kept[0].name,
                others.unwrap_or_default(),
            ));
        }
        kept.sort_by_key(|record| record.unix_seconds);
        Ok(Self { lines: lines(&kept), records: kept, left_out })
    }

    /// Steps of all rows in words, the largest first.
    pub fn steps(&self) -> Vec<String> {
        let mut steps: Vec<(&Line, &Step)> = Vec::new();
        for line in &self.lines {
            steps.extend(line.steps.iter().map(|step| (line, step)));
        }
        let size = |step: &Step| step.ratio.ln().abs();
        steps.sort_by(|(_, a), (_, b)| size(b).total_cmp(&size(a)));
        steps.into_iter().map(|(line, step)| self.words(line, step)).collect()
    }

    fn words(&self, line: &Line, step: &Step) -> String {
        let Step { record, ratio } = *step;
        let [larger, smaller] = line.id.suite.words();
        let (factor, word) = if ratio > 1.0 { (ratio, larger) } else { (ratio.recip(), smaller) };
        let Record { commit, unix_seconds, .. } = &self.records[record];
        let commit = commit.as_ref().map(|commit| format!("commit {commit}, "));
        format!(
            "{}: {factor:.2}× {word} in record {} ({}{})",
            line.id.name,
            record + 1,
            commit.unwrap_or_default(),
            date::of(*unix_seconds),
        )
    }
}

/// Rows of all `records`, which are in the order of time, with their steps.
fn lines(records: &[Record]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places = HashMap::new();
    for (record, Record { rows, .. }) in records.iter().enumerate().rev() {
        for row in rows {
            let place = *places.entry(&row.id).or_insert_with(|| {
                lines.push(Line { id: row.id.clone(), points: Vec::new(), steps: Vec::new() });
                lines.len() - 1
            });
            lines[place].points.push(Point { record, row: row.clone() });
        }
    }
    for line in &mut lines {
        line.points.reverse();
        line.steps = line.points.windows(2).filter_map(|pair| step(&pair[0], &pair[1])).collect();
    }
    lines
}

/// Step from `old` to `new`, if it is one: the intervals of the medians lie apart, and the medians by
/// more than [`STEP`].
fn step(old: &Point, new: &Point) -> Option<Step> {
    let ratio = new.row.median / old.row.median;
    let (before, after) = (old.row.interval, new.row.interval);
    let is_known = before.is_confident && after.is_confident;
    let is_apart = after.low > before.high || after.high < before.low;
    let is_large = ratio.max(ratio.recip()) > STEP;
    (is_known && is_apart && is_large).then_some(Step { record: new.record, ratio })
}
