//! Results as text for people, in aligned columns and at most 80 characters wide.

mod ablations;
mod autograd;
pub(super) mod bench;
pub(super) mod budget;
mod config;
mod export;
mod gate;
mod gradcheck;
mod infer;
pub(super) mod layers;
mod memory;
pub mod numbers;
mod predict;
#[cfg(feature = "profile")]
mod profile;
mod record;
mod sweep;

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use self::numbers::{counted, grouped, not_exact, sure};
use super::{
    Data, DataFile, Done, Epoch, Eval, Event, Exchanged, Mistake, Stages, Start, Summary,
    TestTimeAugmentation,
};
use crate::data::classes;
use crate::error::escaped;
use crate::measure::machine::Machine;
use crate::model::recipe::shortest;

/// Width of the table of epochs where there is no terminal.
const COLUMNS: usize = 80;

/// `event` as one or more lines of text, without a line end after the last. On a terminal of `width`
/// characters, the table of epochs has only the columns for which there is room, and mistakes are
/// drawn.
pub fn lines(event: &Event, width: Option<usize>) -> String {
    match event {
        Event::Start(start) => self::start(start, width.unwrap_or(COLUMNS)),
        Event::Epoch(epoch) => self::epoch(epoch, width.unwrap_or(COLUMNS)),
        Event::Done(done) => self::done(done),
        Event::Diverged(diverged) => diverged.message.clone(),
        Event::SweepRun(run) => sweep::run(run),
        Event::Sweep(sweep) => sweep::table(sweep),
        Event::RecordRun(run) => record::run(run),
        Event::Record(record) => record::table(record),
        Event::Eval(eval) => self::eval(eval, width),
        Event::Predict(predict) => predict::lines(predict),
        Event::Config(config) => config::lines(config),
        Event::Export(export) => export::lines(export),
        Event::Summary(summary) => self::summary(summary),
        Event::Stages(stages) => self::stages(stages),
        Event::Data(data) => self::data(data),
        Event::Gradcheck(check) => gradcheck::lines(check),
        Event::Bench(bench) => bench::lines(bench),
        Event::BenchLayers(bench) => layers::lines(bench),
        Event::BenchAutograd(bench) => autograd::lines(bench),
        Event::BenchAblations(bench) => ablations::lines(bench),
        Event::BenchInfer(bench) => infer::lines(bench),
        Event::BenchMemory(bench) => memory::lines(bench),
        Event::BenchBudget(bench) => budget::lines(bench),
        Event::Gate(gate) => gate::lines(gate),
        #[cfg(feature = "profile")]
        Event::Profile(profile) => profile::lines(profile),
    }
}

fn start(start: &Start, width: usize) -> String {
    let Start { dataset_description, train_images, test_images, stage, isa, threads, .. } = start;
    let isa = isa.map(|isa| format!(", {isa}")).unwrap_or_default();
    let mut text = format!(
        "data: {dataset_description}, {} + {} images\nstage: {stage}{isa}, {}{}{}",
        grouped(*train_images),
        grouped(*test_images),
        start.ranks.map_or(String::new(), |ranks| format!("{ranks} ranks of ")),
        counted(*threads, "thread"),
        not_exact(start.products),
    );
    text.push_str(&recipe(start, width));
    if (start.first_epoch as f64) < start.epochs {
        let of_validation = start.validation_images.map_or("", |_| "valid");
        let of_gradient = if start.engine == "layerwise" { "norm" } else { "" };
        let titles = [
            "epoch",
            "loss",
            "train",
            of_validation,
            "test",
            "correct",
            of_gradient,
            "lr",
            "time",
            "images/s",
        ];
        let titles = titles.map(Into::into);
        text.push('\n');
        text.push_str(&epoch_columns(&titles, width));
    }
    text
}

/// Lines with the hyperparameters that differ from the defaults, as flags, if any do.
fn recipe(start: &Start, width: usize) -> String {
    let flag = |(name, value): (&str, Value)| {
        let flag = name.replace('_', "-");
        match value {
            Value::Bool(_) => format!("--{flag}"),
            value => format!("--{flag} {}", shortest(&value)),
        }
    };
    let flags: Vec<String> = start.recipe.differences().map(flag).collect();
    if flags.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nrecipe:");
    let mut column = text.len() - 1;
    for flag in [format!("--epochs {}", start.epochs)].iter().chain(&flags) {
        if column + 1 + flag.len() > width {
            text.push_str("\n       ");
            column = 7;
        }
        column += 1 + flag.len();
        _ = write!(text, " {}", escaped(flag));
    }
    text
}

