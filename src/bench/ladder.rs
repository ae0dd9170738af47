//! The whole measurement of stages: losses, memory, times and phases, as one report.

use anyhow::Context;

use super::child::{self, Workload};
use super::contestant::Contestant;
use super::protocol::Benchmark;
use super::rows::Rows;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::measure::contention::Contention;
use crate::measure::machine::Environment;
use crate::measure::memory;
use crate::model::architecture::Architecture;
use crate::nn::layer::Work;
use crate::report::SCHEMA_VERSION;
use crate::report::bench::Bench;
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Batches of the runs whose memory is measured.
const MEMORY_BATCHES: usize = 2;
/// Bytes that Adam reads and writes for each parameter: w, m, v and the gradient in; w, m, v out.
const ADAM_BYTES: usize = 7 * size_of::<f32>();

/// The stages `wanted`, or all that can run `architecture` with `isa` if none is named, in the
/// order of the table.
///
/// # Errors
/// [`Error::Usage`] when one that is wanted cannot run.
pub fn stages(
    wanted: &[&'static Stage],
    architecture: &Architecture,
    isa: Isa,
) -> Result<Vec<&'static Stage>> {
    if let Some(unmet) = wanted.iter().find_map(|stage| stage.unmet(architecture, isa)) {
        return Err(Error::Usage(format!("{unmet}: leave it out of --stage")));
    }
    let is_wanted = |stage: &&Stage| {
        let named = wanted.iter().any(|one| one.name == stage.name);
        named || wanted.is_empty() && stage.unmet(architecture, isa).is_none()
    };
    Ok(STAGES.iter().filter(is_wanted).collect())
}

/// Refuses `stages` of which one is sure not to fit, or naive, whose losses they are compared with.
///
/// # Errors
/// [`Error::Unavailable`], naming what is needed and what there is.
pub fn check_memory(
    stages: impl Iterator<Item = &'static Stage>,
    architecture: &Architecture,
    batch_size: usize,
) -> Result<()> {
    let needed =
        stages.chain([&STAGES[0]]).map(|stage| stage.memory_bytes(architecture, batch_size));
    memory::check_available(needed.max().expect("naive is one"))
}

/// A look at a measurement while it goes.
pub trait Observer {
    /// The losses are compared with those of naive.
    fn comparing(&mut self);
    /// The stages are timed, in as many `turns`.
    fn timing(&mut self, turns: usize);
    /// A turn is over.
    fn turn(&mut self);
    /// Comparing, or timing, is over.
    fn finished(&mut self);
}

/// What is measured.
pub struct Ladder<'a> {
    /// Stages and their threads.
    pub contestants: &'a [Contestant],
    /// What they train, by which recipe.
    pub workload: &'a Workload,
    /// The images, which are those of the workload's data folder.
    pub dataset: &'a Dataset,
    /// Rounds in which each is timed once.
    pub repeats: usize,
    /// The machine and the time.
    pub environment: Environment,
    /// The working folder's commit, for a record that is kept in it.
    pub commit: Option<String>,
}

impl Ladder<'_> {
    /// Compares losses, then measures time, memory and phases.
    ///
    /// # Errors
    /// When memory or threads are lacking, a stage computes something else than naive, or the
    /// process that measures memory fails.
    pub fn measure(self, observer: &mut dyn Observer) -> anyhow::Result<Bench> {
        let Self { contestants, workload, dataset, repeats, environment, commit } = self;
        let Workload { recipe, network, isa, data: _ } = workload;
        let images = dataset.train.len();
        let batch_size = recipe.batch_size;
        let architecture = network.architecture();
        check_memory(contestants.iter().map(|one| one.stage), &architecture, batch_size)?;
        let benchmark = Benchmark::new(&architecture, recipe, &dataset.train, *isa);

        observer.comparing();
        let agreement = benchmark.agreement(contestants);
        observer.finished();
        let loss_deviations = agreement?;
        let mut peaks_rss_bytes = Vec::new();
        for &contestant in contestants {
            let images = images.min(MEMORY_BATCHES * batch_size);
            peaks_rss_bytes.push(peak_rss_bytes(workload, contestant, images)?);
        }
        observer.timing(Benchmark::advances(contestants, repeats));
        let contention = Contention::start();
        let measured = benchmark.measure(contestants, repeats, || observer.turn());
        let share_of_others = contention.share_of_others();
        observer.finished();
        let (measurements, roofline) = measured?;

        let work: Vec<Work> = (0..architecture.layers().len())
            .flat_map(|layer| architecture.work(layer, batch_size))
            .collect();
        let dense_flops_per_step = work.iter().map(|work| work.flops).sum();
        let tensor_bytes_per_step = work.iter().map(|work| work.bytes).sum::<usize>()
            + ADAM_BYTES * architecture.parameter_count();
        let rows = Rows {
            contestants,
            loss_deviations: &loss_deviations,
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
            share_of_others,
            dense_flops_per_step,
            tensor_bytes_per_step,
            rows: (0..contestants.len()).map(|index| rows.row(index)).collect(),
            recipe: recipe.clone(),
            roofline,
        })
    }
}

/// The most memory that training by `contestant` takes, in a process of its own, because memory
/// that one stage gave back would count for the next.
fn peak_rss_bytes(
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
    use crate::model::recipe::Recipe;

    struct Nobody;

    impl Observer for Nobody {
        fn comparing(&mut self) {}
        fn timing(&mut self, _: usize) {}
        fn turn(&mut self) {}
        fn finished(&mut self) {}
    }

    #[test]
    fn stages_that_cannot_fit_are_refused_before_anything_is_computed() {
        let ladder = Ladder {
            contestants: &Contestant::all(&[Stage::find("fused").unwrap()], 1),
            workload: &Workload {
                recipe: Recipe { batch_size: 1 << 40, ..Recipe::default() },
                network: MnistCnn::default(),
                isa: Isa::detect(),
                data: None,
            },
            dataset: &synthetic::generate(1, 10, 10),
            repeats: 1,
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
