//! The command `records`, which measures named recipes side by side, each run in a process of its own.
//!
//! The file of the results has a line for each recipe, with what its runs print first, and a line for each
//! run. A seed whose runs are all there is not trained again.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data;
use super::output::Output;
use super::plan::TrainPlan;
use super::progress::counter;
use super::signals::Signals;
use super::train;
use crate::bench::child::{self, this_program};
use crate::cli::{Point, RecordsArgs};
use crate::data::augment::Augment;
use crate::data::dataset::{Dataset, ImageFormat};
use crate::error::{Error, Result};
use crate::files::durable::{self, Folder};
use crate::files::input;
use crate::files::lock::lock_for_writing;
use crate::model::recipe::Recipe;
use crate::model::recipes::{NamedRecipe, RECIPES};
use crate::report::record::{Averaged, ONE_EPOCH, Record, RecordRun, complete, is_complete, rows};
use crate::report::{Event, SCHEMA_VERSION, json};

/// Name of the file of the results.
const FILE: &str = "runs.jsonl";
/// Name of the file of a model, which replaces the one before.
const MODEL: &str = "ckpt.bin";
/// Probability from which on an image is sure and not averaged over copies. It was not tuned.
const SURE: &str = "--tta-below=0.8";
/// Number of epochs between two tests that no run reaches, so that a run tests once, at its end.
const NEVER: &str = "1000000000";

/// Measures the recipe that `args` name.
pub fn run(args: &RecordsArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let signals = Signals::install(false)?;
    let contestants = contestants(args)?;
    let remedy = "choose a writable place with --out";
    let _folder = Folder::make(&args.out).map_err(|error| error.with_remedy(remedy))?;
    let path = args.out.join(FILE);
    let _lock = lock_for_writing(&path).map_err(|error| error.with_remedy(remedy))?;
    // The data is loaded here too, so that the processes find all that can be downloaded.
    let (format, threads) = (data::format(&args.data)?, args.compute.compute().threads);
    let dataset = data::load(&args.data, true, format, threads, &output, &signals)?;
    let starts = contestants.iter().map(|one| one.start(format, &dataset, &output));
    let mut session = Session::read(path, starts.collect::<anyhow::Result<_>>()?)?;
    let models = Models::make(&args.out).map_err(|error| error.with_remedy(remedy))?;
    let seeds = args.seeds();
    let bar = counter(&output, "training", seeds.len() * contestants.len());
    for seed in &seeds {
        if session.has(*seed) {
            bar.inc(contestants.len() as u64);
            continue;
        }
        for contestant in &contestants {
            // A signal reaches the process too, and then its error says less.
            let run = contestant.train(*seed, &models.0.join(MODEL)).map_err(|error| {
                signals.received().map_or(error, |signal| interrupted(signal).into())
            })?;
            session.add(run.clone())?;
            bar.suspend(|| output.event(&Event::RecordRun(run)));
            bar.inc(1);
            if let Some(signal) = signals.received() {
                return Err(interrupted(signal).into());
            }
        }
    }
    bar.finish_and_clear();
    let is_asked = |run: &&RecordRun| seeds.contains(&run.seed);
    let runs: Vec<RecordRun> = session.runs.iter().filter(is_asked).cloned().collect();
    output.event(&Event::Record(Record {
        schema: SCHEMA_VERSION,
        file: session.path.to_string_lossy().into_owned(),
        dataset: dataset.kind().name().into(),
        rows: rows(&runs),
    }));
    Ok(output.finish()?)
}

/// Folder of the models, which nobody asks for. It is removed when this value is dropped.
struct Models(PathBuf);

