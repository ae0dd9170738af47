//! The records of `bench stages --record`, as far as the documents show them.

use serde::Deserialize;

use super::records::{Computer, Facts, Records};
use super::words::{amount, over, threads};
use crate::engine::phases::Phase;
use crate::measure::statistics::{Speedup, Spread};
use crate::report::date;
use crate::report::recorded::{Peak, Stream};

/// Record of a comparison of stages.
#[derive(Debug, Deserialize)]
pub struct Bench {
    environment: Environment,
    commit: String,
    share_of_others: Option<f64>,
    pub dataset: String,
    pub train_images: usize,
    pub parameters: usize,
    pub recipe: Recipe,
    pub repeats: usize,
    pub tensor_bytes_per_step: f64,
    pub peaks: Vec<Peak>,
    pub streams: Vec<Stream>,
    pub handovers: Vec<Handover>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Environment {
    unix_seconds: u64,
    #[serde(flatten)]
    computer: Computer,
}

/// Hyperparameters that the documents name.
#[derive(Debug, Deserialize)]
pub struct Recipe {
    pub batch_size: usize,
}

/// Shortest time to hand out work.
#[derive(Debug, Deserialize)]
pub struct Handover {
    pub microseconds: f64,
}

/// Stage on a number of threads.
#[derive(Debug, Deserialize)]
pub struct Row {
    pub stage: String,
    pub threads: usize,
    pub precision: String,
    pub loss_deviation: f64,
    pub round_images: usize,
    pub step_ms: Spread,
    pub epoch_seconds: Spread,
    pub images_per_second: f64,
    pub flops_per_step: f64,
    pub gflops: f64,
    pub peak_isa: String,
    pub peak_gflops: Option<f64>,
    pub peak_share: Option<f64>,
    pub dense_equivalent_gflops: f64,
    pub allocations_per_step: Option<f64>,
    pub peak_rss_bytes: Option<f64>,
    pub over_naive: Option<Speedup>,
    pub over_previous: Option<Speedup>,
    pub over_one_thread: Option<Speedup>,
    pub phases: Vec<PhaseRow>,
    pub waiting_thread_ms: f64,
    pub phases_step_ms: f64,
}

/// Phase of a step.
#[derive(Debug, Deserialize)]
pub struct PhaseRow {
    pub phase: Phase,
    pub thread_ms: f64,
    pub flops: f64,
}

impl Bench {
    /// Record of all stages, which most tables show.
    pub fn of_ladder(records: &Records) -> Result<Self, String> {
        Self::read(records, "bench")
    }

    /// Record called `name` in the folder of the ladder.
    pub fn read(records: &Records, name: &str) -> Result<Self, String> {
        records.event(&format!("ladder/{name}.json"), "bench")
    }

    /// Line about the circumstances, and the place, of the record.
    pub fn footer(&self) -> String {
        let Environment { unix_seconds, computer } = &self.environment;
        let facts = Facts {
            date: date::of(*unix_seconds),
            computer: computer.clone(),
            commit: self.commit.clone(),
            share_of_others: self.share_of_others,
        };
        facts.footer("ladder")
    }

    /// Rows of the stage called `stage`, in the order of the threads.
    pub fn of<'a>(&'a self, stage: &'a str) -> impl Iterator<Item = &'a Row> + Clone {
        self.rows.iter().filter(move |row| row.stage == stage)
    }

    /// Speed of `stage` relative to the stage before it, for each number of threads.
    pub fn speedups(&self, stage: &str) -> String {
        let on = |row: &Row| format!("on {} {}", threads(row.threads), over(row.over_previous));
        self.of(stage).map(on).collect::<Vec<_>>().join(", ")
    }
}

impl Row {
    /// Stage and number of threads.
    pub fn name(&self) -> String {
        format!("{}, {}", self.stage, self.threads)
    }

    /// Median time of a step.
    pub fn step(&self) -> String {
        amount(self.step_ms.median)
    }

    /// Share of the peak, with the instructions of the peak.
    pub fn share(&self) -> String {
        let Some(share) = self.peak_share else { return "–".into() };
        let precision = match &*self.precision {
            "f32" => String::new(),
            precision => format!(" {precision}"),
        };
        format!("{:.1} % {}{precision}", 100.0 * share, self.peak_isa)
    }
}
