//! The flag `--profile`, and the hidden command of the processes whose call stacks it samples.

mod outputs;
mod perf;

use std::time::Duration;

use anyhow::Context;

use self::outputs::Outputs;
pub use self::perf::perf_flamegraph;
use super::output::Output;
use super::progress::{BenchProgress, counter, spinner};
use super::signals::Signals;
use super::{bench, data};
use crate::bench::child::{self, Workload};
use crate::bench::contestant::Contestant;
use crate::bench::ladder::{self, Ladder};
use crate::cli::{CappedRunArgs, OutputArgs, TrainArgs};
use crate::data::dataset::Dataset;
use crate::error::Error;
use crate::measure::machine::Environment;
use crate::model::recipe::Recipe;
use crate::profile::capped_run::{CappedRun, ENOUGH_SAMPLES, IMAGES, Sampled};
use crate::profile::sampler::{self, LeftOver};
use crate::report::Event;
use crate::report::profile::ProfileFailure;

/// Number of rounds that time each stage without a profiler. Six are the fewest with which the sign
/// test can decide which of two stages is faster.
const ROUNDS: usize = 6;

/// Profiles the stage that `args` name, or all stages.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.quiet);
    let environment = Environment::detect();
    let signals = Signals::install(args.quiet)?;
    let architecture = args.network.architecture(data::format(&args.data)?)?;
    let mut recipe = Recipe::from(&args.recipe);
    if let Some(problem) = recipe.contradiction() {
        return Err(Error::Usage(problem).into());
    }
    let named: Vec<_> = args.compute.stage.into_iter().collect();
    let compute = args.compute.compute();
    let stages = ladder::stages(&named, &architecture, &recipe, compute.isa)?;
    if !environment.release {
        output.note("note: not a release build: it spends its time on other things");
    }
    let mut dataset =
        data::load(&args.data, false, architecture.format(), compute.threads, &output, &signals)?;
    cap(&mut dataset, &output);
    recipe.max_samples = Some(dataset.train.len());
    data::check_batch_size(recipe.batch_size, dataset.train.len(), "images of a pass")?;
    ladder::check_memory(stages.iter().copied(), &architecture, &recipe)?;
    // No folder is made before all flags are known to be valid.
    let folder = &args.profile.profile_out;
    let prepared = outputs::prepare(folder, &stages)
        .map_err(|error| error.with_remedy("name another folder with --profile-out"))?;
    let at_once = signals.stop_at_once(prepared)?;
    let last_batch = dataset.train.len() % recipe.batch_size;
    if last_batch > 0 {
        let images = dataset.train.len();
        output.note(&format!(
            "a pass is {images} images, the last batch of {last_batch} instead of {}",
            recipe.batch_size
        ));
    }

    let contestants = Contestant::all(&stages, compute.threads);
    let workload = Workload {
        recipe,
        architecture: architecture.clone(),
        isa: compute.isa,
        data: args.data.flags()?,
    };
    // The stages are timed first, because samples of a stage that fails here are worthless.
    let ladder = Ladder {
        contestants: &contestants,
        workload: &workload,
        dataset: &dataset,
        repeats: ROUNDS,
        epoch: 0,
        environment,
        commit: bench::commit(),
    }
    .measure(&mut BenchProgress::new(&output))?;
    let (mut profiles, mut failures) = (Vec::new(), Vec::new());
    let bar = counter(&output, "sampling", stages.len());
    for stage in &stages {
        let on_all_threads = |one: &&Contestant| one.stage.name == stage.name;
        let contestant = *contestants.iter().rfind(on_all_threads).expect("on one, or on all");
        let stage = stage.name;
        match sample(&workload, contestant, dataset.train.len(), args.profile.profile_seconds) {
            Ok(sampled) => {
                if sampled.stacks.samples() < ENOUGH_SAMPLES {
                    bar.suspend(|| output.warn(&too_few(stage, &sampled)));
                }
                profiles.push((contestant, sampled));
            }
            Err(error) => {
                let reason = format!("{error:#}");
                bar.suspend(|| output.warn(&format!("warning: no profile of {stage}: {reason}")));
                failures.push(ProfileFailure { stage, reason });
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let drawing = spinner(&output, "drawing");
    let outputs = Outputs { folder, stages: &stages };
    let _locks = at_once.end();
    let profile = outputs.write(ladder, &profiles, failures, compute.isa)?;
    drawing.finish_and_clear();
    let failed: Vec<_> = profile.failures.iter().map(|failure| failure.stage).collect();
    let page = profile.page.clone();
    output.event(&Event::Profile(Box::new(profile)));
    output.finish()?;
    if !failed.is_empty() {
        let failed = failed.join(", ");
        let kept = match profiles.len() {
            0 => String::new(),
            _ => format!("; of the others: {page}"),
        };
        let problem = format!("no profile of {failed}, as said above{kept}");
        return Err(Error::Unavailable(problem).into());
    }
    Ok(())
}

/// Removes all training images after the first thousand, which are the images of a pass.
fn cap(dataset: &mut Dataset, output: &Output) {
    let images = dataset.train.len();
    if images < IMAGES {
        output.note(&format!("note: there are {images} training images, and a pass has no more"));
    }
    dataset.train.truncate(IMAGES);
}

fn too_few(stage: &str, sampled: &Sampled) -> String {
    format!(
        "warning: shares of a few percent mean nothing: stage {stage} has {} samples,\n\
         fewer than {ENOUGH_SAMPLES}; allow more time with --profile-seconds",
        sampled.stacks.samples()
    )
}

/// Call stacks of `contestant`, sampled in a child process, so that a failure of the sampler does
/// not affect this process.
fn sample(
    workload: &Workload,
    contestant: Contestant,
    images: usize,
    seconds: usize,
) -> anyhow::Result<Sampled> {
    let mut command = workload.command("capped-run", contestant, images)?;
    command.args(["--sampled".to_string(), format!("--seconds={seconds}")]);
    let said = child::stdout(command)?;
    serde_json::from_slice(&said).context("the process that was sampled said something else")
}

/// Trains the images of a pass repeatedly. Prints the sampled call stacks if `args` ask for them.
pub fn capped_run(args: &CappedRunArgs) -> anyhow::Result<()> {
    let output = Output::new(OutputArgs { json: true }, true);
    let job = &args.job.job;
    let (stage, recipe, architecture) = (job.stage(), &job.recipe, job.architecture());
    let signals = Signals::install(true)?;
    let mut dataset =
        data::load(&args.job.data, false, architecture.format(), job.threads, &output, &signals)?;
    let _at_once = signals.stop_at_once(())?;
    dataset.train.truncate(job.images);
    data::check_batch_size(recipe.batch_size, dataset.train.len(), "images of a pass")?;
    let build = || stage.build(&architecture, recipe, job.compute());
    let run = CappedRun::new(&architecture, recipe, &dataset.train);
    let seconds = Duration::from_secs(args.seconds as u64);
    if !args.sampled {
        let passes = run.repeat(build()?, seconds);
        let images = dataset.train.len();
        output.print(&format!("{passes} passes of {images} images by {}", stage.name));
        return Ok(output.finish()?);
    }
    let _left_over = LeftOver;
    child::end_with_parent(sampler::remove_left_over)?;
    let sampled = run.sample(build, seconds)?;
    if sampled.stacks.samples() == 0 {
        anyhow::bail!(
            "no samples in {} passes: this system gives the program no profiling signals; try \
             'make perf-record'",
            sampled.passes
        );
    }
    output.print(&serde_json::to_string(&sampled).expect("plain data"));
    Ok(output.finish()?)
}