impl Models {
    /// Makes a folder inside `folder`, which no other process uses.
    fn make(folder: &Path) -> Result<Self> {
        let models = folder.join(format!("models-{}", process::id()));
        fs::create_dir(&models).map_err(Error::io("create the folder", &models))?;
        Ok(Self(models))
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn interrupted(signal: i32) -> Error {
    let message = "interrupted; go on with the same command".into();
    Error::Interrupted { signal, message }
}

/// The trainings of each seed: one epoch by the recipe of the source, the recipe for the mark before that
/// of the one that `args` name, if there is one, and that one.
fn contestants(args: &RecordsArgs) -> anyhow::Result<Vec<Contestant>> {
    let is_named = |recipe: &NamedRecipe| recipe.name == args.recipe.name;
    let place = RECIPES.iter().position(is_named).expect("it is one of the table");
    let (program, data) = (this_program()?, args.data.flags()?);
    let stage = args.compute.stage.map(|stage| format!("--stage={}", stage.name));
    let isa = args.compute.isa().map(|isa| format!("--isa={isa}"));
    let threads = format!("--threads={}", args.compute.compute().threads);
    let machine = [Some(threads), stage, isa].into_iter().flatten().map(OsString::from);
    let machine: Vec<OsString> = machine.collect();
    let contestant = |name, recipe: &NamedRecipe, epochs: Option<&str>| {
        let words = [format!("--recipe={}", recipe.name), format!("--eval-every={NEVER}")];
        let words = words.into_iter().chain(epochs.map(String::from)).map(OsString::from);
        Contestant {
            name,
            program: program.clone(),
            point: Point::of(words.chain(machine.iter().cloned()).collect()),
            machine: machine.clone(),
            data: data.clone(),
        }
    };
    let one_epoch = contestant(ONE_EPOCH, &RECIPES[0], Some("--epochs=1"));
    let before = RECIPES[place - 1..place].iter().filter(|recipe| recipe.mark.is_some());
    let recipes = before.chain([args.recipe]);
    let recipes = recipes.map(|recipe| contestant(recipe.name, recipe, None));
    Ok([one_epoch].into_iter().chain(recipes).collect())
}

/// Copies over which an image that is not sure is averaged, if the training images were changed by
/// `augment`: the network knows no other changes.
fn copies(augment: Augment) -> &'static [&'static str] {
    match augment {
        Augment::None | Augment::Shift => &["--tta=9"],
        Augment::Affine => &["--tta=64", "--tta-by=affine"],
        Augment::Elastic => &["--tta=64", "--tta-by=elastic"],
    }
}

/// One of the trainings that are compared.
struct Contestant {
    /// Name of the recipe, or [`ONE_EPOCH`].
    name: &'static str,
    program: PathBuf,
    /// Flags of the training.
    point: Point,
    /// Flags of the stage and its resources, which a test has too.
    machine: Vec<OsString>,
    /// Flags that name the data.
    data: Vec<OsString>,
}

/// Fields of the last line of a run.
#[derive(Deserialize)]
struct Done {
    test_correct: usize,
    test_total: usize,
    train_seconds: f64,
    clock_seconds: f64,
    weights_sha256: String,
}

/// Fields of the result of a test.
#[derive(Deserialize)]
struct Eval {
    correct: usize,
    tta: Tta,
    seconds: f64,
}

/// Fields of the averaging of a test.
#[derive(Deserialize)]
struct Tta {
    averaged: usize,
}

impl Contestant {
    /// Settings, data and version of the runs on `dataset`, whose images have this `format`.
    fn start(
        &self,
        format: ImageFormat,
        dataset: &Dataset,
        output: &Output,
    ) -> anyhow::Result<Start> {
        let mut plan = TrainPlan::new(&self.point.training(0)?, format, None)?;
        let mut dataset = dataset.clone();
        train::prepare(&mut plan, &mut dataset, output)?;
        let threads = plan.stage.threads(plan.compute.threads);
        let start = Event::Start(train::start(&plan, &dataset, threads, None));
        // Read again, because a number in a file may have another text.
        let mut start: Value = serde_json::from_str(&json::line(&start))?;
        if let Some(recipe) = start["recipe"].as_object_mut() {
            recipe.remove("seed");
        }
        Ok(Start { recipe: self.name.into(), start })
    }

