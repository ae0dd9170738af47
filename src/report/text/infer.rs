//! The speed of predictions as three tables.

use std::fmt::Write;

use super::autograd::circumstances;
use super::bench::known;
use super::layers::time;
use super::numbers::{counted, digits, grouped};
use crate::report::infer::{
    BenchInfer, InferRow, Latency, PrecisionRow, REAL_TIME_MS, SOURCE, WidthRow,
};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchInfer) -> String {
    let BenchInfer { stage, isa, parameters, epochs, .. } = bench;
    let mut text = format!(
        "{}\ndata: {}\n{}\n{} parameters, {} trained; stage {stage}, {isa}\n\n{}",
        circumstances(&bench.circumstances),
        bench.dataset_description,
        bench.architecture,
        grouped(*parameters),
        counted(*epochs, "epoch"),
        heading("threads, batch"),
    );
    for row in &bench.rows {
        _ = write!(text, "\n{}", line(&format!("{:>7}{:>7}", row.threads, row.batch_size), row));
    }
    _ = write!(text, "\n\n{}", heading("hidden units"));
    for WidthRow { hidden, parameters, row } in &bench.widths {
        let first = format!("{hidden:>5}, {} p.", grouped(*parameters));
        _ = write!(text, "\n{}", line(&first, row));
    }
    _ = write!(text, "\n\n{}", heading("products"));
    for PrecisionRow { precision, test_correct, row, .. } in &bench.precisions {
        let first = format!("{precision}, {} ok", grouped(*test_correct));
        _ = write!(text, "\n{}", line(&first, row));
    }
    if let Some(reason) = &bench.without_bf16 {
        _ = write!(text, "\nbf16 was not measured: {reason}");
    }
    text.push_str("\n\n");
    for row in bench.rows.iter().filter(|row| row.batch_size == 1) {
        let Latency { p50_ms, p99_ms, .. } = row.latency;
        _ = writeln!(
            text,
            "{}: one image on {} takes less than 1 ms: {} (median), p99 {}",
            if p50_ms < REAL_TIME_MS { "PASS" } else { "FAIL" },
            counted(row.threads, "thread"),
            time(p50_ms),
            time(p99_ms),
        );
    }
    text.push_str(
        "\nimages/s and ms/image: from the median time of a batch in the rounds; p50, p95,\n\
         p99: percentiles of single calls; hidden units: of the default network, untrained,\n\
         in batches of 32; ok: test images classified correctly.\n\
         All logits were compared with naive's.\n\
         NeuralLayers on an RTX 3090, by its document; its program does not run, so nobody\n\
         can repeat it:",
    );
    for (batch, per_second, ms) in SOURCE {
        _ = write!(
            text,
            "\n  batch {batch:>3}: {:>6} a second, {ms:.2} ms each",
            grouped(per_second)
        );
    }
    text
}

fn heading(first: &str) -> String {
    let [rate, each, p50, p95, p99, allocations] =
        ["images/s", "ms/image", "p50", "p95", "p99", "allocs"];
    format!("{first:<20}{rate:>10}{each:>10}{p50:>10}{p95:>10}{p99:>10}{allocations:>8}")
}

fn line(first: &str, row: &InferRow) -> String {
    let Latency { p50_ms, p95_ms, p99_ms, .. } = row.latency;
    format!(
        "{first:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
        grouped(row.images_per_second as usize),
        digits(row.ms_per_image),
        time(p50_ms),
        time(p95_ms),
        time(p99_ms),
        known(row.timed.allocations_per_call, digits),
    )
}
