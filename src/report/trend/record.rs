//! A record: the results of `bench all`, read from the JSON lines that it has written.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::quoted;
use crate::measure::key::MachineKey;
use crate::measure::statistics::{Interval, Spread};
use crate::report::SCHEMA_VERSION;
use crate::report::recorded::{
    AblationRow, Ablations, Autograd, AutogradRow, BookkeepingRow, Environment, Infer, InferRow,
    Layer, LayerRow, Layers, Memory, MemoryRow, StageRow, Stages,
};
use crate::report::text::layers::time;
use crate::report::text::numbers::{counted, digits};

/// Most rounds of a row; `bench` makes no more.
const MOST_ROUNDS: usize = 1000;

/// Results of one run of `bench all`.
#[derive(Debug)]
pub struct Record {
    /// Name of the folder or file.
    pub name: String,
    /// Time of the measurement in seconds since 1970.
    pub unix_seconds: u64,
    /// Git commit of the program, if the record has it.
    pub commit: Option<String>,
    key: MachineKey,
    isa: String,
    quick: bool,
    /// Rows in the order of the measurements.
    pub rows: Vec<Row>,
}

/// Measured value of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What the value belongs to.
    pub id: RowId,
    /// Median over the rounds in milliseconds, or a number of bytes.
    pub median: f64,
    /// Interval of the median; a number of bytes is counted, and has itself as its interval.
    pub interval: Interval,
}

/// Identity of a row in all records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowId {
    /// Measurement that the row belongs to.
    pub suite: Suite,
    /// Name of the row in its measurement.
    pub name: String,
    /// What the row computes, if its name does not say it.
    pub problem: String,
}

/// Measurement of `bench all` that a trend is shown of. Limits are left out, because they repeat
/// the other measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Steps of training.
    Stages,
    /// Single layers.
    Layers,
    /// Computations on the tape.
    Autograd,
    /// Predictions.
    Infer,
    /// Work done as advised, and otherwise.
    Ablations,
    /// Bytes of training and of predictions.
    Memory,
}

impl Suite {
    /// All measurements, in the order of the page.
    pub const ALL: [Self; 6] =
        [Self::Stages, Self::Layers, Self::Autograd, Self::Infer, Self::Ablations, Self::Memory];

    /// Heading of the measurement, as in the report of `bench all`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Stages => "Stages",
            Self::Layers => "Layers",
            Self::Autograd => "Automatic differentiation",
            Self::Infer => "Predictions",
            Self::Ablations => "Advice",
            Self::Memory => "Memory",
        }
    }

    /// Text of a value.
    pub fn amount(self, value: f64) -> String {
        match self {
            Self::Memory => format!("{} MB", digits(value / 1e6)),
            _ => time(value),
        }
    }

    /// Words for a larger and for a smaller value.
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Self::Memory => ["larger", "smaller"],
            _ => ["slower", "faster"],
        }
    }
}

impl Record {
    /// Record called `name` with the JSON lines `text`.
    ///
    /// # Errors
    /// The reason why the lines are no record.
    pub fn parse(name: String, text: &str) -> Result<Self, String> {
        let lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|error| foreign(&error.to_string()))?;
        let event = |kind: &str| lines.iter().find(|line| line["event"] == kind);
        let of = |kind| event(kind).ok_or_else(|| foreign(&format!("it has no event '{kind}'")));
        let layers: Layers = read(of("bench_layers")?)?;
        let stages: Option<Stages> = event("bench").map(read).transpose()?;
        let mut rows = Rows::default();
        let commit = stages.and_then(|stages| {
            rows.add_stages(stages.rows, &stages.architecture);
            stages.commit
        });
        rows.add_layers(layers.layers);
        rows.add_tape(read(of("bench_autograd")?)?);
        rows.add_predictions(read(of("bench_infer")?)?);
        rows.add_advice(read(of("bench_ablations")?)?);
        rows.add_memory(read(of("bench_memory")?)?);
        let Environment { unix_seconds, key } = layers.environment;
        let (isa, quick, rows) = (layers.isa, layers.quick, rows.finish()?);
        Ok(Self { name, unix_seconds, commit, key, isa, quick, rows })
    }

    /// Words about the machine, the build and the settings.
    pub fn machine(&self) -> String {
        let quick = if self.quick { "; short rounds" } else { "" };
        format!("{}; {} instructions{quick}", self.key, self.isa)
    }

    /// Words about the first difference of the machine, the build or the settings from those of
    /// `other`; `None` if the times of both can be compared.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let settings = || {
            let (mine, others) = (self.quick.to_string(), other.quick.to_string());
            let quick = ("--quick", mine, others);
            let isa = ("--isa", quoted(&self.isa), quoted(&other.isa));
            [isa, quick].into_iter().find(|(_, mine, others)| mine != others)
        };
        let (what, mine, others) = self.key.difference(&other.key).or_else(settings)?;
        Some(format!("{what} is '{mine}' there, and '{others}' in {}", other.name))
    }
}

