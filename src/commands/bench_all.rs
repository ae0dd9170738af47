//! The command `bench all`: every measurement, one after the other, and one report.

use std::path::Path;

use super::data;
use super::output::Output;
use super::progress::BenchProgress;
use super::signals::Signals;
use crate::bench::ablations::Ablations;
use crate::bench::autograd::Autograd;
use crate::bench::budget::Budget;
use crate::bench::child::Workload;
use crate::bench::contestant::Contestant;
use crate::bench::effort::Effort;
use crate::bench::infer::{self, Infer};
use crate::bench::ladder::{self, Ladder};
use crate::bench::layers::cases::CASES;
use crate::bench::layers::{self, Layers};
use crate::bench::memory::Memory;
use crate::bench::observer::Observer;
use crate::cli::BenchAllArgs;
use crate::data::dataset::Dataset;
use crate::data::dataset::ImageFormat;
use crate::engine::compute::Compute;
use crate::error::{Error, Result, printable};
use crate::files::durable::{self, Folder};
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::replaceable;
use crate::measure::machine::Environment;
use crate::model::presets;
use crate::model::recipe::Recipe;
use crate::report::suite::results::Results;
use crate::report::suite::{self, BENCHMARK_REPORT};
use crate::stages::Stage;

/// Makes every measurement, and writes the report. A limit that is not met is an error after that.
pub fn run(
    args: &BenchAllArgs,
    output: Output,
    environment: Environment,
    commit: Option<String>,
) -> anyhow::Result<()> {
    let signals = Signals::install(false)?;
    let compute = args.machine.compute();
    let dataset =
        data::load(&args.data, true, ImageFormat::MNIST, compute.threads, &output, &signals)?;
    data::check_batch_size(infer::LARGEST_BATCH, dataset.train.len(), "training images")?;
    let folder = &args.out;
    let prepared =
        prepare(folder).map_err(|error| error.with_remedy("name another folder with --out"))?;
    let at_once = signals.stop_at_once(prepared)?;
    let all = All { args, compute, dataset: &dataset, environment, commit };
    let results = all.measure(&mut BenchProgress::new(&output))?;
    let files = suite::files(&results);
    let _locks = at_once.end();
    for (name, content) in &files {
        durable::replace(&folder.join(name), content)?;
    }
    if args.output.json {
        results.events().iter().for_each(|event| output.event(event));
    } else {
        output.print(&written(folder, &files));
    }
    output.finish()?;
    match results.budget.failures() {
        0 => Ok(()),
        failures => {
            let (limits, report) = (results.budget.rows.len(), folder.join(BENCHMARK_REPORT));
            let which = printable(&report);
            let problem = format!("{failures} of {limits} limits are not met: {which} has which");
            Err(Error::LimitExceeded(problem).into())
        }
    }
}

/// Makes the folder, checks that every file of a report can be written there, and locks these files
/// against other processes. A new folder is removed again if no file is written.
///
/// # Errors
/// [`Error::Io`] or [`Error::Unavailable`] when a file cannot be written, [`Error::InvalidFile`]
/// when it would replace a file that is not from an earlier report.
fn prepare(folder: &Path) -> Result<(Vec<Lock>, Folder)> {
    let made = Folder::make(folder)?;
    let prepare = |name: &String| {
        let path = folder.join(name);
        let lock = lock_for_writing(&path)?;
        let is_ours = |content: &[u8]| suite::is_of_report(name, content);
        replaceable::check_bytes(&path, "the report", is_ours)?;
        Ok(lock)
    };
    Ok((suite::names().iter().map(prepare).collect::<Result<_>>()?, made))
}

/// Lines about the files that were written.
fn written(folder: &Path, files: &[(String, Vec<u8>)]) -> String {
    let mut text = format!("wrote the report into {}:", printable(folder));
    for (name, content) in files {
        text += &format!("\n  {name:<32}{:>9.1} KB", content.len() as f64 / 1e3);
    }
    text
}

/// All measurements, before they begin.
struct All<'a> {
    args: &'a BenchAllArgs,
    compute: Compute,
    dataset: &'a Dataset,
    environment: Environment,
    commit: Option<String>,
}

impl All<'_> {
    fn measure(self, observer: &mut dyn Observer) -> anyhow::Result<Results> {
        let Self { args, compute, dataset, environment, commit } = self;
        let (effort, rounds) = (args.effort.effort(), args.effort.rounds());
        let Compute { threads, isa } = compute;
        let recipe = Recipe::default();
        let architecture =
            presets::network("default", ImageFormat::MNIST).expect("a network of the table");
        let data = args.data.flags()?;
        let workload = || Workload {
            recipe: recipe.clone(),
            architecture: architecture.clone(),
            isa,
            data: data.clone(),
        };
        let stages = if effort == Effort::Whole {
            let stages = ladder::stages(&[], &architecture, &recipe, isa)?;
            let ladder = Ladder {
                contestants: &Contestant::all(&stages, threads),
                workload: &workload(),
                dataset,
                repeats: rounds,
                epoch: 0,
                environment: environment.clone(),
                commit,
            };
            Some(ladder.measure(observer)?)
        } else {
            None
        };
        let layers = Layers {
            cases: &CASES.iter().collect::<Vec<_>>(),
            contestants: &layers::contestants(threads),
            isa,
            effort,
            rounds,
            environment: environment.clone(),
        };
        let layers = layers.measure(observer)?;
        let autograd = Autograd::new("", effort, rounds, environment.clone())?;
        let autograd = autograd.measure(observer)?;
        let infer = Infer {
            architecture: &architecture,
            dataset,
            compute,
            effort,
            rounds,
            environment: environment.clone(),
        };
        let infer = infer.measure(observer)?;
        let ablations = Ablations { compute, effort, rounds, environment: environment.clone() };
        let ablations = ablations.measure(observer)?;
        let stage = Stage::fastest_exact(&architecture, &recipe);
        let memory = Memory {
            workload: workload(),
            contestant: Contestant { stage, threads: stage.threads(threads) },
            images: &dataset.train,
            environment: environment.clone(),
        };
        let memory = memory.measure(observer)?;
        let budget = Budget { dataset, compute, effort, rounds, environment };
        let budget = budget.measure(observer)?;
        Ok(Results { stages, layers, autograd, infer, ablations, memory, budget })
    }
}
