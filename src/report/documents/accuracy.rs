//! How many test images trained models classify correctly: of some stages, networks and datasets.

use std::iter;

use serde::Deserialize;

use super::records::Records;
use super::words::table;
use crate::measure::statistics::Sample;
use crate::model::presets::PRESETS;
use crate::report::text::numbers::grouped;

/// Stages of the table, in its order: one whose products a library computes, two exact stages of our
/// own, and the stage that is not exact.
const STAGES: [&str; 4] = ["gemm", "sparse", "live", "bf16"];
/// Datasets of the table of datasets, with their titles. MNIST's record is that of the default network.
const DATASETS: [(&str, &str); 3] = [
    ("networks/default", "MNIST"),
    ("datasets/fashion", "Fashion-MNIST"),
    ("datasets/synthetic-letters", "synthetic letters"),
];
/// Number of seeds of a stage, and of a network or dataset.
const STAGE_SEEDS: usize = 10;
const NETWORK_SEEDS: usize = 5;

/// Fields of the event `done`.
#[derive(Deserialize)]
struct Done {
    test_correct: usize,
    products: String,
    stage: String,
}

/// Fields of the event `start`.
#[derive(Deserialize)]
struct Start {
    architecture: String,
    parameters: usize,
    epochs: usize,
}

/// Results of the seeds 1, 2, … of `record`.
fn seeds(records: &Records, record: &str, seeds: usize) -> Result<Vec<Done>, String> {
    let of_seed = |seed| records.event(&format!("{record}/seed-{seed}.jsonl"), "done");
    (1..=seeds).map(of_seed).collect()
}

/// Numbers of test images that are classified correctly.
fn sample(done: &[Done]) -> Sample {
    Sample::of(&done.iter().map(|one| one.test_correct as f64).collect::<Vec<_>>())
}

/// Mean and standard deviation of a sample of at least two.
fn mean(sample: Sample) -> String {
    format!("{} ± {:.1}", decimal(sample.mean), sample.deviation.expect("several seeds"))
}

/// `value`, at least 0, with one decimal and with commas between groups of three digits.
fn decimal(value: f64) -> String {
    let text = format!("{value:.1}");
    let (whole, decimal) = text.split_once('.').expect("a number with a decimal");
    format!("{}.{decimal}", grouped(whole.parse().expect("a number of images")))
}

/// Table of the stages.
pub fn stages(records: &Records) -> Result<String, String> {
    let stages = records.present("accuracy", &STAGES)?;
    let names: Vec<String> = stages.iter().map(|stage| format!("accuracy/{stage}")).collect();
    let done = names.iter().map(|name| seeds(records, name, STAGE_SEEDS));
    let done: Vec<Vec<Done>> = done.collect::<Result<_, _>>()?;
    let row = |title: String, cell: &dyn Fn(&[Done]) -> String| {
        iter::once(title).chain(done.iter().map(|one| cell(one))).collect()
    };
    let of_seed =
        |index: usize| row((index + 1).to_string(), &|done| grouped(done[index].test_correct));
    let mut rows: Vec<Vec<String>> = (0..STAGE_SEEDS).map(of_seed).collect();
    rows.push(row("**median**".into(), &|done| format!("**{}**", decimal(sample(done).median))));
    rows.push(row("mean ± standard deviation".into(), &|done| mean(sample(done))));
    let titles = stages.iter().zip(&done);
    let titles = titles.map(|(stage, done)| format!("{stage} (multiplies {})", done[0].products));
    let heading: Vec<String> = iter::once("seed".into()).chain(titles).collect();
    Ok(format!(
        "Correct of the 10,000 test images, after ten epochs:\n\n{}{}",
        table(&heading, &rows),
        records.footers(&names)?,
    ))
}

/// Table of the datasets, each with the default network.
pub fn datasets(records: &Records) -> Result<String, String> {
    let mut rows = Vec::new();
    for (folder, title) in DATASETS {
        let start: Start = records.event(&format!("{folder}/seed-1.jsonl"), "start")?;
        let done = seeds(records, folder, NETWORK_SEEDS)?;
        let sample = sample(&done);
        rows.push(vec![
            title.to_string(),
            format!("`{}`", start.architecture),
            start.epochs.to_string(),
            decimal(sample.median),
            mean(sample),
        ]);
    }
    let heading = ["dataset", "layers", "epochs", "correct, median", "mean ± standard deviation"];
    let folders: Vec<String> = DATASETS.iter().map(|(folder, _)| folder.to_string()).collect();
    Ok(format!(
        "Correct of the 10,000 test images by the default recipe, whose learning rate falls to the end of \
         the run (`--t-max` is the number of epochs), for {NETWORK_SEEDS} seeds:\n\n{}{}",
        table(&heading.map(String::from), &rows),
        records.footers(&folders)?,
    ))
}

/// Table of the networks with a name.
pub fn networks(records: &Records) -> Result<String, String> {
    let names = records.present("networks", &PRESETS.each_ref().map(|preset| preset.name))?;
    let folders: Vec<String> = names.iter().map(|name| format!("networks/{name}")).collect();
    let mut rows = Vec::new();
    for (name, folder) in names.iter().zip(&folders) {
        let start: Start = records.event(&format!("{folder}/seed-1.jsonl"), "start")?;
        let done = seeds(records, folder, NETWORK_SEEDS)?;
        let Sample { median, min, max, .. } = sample(&done);
        let whole = |count: f64| grouped(count as usize);
        rows.push(vec![
            name.to_string(),
            format!("`{}`", start.architecture),
            grouped(start.parameters),
            done[0].stage.clone(),
            start.epochs.to_string(),
            whole(median),
            format!("{} to {}", whole(min), whole(max)),
        ]);
    }
    let heading =
        ["name", "layers", "parameters", "stage", "epochs", "correct, median", "least to most"];
    Ok(format!(
        "Correct of the 10,000 test images by the default recipe, whose learning rate falls to the end of \
         the run (`--t-max` is the number of epochs), for {NETWORK_SEEDS} seeds:\n\n{}{}",
        table(&heading, &rows),
        records.footers(&folders)?,
    ))
}
