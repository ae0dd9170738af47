//! What the machine allows, and how far the stages are from it.

use super::bench::{Bench, Row};
use super::records::Records;
use super::words::{amount, percent, table as markdown, threads};
use crate::engine::phases::Phase;

/// Bytes for each parameter of a step with one pass over the weights: w read forward; w, m and v read
/// and written backward.
const WEIGHT_BYTES: f64 = 7.0 * 4.0;

/// Table of the largest rates of arithmetic and of memory traffic.
pub fn roofline(records: &Records) -> Result<String, String> {
    let record = Bench::of_ladder(records)?;
    let mut counts: Vec<usize> = record.peaks.iter().map(|peak| peak.threads).collect();
    counts.sort_unstable();
    counts.dedup();
    let peaks = record
        .peaks
        .iter()
        .map(|peak| (format!("{} {}, GFLOP/s", peak.isa, peak.precision), peak.gflops));
    let streams = record.streams.iter().map(|stream| {
        let megabytes = stream.array_bytes / 1_000_000;
        (format!("{megabytes} MB read and written, GB/s"), stream.gbytes_per_second)
    });
    let handovers = record
        .handovers
        .iter()
        .map(|handover| ("an empty round of the team, µs".to_string(), handover.microseconds));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, value) in peaks.chain(streams).chain(handovers) {
        match rows.iter_mut().find(|row| row[0] == name) {
            Some(row) => row.push(amount(value)),
            None => rows.push(vec![name, amount(value)]),
        }
    }
    let mut heading = vec!["limit".to_string()];
    heading.extend(counts.into_iter().map(threads));
    Ok(markdown(&heading, &rows) + &record.footer())
}

/// Table of what the machine allows the stages with one pass over the weights, and of where the time
/// of the last of them in f32 goes.
pub fn table(records: &Records) -> Result<String, String> {
    let record = Bench::of_ladder(records)?;
    let is_one_pass = |row: &Row| row.phases.iter().any(|one| one.phase == Phase::LinearUpdate);
    let one_pass = record.rows.iter().filter(|row| is_one_pass(row));
    let one_pass: Vec<(&Row, f64)> =
        one_pass.filter_map(|row| Some((row, row.peak_gflops?))).collect();
    let traffic = WEIGHT_BYTES * record.parameters as f64;
    let mut cells = Vec::new();
    for &(row, peak) in &one_pass {
        // In an array like that of weights and moments, which is the first.
        let stream = record.streams.iter().find(|stream| stream.threads == row.threads);
        let stream = stream.ok_or_else(|| {
            let problem = format!("it has no rate of memory on {}", threads(row.threads));
            records.foreign("ladder/bench.json", &problem)
        })?;
        let arithmetic = row.flops_per_step / peak / 1e6;
        let memory = traffic / stream.gbytes_per_second / 1e6;
        cells.push(vec![
            row.name(),
            amount(row.flops_per_step / 1e6),
            amount(arithmetic),
            amount(traffic / 1e6),
            amount(memory),
            row.step(),
            format!("{:.2}×", row.step_ms.median / arithmetic.max(memory)),
        ]);
    }
    let heading = [
        "stage, threads",
        "MFLOP a step",
        "at the peak, ms",
        "MB of w, m, v",
        "at that rate, ms",
        "a step, ms",
        "over the longer",
    ];
    let last = one_pass.iter().rfind(|(row, _)| row.precision == "f32");
    match last {
        Some((row, peak)) => Ok(markdown(&heading, &cells) + "\n" + &phases(row, *peak)),
        None => Ok("No stage of the record has one pass over the weights.\n".into()),
    }
}

/// Table of the phases of `row`, whose threads together have the peak rate `peak`.
fn phases(row: &Row, peak: f64) -> String {
    let (total, peak) = (row.phases_step_ms * row.threads as f64, peak / row.threads as f64);
    let mut cells = Vec::new();
    for one in &row.phases {
        let (time, flops) = (one.thread_ms, one.flops);
        let work = match flops > 0.0 {
            true => [amount(flops / 1e6), format!("{:.0} %", 100.0 * flops / time / 1e6 / peak)],
            false => ["–".into(), "–".into()],
        };
        let mut row = vec![one.phase.name().into(), amount(time), percent(time, total)];
        row.extend(work);
        cells.push(row);
    }
    let waiting = row.waiting_thread_ms;
    cells.push(vec![
        "waiting".into(),
        amount(waiting),
        percent(waiting, total),
        "–".into(),
        "–".into(),
    ]);
    let heading = [&row.name(), "ms of all threads", "of the time", "MFLOP", "of peak"];
    markdown(&heading, &cells)
}