/// Row of the table of epochs, below the titles that [`start`] writes.
fn epoch(epoch: &Epoch, width: usize) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let share = |correct: Option<usize>, total: Option<usize>| {
        correct.zip(total).map(|(correct, total)| percent(correct as f64 / total as f64))
    };
    let none = || "-".into();
    let Epoch { record, seconds, images_per_second } = epoch;
    let texts = [
        record.epoch.to_string(),
        format!("{:.4}", record.loss),
        percent(record.train_accuracy),
        share(record.validation_correct, record.validation_total).unwrap_or_default(),
        share(record.test_correct, record.test_total).unwrap_or_else(none),
        record.test_correct.map_or_else(none, grouped),
        record.gradient_norm.map(|norm| format!("{norm:.3}")).unwrap_or_default(),
        format!("{:.3e}", record.lr),
        format!("{seconds:.2} s"),
        grouped(*images_per_second as usize),
    ];
    epoch_columns(&texts, width)
}

/// Columns of the table of epochs that fit in `width`; a column without a text is left out.
fn epoch_columns(texts: &[String; 10], width: usize) -> String {
    let mut widths = [5, 9, 10, 10, 10, 9, 9, 11, 11, 11];
    for (width, text) in widths.iter_mut().zip(texts) {
        *width *= usize::from(!text.is_empty());
    }
    // The columns that matter least come first: correct, lr, images/s, norm, time, train.
    for column in [5, 7, 9, 6, 8, 2] {
        if widths.iter().sum::<usize>() > width {
            widths[column] = 0;
        }
    }
    let shown = texts.iter().zip(widths).filter(|(_, width)| *width > 0);
    shown.map(|(text, width)| format!("{text:>width$}")).collect()
}

fn done(done: &Done) -> String {
    let mut text = format!(
        "{}\n{:.3} s in all, {:.3} s from the images in memory to the last prediction\n\
         training steps {:.3} s, loading {:.3} s, evaluating {:.3} s",
        weights(done.model.as_deref().unwrap_or("not kept"), &done.weights_sha256),
        done.total_seconds,
        done.clock_seconds,
        done.train_seconds,
        done.load_seconds,
        done.eval_seconds,
    );
    if let Some(Exchanged { exchange_seconds, sent_bytes, .. }) = done.ranks {
        let megabytes = sent_bytes as f64 / 1e6;
        _ = write!(
            text,
            "\nof the training steps, {exchange_seconds:.3} s exchanging {megabytes:.1} MB with other ranks"
        );
    }
    if let (Some(correct), Some(total)) = (done.test_correct, done.test_total) {
        let synthetic = if done.dataset == "synthetic" { " SYNTHETIC" } else { "" };
        let (correct, total) = (grouped(correct), grouped(total));
        _ = write!(text, "\n{correct} of {total}{synthetic} test images classified correctly");
    }
    text
}

/// Path and digest of a model, on two lines, because one line has only room for the digest.
fn weights(model: &str, sha256: &str) -> String {
    format!("model {}, weights SHA-256\n{sha256}", escaped(model))
}

fn eval(eval: &Eval, width: Option<usize>) -> String {
    let mut text = format!(
        "data: {}\n\
         {}\n\
         stage {}, {}{}, {:.3} s, {} images/s\n\n",
        eval.dataset_description,
        weights(&eval.model, &eval.weights_sha256),
        eval.stage,
        counted(eval.threads, "thread"),
        not_exact(eval.products),
        eval.seconds,
        grouped(eval.images_per_second as usize),
    );
    if let Some(TestTimeAugmentation { copies, averaged, .. }) = eval.tta {
        let averaged = grouped(averaged);
        _ = write!(text, "{averaged} images averaged over {copies} copies each\n\n");
    }
    text += &if eval.confusion.len() <= WIDEST { confusion(eval) } else { classes_of(eval) };
    text.push_str("\n\nmost confidently wrong");
    if eval.mistakes.is_empty() {
        text.push_str(": nothing");
    }
    let name = |class| escaped(&classes::name(&eval.class_names, class));
    for mistake in &eval.mistakes {
        _ = write!(
            text,
            "\n  test image {:5}: {} taken for {}, {} sure",
            mistake.index,
            name(mistake.label),
            name(mistake.predicted),
            sure(mistake.probability),
        );
    }
    if let Some(width) = width {
        text.push_str(&pictures(&eval.mistakes, width));
    }
    _ = write!(
        text,
        "\n\n{} of {} correct, {:.2} %, loss {:.4}",
        grouped(eval.correct),
        grouped(eval.total),
        100.0 * eval.accuracy,
        eval.loss,
    );
    text
}

/// Largest number of classes whose confusion matrix fits the width of a terminal.
const WIDEST: usize = 10;

