//! The two documents of a report: what they say about the circumstances, their sections, and the
//! tables and figures in them.

use super::figures;
use super::plot::Figure;
use super::results::Results;
use super::table::Table;
use super::tables;
use crate::measure::machine::Environment;
use crate::report::date;
use crate::report::infer::REAL_TIME_MS;
use crate::report::text::layers::time;
use crate::report::text::numbers::{counted, digits, grouped};

/// Document of a report.
pub struct Document {
    /// Title of the document.
    pub title: &'static str,
    /// Sentences about the machine and the program.
    pub circumstances: Vec<String>,
    /// Answers to questions of yes or no.
    pub verdicts: Vec<Verdict>,
    /// Sections, in order.
    pub sections: Vec<Section>,
}

/// Answer to a question of yes or no.
pub struct Verdict {
    /// Whether the answer is the wanted one.
    pub passed: bool,
    /// Answer in words.
    pub text: String,
}

impl Verdict {
    /// The word `PASS` or `FAIL`.
    pub fn word(&self) -> &'static str {
        if self.passed { "PASS" } else { "FAIL" }
    }
}

/// Section of a document.
pub struct Section {
    /// Heading of the section.
    pub title: &'static str,
    /// Sentences below the heading.
    pub text: String,
    /// Figures, before the tables.
    pub figures: Vec<Figure>,
    /// Tables, each with its own heading.
    pub tables: Vec<Table>,
}

impl Document {
    /// Document of the times in `results`.
    pub fn of_times(results: &Results) -> Self {
        let Results { stages, layers, autograd, infer, ablations, budget, .. } = results;
        let limits = Section {
            title: "Limits",
            text: "Limits of two documents, and of this program.".into(),
            figures: Vec::new(),
            tables: vec![tables::limits(budget)],
        };
        let ladder = stages.as_ref().map(|bench| Section {
            title: "Stages",
            text: format!(
                "Training steps of batches of {} by every stage that runs here. Network: {}. Data: {}. {}.",
                counted(bench.recipe.batch_size, "image"),
                bench.architecture,
                bench.dataset_description,
                rounds(bench.repeats, false, bench.share_of_others),
            ),
            figures: Vec::new(),
            tables: vec![tables::stages(bench)],
        });
        let tape = &autograd.circumstances;
        let predictions = &infer.circumstances;
        let advice = &ablations.circumstances;
        let rest = [
            Section {
                title: "Layers",
                text: format!(
                    "Single layers by naive and by tiled, with {}. Every result is naive's: the \
                     same bits if the layer only multiplies, adds and compares, else up to \
                     rounding. {}.",
                    layers.isa,
                    rounds(layers.rounds, layers.quick, layers.share_of_others),
                ),
                figures: Vec::new(),
                tables: tables::layers(layers),
            },
            Section {
                title: "Automatic differentiation",
                text: format!(
                    "Computations on the tape, in f32. All gradients were compared with central \
                     differences in f64. {}.",
                    rounds(tape.rounds, tape.quick, tape.share_of_others),
                ),
                figures: Vec::new(),
                tables: tables::tape(autograd),
            },
            Section {
                title: "Predictions",
                text: format!(
                    "{} with {} parameters, {} trained, by stage {} with {}. Data: {}. All logits \
                     were compared with naive's. {}.",
                    infer.architecture,
                    grouped(infer.parameters),
                    counted(infer.epochs, "epoch"),
                    infer.stage,
                    infer.isa,
                    infer.dataset_description,
                    rounds(predictions.rounds, predictions.quick, predictions.share_of_others),
                ),
                figures: figures::of_predictions(infer),
                tables: tables::predictions(infer),
            },
            Section {
                title: "Advice",
                text: format!(
                    "The same work done as guides to performance advise, and otherwise. Both ways \
                     have the same result, up to rounding. {}.",
                    rounds(advice.rounds, advice.quick, advice.share_of_others),
                ),
                figures: Vec::new(),
                tables: vec![tables::advice(ablations)],
            },
        ];
        Self {
            title: "Benchmarks",
            circumstances: circumstances(&layers.environment, layers.version),
            verdicts: verdicts(results),
            sections: [limits].into_iter().chain(ladder).chain(rest).collect(),
        }
    }

    /// Document of the memory in `results`.
    pub fn of_memory(results: &Results) -> Self {
        let memory = &results.memory;
        let section = Section {
            title: "Memory of training and of predictions",
            text: format!(
                "{}, stage {}, {}. MB are 10^6 bytes.",
                memory.architecture,
                memory.stage,
                counted(memory.threads, "thread"),
            ),
            figures: figures::of_memory(memory),
            tables: tables::memory(memory),
        };
        let kept = memory.kept_bytes.map(|bytes| Verdict {
            passed: bytes == 0,
            text: format!("bytes that stayed allocated after the measurement: {bytes}"),
        });
        Self {
            title: "Memory",
            circumstances: circumstances(&memory.environment, memory.version),
            verdicts: kept.into_iter().collect(),
            sections: vec![section],
        }
    }

    /// Figures of all sections.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|section| &section.figures)
    }
}

/// Sentences about the machine and the program.
fn circumstances(environment: &Environment, version: &str) -> Vec<String> {
    let Environment { machine, cpu, load_average, unix_seconds, rustc, rustflags, release, .. } =
        environment;
    let mut machine_text = format!(
        "{}, {}",
        cpu.as_deref().unwrap_or("unknown CPU"),
        counted(machine.threads, "thread")
    );
    if let Some(topology) = &machine.topology {
        machine_text += &format!(", {topology}");
    }
    if let Some(load) = load_average {
        machine_text += &format!("; load average at the start {load}");
    }
    let flags = if rustflags.is_empty() { String::new() } else { format!(", {rustflags}") };
    let build = if *release { "" } else { "; not a release build, so the times are too long" };
    vec![
        format!("Measured on {}", date::of(*unix_seconds)),
        machine_text,
        format!("mnist-train {version}, {rustc}{flags}{build}"),
    ]
}

/// Words about the rounds of a measurement.
fn rounds(rounds: usize, quick: bool, share_of_others: Option<f64>) -> String {
    let length = if quick { "short round" } else { "round" };
    let mut text = format!("{}, interleaved", counted(rounds, length));
    if let Some(share) = share_of_others {
        text += &format!("; other programs used {:.0} % of the processors", 100.0 * share);
    }
    text
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let (limits, failures) = (results.budget.rows.len(), results.budget.failures());
    let text = match failures {
        0 => format!("all {limits} limits are met"),
        _ => format!("{failures} of {limits} limits are not met"),
    };
    let mut verdicts = vec![Verdict { passed: failures == 0, text }];
    for row in results.infer.rows.iter().filter(|row| row.batch_size == 1) {
        verdicts.push(Verdict {
            passed: row.latency.p50_ms < REAL_TIME_MS,
            text: format!(
                "the prediction of one image on {} takes less than {} ms: median {}, p99 {}",
                counted(row.threads, "thread"),
                digits(REAL_TIME_MS),
                time(row.latency.p50_ms),
                time(row.latency.p99_ms),
            ),
        });
    }
    verdicts
}
