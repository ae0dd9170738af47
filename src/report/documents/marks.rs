//! What named recipes reach, and in how many seconds; and the track of small networks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::records::Records;
use super::words::table;
use crate::measure::statistics::Sample;
use crate::report::record::{Averaged, ONE_EPOCH, RecordRow, RecordRun, complete, rows};
use crate::report::text::numbers::grouped;

/// Folder of the records of recipes, each in a folder of its own with its date.
const FOLDER: &str = "records";
/// Folder of the record of small networks.
const SMALL: &str = "small-networks";

/// Share in percent, with three decimals.
fn percent(share: f64) -> String {
    format!("{:.3}", 100.0 * share)
}

/// Mean and standard deviation in percent.
fn mean(sample: Sample) -> String {
    let deviation = sample.deviation.map(|deviation| format!(" ± {}", percent(deviation)));
    percent(sample.mean) + &deviation.unwrap_or_default()
}

/// Recipe of a record: how its runs begin.
#[derive(Deserialize)]
struct Start {
    recipe: String,
    start: Training,
}

/// Fields of the first line of a training.
#[derive(Deserialize)]
struct Training {
    stage: String,
    epochs: f64,
}

/// Record of a recipe beside others.
struct Measured {
    /// Last of the recipes that are measured side by side, for which the record is.
    recipe: Start,
    row: RecordRow,
    /// Median number of images that its tests average.
    images: f64,
    /// Row of the recipe for the mark before, if there is one.
    before: Option<RecordRow>,
}

/// The record in `folder`, but for the seeds that not all recipes have trained with.
fn measured(records: &Records, folder: &str) -> Result<Measured, String> {
    let file = format!("{FOLDER}/{folder}/runs.jsonl");
    let mut starts: Vec<Start> = records.events(&file, "record_start")?;
    let recipes: Vec<&str> = starts.iter().map(|start| &*start.recipe).collect();
    let runs = complete(&records.events::<RecordRun>(&file, "record_run")?, &recipes);
    let mut of_marks = rows(&runs).into_iter().filter(|row| row.recipe != ONE_EPOCH).rev();
    let row = of_marks.next();
    let row = row.ok_or_else(|| records.foreign(&file, "no seed of it is complete"))?;
    let before = of_marks.next();
    let of_row = runs.iter().filter(|run| run.recipe == row.recipe);
    let images: Vec<f64> = of_row
        .filter_map(|run| run.averaged.map(|Averaged { images, .. }| images as f64))
        .collect();
    let images = if images.is_empty() { 0.0 } else { Sample::of(&images).median };
    let recipe = starts.pop().expect("there is at least one");
    Ok(Measured { recipe, row, images, before })
}

/// Table of the records of recipes.
pub fn recipes(records: &Records) -> Result<String, String> {
    let mut folders = records.names(FOLDER)?;
    folders.sort_unstable();
    let mut lines = Vec::new();
    for folder in &folders {
        let Measured { recipe: Start { recipe, start }, row, images, before } =
            measured(records, folder)?;
        let before = before.map(|before| format!("{:.3}", before.clock_seconds.median));
        let Sample { median, min, .. } = row.clock_seconds;
        let averaged = row.averaged.map(|sample| format!("{} ({images:.0} images)", mean(sample)));
        let chance = |chance: Option<f64>| chance.map(|chance| format!("{chance:.1e}"));
        lines.push(vec![
            records.facts(&format!("{FOLDER}/{folder}"))?.date.chars().take(10).collect(),
            format!("[{recipe}, {}]({}/{FOLDER}/{folder})", start.stage, super::records::PROFILES),
            start.epochs.to_string(),
            row.accuracy.count.to_string(),
            mean(row.accuracy),
            percent(row.accuracy.min),
            chance(row.chance).unwrap_or_default(),
            averaged.unwrap_or_default(),
            chance(row.averaged_chance).unwrap_or_default(),
            format!("{median:.3} ({min:.3})"),
            format!("{:.2}", row.epochs_of_source),
            before.unwrap_or_else(|| "–".into()),
            format!("{:.3}", row.process_seconds.median),
        ]);
    }
    let heading = [
        "date",
        "recipe",
        "epochs",
        "runs",
        "accuracy, mean ± sd",
        "least",
        "p",
        "with selective averaging",
        "its p",
        "seconds, median (best)",
        "epochs of source",
        "seconds of the mark before",
        "seconds of the process",
    ];
    let folders: Vec<String> = folders.iter().map(|folder| format!("{FOLDER}/{folder}")).collect();
    Ok(format!("{}{}", table(&heading, &lines), records.footers(&folders)?))
}

/// Table of the small networks.
pub fn small_networks(records: &Records) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Sweep {
        rows: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        values: BTreeMap<String, String>,
        parameters: usize,
        test_accuracy: Sample,
        train_seconds: Sample,
    }
    let mut sweep: Sweep = records.event(&format!("{SMALL}/sweep.jsonl"), "sweep")?;
    sweep.rows.sort_by_key(|row| row.parameters);
    let line = |row: &Row| {
        let Row { values, parameters, test_accuracy, train_seconds } = row;
        vec![
            grouped(*parameters),
            format!("`{}`", values.get("arch").map_or("default", String::as_str)),
            test_accuracy.count.to_string(),
            mean(*test_accuracy),
            percent(test_accuracy.min),
            format!("{:.2}", train_seconds.median),
        ]
    };
    let rows: Vec<_> = sweep.rows.iter().map(line).collect();
    let heading =
        ["parameters", "layers", "runs", "accuracy, mean ± sd", "least", "seconds of training"];
    Ok(format!("{}{}", table(&heading, &rows), records.footers(&[SMALL.into()])?))
}

/// Table of what was tried around `recipe` on validation images.
pub fn tuning(records: &Records, recipe: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Sweep {
        rows: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        values: BTreeMap<String, String>,
        validation_accuracy: Sample,
    }
    let folder = format!("tuning/{recipe}");
    let mut names = records.names(&folder)?;
    names.retain(|name| name.ends_with(".jsonl"));
    names.sort_unstable();
    let mut rows = Vec::new();
    for name in &names {
        let sweep: Sweep = records.event(&format!("{folder}/{name}"), "sweep")?;
        for Row { values, validation_accuracy } in sweep.rows {
            let values = values.iter().map(|(flag, value)| format!("`--{flag} {value}`"));
            let values: Vec<_> = values.collect();
            rows.push(vec![
                values.join(" "),
                validation_accuracy.count.to_string(),
                mean(validation_accuracy),
            ]);
        }
    }
    let heading = ["change", "runs", "validation accuracy, mean ± sd"];
    Ok(format!("{}{}", table(&heading, &rows), records.footers(&[folder])?))
}