/// The confusion matrix, with recall and precision of each class, and its name if it has one.
fn confusion(eval: &Eval) -> String {
    let mut text =
        "confusion: a row for each label, a column for each prediction\n    ".to_string();
    for class in 0..eval.confusion.len() {
        _ = write!(text, "{class:5}");
    }
    text.push_str("   recall  precision");
    for (label, row) in eval.confusion.iter().enumerate() {
        _ = write!(text, "\n{label:4}");
        for &count in row {
            // A dot instead of 0 makes the mistakes easy to see.
            _ = if count == 0 { write!(text, "    .") } else { write!(text, "{count:5}") };
        }
        let [recall, precision] = [eval.recall[label], eval.precision[label]].map(percent);
        _ = write!(text, "  {recall:>7}  {precision:>9}");
    }
    let names = eval.class_names.iter().enumerate();
    let names: Vec<String> =
        names.map(|(class, name)| format!("{class} {}", escaped(name))).collect();
    let separator = if names.is_empty() { "" } else { "\n\n" };
    text + separator + &filled(&names, ", ", COLUMNS)
}

/// `words` with `separator` between them, in lines of at most `width` characters where they fit.
fn filled(words: &[String], separator: &str, width: usize) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for (index, word) in words.iter().enumerate() {
        let last = index + 1 == words.len();
        let word = if last { word.clone() } else { format!("{word}{separator}") };
        let length = word.trim_end().chars().count();
        if column > 0 && column + length > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            column = 0;
        }
        column += word.chars().count();
        text += &word;
    }
    text
}

/// Recall and precision of each class, and the class for which it is taken most often.
fn classes_of(eval: &Eval) -> String {
    let names: Vec<_> = (0..eval.confusion.len())
        .map(|class| escaped(&classes::name(&eval.class_names, class)))
        .collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{:>longest$}  images   recall  precision  taken for", "class");
    for (label, row) in eval.confusion.iter().enumerate() {
        let [recall, precision] = [eval.recall[label], eval.precision[label]].map(percent);
        let images: usize = row.iter().sum();
        _ = write!(text, "\n{:>longest$}  {images:>6}  {recall:>7}  {precision:>9}", names[label]);
        let wrong = row.iter().enumerate().filter(|(class, count)| *class != label && **count > 0);
        if let Some((class, count)) = wrong.max_by_key(|(_, count)| **count) {
            _ = write!(text, "  {} ({count})", names[class]);
        }
    }
    text
}

/// A share in percent.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share))
}

/// Pictures of `mistakes` below their titles, as many side by side as fit into `width` characters.
fn pictures(mistakes: &[Mistake], width: usize) -> String {
    let mut text = String::new();
    let columns = mistakes.first().map_or(0, |first| first.picture[0].chars().count());
    for row in mistakes.chunks((width / (2 + columns)).max(1)) {
        let title =
            |one: &Mistake| format!("{}: {} taken for {}", one.index, one.label, one.predicted);
        text.push_str("\n\n");
        text.extend(row.iter().map(|mistake| format!("  {:columns$}", title(mistake))));
        for line in 0..row[0].picture.len() {
            text.push('\n');
            text.extend(row.iter().map(|mistake| format!("  {}", mistake.picture[line])));
        }
    }
    text
}

fn summary(summary: &Summary) -> String {
    let mut text = format!("{:<16}{:<35}{:>12}{:>14}\n", "layer", "", "output", "parameters");
    for layer in &summary.layers {
        let (name, geometry, parameters) = (&layer.name, &layer.layer, grouped(layer.parameters));
        _ = writeln!(text, "{name:<16}{geometry:<35}{:>12}{parameters:>14}", layer.output);
    }
    let parameters = grouped(summary.parameters);
    _ = writeln!(
        text,
        "{:<63}{parameters:>14}\n\n{:<16}{:>26}{:>26}\n{:<16}{:>15}{:>11}{:>15}{:>11}",
        "total", "", "forward", "backward", "layer", "MFLOP", "MB", "MFLOP", "MB",
    );
    let work = |name: &str, counts: [usize; 4]| {
        let [forward_flops, forward_bytes, backward_flops, backward_bytes] =
            counts.map(|count| format!("{:.2}", count as f64 / 1e6));
        format!(
            "{name:<16}{forward_flops:>15}{forward_bytes:>11}{backward_flops:>15}\
             {backward_bytes:>11}\n"
        )
    };
    let mut totals = [0; 4];
    for layer in &summary.layers {
        let counts =
            [layer.forward_flops, layer.forward_bytes, layer.backward_flops, layer.backward_bytes];
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        text.push_str(&work(&layer.name, counts));
    }
    let megabytes = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
    _ = write!(
        text,
        "{}\n\
         for a batch of {}; a multiply-add is two FLOP; relu, pooling and bias are none;\n\
         MB are 10^6 bytes of f32 activations and parameters, read and written once\n\n\
         stage {} trains it in {}, {} of them activations",
        work("total", totals),
        summary.batch_size,
        summary.stage,
        megabytes(summary.training_bytes),
        megabytes(summary.activation_bytes),
    );
    text
}

