//! The command `bench`: one measurement, or all of them.

use std::process::Command;

use serde_json::json;

use super::output::Output;
use super::progress::BenchProgress;
use super::signals::Signals;
use super::{bench_all, bench_files, data, gate};
use crate::bench::ablations::Ablations;
use crate::bench::autograd::{Autograd, AutogradSuite};
use crate::bench::budget::Budget;
use crate::bench::child::Workload;
use crate::bench::contestant::Contestant;
use crate::bench::effort::Effort;
use crate::bench::gate::baseline::Baseline;
use crate::bench::infer::{self, Infer, InferSuite, Networks};
use crate::bench::ladder::{self, Ladder};
use crate::bench::layers::{self, LayerSuite, Layers};
use crate::bench::memory::{self, Memory};
use crate::bench::protocol::{Benchmark, StageSuite};
use crate::cli::{
    BenchAblationsArgs, BenchAction, BenchAutogradArgs, BenchBudgetArgs, BenchInferArgs,
    BenchLayersArgs, BenchMemoryArgs, BenchStagesArgs, DataArgs,
};
use crate::data::dataset::ImageFormat;
use crate::engine::compute::Compute;
use crate::error::Error;
use crate::measure::machine::Environment;
use crate::model::recipe::Recipe;
use crate::report::Event;

