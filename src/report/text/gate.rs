//! The comparison with a baseline as one table, the worst rows first.

use std::fmt::Write;

use super::layers::time;
use super::numbers::{counted, digits};
use crate::error::quoted;
use crate::report::gate::{Gate, GateRow, Verdict};

/// Largest width of a line.
const COLUMNS: usize = 80;
/// Width of the column of names.
const NAME: usize = 44;
/// Largest number of names of rows that are in one of the two only.
const MOST_NAMES: usize = 5;

/// `gate` as lines of text, without a line end after the last.
pub fn lines(gate: &Gate) -> String {
    // A record is compared after the tables of the measurement.
    let mut text = if gate.kind == "record" { "\n".into() } else { String::new() };
    sentence(&mut text, &format!("baseline: the {} {}", gate.kind, gate.baseline));
    let limit = gate.max_regress;
    sentence(&mut text, &format!("accepted: up to {limit} times the time of the baseline"));
    for (whose, rows) in [("this program", &gate.only_new), ("the baseline", &gate.only_old)] {
        if let Some(names) = names(rows) {
            let count = counted(rows.len(), "row");
            sentence(&mut text, &format!("only {whose} has {count}, not compared: {names}"));
        }
    }
    if let Some(reason) = &gate.undecidable {
        sentence(&mut text, &format!("nothing can be decided: {reason}"));
    }
    _ = write!(text, "\n{:<NAME$}{:>9}{:>9}{:>6}{:>12}", "row", "old", "new", "ratio", "95 %");
    for verdict in Verdict::ALL {
        let mut rows = gate.rows.iter().filter(|row| row.verdict == verdict).peekable();
        if rows.peek().is_some() {
            _ = write!(text, "\n{}:", verdict.name());
        }
        rows.for_each(|row| self::row(&mut text, row));
    }
    let rounds = match gate.kind {
        "record" => "ratio: of the medians",
        _ => "ratio: median of the rounds",
    };
    text.push_str("\n\n");
    let rows = counted(gate.rows.len(), "row");
    sentence(
        &mut text,
        &format!(
            "old, new: median time of a call; {rounds}, with its 95 % interval; a verdict also takes \
             into account that there are {rows}"
        ),
    );
    text.push('\n');
    let count = |verdict: Verdict| {
        let count = gate.rows.iter().filter(|row| row.verdict == verdict).count();
        (count > 0).then(|| format!("{count} {}", verdict.name()))
    };
    let counts: Vec<_> = Verdict::ALL.into_iter().filter_map(count).collect();
    text + &counts.join(", ")
}

/// Appends `words` as lines that have room, without breaking a word. All lines but the first are
/// indented.
fn sentence(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            text.push_str("\n  ");
            width = 2;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

/// The first of the names of `rows`; `None` if there are no rows.
fn names(rows: &[String]) -> Option<String> {
    let names: Vec<_> = rows.iter().take(MOST_NAMES).map(|name| quoted(name)).collect();
    let more = if rows.len() > MOST_NAMES { "; …" } else { "" };
    (!rows.is_empty()).then(|| names.join("; ") + more)
}

/// Appends the line of a row, and the reason why it is not decided.
fn row(text: &mut String, row: &GateRow) {
    let name = quoted(&row.row);
    // A name that is too long has a line of its own.
    let name = if name.chars().count() > NAME { format!("{name}\n{:NAME$}", "") } else { name };
    let interval = format!("{}–{}", ratio(row.ratio.low), ratio(row.ratio.high));
    _ = write!(
        text,
        "\n{name:<NAME$}{:>9}{:>9}{:>6}{interval:>12}",
        time(row.old_ms),
        time(row.new_ms),
        ratio(row.ratio.median),
    );
    if let Some(reason) = &row.reason {
        text.push_str("\n  ");
        sentence(text, reason);
        text.truncate(text.trim_end().len());
    }
}

/// A ratio of two times in five characters at most.
fn ratio(ratio: f64) -> String {
    match ratio {
        large if large > 999.0 => ">999".into(),
        small if small < 0.01 => "<0.01".into(),
        ratio => digits(ratio),
    }
}
