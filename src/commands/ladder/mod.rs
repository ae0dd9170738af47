//! Stages measured against each other, for the verbs that report it.

mod rows;

use anyhow::Context;

use self::rows::Rows;
use super::child::{self, Job};
use super::output::Output;
use super::progress::{counter, spinner};
use crate::bench::contestant::Contestant;
use crate::bench::protocol::Benchmark;
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

/// What is measured.
pub struct Ladder<'a> {
    /// Stages and their threads.
    pub contestants: &'a [Contestant],
    /// What they train.
    pub job: &'a Job<'a>,
    /// On what.
    pub dataset: &'a Dataset,
    /// Rounds in which each is timed once.
    pub repeats: usize,
    /// Where and when.
    pub environment: Environment,
    /// Of the working folder, for a record that is kept in it.
    pub commit: Option<String>,
}

impl Ladder<'_> {
    /// Compares losses, then measures time, memory and phases.
    pub fn measure(self, output: &Output) -> anyhow::Result<Bench> {
        let Self { contestants, job, dataset, repeats, environment, commit } = self;
        let images = dataset.train.len();
        let batch_size = job.recipe.batch_size;
        let architecture = job.network.architecture();
        check_memory(contestants.iter().map(|one| one.stage), &architecture, batch_size)?;
        let benchmark = Benchmark::new(&architecture, job.recipe, &dataset.train, job.isa);

        let bar = spinner(output, "comparing losses with naive's");
        let agreement = benchmark.agreement(contestants);
        bar.finish_and_clear();
        let loss_deviations = agreement?;
        let mut peaks_rss_bytes = Vec::new();
        for &contestant in contestants {
            let max_samples = images.min(MEMORY_BATCHES * batch_size);
            peaks_rss_bytes.push(peak_rss_bytes(job, contestant, max_samples)?);
        }
        let bar = counter(output, "timing", Benchmark::advances(contestants, repeats));
        let contention = Contention::start();
        let measured = benchmark.measure(contestants, repeats, || bar.inc(1));
        let share_of_others = contention.share_of_others();
        bar.finish_and_clear();
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
            isa: job.isa,
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
            recipe: job.recipe.clone(),
            roofline,
        })
    }
}

/// The most memory that training by `contestant` takes, in a process of its own, because memory
/// that one stage gave back would count for the next.
fn peak_rss_bytes(
    job: &Job<'_>,
    contestant: Contestant,
    max_samples: usize,
) -> anyhow::Result<Option<u64>> {
    let said = job.command("peak-memory", contestant, max_samples).and_then(child::stdout);
    let peak = said.and_then(|said| Ok(serde_json::from_slice(&said)?));
    peak.with_context(|| format!("cannot measure the memory of stage {}", contestant.stage.name))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{BenchAction, Cli, Command};
    use crate::data::synthetic;
    use crate::model::recipe::Recipe;

    #[test]
    fn stages_that_cannot_fit_are_refused_before_anything_is_computed() {
        let bench = "mnist-train bench stages --stage fused --json";
        let Some(Command::Bench(bench)) = Cli::parse_from(bench.split(' ')).command else {
            panic!("is a bench");
        };
        let BenchAction::Stages(args) = bench.action;
        let recipe = Recipe { batch_size: 1 << 40, ..Recipe::default() };
        let ladder = Ladder {
            contestants: &Contestant::all(&args.stages, 1),
            job: &Job {
                recipe: &recipe,
                network: &args.network,
                data: &args.data,
                isa: Isa::detect(),
            },
            dataset: &synthetic::generate(1, 10, 10),
            repeats: 1,
            environment: Environment::detect(),
            commit: None,
        };
        // There are fewer images than a batch has, which whoever computes would notice.
        let error = ladder.measure(&Output::new(args.output, true)).unwrap_err();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("MB of memory"), "{error}");
    }
}
