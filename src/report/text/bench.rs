//! The comparison of stages as three tables: times, work and phases.

use std::fmt::Write;

use super::numbers::{counted, digits, grouped, not_exact};
use crate::engine::phases::Phase;
use crate::measure::roofline::Roofline;
use crate::measure::statistics::Speedup;
use crate::report::bench::{Bench, BenchRow};

/// `bench` as lines of text, without a line end after the last.
pub fn lines(bench: &Bench) -> String {
    let others = bench.share_of_others.map_or_else(String::new, |share| {
        format!("\nother programs used {:.0} % of the processors meanwhile", 100.0 * share)
    });
    let mut text = format!(
        "data: {}, {} images\nepoch {}, batch size {}, {} rounds, interleaved{others}\n\n",
        bench.dataset_description,
        grouped(bench.train_images),
        bench.epoch,
        bench.recipe.batch_size,
        bench.repeats,
    );
    times(&mut text, bench);
    work(&mut text, bench);
    phases(&mut text, bench);
    text
}

/// Column of a table of stages: its title, its width, and its text in a row.
type Column = (&'static str, usize, fn(&BenchRow) -> String);

/// Times and ratios.
const TIMES: [Column; 8] = [
    ("ms/step", 8, |row| digits(row.step_ms.median)),
    ("min", 8, |row| digits(row.step_ms.min)),
    ("MAD", 7, |row| digits(row.step_ms.mad)),
    ("s/epoch", 9, |row| digits(row.epoch_seconds.median)),
    ("images/s", 10, |row| grouped(row.images_per_second as usize)),
    ("× naive", 8, |row| speedup(row.over_naive)),
    ("× prev.", 8, |row| speedup(row.over_previous)),
    ("× 1 thr.", 9, |row| speedup(row.over_one_thread)),
];

/// Operations, memory and losses.
const WORK: [Column; 8] = [
    ("GFLOP/s", 8, |row| digits(row.gflops)),
    ("of peak", 9, |row| known(row.peak_share, |share| format!("{:.1} %", 100.0 * share))),
    ("", 12, |row| format!(" {:<11}", row.peak_name())),
    ("dense", 7, |row| digits(row.dense_equivalent_gflops)),
    ("allocs", 7, |row| known(row.allocations_per_step, digits)),
    ("RSS MB", 7, |row| known(row.peak_rss_bytes, |bytes| digits(bytes as f64 / 1e6))),
    ("Δ loss", 7, |row| format!("{:.0e}", row.loss_deviation)),
    ("img/round", 10, |row| grouped(row.round_images)),
];

/// Text of a value; a hyphen if there is none.
pub fn known<T>(value: Option<T>, text: fn(T) -> String) -> String {
    value.map_or("-".into(), text)
}

/// Appends a table with a row for each stage and number of threads.
fn table(text: &mut String, bench: &Bench, columns: &[Column]) {
    text.push_str(&title("stage", "thr."));
    for (title, width, _) in columns {
        _ = write!(text, "{title:>width$}");
    }
    for row in &bench.rows {
        _ = write!(text, "\n{}", row_title(row));
        for (_, width, cell) in columns {
            _ = write!(text, "{:>width$}", cell(row));
        }
    }
    text.push('\n');
}

/// Appends the table of times and ratios, and what its titles mean.
fn times(text: &mut String, bench: &Bench) {
    table(text, bench, &TIMES);
    text.push_str(
        "medians; MAD: median absolute deviation; s/epoch: scaled from a round's images;\n\
         ×: median of the ratios of the same rounds;\n\
         ~: inconclusive, the 95 % interval contains 1\n",
    );
    for row in bench.rows.iter().filter(|row| row.over_previous.is_some_and(|s| s.inconclusive)) {
        let Speedup { low, high, .. } = row.over_previous.expect("filtered");
        let (stage, threads) = (row.stage, counted(row.threads, "thread"));
        _ = writeln!(
            text,
            "inconclusive: {stage}, {threads}: × prev. is between {} and {}",
            digits(low),
            digits(high),
        );
    }
    text.push('\n');
}

/// Appends the table of operations, memory and losses, and what its titles mean.
fn work(text: &mut String, bench: &Bench) {
    table(text, bench, &WORK);
    text.push_str(&inexact_stages(bench));
    _ = writeln!(
        text,
        "GFLOP/s: executed; dense: if all {} MFLOP of a step had been executed;\n\
         all tensors of a step, each read or written once: {} MB; allocs: in a step;\n\
         RSS: largest memory of a separate process, with the data;\n\
         Δ loss: difference from naive in ten steps; img/round: images in a round",
        digits(bench.dense_flops_per_step as f64 / 1e6),
        digits(bench.tensor_bytes_per_step as f64 / 1e6),
    );
    limits(text, &bench.roofline);
}

/// Appends the limits of the machine: a row for each limit, a column for each number of threads.
pub fn limits(text: &mut String, Roofline { peaks, streams, handovers }: &Roofline) {
    let arithmetic = peaks.iter().map(|peak| {
        (format!("{} {}, GFLOP/s", peak.isa, peak.precision), peak.threads, peak.gflops)
    });
    let memory = streams.iter().map(|stream| {
        let megabytes = stream.array_bytes / 1_000_000;
        let name = format!("{megabytes} MB read and written, GB/s");
        (name, stream.threads, stream.gbytes_per_second)
    });
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut heading = format!("{:<36}", "limits of the machine");
    let together = handovers
        .iter()
        .map(|round| ("an empty round of a team, µs".into(), round.threads, round.microseconds));
    for (name, threads, rate) in arithmetic.chain(memory).chain(together) {
        let rate = format!("{:>12}", digits(rate));
        match rows.iter_mut().find(|row| row.0 == name) {
            Some((_, rates)) => rates.push_str(&rate),
            None => rows.push((name, rate)),
        }
        let column = format!("{:>12}", counted(threads, "thread"));
        if !heading.contains(&column) {
            heading.push_str(&column);
        }
    }
    _ = writeln!(text, "\n{heading}");
    for (name, rates) in rows {
        _ = writeln!(text, "{name:<36}{rates}");
    }
    text.push('\n');
}

/// Appends the table of phases.
fn phases(text: &mut String, bench: &Bench) {
    let took_time = |phase: &Phase| {
        let of_row = |row: &BenchRow| row.phases.iter().any(|p| p.phase == *phase);
        bench.rows.iter().any(of_row)
    };
    let phases: Vec<Phase> = Phase::ALL.into_iter().filter(took_time).collect();
    let mut heading = [title("ms/step,", ""), title("all thr.", "")];
    for phase in &phases {
        let words = words(*phase);
        heading[0] += &format!("{:>7}", words[0]);
        heading[1] += &format!("{:>7}", words[1]);
    }
    _ = writeln!(text, "{}{:>9}\n{}", heading[0], "waiting", heading[1].trim_end());
    for row in &bench.rows {
        text.push_str(&row_title(row));
        for phase in &phases {
            let of_row = row.phases.iter().find(|of_row| of_row.phase == *phase);
            let ms = of_row.map_or("-".into(), |of_row| digits(of_row.thread_ms));
            _ = write!(text, "{ms:>7}");
        }
        _ = writeln!(text, "{:>9}", digits(row.waiting_thread_ms));
    }
    text.push_str("means of extra steps, with a clock that costs a few percent");
}

/// Short name of a phase, in two lines above its column.
fn words(phase: Phase) -> [&'static str; 2] {
    match phase {
        Phase::Data => ["data", ""],
        Phase::ConvForward => ["conv", "fwd"],
        Phase::LinearForward => ["linear", "fwd"],
        Phase::Loss => ["loss", ""],
        Phase::LinearBackward => ["linear", "bwd"],
        Phase::ConvBackward => ["conv", "bwd"],
        Phase::LinearUpdate => ["lin dW", "+ Adam"],
        Phase::Optimizer => ["Adam", ""],
    }
}

/// Lines that name the stages that are not exact.
pub fn inexact_stages(bench: &Bench) -> String {
    let mut names: Vec<_> = bench.rows.iter().map(|row| (row.stage, row.precision)).collect();
    names.dedup();
    let inexact = names.into_iter().filter(|(_, precision)| !not_exact(precision).is_empty());
    inexact.map(|(stage, precision)| format!("{stage}{}\n", not_exact(precision))).collect()
}

/// The first two columns of a table.
fn title(stage: &str, threads: &str) -> String {
    format!("{stage:<8}{threads:>5}")
}

fn row_title(row: &BenchRow) -> String {
    title(row.stage, &row.threads.to_string())
}

/// Median of a speedup, after `~` if it is inconclusive.
pub fn speedup(speedup: Option<Speedup>) -> String {
    speedup.map_or("-".into(), |Speedup { median, inconclusive, .. }| {
        format!("{}{}", if inconclusive { "~" } else { "" }, digits(median))
    })
}
