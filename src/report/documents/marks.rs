//! What named recipes reach, and in how many seconds; and the track of small networks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::records::Records;
use super::words::table;
use crate::measure::statistics::Sample;
use crate::report::record::{Averaged, ONE_EPOCH, RecordRow, RecordRun, rows};
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

/// Row of the recipe that the record in `folder` measures, the median number of images that its tests
/// average, and the row of the recipe for the mark before.
fn row(records: &Records, folder: &str) -> Result<(RecordRow, f64, Option<RecordRow>), String> {
    let file = format!("{FOLDER}/{folder}/runs.jsonl");
    let runs: Vec<RecordRun> = records.events(&file, "record_run")?;
    let mut of_marks = rows(&runs).into_iter().filter(|row| row.recipe != ONE_EPOCH).rev();
    let row = of_marks.next();
    let row = row.ok_or_else(|| records.foreign(&file, "it has no recipe for a mark"))?;
    let before = of_marks.next();
    let of_row = runs.iter().filter(|run| run.recipe == row.recipe);
    let images: Vec<f64> = of_row
        .filter_map(|run| run.averaged.map(|Averaged { images, .. }| images as f64))
        .collect();
    let images = if images.is_empty() { 0.0 } else { Sample::of(&images).median };
    Ok((row, images, before))
}

/// Table of the records of recipes.
pub fn recipes(records: &Records) -> Result<String, String> {
    let mut folders = records.names(FOLDER)?;
    folders.sort_unstable();
    let mut lines = Vec::new();
    for folder in &folders {
        let (row, images, before) = row(records, folder)?;
        let before = before.map(|before| format!("{:.3}", before.clock_seconds.median));
        let Sample { median, min, .. } = row.clock_seconds;
        let averaged = row.averaged.map(|sample| format!("{} ({images:.0} images)", mean(sample)));
        lines.push(vec![
            records.facts(&format!("{FOLDER}/{folder}"))?.date.chars().take(10).collect(),
            format!(
                "[{}]({}/{FOLDER}/{folder})",
                stage(records, folder)?,
                super::records::PROFILES
            ),
            row.accuracy.count.to_string(),
            mean(row.accuracy),
            percent(row.accuracy.min),
            row.chance.map(|chance| format!("{chance:.1e}")).unwrap_or_default(),
            averaged.unwrap_or_default(),
            format!("{median:.3} ({min:.3})"),
            format!("{:.2}", row.epochs_of_source),
            before.unwrap_or_else(|| "–".into()),
            format!("{:.3}", row.process_seconds.median),
        ]);
    }
    let heading = [
        "date",
        "recipe",
        "runs",
        "accuracy, mean ± sd",
        "least",
        "p",
        "with selective averaging",
        "seconds, median (best)",
        "epochs of source",
        "seconds of the mark before",
        "seconds of the process",
    ];
    let folders: Vec<String> = folders.iter().map(|folder| format!("{FOLDER}/{folder}")).collect();
    Ok(format!("{}{}", table(&heading, &lines), records.footers(&folders)?))
}

/// Name of the recipe of the record in `folder`, and of its stage.
fn stage(records: &Records, folder: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Start {
        recipe: String,
        start: Stage,
    }
    #[derive(Deserialize)]
    struct Stage {
        stage: String,
    }
    let file = format!("{FOLDER}/{folder}/runs.jsonl");
    let mut starts: Vec<Start> = records.events(&file, "record_start")?;
    let Start { recipe, start } = starts.pop().expect("there is at least one");
    Ok(format!("{recipe}, {}", start.stage))
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
