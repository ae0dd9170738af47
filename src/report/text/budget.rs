//! Limits, and whether they are met, as one table.

use std::fmt::Write;

use super::autograd::circumstances;
use super::layers::time;
use super::numbers::digits;
use crate::report::budget::{BenchBudget, BudgetRow, Source, Unit};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchBudget) -> String {
    let mut text = circumstances(&bench.circumstances);
    for (source, heading) in [
        (Source::Autograd, "document about automatic differentiation"),
        (Source::Guide, "guide to performance"),
    ] {
        let [limit, factor, ours, value] = ["limit", "factor", "our limit", "measured"];
        _ = write!(text, "\n\n{heading:<41}{value:>9}{limit:>9}{factor:>8}{ours:>10}");
        for row in bench.rows.iter().filter(|row| row.source == source) {
            let BudgetRow { name, unit, value, limit, own_limit, factor, passed, .. } = row;
            let verdict = if *passed { "" } else { " FAIL" };
            let [value, limit, ours] = [value, limit, own_limit].map(|&value| amount(*unit, value));
            let factor = digits(*factor);
            _ = write!(text, "\n{name:<39}{value:>11}{limit:>9}{factor:>8}{ours:>10}{verdict}");
        }
    }
    let failures = bench.failures();
    _ = write!(
        text,
        "\n\nfactor: by which the limit of the document is met; our limit: ten times the\n\
         time or the bytes of a recorded run on two cores of a Xeon, or the document's;\n\
         /s: calls a second; training: 10 epochs of 60,000 images, from the time of a step;\n\
         memory: that an engine allocates, without the images\n\
         {}",
        match failures {
            0 => "PASS: every limit is met".into(),
            _ => format!("FAIL: {failures} of {} limits are not met", bench.rows.len()),
        }
    );
    text
}

/// `value` with its unit.
pub fn amount(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::Milliseconds => time(value),
        Unit::Seconds => format!("{} s", digits(value)),
        Unit::Bytes => format!("{} MB", digits(value / 1e6)),
        Unit::Ratio => digits(value),
    }
}