/// Fields of an event, whose schema must be ours.
fn read<T: DeserializeOwned>(event: &Value) -> Result<T, String> {
    if event["schema"] != SCHEMA_VERSION {
        return Err(foreign(&format!("its schema is {}", event["schema"])));
    }
    serde_path_to_error::deserialize(event)
        .map_err(|error| foreign(&format!("{} in {}", error, event["event"])))
}

/// Reason for refusing what is no record because of `problem`.
fn foreign(problem: &str) -> String {
    let problem = quoted(problem);
    format!("is no result of 'bench all': {problem}: write one with 'mnist-train bench all'")
}

/// Values that are collected, and the first that no measurement can have.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    wrong: Option<String>,
}

impl Rows {
    fn add_stages(&mut self, rows: Vec<StageRow>, architecture: &str) {
        for StageRow { stage, threads, round_step_ms, .. } in rows {
            let name = format!("{stage}, {}", counted(threads, "thread"));
            self.push(Suite::Stages, name, architecture, &round_step_ms);
        }
    }

    fn add_layers(&mut self, layers: Vec<Layer>) {
        for Layer { name, layer, input, batch_size, rows } in layers {
            let problem = format!("{layer} on {input:?}, {}", counted(batch_size, "image"));
            for LayerRow { pass, stage, threads, round_call_ms } in rows {
                let name = format!("{name} {pass}, {stage}, {}", counted(threads, "thread"));
                self.push(Suite::Layers, name, &problem, &round_call_ms);
            }
        }
    }

    fn add_tape(&mut self, Autograd { rows, bookkeeping }: Autograd) {
        for AutogradRow { name, forward, forward_backward } in rows {
            let both = format!("{name}, forward and backward");
            let forward_name = format!("{name}, forward");
            self.push(Suite::Autograd, forward_name, "", &forward.round_call_ms);
            self.push(Suite::Autograd, both, "", &forward_backward.round_call_ms);
        }
        for BookkeepingRow { name, timed } in bookkeeping {
            self.push(Suite::Autograd, name, "", &timed.round_call_ms);
        }
    }

    fn add_predictions(&mut self, Infer { architecture, rows, widths, precisions, .. }: Infer) {
        for InferRow { hidden, precision, threads, batch_size, timed } in
            rows.into_iter().chain(widths).chain(precisions)
        {
            let width = hidden.map(|hidden| format!("hidden {hidden}, ")).unwrap_or_default();
            let format = precision.map(|format| format!("{format}, ")).unwrap_or_default();
            let threads = counted(threads, "thread");
            let name = format!("{width}{format}batch {batch_size}, {threads}");
            self.push(Suite::Infer, name, &architecture, &timed.round_call_ms);
        }
    }

    fn add_advice(&mut self, Ablations { rows }: Ablations) {
        for AblationRow { ways: [advised, otherwise], advised: first, otherwise: second } in rows {
            self.push(Suite::Ablations, advised, "", &first.round_call_ms);
            self.push(Suite::Ablations, otherwise, "", &second.round_call_ms);
        }
    }

    fn add_memory(&mut self, Memory { architecture, rows }: Memory) {
        for MemoryRow { batch_size, training, inference, process_peak_bytes } in rows {
            let values = [
                ("training, live", training.as_ref().map(|bytes| bytes.live_bytes)),
                ("training, peak", training.as_ref().map(|bytes| bytes.peak_bytes)),
                ("inference, live", inference.as_ref().map(|bytes| bytes.live_bytes)),
                ("inference, peak", inference.as_ref().map(|bytes| bytes.peak_bytes)),
                ("process, peak", process_peak_bytes),
            ];
            for (what, value) in values {
                let Some(bytes) = value else { continue };
                let name = format!("batch {batch_size}, {what}");
                self.push(Suite::Memory, name, &architecture, &[bytes]);
            }
        }
    }

    /// Appends a row with the `values` of its rounds, or with one value that was counted.
    fn push(&mut self, suite: Suite, name: String, problem: &str, values: &[f64]) {
        let is_value = |value: &f64| value.is_finite() && *value > 0.0;
        if !(1..=MOST_ROUNDS).contains(&values.len()) {
            self.wrong.get_or_insert(format!("'{name}' has {} rounds", values.len()));
        } else if !values.iter().all(is_value) {
            self.wrong.get_or_insert(format!("a value of '{name}' is not above 0"));
        } else {
            let interval = match suite {
                Suite::Memory => Interval { low: values[0], high: values[0], is_confident: true },
                _ => Interval::of(values),
            };
            let id = RowId { suite, name, problem: problem.into() };
            self.rows.push(Row { id, median: Spread::of(values).median, interval });
        }
    }

    fn finish(self) -> Result<Vec<Row>, String> {
        self.wrong.map_or(Ok(self.rows), |wrong| Err(foreign(&wrong)))
    }
}
