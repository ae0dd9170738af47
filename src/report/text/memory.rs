//! The memory of training and of predictions as two tables.

use std::fmt::Write;

use super::bench::known;
use super::numbers::{counted, digits, grouped};
use crate::measure::statistics::Line;
use crate::report::memory::{BenchMemory, Bytes};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchMemory) -> String {
    let BenchMemory { architecture, stage, threads, .. } = bench;
    let mut text = format!("{architecture}\nstage {stage}, {}\n\n", counted(*threads, "thread"));
    for (name, bytes) in [
        ("parameters", bench.parameter_bytes),
        ("gradients", bench.gradient_bytes),
        ("moments", bench.moment_bytes),
    ] {
        _ = writeln!(text, "{name:<12}{:>8} MB", megabytes(bytes));
    }

    let [layer, parameters, output, kept] = ["layer", "parameters", "output", "kept beside it"];
    _ = write!(text, "\n{layer:<36}{parameters:>12}{output:>14}{kept:>16}");
    for layer in &bench.layers {
        _ = write!(
            text,
            "\n{:<16}{:<20}{:>12}{:>14}{:>16}",
            layer.name,
            layer.layer,
            grouped(layer.parameter_bytes as usize),
            grouped(layer.output_bytes_per_image as usize),
            grouped(layer.kept_bytes_per_image as usize),
        );
    }
    text.push_str(
        "\nbytes; output of an image, and what its forward pass keeps beside the output for\n\
         the backward pass, in a stage that computes layer after layer\n\n",
    );

    let titles = ["expected", "training", "peak", "inference", "peak", "ratio", "process"];
    _ = write!(text, "{:<7}", "batch");
    for title in titles {
        _ = write!(text, "{title:>10}");
    }
    for row in &bench.rows {
        let live = |bytes: Bytes| megabytes(bytes.live_bytes);
        let peak = |bytes: Bytes| megabytes(bytes.peak_bytes);
        _ = write!(
            text,
            "\n{:<7}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            row.batch_size,
            megabytes(row.expected_bytes),
            known(row.training, live),
            known(row.training, peak),
            known(row.inference, live),
            known(row.inference, peak),
            known(row.training_to_inference(), digits),
            known(row.process_peak_bytes, megabytes),
        );
    }
    text.push_str(
        "\nMB of 10^6 bytes; expected: for training; training: after a step, and the peak\n\
         until then; inference: likewise, after a prediction; ratio: of training to\n\
         inference; process: peak of a process that trains two batches, with images\n",
    );
    for (name, fit) in [("inference", bench.inference_fit), ("training", bench.training_fit)] {
        let Some(Line { intercept, slope, r_squared }) = fit else { continue };
        _ = write!(
            text,
            "\n{name}: {} MB and {} KB an image, R² {r_squared:.4}",
            digits(intercept / 1e6),
            digits(slope / 1e3),
        );
    }
    if let Some(kept) = bench.kept_bytes {
        _ = write!(text, "\nbytes that stay allocated when an engine is gone: {kept}");
    }
    text
}

fn megabytes(bytes: u64) -> String {
    digits(bytes as f64 / 1e6)
}
