//! The tables of the page of a run.

use serde_json::Value;

use super::result::RunReport;
use crate::model::architecture::PlacedLayer;
use crate::model::checkpoint::{EpochRecord, Position};
use crate::report::date;
use crate::report::text::numbers::{counted, grouped};

/// Cell of the confusion matrix.
pub struct Cell {
    /// Number of images.
    pub count: usize,
    /// Share of the cell's colour, 0 to 1: of the images of the class on the diagonal, and of the
    /// most frequent confusion elsewhere.
    pub part: f64,
    /// Whether the prediction is the class.
    pub is_right: bool,
}

/// Row of a class.
pub struct Class {
    /// Name of the class.
    pub name: String,
    /// Numbers of its images by predicted class.
    pub cells: Vec<Cell>,
    /// Number of its images.
    pub images: usize,
    /// Share of its images that were found.
    pub recall: String,
    /// Share of its predictions that are right.
    pub precision: String,
}

/// Rows of the classes.
pub fn classes(report: &RunReport<'_>) -> Vec<Class> {
    let confusion = &report.evaluation.confusion;
    let off = |row: usize, column: usize| if row == column { 0 } else { confusion[row][column] };
    let all = || 0..confusion.len();
    let worst = all().flat_map(|row| all().map(move |column| off(row, column))).max();
    let worst = worst.unwrap_or_default().max(1);
    all()
        .map(|class| {
            let images: usize = confusion[class].iter().sum();
            let predicted = confusion.iter().map(|row| row[class]).sum();
            let cell = |column: usize| {
                let (count, is_right) = (confusion[class][column], column == class);
                let whole = if is_right { images.max(1) } else { worst };
                Cell { count, part: count as f64 / whole as f64, is_right }
            };
            Class {
                name: report.class(class),
                cells: all().map(cell).collect(),
                images,
                recall: share(confusion[class][class], images),
                precision: share(confusion[class][class], predicted),
            }
        })
        .collect()
}

/// Share of `part` in `whole` in percent.
fn share(part: usize, whole: usize) -> String {
    if whole == 0 { "–".into() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}

/// Rows of the network's layers: name, text, output and number of parameters.
pub fn layers(report: &RunReport<'_>) -> Vec<[String; 4]> {
    let row = |placed: &PlacedLayer| {
        let output = placed.output.to_string().replace('x', "×");
        [placed.name.clone(), placed.layer.to_string(), output, grouped(placed.parameters.len())]
    };
    report.architecture.layers().iter().map(row).collect()
}

/// Names and values of the hyperparameters.
pub fn settings(report: &RunReport<'_>) -> Vec<(String, String)> {
    let Some(metadata) = report.metadata else { return Vec::new() };
    let recipe = serde_json::to_value(&metadata.recipe).expect("plain data");
    let fields = recipe.as_object().into_iter().flatten();
    let shown = |value: &Value| match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    fields.map(|(name, value)| (name.replace('_', "-"), shown(value))).collect()
}

/// Facts about the training and the test, each with its name.
pub fn facts(report: &RunReport<'_>) -> Vec<(&'static str, String)> {
    let environment = &report.environment;
    let unknown = || "unknown".to_string();
    let machine = format!(
        "{}, {}, {}, {}",
        environment.cpu.clone().unwrap_or_else(unknown),
        environment.machine.architecture,
        environment.machine.features.join(" "),
        counted(environment.machine.threads, "thread"),
    );
    let mut facts = vec![
        ("model", report.model.clone()),
        ("weights, SHA-256", report.parameters.sha256().to_string()),
    ];
    if let Some(metadata) = report.metadata {
        let isa = metadata.isa.as_deref().map(|isa| format!(", {isa}")).unwrap_or_default();
        let Position { epoch, batch, .. } = metadata.position;
        let part = if batch > 0 { " and a part of the next" } else { "" };
        let epochs = counted(epoch, "epoch") + part;
        facts.extend([
            ("trained for", format!("{epochs}, {} steps", grouped(metadata.steps as usize))),
            ("trained on", metadata.dataset.name.clone()),
            ("trained by stage", format!("{}{isa}", metadata.stage)),
        ]);
    }
    facts.extend([
        ("tested on", report.test.kind.to_string()),
        ("tested by stage", format!("{}, {}", report.stage, counted(report.threads, "thread"))),
        ("machine of the test", machine),
        ("system", environment.kernel.clone().unwrap_or_else(unknown)),
        ("program", format!("mnist-train {}, {}", env!("CARGO_PKG_VERSION"), environment.rustc)),
        ("date", date::of(environment.unix_seconds)),
    ]);
    facts
}

/// Cells of an epoch: its number, losses and accuracies of training, validation and test, learning
/// rate and norms; a value that is not known is a dash.
pub fn epoch(record: &EpochRecord) -> Vec<String> {
    let loss = |loss: Option<f64>| loss.map(|loss| format!("{loss:.4}"));
    let percent = |correct: Option<usize>, total: Option<usize>| Some(share(correct?, total?));
    let norm = |norm: Option<f64>| norm.map(|norm| format!("{norm:.3}"));
    let cells = [
        Some(record.epoch.to_string()),
        loss(Some(record.loss)),
        loss(record.validation_loss),
        loss(record.test_loss),
        Some(format!("{:.2} %", 100.0 * record.train_accuracy)),
        percent(record.validation_correct, record.validation_total),
        percent(record.test_correct, record.test_total),
        Some(format!("{:.3e}", record.lr)),
        norm(Some(record.weight_norm)),
        norm(record.gradient_norm),
    ];
    cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into())).collect()
}
