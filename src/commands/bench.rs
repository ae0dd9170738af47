//! The command `bench`: measures stages, or layers, against each other.

use std::process::Command;

use super::data;
use super::output::Output;
use super::progress::BenchProgress;
use super::signals::Signals;
use crate::bench::child::Workload;
use crate::bench::contestant::Contestant;
use crate::bench::ladder::{self, Ladder};
use crate::bench::layers::{self, Layers};
use crate::cli::{BenchAction, BenchLayersArgs, BenchStagesArgs};
use crate::engine::compute::Compute;
use crate::files::durable;
use crate::files::lock::lock_for_writing;
use crate::files::replaceable;
use crate::measure::machine::Environment;
use crate::model::recipe::Recipe;
use crate::report::{Event, json};

/// Makes the measurement `action`.
pub fn run(action: &BenchAction) -> anyhow::Result<()> {
    match action {
        BenchAction::Stages(args) => stages(args),
        BenchAction::Layers(args) => layers(args),
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
    let output = Output::new(args.output, false);
    let environment = environment(&output);
    let signals = Signals::install(false)?;
    let lock = args.record.as_deref().map(lock_for_writing).transpose();
    let lock = lock.map_err(|error| error.with_remedy("name another place with --record"))?;
    if let Some(path) = &args.record {
        data::check_no_data_file("--record", path, &args.data)?;
        let is_record = |content: &str| replaceable::is_event(content, "bench");
        replaceable::check(path, "the record", is_record)?;
    }
    let compute = args.machine.compute();
    let architecture = args.network.architecture();
    let recipe = Recipe::from(&args.recipe);
    let stages = ladder::stages(&args.stages, &architecture, &recipe, compute.isa)?;
    let dataset =
        data::load(&args.data, false, architecture.format(), compute.threads, &output, &signals)?;
    let at_once = signals.stop_at_once(lock)?;
    data::check_batch_size(recipe.batch_size, dataset.train.len(), "training images")?;
    let ladder = Ladder {
        contestants: &Contestant::all(&stages, compute.threads),
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
    if let Some(path) = &args.record {
        durable::replace(path, format!("{}\n", json::line(&event)).as_bytes())?;
    }
    Ok(output.finish()?)
}

fn layers(args: &BenchLayersArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let cases = args.cases()?;
    let Compute { threads, isa } = args.machine.compute();
    let layers = Layers {
        cases: &cases,
        contestants: &layers::contestants(threads),
        isa,
        effort: args.effort(),
        rounds: args.rounds(),
        environment: environment(&output),
    };
    let at_once = Signals::install(false)?.stop_at_once(())?;
    let bench = layers.measure(&mut BenchProgress::new(&output))?;
    at_once.end();
    output.event(&Event::BenchLayers(Box::new(bench)));
    Ok(output.finish()?)
}

/// Git's description of the commit in the working folder, if that is a git repository.
pub(super) fn commit() -> Option<String> {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    let name = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| name.trim().into())
}
