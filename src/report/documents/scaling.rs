//! The cost of an epoch as one thing is varied: threads, sizes of batch and training set, sizes of the
//! network.

use serde::Deserialize;

use super::records::Records;
use super::words::{amount, table as markdown};
use crate::measure::statistics::Spread;
use crate::report::text::numbers::grouped;

/// Folder of the record.
const FOLDER: &str = "scaling";
/// Number of rounds.
const ROUNDS: usize = 3;

/// What is varied.
struct Sweep {
    /// Name in the names of files.
    name: &'static str,
    label: &'static str,
    /// Value in the runs that vary something else; all threads, if there is none.
    usual: Option<usize>,
    /// What the cost is compared with, in words, and as a function of the value, in any unit.
    ideal: &'static str,
    cost: fn(usize) -> f64,
}

const SWEEPS: [Sweep; 5] = [
    Sweep {
        name: "threads",
        label: "threads",
        usual: None,
        ideal: "1 / threads",
        cost: |threads| 1.0 / threads as f64,
    },
    Sweep {
        name: "batch",
        label: "images of a batch",
        usual: Some(64),
        ideal: "constant",
        cost: |_| 1.0,
    },
    Sweep {
        name: "images",
        label: "training images",
        usual: Some(60_000),
        ideal: "proportional",
        cost: |images| images as f64,
    },
    Sweep {
        name: "channels",
        label: "channels",
        usual: Some(CHANNELS),
        ideal: "dense multiply-adds",
        cost: |channels| multiply_adds(channels, HIDDEN),
    },
    Sweep {
        name: "hidden",
        label: "hidden units",
        usual: Some(HIDDEN),
        ideal: "dense multiply-adds",
        cost: |hidden| multiply_adds(CHANNELS, hidden),
    },
];

/// Sizes of the default network.
const CHANNELS: usize = 32;
const HIDDEN: usize = 128;

/// Multiply-adds of an image by the fused engine: 25 taps for the four pixels of a cell and backward for
/// the largest of them, and three products with each weight of the linear layers.
fn multiply_adds(channels: usize, hidden: usize) -> f64 {
    let (channels, hidden) = (channels as f64, hidden as f64);
    channels * 14.0 * 14.0 * (25.0 * 4.0 + 25.0 + 3.0 * hidden) + 3.0 * 10.0 * hidden
}

/// Fields of the event `start`.
#[derive(Deserialize)]
struct Start {
    stage: String,
}

/// Fields of the event `epoch`.
#[derive(Deserialize)]
struct Epoch {
    seconds: f64,
}

/// Fields of the event `done`.
#[derive(Deserialize)]
struct Done {
    load_seconds: f64,
    peak_rss_bytes: f64,
}

/// Measurements with one value.
struct Point {
    value: usize,
    seconds: Spread,
    load_seconds: f64,
    peak_rss_bytes: f64,
}

impl Point {
    /// Measurements with `value` in the files whose names begin with `file`.
    fn read(records: &Records, value: usize, file: &str) -> Result<Self, String> {
        let (mut seconds, mut load, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let name = format!("{FOLDER}/{file}-{round}.jsonl");
            seconds.push(records.event(&name, "epoch").map(|Epoch { seconds }| seconds)?);
            let done: Done = records.event(&name, "done")?;
            load.push(done.load_seconds);
            memory.push(done.peak_rss_bytes);
        }
        let median = |values: &[f64]| Spread::of(values).median;
        let (load_seconds, peak_rss_bytes) = (median(&load), median(&memory));
        Ok(Self { value, seconds: Spread::of(&seconds), load_seconds, peak_rss_bytes })
    }
}

/// A picture and a table for each thing that is varied.
pub fn tables(records: &Records) -> Result<String, String> {
    let cores = records.facts(FOLDER)?.computer.threads;
    let files = records.names(FOLDER)?;
    let mut text = String::new();
    for sweep in &SWEEPS {
        text += &of_sweep(records, sweep, &files, cores)?;
    }
    let Start { stage } = records.event(&format!("{FOLDER}/usual-0.jsonl"), "start")?;
    let usual = SWEEPS.iter().filter_map(|sweep| Some((sweep.usual?, sweep.label)));
    let usual = usual.map(|(value, label)| format!("{} {label}", grouped(value)));
    let usual: Vec<_> = usual.collect();
    Ok(format!(
        "{text}Stage {stage} on synthetic digits, one epoch; {} and all threads unless varied. {ROUNDS} \
         interleaved rounds, median ± median absolute deviation.\n{}",
        usual.join(", "),
        records.footer(FOLDER)?,
    ))
}

/// Picture and table of `sweep`, of which there are `files`, on a machine with so many `cores`.
fn of_sweep(
    records: &Records,
    sweep: &Sweep,
    files: &[String],
    cores: usize,
) -> Result<String, String> {
    let Sweep { name, label, ideal, cost, .. } = sweep;
    let usual = sweep.usual.unwrap_or(cores);
    let value = |file: &String| {
        let value = file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix("-0.jsonl")?;
        value.parse().ok()
    };
    let mut values: Vec<usize> = files.iter().filter_map(value).chain([usual]).collect();
    values.sort_unstable();
    let points = values.into_iter().map(|value| match value == usual {
        true => Point::read(records, value, "usual"),
        false => Point::read(records, value, &format!("{name}-{value}")),
    });
    let points: Vec<Point> = points.collect::<Result<_, _>>()?;
    // One thread, or what is usual: the cost of more threads is compared with that of one.
    let base_value = sweep.usual.unwrap_or(1);
    let base = points.iter().find(|point| point.value == base_value);
    let base =
        base.ok_or_else(|| records.foreign(FOLDER, &format!("no run has {base_value} {label}")))?;
    let row = |point: &Point| {
        let ideal = base.seconds.median * cost(point.value) / cost(base_value);
        vec![
            grouped(point.value),
            format!("{} ± {}", amount(point.seconds.median), amount(point.seconds.mad)),
            format!("{:.2}×", point.seconds.median / ideal),
            amount(point.load_seconds),
            amount(point.peak_rss_bytes / 1e6),
        ]
    };
    let rows: Vec<_> = points.iter().map(row).collect();
    let over = format!("over {ideal}");
    let heading = [label, "s an epoch", &over, "loading, s", "peak RSS, MB"];
    let title = format!("Cost of an epoch against {label}");
    let table = markdown(&heading, &rows);
    Ok(format!("![{title}](profiles/{FOLDER}/{name}.svg)\n\n{table}\n"))
}
