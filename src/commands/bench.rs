//! `mnist-train bench`.

mod rows;

use std::env;
use std::fs;
use std::process::{self, Command};

use anyhow::{Context, bail};
use serde_json::Value;

use self::rows::Rows;
use super::data;
use super::output::Output;
use super::progress::{counter, spinner};
use super::signals::Signals;
use crate::benchmark::{Benchmark, Contestant};
use crate::cli::{BenchAction, BenchStagesArgs};
use crate::durable;
use crate::error::Error;
use crate::measure::machine::Environment;
use crate::model::architecture::Work;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Recipe;
use crate::report::bench::Bench;
use crate::report::{Event, SCHEMA_VERSION, json};
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Batches of the runs whose memory is measured.
const MEMORY_BATCHES: usize = 2;
/// Bytes that Adam reads and writes for each parameter: w, m, v and the gradient in; w, m, v out.
const ADAM_BYTES: usize = 7 * size_of::<f32>();

/// Measures what `action` says.
pub fn run(action: &BenchAction) -> anyhow::Result<()> {
    match action {
        BenchAction::Stages(args) => stages(args),
    }
}

fn stages(args: &BenchStagesArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = Environment::detect();
    if !environment.release {
        output.warn("note: not a release build: times include checks of overflow and assertions");
    }
    let _lock = args.record.as_deref().map(durable::lock_for_writing).transpose()?;
    let signals = Signals::install(Some("stopping"))?;
    let dataset = data::load(&args.data, &output, &signals)?;
    signals.stop_at_once()?;
    let (images, batch_size) = (dataset.train.len(), args.batch_size);
    if batch_size > images {
        let problem =
            format!("--batch-size {batch_size} is more than the {images} training images");
        return Err(Error::Usage(problem).into());
    }

    let architecture = args.network.architecture();
    let recipe = Recipe { batch_size, seed: args.seed, ..Recipe::default() };
    let compute = args.machine.compute();
    if let Some(unmet) =
        args.stages.iter().find_map(|stage| stage.unmet(&architecture, compute.isa))
    {
        return Err(Error::Usage(format!("{unmet}: leave it out of --stage")).into());
    }
    let wanted = |stage: &&Stage| {
        let named = args.stages.iter().any(|one| one.name == stage.name);
        named || args.stages.is_empty() && stage.unmet(&architecture, compute.isa).is_none()
    };
    let stages: Vec<_> = STAGES.iter().filter(wanted).collect();
    let contestants = Contestant::all(&stages, compute.threads);
    let benchmark = Benchmark::new(&architecture, &recipe, &dataset.train, compute.isa);

    let bar = spinner(&output, "comparing losses with naive's");
    let agreement = benchmark.agreement(&contestants);
    bar.finish_and_clear();
    let loss_deviations = agreement?;
    let mut peaks_rss_bytes = Vec::new();
    for &contestant in &contestants {
        let max_samples = images.min(MEMORY_BATCHES * batch_size);
        peaks_rss_bytes.push(peak_rss_bytes(contestant, compute.isa, max_samples, args)?);
    }
    let bar = counter(&output, "timing", Benchmark::advances(&contestants, args.repeats));
    let measured = benchmark.measure(&contestants, args.repeats, || bar.inc(1));
    bar.finish_and_clear();
    let (measurements, roofline) = measured?;

    let work: Vec<Work> = (0..architecture.layers().len())
        .flat_map(|layer| architecture.work(layer, batch_size))
        .collect();
    let dense_flops_per_step = work.iter().map(|work| work.flops).sum();
    let tensor_bytes_per_step = work.iter().map(|work| work.bytes).sum::<usize>()
        + ADAM_BYTES * architecture.parameter_count();
    let rows = Rows {
        contestants: &contestants,
        loss_deviations: &loss_deviations,
        peaks_rss_bytes: &peaks_rss_bytes,
        measurements: &measurements,
        roofline: &roofline,
        isa: compute.isa,
        images,
        batch_size,
        dense_flops_per_step,
    };
    let event = Event::Bench(Bench {
        schema: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        environment,
        commit: args.record.as_ref().and_then(|_| commit()),
        dataset: dataset.kind().name().into(),
        dataset_description: dataset.kind().to_string(),
        train_images: images,
        architecture: architecture.to_string(),
        parameters: architecture.parameter_count(),
        repeats: args.repeats,
        dense_flops_per_step,
        tensor_bytes_per_step,
        rows: (0..contestants.len()).map(|index| rows.row(index)).collect(),
        recipe,
        roofline,
    });
    output.event(&event);
    if let Some(path) = &args.record {
        durable::replace(path, format!("{}\n", json::line(&event)).as_bytes())?;
    }
    Ok(output.finish()?)
}

/// The most memory that training by `contestant` takes, as this program's `done` line says it: in a
/// process of its own, because memory that one stage gave back would count for the next.
fn peak_rss_bytes(
    contestant: Contestant,
    isa: Isa,
    max_samples: usize,
    args: &BenchStagesArgs,
) -> anyhow::Result<Option<u64>> {
    let stage = contestant.stage.name;
    let model = env::temp_dir().join(format!("mnist-train-bench-{}.bin", process::id()));
    let mut command = Command::new(env::current_exe().context("cannot find this program's file")?);
    // What could be downloaded has been.
    command.args(["--json", "--quiet", "--no-eval", "--offline", "--epochs=1"]);
    command.args([format!("--stage={stage}"), format!("--threads={}", contestant.threads)]);
    if contestant.stage.vectorized {
        command.arg(format!("--isa={isa}"));
    }
    let MnistCnn { channels, kernel_size, hidden } = MnistCnn::from(&args.network);
    command.args([format!("--channels={channels}"), format!("--kernel-size={kernel_size}")]);
    command.args([format!("--hidden={hidden}"), format!("--max-samples={max_samples}")]);
    command.args([format!("--batch-size={}", args.batch_size), format!("--seed={}", args.seed)]);
    command.arg("--model").arg(&model);
    if let Some(directory) = args.data.directory() {
        command.arg("--data").arg(directory);
    }
    let run = command.output().context("cannot run this program once more");
    _ = fs::remove_file(&model);
    let run = run?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let reason = said.lines().last().unwrap_or_default();
        bail!("cannot measure the memory of stage {stage}: {reason}");
    }
    let last = run.stdout.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
    let done: Value = serde_json::from_slice(last.unwrap_or_default())
        .with_context(|| format!("cannot measure the memory of stage {stage}"))?;
    Ok(done["peak_rss_bytes"].as_u64())
}

/// What the working folder holds, when it is one of git's.
fn commit() -> Option<String> {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    let name = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| name.trim().into())
}
