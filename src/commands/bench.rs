//! The command `bench`: measures stages, or layers, against each other.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::output::Output;
use super::progress::BenchProgress;
use super::signals::Signals;
use super::{bench_all, data, gate};
use crate::bench::autograd::Autograd;
use crate::bench::budget::Budget;
use crate::bench::child::Workload;
use crate::bench::contestant::Contestant;
use crate::bench::effort::Effort;
use crate::bench::gate::baseline::Baseline;
use crate::bench::infer::{self, Infer};
use crate::bench::ladder::{self, Ladder};
use crate::bench::layers::{self, LayerSuite, Layers};
use crate::bench::memory::{self, Memory};
use crate::bench::protocol::{Benchmark, StageSuite};
use crate::cli::{
    BenchAction, BenchAutogradArgs, BenchBudgetArgs, BenchInferArgs, BenchLayersArgs,
    BenchMemoryArgs, BenchStagesArgs,
};
use crate::engine::compute::Compute;
use crate::error::Error;
use crate::files::durable;
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::replaceable;
use crate::measure::machine::Environment;
use crate::model::recipe::Recipe;
use crate::report::{Event, json};

/// Makes the measurement `action`.
pub fn run(action: &BenchAction) -> anyhow::Result<()> {
    match action {
        BenchAction::Stages(args) => stages(args),
        BenchAction::Layers(args) => layers(args),
        BenchAction::Autograd(args) => autograd(args),
        BenchAction::Infer(args) => infer(args),
        BenchAction::Memory(args) => memory(args),
        BenchAction::Budget(args) => budget(args),
        BenchAction::All(args) => {
            let output = Output::new(args.output, false);
            let environment = environment(&output);
            bench_all::run(args, output, environment)
        }
    }
}

/// The machine and the program, with a note on `output` if the program is not a release build.
fn environment(output: &Output) -> Environment {
    let environment = Environment::detect();
    if !environment.release {
        output.warn("note: not a release build: times include checks of overflow and assertions");
    }
    environment
}

/// Locks the file to which the flag `--record` writes the `event`, if there is one.
fn lock_record(record: Option<&Path>, event: &str) -> anyhow::Result<Option<Lock>> {
    let lock = record.map(lock_for_writing).transpose();
    let lock = lock.map_err(|error| error.with_remedy("name another place with --record"))?;
    if let Some(path) = record {
        let is_record = |content: &str| replaceable::is_event(content, event);
        replaceable::check(path, "the record", is_record)?;
    }
    Ok(lock)
}

/// Writes `event` to the file of the flag `--record`, if there is one.
fn write_record(record: Option<&Path>, event: &Event) -> anyhow::Result<()> {
    if let Some(path) = record {
        durable::replace(path, format!("{}\n", json::line(event)).as_bytes())?;
    }
    Ok(())
}

