//! The comparison of primitives, layer by layer, as one table.

use std::fmt::Write;

use super::bench::{known, limits, speedup};
use super::numbers::{counted, digits};
use crate::report::layers::{BenchLayer, BenchLayers, Direction, LayerRow, OneCall, SourceMs};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &BenchLayers) -> String {
    let rounds = if bench.quick { "short rounds" } else { "rounds" };
    let mut text = format!("{} {rounds}, interleaved; {}\n", bench.rounds, bench.isa);
    if let Some(share) = bench.share_of_others {
        _ = writeln!(
            text,
            "other programs used {:.0} % of the processors meanwhile",
            100.0 * share
        );
    }
    text.push('\n');
    text.push_str(&title("pass", "stage", "thr."));
    for (title, width, _) in &COLUMNS {
        _ = write!(text, "{title:>width$}");
    }
    for layer in &bench.layers {
        layer_rows(&mut text, layer);
    }
    _ = writeln!(
        text,
        "\n\ntime: median; MAD: median absolute deviation; GB/s: all tensors, each read or\n\
         written once, where memory is the limit; of peak: of {}'s in the table\n\
         below, for naive of the widest set's;\n\
         ×: median of the ratios of the same rounds;\n\
         ~: inconclusive, the 95 % interval contains 1, or there are fewer than 6 rounds;\n\
         allocs: in a call. A call of naive above {} ms is not repeated.\n\
         Every result is naive's: the same bits, or as the line of the layer says",
        bench.isa,
        digits(bench.call_budget_ms),
    );
    limits(&mut text, &bench.roofline);
    other_programs(&mut text, bench);
    text.trim_end().into()
}

/// Column of the table: its title, its width, and its text in a row.
type Column = (&'static str, usize, fn(&LayerRow) -> String);

const COLUMNS: [Column; 7] = [
    ("time", 10, |row| time(row.timed.call_ms.median)),
    ("MAD", 10, |row| time(row.timed.call_ms.mad)),
    ("GFLOP/s", 9, |row| known(row.gflops, digits)),
    ("of peak", 9, |row| known(row.peak_share, |share| format!("{:.1} %", 100.0 * share))),
    ("GB/s", 7, |row| known(row.gbytes_per_second, digits)),
    ("× naive", 8, |row| speedup(row.over_naive)),
    ("allocs", 7, |row| known(row.timed.allocations_per_call, digits)),
];

/// The first columns of the table.
fn title(pass: &str, stage: &str, threads: &str) -> String {
    format!("{pass:<9}{stage:<6}{threads:>4}")
}

/// Time of `ms` milliseconds with its unit.
pub fn time(ms: f64) -> String {
    if ms < 1.0 { format!("{} µs", digits(1e3 * ms)) } else { format!("{} ms", digits(ms)) }
}

/// Appends the title and the rows of one layer.
fn layer_rows(text: &mut String, layer: &BenchLayer) {
    let sizes: Vec<_> = layer.input.iter().map(usize::to_string).collect();
    let agreement = layer.tolerance.map(|most| format!(", to {most:e}")).unwrap_or_default();
    _ = write!(
        text,
        "\n\n{}: {} on {}, {}{agreement}",
        layer.name,
        layer.layer,
        sizes.join("x"),
        counted(layer.batch_size, "image"),
    );
    for direction in Direction::ALL {
        let first = |stage: &str, threads: usize| {
            format!("\n{}", title(direction.name(), stage, &threads.to_string()))
        };
        for OneCall { stage, threads, call_ms, .. } in
            layer.too_long.iter().filter(|call| call.pass == direction)
        {
            let once = format!("{} once, not repeated", time(*call_ms));
            _ = write!(text, "{}  {once}", first(stage, *threads));
        }
        for row in layer.rows.iter().filter(|row| row.pass == direction) {
            text.push_str(&first(row.stage, row.threads));
            for (_, width, cell) in &COLUMNS {
                _ = write!(text, "{:>width$}", cell(row));
            }
        }
    }
}

/// Appends what other programs say, or can be asked, about the same layers.
fn other_programs(text: &mut String, bench: &BenchLayers) {
    let mut measured = bench.layers.iter().filter_map(|layer| Some((layer, layer.source_ms?)));
    let first = measured.next();
    if first.is_some() {
        _ = writeln!(text, "{}:", bench.source);
    }
    for (layer, SourceMs { forward, backward }) in first.into_iter().chain(measured) {
        let backward = known(backward, time);
        _ = writeln!(
            text,
            "  {:<16}forward {:>9}, backward {backward:>9}",
            layer.name,
            time(forward)
        );
    }
    let mut lines = bench.layers.iter().filter_map(|layer| layer.benchdnn.as_ref()).peekable();
    if lines.peek().is_some() {
        text.push_str("\nthe convolutions as problems of oneDNN's benchdnn --conv:\n");
    }
    for line in lines {
        _ = writeln!(text, "  {line}");
    }
}
