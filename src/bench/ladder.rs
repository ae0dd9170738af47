//! The complete measurement of the ladder of stages: its losses, memory, times and phases, in one
//! report.

use anyhow::Context;

use super::child::{self, Workload};
use super::contestant::Contestant;
use super::observer::Observer;
use super::protocol::Benchmark;
use super::rows::Rows;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::memory;
use crate::model::architecture::Architecture;
use crate::model::recipe::Recipe;
use crate::nn::layer::Work;
use crate::report::SCHEMA_VERSION;
use crate::report::bench::Bench;
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Number of batches in a run whose memory is measured.
const MEMORY_BATCHES: usize = 2;
/// Number of bytes that Adam reads and writes for each parameter: it reads w, m, v and the
/// gradient, and writes w, m and v.
const ADAM_BYTES: usize = 7 * size_of::<f32>();

/// Stages to measure, in the order of the table: the stages in `wanted` or, if it is empty, all
/// stages that can train `architecture` by `recipe` with `isa`.
///
/// # Errors
/// [`Error::Usage`] when a wanted stage cannot run.
pub fn stages(
    wanted: &[&'static Stage],
    architecture: &Architecture,
    recipe: &Recipe,
    isa: Isa,
) -> Result<Vec<&'static Stage>> {
    if let Some(unmet) = wanted.iter().find_map(|stage| stage.unmet(architecture, recipe, isa)) {
        return Err(Error::Usage(format!("{unmet}: leave it out of --stage")));
    }
    let is_wanted = |stage: &&Stage| {
        let named = wanted.iter().any(|one| one.name == stage.name);
        named || wanted.is_empty() && stage.unmet(architecture, recipe, isa).is_none()
    };
    Ok(STAGES.iter().filter(is_wanted).collect())
}

/// Checks that each of `stages` fits into memory, and naive too, with whose losses theirs are
/// compared.
///
/// # Errors
/// [`Error::Unavailable`] when a stage is certain not to fit; it names the needed and the available
/// memory.
pub fn check_memory(
    stages: impl Iterator<Item = &'static Stage>,
    architecture: &Architecture,
    recipe: &Recipe,
) -> Result<()> {
    let needed = stages.chain([&STAGES[0]]).map(|stage| stage.memory_bytes(architecture, recipe));
    memory::check_available(needed.max().expect("naive is one"))
}

/// Measurement of the ladder, before it begins.
pub struct Ladder<'a> {
    /// Stages to measure, with their numbers of threads.
    pub contestants: &'a [Contestant],
    /// Training that is measured: the network, the recipe, and the data folder.
    pub workload: &'a Workload,
    /// Dataset of the training, read from the data folder of the workload.
    pub dataset: &'a Dataset,
    /// Number of rounds; each round times every contestant once.
    pub repeats: usize,
    /// Epoch whose steps are timed. The epochs before it are trained first.
    pub epoch: usize,
    /// Machine and time of the measurement.
    pub environment: Environment,
    /// Commit in the working folder, if the measurement is recorded there.
    pub commit: Option<String>,
}

impl Ladder<'_> {
    /// Compares the losses, then measures memory, time and phases.
    ///
    /// # Errors
    /// When memory or threads are lacking, a stage computes something else than naive, or the
    /// process that measures memory fails.
    pub fn measure(self, observer: &mut dyn Observer) -> anyhow::Result<Bench> {
        let Self { contestants, workload, dataset, repeats, epoch, environment, commit } = self;
        let Workload { recipe, architecture, isa, data: _ } = workload;
        let images = dataset.train.len();
        let batch_size = recipe.batch_size;
        check_memory(contestants.iter().map(|one| one.stage), architecture, recipe)?;
        let benchmark = Benchmark::new(architecture, recipe, &dataset.train, *isa);

        let benchmark = if epoch > 0 {
            observer.part("training up to the measured epoch");
            let threads = contestants.iter().map(|one| one.threads).max().unwrap_or(1);
            let trained = benchmark.at_epoch(epoch, threads);
            observer.finished();
            trained?
        } else {
            benchmark
        };
        observer.part("comparing losses with naive's");
        let agreements = benchmark.agreement(contestants);
        observer.finished();
        let agreements = agreements?;
        observer.part("measuring the memory of each stage");
        let few = images.min(MEMORY_BATCHES * batch_size);
        let peaks = contestants.iter().map(|&one| peak_rss_bytes(workload, one, few));
        let peaks_rss_bytes = peaks.collect::<anyhow::Result<Vec<_>>>();
        observer.finished();
        let peaks_rss_bytes = peaks_rss_bytes?;
        let contention = Contention::start();
        let (measurements, roofline) = benchmark.measure(contestants, repeats, observer)?;
        let share_of_others = contention.share_of_others();

        let work: Vec<Work> = (0..architecture.layers().len())
            .flat_map(|layer| architecture.work(layer, batch_size))
            .collect();
        let dense_flops_per_step = work.iter().map(|work| work.flops).sum();
        let tensor_bytes_per_step = work.iter().map(|work| work.bytes).sum::<usize>()
            + ADAM_BYTES * architecture.parameter_count();
        let rows = Rows {
            contestants,
            agreements: &agreements,
            peaks_rss_bytes: &peaks_rss_bytes,
            measurements: &measurements,
            roofline: &roofline,
            isa: *isa,
            images,
            batch_size,
            dense_flops_per_step,
        };
        Ok(Bench {
            schema: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            environment,
            commit,
            dataset: dataset.kind().name().into(),
            dataset_description: dataset.kind().to_string(),
            train_images: images,
            architecture: architecture.to_string(),
            parameters: architecture.parameter_count(),
            repeats,
            epoch,
            share_of_others,
            dense_flops_per_step,
            tensor_bytes_per_step,
            rows: (0..contestants.len()).map(|index| rows.row(index)).collect(),
            recipe: recipe.clone(),
            roofline,
        })
    }
}

/// Peak of the memory in bytes while `contestant` trains `images` images, if the system tells it.
/// The training runs in a child process, because in one process, memory that one stage has freed
/// would count for the next.
pub(super) fn peak_rss_bytes(
    workload: &Workload,
    contestant: Contestant,
    images: usize,
) -> anyhow::Result<Option<u64>> {
    let said = workload.command("peak-memory", contestant, images).and_then(child::stdout);
    let peak = said.and_then(|said| Ok(serde_json::from_slice(&said)?));
    peak.with_context(|| format!("cannot measure the memory of stage {}", contestant.stage.name))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::data::synthetic;
    use crate::model::mnist_cnn::MnistCnn;

    struct Nobody;

    impl Observer for Nobody {
        fn part(&mut self, _: &str) {}
        fn timing(&mut self, _: usize, _: usize) {}
        fn turn(&mut self, _: &str, _: usize) {}
        fn finished(&mut self) {}
    }

    #[test]
    fn stages_that_cannot_fit_are_refused_before_anything_is_computed() {
        let ladder = Ladder {
            contestants: &Contestant::all(&[Stage::find("fused").unwrap()], 1),
            workload: &Workload {
                recipe: Recipe { batch_size: 1 << 40, ..Recipe::default() },
                architecture: MnistCnn::default().architecture(),
                isa: Isa::detect(),
                data: vec![],
            },
            dataset: &synthetic::generate(1, 10, 10),
            repeats: 1,
            epoch: 0,
            environment: Environment::detect(),
            commit: None,
        };
        // There are fewer images than a batch has, which whoever computes would notice.
        let error = ladder.measure(&mut Nobody).unwrap_err();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("MB of memory"), "{error}");
    }
}