    /// Trains with `seed` in a process that writes the model to the file at `model`.
    fn train(&self, seed: u64, model: &Path) -> anyhow::Result<RecordRun> {
        let mut command = self.command();
        command.args(["--json", "--quiet", "--offline", "--keep-previous=0"]).args(&self.data);
        command.args(self.point.words()).arg(format!("--seed={seed}")).arg("--model").arg(model);
        let started = Instant::now();
        let said = child::stdout(command)?;
        let process_seconds = started.elapsed().as_secs_f64();
        let last = str::from_utf8(&said)?.lines().last().unwrap_or_default();
        let Done { test_correct, test_total, train_seconds, clock_seconds, weights_sha256 } =
            serde_json::from_str(last)?;
        Ok(RecordRun {
            recipe: self.name.into(),
            seed,
            test_correct,
            test_total,
            train_seconds,
            clock_seconds,
            process_seconds,
            weights_sha256,
            averaged: (self.name != ONE_EPOCH).then(|| self.averaged(model)).transpose()?,
        })
    }

    /// Result of `model` with selective test-time averaging.
    fn averaged(&self, model: &Path) -> anyhow::Result<Averaged> {
        let mut command = self.command();
        let copies = copies(Recipe::from(&self.point.training(0)?.recipe).augment);
        command.args(["eval", "--json", "--quiet", "--offline", SURE]).args(copies);
        command.args(&self.data).args(&self.machine).arg("--model").arg(model);
        let Eval { correct, tta, seconds } = serde_json::from_slice(&child::stdout(command)?)?;
        Ok(Averaged { test_correct: correct, images: tta.averaged, seconds })
    }

    /// This program, without the variables that would change the recipe.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let variables = env::vars_os().map(|(name, _)| name);
        let ours = variables.filter(|name| name.to_string_lossy().starts_with("MNIST_"));
        ours.for_each(|name| _ = command.env_remove(name));
        command
    }
}

/// Settings, data and version of the runs of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Start {
    recipe: String,
    start: Value,
}

/// Names of the recipes, in the order of their runs.
fn names(starts: &[Start]) -> Vec<&str> {
    starts.iter().map(|start| &*start.recipe).collect()
}

/// Line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    RecordStart(Start),
    RecordRun(RecordRun),
}

/// Results so far.
struct Session {
    path: PathBuf,
    starts: Vec<Start>,
    runs: Vec<RecordRun>,
}

impl Session {
    /// Results of the seeds that are complete in the file at `path`, if it exists, for runs that begin
    /// with `starts`.
    ///
    /// # Errors
    /// When the file has runs that began otherwise, or anything else.
    fn read(path: PathBuf, starts: Vec<Start>) -> Result<Self> {
        let text = if path.exists() { input::text(&path)? } else { String::new() };
        let (mut found, mut runs) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::RecordStart(start)) => found.push(start),
                Ok(Line::RecordRun(run)) => runs.push(run),
                Err(_) => {
                    let line = index + 1;
                    return Err(Error::invalid(&path)(format!(
                        "line {line}: is no result of a recipe: name another folder with --out"
                    )));
                }
            }
        }
        if found != starts && !(found.is_empty() && runs.is_empty()) {
            return Err(Error::invalid(&path)(
                "has runs of other recipes, or with other settings, data or another version: name \
                 another folder with --out",
            ));
        }
        let runs = complete(&runs, &names(&starts));
        Ok(Self { path, starts, runs })
    }

    /// Whether each recipe has a run with this seed.
    fn has(&self, seed: u64) -> bool {
        is_complete(&self.runs, &names(&self.starts), seed)
    }

    /// Adds `run` to the file.
    fn add(&mut self, run: RecordRun) -> Result<()> {
        self.runs.push(run);
        let starts = self.starts.iter().cloned().map(Line::RecordStart);
        let lines = starts.chain(self.runs.iter().cloned().map(Line::RecordRun));
        let lines = lines.map(|line| serde_json::to_string(&line).expect("plain data") + "\n");
        durable::replace(&self.path, lines.collect::<String>().as_bytes())
    }
}