fn stages(args: &BenchStagesArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.gate.serve);
    let environment = environment(&output);
    let signals = Signals::install(args.gate.serve)?;
    if let Some(path) = &args.record {
        data::check_no_data_file("--record", path, &args.data)?;
    }
    let lock = lock_record(args.record.as_deref(), "bench")?;
    let compute = args.machine.compute();
    let architecture = args.network.architecture();
    let recipe = Recipe::from(&args.recipe);
    let stages = ladder::stages(&args.stages, &architecture, &recipe, compute.isa)?;
    let dataset =
        data::load(&args.data, false, architecture.format(), compute.threads, &output, &signals)?;
    data::check_batch_size(recipe.batch_size, dataset.train.len(), "training images")?;
    let contestants = Contestant::all(&stages, compute.threads);
    if args.gate.serve {
        ladder::check_memory(stages.iter().copied(), &architecture, &recipe)?;
        let benchmark = Benchmark::new(&architecture, &recipe, &dataset.train, compute.isa);
        let benchmark = match args.epoch {
            0 => benchmark,
            epoch => benchmark.at_epoch(epoch, compute.threads)?,
        };
        let rounds = args.repeats;
        return gate::answer(&StageSuite { benchmark, contestants: &contestants, rounds });
    }
    let settings = json!({
        "architecture": architecture.to_string(),
        "dataset": dataset.kind().name(),
        "epoch": args.epoch,
        "recipe": &recipe,
        "train_images": dataset.train.len(),
    });
    let baseline = gate::baseline(&args.gate, "bench", &settings, args.record.as_deref())?;
    if let Some(Baseline::Program(path)) = &baseline {
        // All data that can be downloaded is there.
        let offline: &[&str] = if args.data.offline { &[] } else { &["--offline"] };
        let rounds = args.repeats;
        return gate::against_program(path, &args.gate, rounds, offline, output, &signals);
    }
    let at_once = signals.stop_at_once(lock)?;
    let ladder = Ladder {
        contestants: &contestants,
        workload: &Workload { recipe, architecture, isa: compute.isa, data: args.data.directory() },
        dataset: &dataset,
        repeats: args.repeats,
        epoch: args.epoch,
        environment,
        commit: args.record.as_ref().and_then(|_| commit()),
    };
    let event = Event::Bench(Box::new(ladder.measure(&mut BenchProgress::new(&output))?));
    let _lock = at_once.end();
    output.event(&event);
    write_record(args.record.as_deref(), &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

fn layers(args: &BenchLayersArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.gate.serve);
    let cases = args.cases()?;
    let Compute { threads, isa } = args.machine.compute();
    let layers = Layers {
        cases: &cases,
        contestants: &layers::contestants(threads),
        isa,
        effort: args.effort.effort(),
        rounds: args.effort.rounds(),
        environment: environment(&output),
    };
    let signals = Signals::install(args.gate.serve)?;
    if args.gate.serve {
        return gate::answer(&LayerSuite::new(&layers));
    }
    let lock = lock_record(args.record.as_deref(), "bench_layers")?;
    let settings = json!({ "quick": layers.effort == Effort::Quick });
    let baseline = gate::baseline(&args.gate, "bench_layers", &settings, args.record.as_deref())?;
    if let Some(Baseline::Program(path)) = &baseline {
        return gate::against_program(path, &args.gate, layers.rounds, &[], output, &signals);
    }
    let at_once = signals.stop_at_once(lock)?;
    let bench = layers.measure(&mut BenchProgress::new(&output))?;
    let _lock = at_once.end();
    let event = Event::BenchLayers(Box::new(bench));
    output.event(&event);
    write_record(args.record.as_deref(), &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

fn autograd(args: &BenchAutogradArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let BenchAutogradArgs { filter, effort, .. } = args;
    let autograd = Autograd::new(filter, effort.effort(), effort.rounds(), environment(&output))?;
    let at_once = Signals::install(false)?.stop_at_once(())?;
    let bench = autograd.measure(&mut BenchProgress::new(&output))?;
    at_once.end();
    output.event(&Event::BenchAutograd(Box::new(bench)));
    Ok(output.finish()?)
}

fn infer(args: &BenchInferArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = environment(&output);
    let signals = Signals::install(false)?;
    let compute = args.machine.compute();
    let architecture = args.network.architecture();
    let dataset =
        data::load(&args.data, true, architecture.format(), compute.threads, &output, &signals)?;
    let at_once = signals.stop_at_once(())?;
    data::check_batch_size(infer::LARGEST_BATCH, dataset.train.len(), "training images")?;
    let infer = Infer {
        architecture: &architecture,
        dataset: &dataset,
        compute,
        effort: args.effort.effort(),
        rounds: args.effort.rounds(),
        environment,
    };
    let bench = infer.measure(&mut BenchProgress::new(&output))?;
    at_once.end();
    output.event(&Event::BenchInfer(Box::new(bench)));
    Ok(output.finish()?)
}

fn memory(args: &BenchMemoryArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = Environment::detect();
    let signals = Signals::install(false)?;
    let architecture = args.network.architecture();
    let recipe = Recipe::default();
    let stage = args.compute.stage(None, &architecture, &recipe)?;
    let Compute { threads, isa } = args.compute.compute();
    let dataset = data::load(&args.data, false, architecture.format(), threads, &output, &signals)?;
    let at_once = signals.stop_at_once(())?;
    data::check_batch_size(memory::LARGEST_BATCH, dataset.train.len(), "training images")?;
    let memory = Memory {
        workload: Workload { recipe, architecture, isa, data: args.data.directory() },
        contestant: Contestant { stage, threads: stage.threads(threads) },
        images: &dataset.train,
        environment,
    };
    let bench = memory.measure(&mut BenchProgress::new(&output))?;
    at_once.end();
    output.event(&Event::BenchMemory(Box::new(bench)));
    Ok(output.finish()?)
}

fn budget(args: &BenchBudgetArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = environment(&output);
    let signals = Signals::install(false)?;
    let compute = args.machine.compute();
    let format = data::default_format();
    let dataset = data::load(&args.data, false, format, compute.threads, &output, &signals)?;
    let at_once = signals.stop_at_once(())?;
    let batch_size = Recipe::default().batch_size;
    data::check_batch_size(batch_size, dataset.train.len(), "training images")?;
    let budget = Budget {
        dataset: &dataset,
        compute,
        effort: args.effort.effort(),
        rounds: args.effort.rounds(),
        environment,
    };
    let bench = budget.measure(&mut BenchProgress::new(&output))?;
    at_once.end();
    let (failures, limits) = (bench.failures(), bench.rows.len());
    output.event(&Event::BenchBudget(Box::new(bench)));
    output.finish()?;
    if failures > 0 {
        let problem = format!("{failures} of {limits} limits are not met: see above which");
        return Err(Error::LimitExceeded(problem).into());
    }
    Ok(())
}

/// Git's description of the commit in the working folder, if that is a git repository.
pub(super) fn commit() -> Option<String> {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    let name = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| name.trim().into())
}
