//! Jobs that rank 0 gives to the other ranks. Rank 0 alone reads flags and files, writes and prints.

use std::process;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::TrainPlan;
use crate::data::dataset::{Dataset, Split};
use crate::data::known::Layout;
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{self, Checkpoint, Model};
use crate::model::parameters::TrainState;
use crate::ranks::Ranks;

/// What rank 0 tells the others to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Job {
    /// To train together. A checkpoint with the beginning follows, and then the images.
    Train(Box<Training>),
    /// To train the runs of a sweep, each rank its own. The images follow, and then the runs.
    Sweep(Sweeping),
    /// To end, with this exit code.
    End {
        /// Exit code.
        code: u8,
    },
}

/// A training, as far as the checkpoint with its beginning does not tell.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Training {
    /// Name of the stage.
    pub stage: String,
    /// Name of the vector instructions.
    pub isa: String,
    /// Number of threads of each rank, if the user gave one.
    pub threads: Option<usize>,
    /// Total number of epochs.
    pub epochs: f64,
    /// Whether the test images are classified.
    pub evaluate: bool,
    /// Number of epochs from one classification to the next.
    pub eval_every: usize,
    /// Number of epochs from one checkpoint to the next.
    pub checkpoint_every: usize,
    /// Whether the model with the best validation is kept.
    pub keeps_best: bool,
    /// Number of epochs without a better validation after which the run ends.
    pub patience: Option<usize>,
    /// Number of rows and columns of an image.
    pub sides: [usize; 2],
}

/// A sweep, as far as its runs do not tell.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sweeping {
    /// Name of the kind of the dataset.
    pub dataset: String,
    /// Name of each class.
    pub class_names: Vec<String>,
    /// Duration of loading the data, in seconds.
    pub load_seconds: f64,
    /// Number of rows and columns of an image.
    pub sides: [usize; 2],
    /// How files store the images and labels.
    pub layout: Layout,
    /// Number of classes.
    pub classes: usize,
}

/// Run of a sweep.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SweepJob {
    /// Flags of the training but the seed, as words of a command line.
    pub words: Vec<String>,
    /// Seed of the run.
    pub seed: u64,
}

/// Tells the other ranks of the training that `plan` describes, from `state` on. `threads` is the number of
/// threads that the user gave.
pub(super) fn send_training(
    ranks: &Ranks,
    plan: &TrainPlan,
    threads: Option<usize>,
    dataset: &Dataset,
    state: &TrainState,
) {
    let training = Training {
        stage: plan.stage.name.into(),
        isa: plan.compute.isa.name().into(),
        threads,
        epochs: plan.epochs,
        evaluate: plan.evaluate,
        eval_every: plan.eval_every,
        checkpoint_every: plan.checkpoint_every,
        keeps_best: plan.best_model.is_some(),
        patience: plan.patience,
        sides: dataset.train.sides(),
    };
    tell(ranks, &Job::Train(Box::new(training)));
    let mut beginning = Checkpoint { state: state.clone(), metadata: plan.metadata.clone() };
    ranks.broadcast(&mut beginning.to_bytes());
    send_images(ranks, dataset);
}

/// Tells the other ranks of a sweep over the images of `dataset`, whose `loading` took so long.
pub(super) fn send_sweep(ranks: &Ranks, dataset: &Dataset, classes: usize, loading: Duration) {
    let sweeping = Sweeping {
        dataset: dataset.kind().name().into(),
        class_names: dataset.class_names.clone(),
        load_seconds: loading.as_secs_f64(),
        sides: dataset.train.sides(),
        layout: dataset.train.layout(),
        classes,
    };
    tell(ranks, &Job::Sweep(sweeping));
    send_images(ranks, dataset);
}

/// Gives each rank a run of the sweep; the first one is that of rank 0. No runs end the sweep.
pub(super) fn send_runs(ranks: &Ranks, runs: &[SweepJob]) {
    tell(ranks, runs);
}

/// A run of the sweep for each rank, if there are so many. No runs end the sweep.
pub(super) fn receive_runs(ranks: &Ranks) -> Vec<SweepJob> {
    hear(ranks)
}

fn send_images(ranks: &Ranks, dataset: &Dataset) {
    let splits = [Some(&dataset.train), dataset.validation.as_ref(), dataset.test.as_ref()];
    for split in splits {
        let labels = split.map_or(&[][..], Split::labels);
        ranks.broadcast(&mut split.map_or(&[][..], Split::images).to_vec());
        ranks.broadcast(&mut labels.iter().flat_map(|label| label.to_le_bytes()).collect());
    }
}

/// Tells the other ranks to end with the exit code `code`.
pub fn end(ranks: &Ranks, code: u8) {
    if ranks.is_idle() {
        tell(ranks, &Job::End { code });
    } else {
        // They are in the middle of a job. The launcher ends them, because this process ends without
        // ending MPI.
        process::exit(code.into());
    }
}

/// The next job of rank 0.
pub(super) fn receive(ranks: &Ranks) -> Job {
    hear(ranks)
}

fn tell<T: Serialize + ?Sized>(ranks: &Ranks, message: &T) {
    ranks.broadcast(&mut serde_json::to_vec(message).expect("plain data"));
}

fn hear<T: DeserializeOwned>(ranks: &Ranks) -> T {
    let mut bytes = Vec::new();
    ranks.broadcast(&mut bytes);
    serde_json::from_slice(&bytes).expect("rank 0 runs the same program")
}

/// The network and the checkpoint with which a training begins.
pub(super) fn receive_beginning(ranks: &Ranks) -> (Architecture, Checkpoint) {
    let mut bytes = Vec::new();
    ranks.broadcast(&mut bytes);
    match checkpoint::parse(&bytes, None) {
        Ok((architecture, Model::Checkpoint(checkpoint))) => (architecture, *checkpoint),
        _ => unreachable!("rank 0 sends a whole checkpoint"),
    }
}

/// The images of a training, with these numbers of rows and columns, which files store in this `layout`.
pub(super) fn receive_dataset(ranks: &Ranks, sides: [usize; 2], layout: Layout) -> Dataset {
    let [train, validation, test] = [(); 3].map(|()| {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        ranks.broadcast(&mut images);
        ranks.broadcast(&mut labels);
        let labels_are_missing = labels.is_empty();
        let labels = labels.as_chunks().0.iter().map(|label| u16::from_le_bytes(*label));
        let split = || Split::new(images, sides, labels.collect()).stored_as(layout);
        (!labels_are_missing).then(split)
    });
    let mut dataset = Dataset::new(train.expect("there are training images"), test);
    dataset.validation = validation;
    dataset
}
