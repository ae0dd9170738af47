//! What advice is worth, as one table.

use std::fmt::Write;

use super::autograd::circumstances;
use super::bench::known;
use super::layers::time;
use super::numbers::digits;
use crate::measure::statistics::Speedup;
use crate::report::ablations::{AblationRow, BenchAblations};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchAblations) -> String {
    let mut text = circumstances(&bench.circumstances);
    let [ratio, ms, bytes] = ["× (95 %)", "time", "bytes"];
    for row in &bench.rows {
        let AblationRow { name, ways, advised, otherwise, over_otherwise } = row;
        _ = write!(text, "\n\n{name:<42}{ratio:>17}{ms:>9}{bytes:>11}");
        let Speedup { median, low, high, .. } = *over_otherwise;
        let ratio = format!("{} ({}-{})", digits(median), digits(low), digits(high));
        let ratios = [ratio, String::new()];
        for ((way, timed), ratio) in ways.iter().zip([advised, otherwise]).zip(ratios) {
            let time = time(timed.call_ms.median);
            let bytes = known(timed.allocated_bytes_per_call, digits);
            _ = write!(text, "\n  {way:<40}{ratio:>17}{time:>9}{bytes:>11}");
        }
    }
    text.push_str(
        "\n\n×: time of the second way over the first, the median of the ratios of the same\n\
         rounds, with its 95 % interval; times are medians of a call; bytes: that a call\n\
         allocates. Both ways were compared and have the same result",
    );
    text
}
