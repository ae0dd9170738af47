//! The speed of computations on the tape, as one table.

use std::fmt::Write;

use super::bench::{known, speedup};
use super::layers::time;
use super::numbers::{counted, digits};
use crate::report::autograd::{AutogradRow, BenchAutograd};
use crate::report::measured::{Circumstances, Timed};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchAutograd) -> String {
    let mut text = circumstances(&bench.circumstances);
    let mut group = "";
    for row in &bench.rows {
        if row.group != group {
            group = row.group;
            _ = write!(text, "\n\n{}", heading(group));
        }
        _ = write!(text, "\n{}", line(row));
    }
    let titles = [("time", 10), ("MAD", 10), ("allocs", 9), ("bytes", 11)];
    _ = write!(text, "\n\n{:<36}", "the tape itself");
    for (title, width) in titles {
        _ = write!(text, "{title:>width$}");
    }
    for row in &bench.bookkeeping {
        let Timed { call_ms, allocations_per_call, allocated_bytes_per_call, .. } = &row.timed;
        _ = write!(
            text,
            "\n{:<36}{:>10}{:>10}{:>9}{:>11}",
            row.name,
            time(call_ms.median),
            time(call_ms.mad),
            known(*allocations_per_call, digits),
            known(*allocated_bytes_per_call, digits),
        );
    }
    text.push_str(
        "\n\nforward: records the computation on a new tape, in f32; both: and the gradients\n\
         of its result; times are medians; ×: both over forward, the median of the ratios\n\
         of the same rounds; a second: calls of both; allocs, bytes: in a call of both.\n\
         All gradients were compared with central differences in f64",
    );
    text
}

/// Line about the `circumstances` of a measurement.
pub fn circumstances(circumstances: &Circumstances) -> String {
    let Circumstances { rounds, quick, share_of_others, .. } = circumstances;
    let length = if *quick { "short round" } else { "round" };
    let mut text = format!("{}, interleaved", counted(*rounds, length));
    if let Some(share) = share_of_others {
        _ = write!(text, "; other programs used {:.0} % of the processors", 100.0 * share);
    }
    text
}

fn heading(group: &str) -> String {
    let titles = ["forward", "both", "×", "a second", "allocs", "bytes"];
    let [forward, both, cost, rate, allocations, bytes] = titles;
    format!("{group:<24}{forward:>9}{both:>10}{cost:>7}{rate:>10}{allocations:>8}{bytes:>11}")
}

fn line(row: &AutogradRow) -> String {
    let AutogradRow { name, forward, forward_backward: both, over_forward, .. } = row;
    format!(
        "{name:<24}{:>9}{:>10}{:>7}{:>10}{:>8}{:>11}",
        time(forward.call_ms.median),
        time(both.call_ms.median),
        speedup(Some(*over_forward)),
        digits(1e3 / both.call_ms.median),
        known(both.allocations_per_call, digits),
        known(both.allocated_bytes_per_call, digits),
    )
}