fn stages(stages: &Stages) -> String {
    let mut text = format!("{:<20}{:<11}{:<11}threads", "stage", "engine", "precision");
    for stage in &stages.stages {
        _ = write!(
            text,
            "\n{:<20}{:<11}{:<11}{}\n  {}",
            format!("{}{}", stage.name, if stage.default { " (default)" } else { "" }),
            stage.engine,
            stage.precision,
            if stage.multithreaded { "all" } else { "1" },
            stage.idea,
        );
        if let Some(unmet) = &stage.unmet {
            _ = write!(text, "\n  not here: {unmet}");
        }
    }
    let Machine { architecture, features, threads, topology } = &stages.machine;
    _ = write!(
        text,
        "\n\nthis machine: {}, {architecture}{}",
        counted(*threads, "thread"),
        features.iter().map(|feature| format!(" {feature}")).collect::<String>(),
    );
    if let Some(topology) = topology {
        _ = write!(text, "\n{topology}");
    }
    text
}

fn data(data: &Data) -> String {
    let name = |file: &DataFile| {
        let found = file.path.as_deref().map(Path::new).and_then(Path::file_name);
        escaped(&found.map_or((&*file.name).into(), |name| name.to_string_lossy()))
    };
    let names: Vec<_> = data.files.iter().map(name).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(26);
    let directory = escaped(&data.directory);
    let mut text = format!("{directory}:\n  {:<longest$}{:>10}{:>13}", "", "elements", "bytes");
    for (name, file) in names.iter().zip(&data.files) {
        _ = write!(text, "\n  {name:<longest$}");
        _ = match file.status {
            "missing" => write!(text, "  missing"),
            "invalid" | "unreadable" => {
                let problem = file.problem.as_deref().unwrap_or_default();
                write!(text, "  {}: {problem}", file.status.to_uppercase())
            }
            status => write!(
                text,
                "{:>10}{:>13}  {}",
                grouped(file.count.unwrap_or(0)),
                grouped(file.bytes.unwrap_or(0) as usize),
                match status {
                    "mnist" => "MNIST (SHA-256 verified)",
                    "synthetic" => "built-in SYNTHETIC digits",
                    "synthetic-letters" => "built-in SYNTHETIC letters",
                    "custom" => "valid, not official MNIST",
                    name => name,
                },
            ),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checkpoint::EpochRecord;

    #[test]
    fn epochs_are_aligned_in_columns_with_or_without_a_test() {
        let mut report = Epoch {
            record: EpochRecord {
                epoch: 3,
                loss: 0.067_44,
                train_accuracy: 0.9791,
                test_correct: Some(9801),
                test_total: Some(10_000),
                test_loss: Some(0.06),
                validation_correct: None,
                validation_total: None,
                validation_loss: None,
                gradient_norm: None,
                weight_norm: 20.0,
                lr: 9.46e-4,
            },
            seconds: 4.2,
            images_per_second: 14_285.7,
        };
        assert_eq!(
            epoch(&report, 80),
            "    3   0.0674   97.91 %   98.01 %    9,801   9.460e-4     4.20 s     14,285"
        );
        (report.record.validation_correct, report.record.validation_total) = (Some(497), Some(500));
        report.record.gradient_norm = Some(0.8312);
        assert_eq!(
            epoch(&report, 95),
            "    3   0.0674   97.91 %   99.40 %   98.01 %    9,801    0.831   9.460e-4     4.20 s     \
             14,285"
        );
        (report.record.validation_correct, report.record.gradient_norm) = (None, None);
        report.record.test_correct = None;
        assert_eq!(
            epoch(&report, 80),
            "    3   0.0674   97.91 %         -        -   9.460e-4     4.20 s     14,285"
        );
        let largest = Epoch {
            record: EpochRecord {
                epoch: 9999,
                loss: 123.456_78,
                train_accuracy: 1.0,
                test_correct: Some(100_000),
                test_total: Some(100_000),
                lr: 1e-10,
                ..report.record.clone()
            },
            seconds: 86_400.0,
            images_per_second: 9_999_999.0,
        };
        let line = epoch(&largest, 80);
        assert_eq!(line.len(), epoch(&report, 80).len(), "{line}");
        assert_eq!(line.split_whitespace().count(), 11, "nothing touches: {line}");
        assert!(line.len() <= 80, "{line}");

        for (width, expected) in
            [(76, 76), (75, 67), (66, 56), (45, 45), (44, 34), (30, 24), (5, 24)]
        {
            assert_eq!(epoch(&largest, width).len(), expected, "{width}");
        }
        assert_eq!(epoch(&report, 40), "    3   0.0674   97.91 %         -");
    }
}
