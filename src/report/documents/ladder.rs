//! Tables of all stages: the ladder, and the stages that leave zeros out on other images.

use super::bench::{Bench, Row};
use super::records::Records;
use super::words::{RATIOS, amount, deviation, over, percent, table as markdown};
use crate::engine::phases::Phase;
use crate::report::text::numbers::grouped;

/// Epochs in which stages that leave zeros out are measured again.
const LATER_EPOCHS: [usize; 2] = [2, 9];

/// Table of the ladder.
pub fn table(records: &Records) -> Result<String, String> {
    let record = Bench::of_ladder(records)?;
    let rows: Vec<Vec<String>> = record.rows.iter().map(row).collect();
    let heading = [
        "stage, threads",
        "ms a step",
        "s an epoch",
        "images/s",
        "over naive",
        "over the stage before",
        "over 1 thread",
        "GFLOP/s",
        "of peak",
        "dense-equivalent",
        "allocations a step",
        "peak RSS, MB",
    ];
    let few = |row: &&Row| row.threads == 1 && row.round_images < record.train_images / 2;
    let scaled = record.rows.iter().filter(few);
    let scaled = scaled.map(|row| format!("{} {}", row.stage, grouped(row.round_images)));
    Ok(format!(
        "{}\n{} interleaved rounds on {}, batches of {}: median ± median absolute deviation. {RATIOS}; \
         brackets hold its 95 % interval. *Over the stage before* compares equal numbers of threads, or \
         takes one thread of the stage before if it uses no more. Before anything was timed, ten losses of \
         each stage agreed with the losses of naive, to {}. The time of an epoch is scaled from the images \
         of a round, of which the slower stages have few: {}. All tensors of a step, each read or written \
         once, have {:.0} MB.\n{}",
        markdown(&heading, &rows),
        record.repeats,
        record.dataset,
        record.recipe.batch_size,
        deviations(&record),
        scaled.collect::<Vec<_>>().join(", "),
        record.tensor_bytes_per_step / 1e6,
        record.footer(),
    ))
}

fn row(row: &Row) -> Vec<String> {
    let (step, epoch) = (row.step_ms, row.epoch_seconds);
    vec![
        row.name(),
        format!("{} ± {}, min {}", row.step(), amount(step.mad), amount(step.min)),
        format!("{} ± {}", amount(epoch.median), amount(epoch.mad)),
        grouped(row.images_per_second.round() as usize),
        over(row.over_naive),
        over(row.over_previous),
        over(row.over_one_thread),
        amount(row.gflops),
        row.share(),
        amount(row.dense_equivalent_gflops),
        row.allocations_per_step.map_or("–".into(), amount),
        row.peak_rss_bytes.map_or("–".into(), |bytes| format!("{:.0}", bytes / 1e6)),
    ]
}

/// Largest deviation of the losses in each format.
fn deviations(record: &Bench) -> String {
    let mut largest: Vec<(&str, f64)> = Vec::new();
    for row in &record.rows {
        match largest.iter_mut().find(|(precision, _)| *precision == row.precision) {
            Some((_, most)) => *most = most.max(row.loss_deviation),
            None => largest.push((&row.precision, row.loss_deviation)),
        }
    }
    let words = |(precision, most): &(&str, f64)| format!("{} in {precision}", deviation(*most));
    largest.iter().map(words).collect::<Vec<_>>().join(", ")
}

/// Sentence about images without a pixel of 0.
pub fn no_background(records: &Records) -> Result<String, String> {
    let record = Bench::read(records, "no-background")?;
    Ok(format!(
        "On images without a pixel of 0 (MNIST with 1 for every 0, {} interleaved rounds), the speed of \
         sparse relative to parallel is: {}; of live relative to sparse: {}.\n",
        record.repeats,
        record.speedups("sparse"),
        record.speedups("live"),
    ))
}

/// Table of what live gains over sparse as zeros grow.
pub fn epochs(records: &Records) -> Result<String, String> {
    let mut measured = vec![(0, Bench::of_ladder(records)?)];
    for epoch in LATER_EPOCHS {
        measured.push((epoch, Bench::read(records, &format!("epoch-{epoch}"))?));
    }
    let mut cells = Vec::new();
    for (epoch, record) in &measured {
        for (sparse, live) in record.of("sparse").zip(record.of("live")) {
            let [products, of_all] = [live, sparse].map(|row| {
                let forward = row.phases.iter().filter(|one| one.phase == Phase::LinearForward);
                forward.map(|one| one.flops).sum()
            });
            cells.push(vec![
                epoch.to_string(),
                live.threads.to_string(),
                percent(products, of_all),
                sparse.step(),
                live.step(),
                over(live.over_previous),
            ]);
        }
    }
    let heading = [
        "epoch",
        "threads",
        "live activations",
        "sparse, ms a step",
        "live, ms a step",
        "live over sparse",
    ];
    Ok(markdown(&heading, &cells)
        + "\nThe epoch counts from 0, and the epochs before it were trained. *Live activations* are a share \
           of those that see ink and of the virtual rows.\n")
}

/// Table of the stages that leave zeros out, on the digits of MNIST and on the clothes of
/// Fashion-MNIST.
pub fn fashion(records: &Records) -> Result<String, String> {
    let ladder = Bench::of_ladder(records)?;
    let clothes = Bench::read(records, "fashion")?;
    let mut cells = Vec::new();
    for (name, record) in [("MNIST", &ladder), ("Fashion-MNIST", &clothes)] {
        let stages = ["parallel", "sparse", "live"].map(|stage| record.of(stage));
        let [parallel, sparse, live] = stages;
        for ((parallel, sparse), live) in parallel.zip(sparse).zip(live) {
            cells.push(vec![
                name.into(),
                live.threads.to_string(),
                parallel.step(),
                sparse.step(),
                live.step(),
                over(sparse.over_previous),
                over(live.over_previous),
            ]);
        }
    }
    let heading = [
        "images",
        "threads",
        "parallel, ms a step",
        "sparse, ms a step",
        "live, ms a step",
        "sparse over parallel",
        "live over sparse",
    ];
    Ok(markdown(&heading, &cells))
}