/// Makes the measurement `action`.
pub fn run(action: &BenchAction) -> anyhow::Result<()> {
    match action {
        BenchAction::Stages(args) => stages(args),
        BenchAction::Layers(args) => layers(args),
        BenchAction::Autograd(args) => autograd(args),
        BenchAction::Infer(args) => infer(args),
        BenchAction::Ablations(args) => ablations(args),
        BenchAction::Memory(args) => memory(args),
        BenchAction::Budget(args) => budget(args),
        BenchAction::All(args) => {
            let output = Output::new(args.output, false);
            let environment = environment(&output);
            bench_all::run(args, output, environment, commit())
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

fn stages(args: &BenchStagesArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.gate.serve);
    let environment = environment(&output);
    let signals = Signals::install(args.gate.serve)?;
    let locks = bench_files::lock(&args.files, "bench", Some(&args.data))?;
    let compute = args.machine.compute();
    let architecture = args.network.architecture(data::format(&args.data)?)?;
    let recipe = Recipe::from(&args.recipe);
    let stages = ladder::stages(&args.stages, &architecture, &recipe, compute.isa)?;
    let dataset =
        data::load(&args.data, false, architecture.format(), compute.threads, &output, &signals)?;
    data::check_batch_size(recipe.batch_size, dataset.train.len(), "training images")?;
    let contestants = Contestant::all(&stages, compute.threads);
    let rounds = args.rounds;
    if args.gate.serve {
        ladder::check_memory(stages.iter().copied(), &architecture, &recipe)?;
        let benchmark = Benchmark::new(&architecture, &recipe, &dataset.train, compute.isa);
        let benchmark = match args.epoch {
            0 => benchmark,
            epoch => benchmark.at_epoch(epoch, compute.threads)?,
        };
        return gate::answer(&StageSuite { benchmark, contestants: &contestants, rounds });
    }
    let settings = json!({
        "architecture": architecture.to_string(),
        "dataset": dataset.kind().name(),
        "epoch": args.epoch,
        "recipe": &recipe,
        "train_images": dataset.train.len(),
    });
    let baseline = gate::baseline(&args.gate, "bench", &settings, &args.files)?;
    if let Some(Baseline::Program(path)) = &baseline {
        let added = offline(&args.data);
        return gate::against_program(path, &args.gate, rounds, added, output, &signals);
    }
    let at_once = signals.stop_at_once(locks)?;
    let ladder = Ladder {
        contestants: &contestants,
        workload: &Workload { recipe, architecture, isa: compute.isa, data: args.data.flags()? },
        dataset: &dataset,
        repeats: rounds,
        epoch: args.epoch,
        environment,
        commit: args.files.record.as_ref().and_then(|_| commit()),
    };
    let event = Event::Bench(Box::new(ladder.measure(&mut BenchProgress::new(&output))?));
    let _locks = at_once.end();
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

/// Flag of the processes that serve the gate: all data that can be downloaded is there.
fn offline(data: &DataArgs) -> &'static [&'static str] {
    if data.offline { &[] } else { &["--offline"] }
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
    let locks = bench_files::lock(&args.files, "bench_layers", None)?;
    let settings = json!({ "quick": layers.effort == Effort::Quick });
    let baseline = gate::baseline(&args.gate, "bench_layers", &settings, &args.files)?;
    if let Some(Baseline::Program(path)) = &baseline {
        return gate::against_program(path, &args.gate, layers.rounds, &[], output, &signals);
    }
    let at_once = signals.stop_at_once(locks)?;
    let bench = layers.measure(&mut BenchProgress::new(&output))?;
    let _locks = at_once.end();
    let event = Event::BenchLayers(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

fn autograd(args: &BenchAutogradArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.gate.serve);
    let BenchAutogradArgs { filter, effort, .. } = args;
    let (effort, rounds) = (effort.effort(), effort.rounds());
    let autograd = Autograd::new(filter, effort, rounds, environment(&output))?;
    let signals = Signals::install(args.gate.serve)?;
    if args.gate.serve {
        return gate::answer(&AutogradSuite::new(&autograd));
    }
    let locks = bench_files::lock(&args.files, "bench_autograd", None)?;
    let settings = json!({ "quick": effort == Effort::Quick });
    let baseline = gate::baseline(&args.gate, "bench_autograd", &settings, &args.files)?;
    if let Some(Baseline::Program(path)) = &baseline {
        return gate::against_program(path, &args.gate, rounds, &[], output, &signals);
    }
    let at_once = signals.stop_at_once(locks)?;
    let bench = autograd.measure(&mut BenchProgress::new(&output))?;
    let _locks = at_once.end();
    let event = Event::BenchAutograd(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

fn infer(args: &BenchInferArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.gate.serve);
    let environment = environment(&output);
    let signals = Signals::install(args.gate.serve)?;
    let locks = bench_files::lock(&args.files, "bench_infer", Some(&args.data))?;
    let compute = args.machine.compute();
    let architecture = args.network.architecture(data::format(&args.data)?)?;
    let dataset =
        data::load(&args.data, true, architecture.format(), compute.threads, &output, &signals)?;
    data::check_batch_size(infer::LARGEST_BATCH, dataset.train.len(), "training images")?;
    let (effort, rounds) = (args.effort.effort(), args.effort.rounds());
    let infer = Infer {
        architecture: &architecture,
        dataset: &dataset,
        compute,
        effort,
        rounds,
        environment,
    };
    if args.gate.serve {
        return gate::answer(&InferSuite::new(&infer, &Networks::default())?);
    }
    let settings = json!({
        "architecture": architecture.to_string(),
        "dataset": dataset.kind().name(),
        "quick": effort == Effort::Quick,
    });
    let baseline = gate::baseline(&args.gate, "bench_infer", &settings, &args.files)?;
    if let Some(Baseline::Program(path)) = &baseline {
        let added = offline(&args.data);
        return gate::against_program(path, &args.gate, rounds, added, output, &signals);
    }
    let at_once = signals.stop_at_once(locks)?;
    let bench = infer.measure(&mut BenchProgress::new(&output))?;
    let _locks = at_once.end();
    let event = Event::BenchInfer(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    gate::against_record(baseline, &args.gate, &event, output)
}

fn ablations(args: &BenchAblationsArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = environment(&output);
    let signals = Signals::install(false)?;
    let locks = bench_files::lock(&args.files, "bench_ablations", None)?;
    let at_once = signals.stop_at_once(locks)?;
    let (effort, rounds) = (args.effort.effort(), args.effort.rounds());
    let ablations = Ablations { compute: args.machine.compute(), effort, rounds, environment };
    let bench = ablations.measure(&mut BenchProgress::new(&output))?;
    let _locks = at_once.end();
    let event = Event::BenchAblations(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    Ok(output.finish()?)
}

fn memory(args: &BenchMemoryArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = Environment::detect();
    let signals = Signals::install(false)?;
    let locks = bench_files::lock(&args.files, "bench_memory", Some(&args.data))?;
    let architecture = args.network.architecture(data::format(&args.data)?)?;
    let recipe = Recipe::default();
    let stage = args.compute.stage(None, &architecture, &recipe)?;
    let Compute { threads, isa } = args.compute.compute();
    let dataset = data::load(&args.data, false, architecture.format(), threads, &output, &signals)?;
    let at_once = signals.stop_at_once(locks)?;
    data::check_batch_size(memory::LARGEST_BATCH, dataset.train.len(), "training images")?;
    let memory = Memory {
        workload: Workload { recipe, architecture, isa, data: args.data.flags()? },
        contestant: Contestant { stage, threads: stage.threads(threads) },
        images: &dataset.train,
        environment,
    };
    let bench = memory.measure(&mut BenchProgress::new(&output))?;
    let _locks = at_once.end();
    let event = Event::BenchMemory(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
    Ok(output.finish()?)
}

fn budget(args: &BenchBudgetArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let environment = environment(&output);
    let signals = Signals::install(false)?;
    let locks = bench_files::lock(&args.files, "bench_budget", Some(&args.data))?;
    let compute = args.machine.compute();
    let dataset =
        data::load(&args.data, false, ImageFormat::MNIST, compute.threads, &output, &signals)?;
    let at_once = signals.stop_at_once(locks)?;
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
    let _locks = at_once.end();
    let (failures, limits) = (bench.failures(), bench.rows.len());
    let event = Event::BenchBudget(Box::new(bench));
    output.event(&event);
    bench_files::write(&args.files, &event)?;
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
