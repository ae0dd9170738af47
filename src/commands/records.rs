//! The command `records`, which measures named recipes side by side, each run in a process of its own.
//!
//! The file of the results has a line for each recipe, with the first line that its runs print, and a line
//! for each run. A run whose line is there is not made again.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data;
use super::output::Output;
use super::progress::counter;
use super::signals::Signals;
use crate::bench::child::{self, this_program};
use crate::cli::RecordsArgs;
use crate::error::{Error, Result, quoted};
use crate::files::durable::{self, Folder};
use crate::files::input;
use crate::files::lock::lock_for_writing;
use crate::model::recipes::{NamedRecipe, RECIPES};
use crate::report::record::{Averaged, ONE_EPOCH, Record, RecordRun, rows};
use crate::report::{Event, SCHEMA_VERSION, json};

/// Name of the file of the results.
const FILE: &str = "runs.jsonl";
/// Name of the file of the models, each of which replaces the one before.
const MODEL: &str = "ckpt.bin";
/// Places over which an image that is not sure is averaged, and the probability from which on one is sure.
/// Both were chosen on validation images.
const AVERAGING: [&str; 2] = ["--tta=9", "--tta-below=0.8"];
/// Number of epochs between two tests that no run reaches, so that a run tests once, at its end.
const NEVER: &str = "1000000000";

/// Measures the recipe that `args` name.
pub fn run(args: &RecordsArgs) -> anyhow::Result<()> {
    let output = Output::new(args.output, false);
    let signals = Signals::install(false)?;
    let remedy = "choose a writable place with --out";
    let _folder = Folder::make(&args.out).map_err(|error| error.with_remedy(remedy))?;
    let path = args.out.join(FILE);
    let _lock = lock_for_writing(&path).map_err(|error| error.with_remedy(remedy))?;
    let mut session = Session::read(path)?;
    // The data is loaded here too, so that the processes find all that can be downloaded.
    let (format, threads) = (data::format(&args.data)?, args.compute.compute().threads);
    let dataset = data::load(&args.data, true, format, threads, &output, &signals)?;
    let contestants = contestants(args)?;
    let seeds: Vec<u64> = args.seeds.iter().cloned().flatten().collect();
    let bar = counter(&output, "training", seeds.len() * contestants.len());
    for seed in &seeds {
        for contestant in &contestants {
            if let Some(signal) = signals.received() {
                return Err(interrupted(signal).into());
            }
            if session.has(contestant.name, *seed) {
                bar.inc(1);
                continue;
            }
            // A signal reaches the process too, and then its error says less.
            let (start, run) = contestant.train(*seed, &args.out).map_err(|error| {
                signals.received().map_or(error, |signal| interrupted(signal).into())
            })?;
            session.add(start, run.clone())?;
            bar.suspend(|| output.event(&Event::RecordRun(run)));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    // Nobody asked for the last model.
    _ = fs::remove_file(args.out.join(MODEL));
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

fn interrupted(signal: i32) -> Error {
    let message = "interrupted; go on with the same command".into();
    Error::Interrupted { signal, message }
}

/// What is trained with each seed: one epoch by the recipe of the source, the recipe for the mark before
/// that of the one that `args` name, if there is one, and that one.
fn contestants(args: &RecordsArgs) -> anyhow::Result<Vec<Contestant>> {
    let is_named = |recipe: &NamedRecipe| recipe.name == args.recipe.name;
    let place = RECIPES.iter().position(is_named).expect("it is one of the table");
    let program = this_program()?;
    let data = args.data.flags()?;
    let compute = args.compute.compute();
    let stage = args.compute.stage.map(|stage| format!("--stage={}", stage.name));
    let isa = args.compute.isa().map(|isa| format!("--isa={isa}"));
    let machine = [Some(format!("--threads={}", compute.threads)), stage, isa];
    let contestant = |name, recipe: &NamedRecipe, epochs: Option<&str>| {
        let words = ["--json", "--quiet", "--offline", "--keep-previous=0", "--eval-every"];
        let words = words.into_iter().chain([NEVER, "--recipe", recipe.name]).chain(epochs);
        let words = words.map(OsString::from);
        let shared: Vec<OsString> =
            data.iter().cloned().chain(machine.iter().flatten().map(OsString::from)).collect();
        let words = words.chain(shared.iter().cloned()).collect();
        Contestant { name, program: program.clone(), words, shared }
    };
    let before = RECIPES[place - 1..place].iter().filter(|recipe| recipe.mark.is_some());
    let recipes = before.chain([args.recipe]);
    let recipes = recipes.map(|recipe| contestant(recipe.name, recipe, None));
    Ok([contestant(ONE_EPOCH, &RECIPES[0], Some("--epochs=1"))]
        .into_iter()
        .chain(recipes)
        .collect())
}

/// One of the trainings that are compared.
struct Contestant {
    /// Name of the recipe, or [`ONE_EPOCH`].
    name: &'static str,
    program: PathBuf,
    /// Flags of the training but the seed and the model.
    words: Vec<OsString>,
    /// Those of them that a test has too.
    shared: Vec<OsString>,
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
    /// Trains with `seed` in a process that writes its model into `folder`. Returns the first line that
    /// the process prints, without the seed, and its result.
    fn train(&self, seed: u64, folder: &Path) -> anyhow::Result<(Start, RecordRun)> {
        let model = folder.join(MODEL);
        let mut command = self.command();
        command.args(&self.words).arg(format!("--seed={seed}")).arg("--model").arg(&model);
        let started = Instant::now();
        let said = child::stdout(command)?;
        let process_seconds = started.elapsed().as_secs_f64();
        let lines: Vec<&str> = str::from_utf8(&said)?.lines().collect();
        let mut start: Value = serde_json::from_str(lines.first().unwrap_or(&""))?;
        if let Some(recipe) = start["recipe"].as_object_mut() {
            recipe.remove("seed");
        }
        let Done { test_correct, test_total, train_seconds, clock_seconds, weights_sha256 } =
            serde_json::from_str(lines.last().unwrap_or(&""))?;
        let averaged = (self.name != ONE_EPOCH).then(|| self.averaged(&model)).transpose()?;
        let run = RecordRun {
            averaged,
            recipe: self.name.into(),
            seed,
            test_correct,
            test_total,
            train_seconds,
            clock_seconds,
            process_seconds,
            weights_sha256,
        };
        Ok((Start { recipe: self.name.into(), start }, run))
    }

    /// Result of `model` with selective test-time averaging.
    fn averaged(&self, model: &Path) -> anyhow::Result<Averaged> {
        let mut command = self.command();
        command.args(["eval", "--json", "--quiet", "--offline"]).args(AVERAGING);
        command.args(&self.shared).arg("--model").arg(model);
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

/// Line of a recipe: the settings, data and version of its runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Start {
    recipe: String,
    start: Value,
}

/// Line of the file.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    RecordStart(Start),
    RecordRun(RecordRun),
}

/// Results so far.
struct Session {
    path: PathBuf,
    /// Text of the file.
    text: String,
    /// First line of the runs of each recipe.
    starts: BTreeMap<String, Value>,
    runs: Vec<RecordRun>,
}

impl Session {
    /// Results in the file at `path`, if it exists.
    ///
    /// # Errors
    /// When the file has anything else.
    fn read(path: PathBuf) -> Result<Self> {
        let text = if path.exists() { input::text(&path)? } else { String::new() };
        let (mut starts, mut runs) = (BTreeMap::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::RecordStart(Start { recipe, start })) => {
                    starts.insert(recipe, start);
                }
                Ok(Line::RecordRun(run)) => runs.push(run),
                Err(_) => {
                    let line = index + 1;
                    return Err(Error::invalid(&path)(format!(
                        "line {line}: is no result of a recipe: name another folder with --out"
                    )));
                }
            }
        }
        Ok(Self { path, text, starts, runs })
    }

    /// Whether the recipe has a run with this seed.
    fn has(&self, recipe: &str, seed: u64) -> bool {
        self.runs.iter().any(|run| run.recipe == recipe && run.seed == seed)
    }

    /// Adds `run`, which began with `start`, to the file.
    ///
    /// # Errors
    /// When runs of the same recipe began otherwise, or the file cannot be written.
    fn add(&mut self, start: Start, run: RecordRun) -> Result<()> {
        match self.starts.get(&start.recipe) {
            Some(was) if *was != start.start => {
                return Err(Error::invalid(&self.path)(format!(
                    "has runs of {} with other settings, data or another version: name another \
                     folder with --out",
                    quoted(&start.recipe)
                )));
            }
            Some(_) => {}
            None => {
                let line = serde_json::to_value(&start).expect("plain data");
                let line = line_of("record_start", line);
                self.text += &line;
                self.starts.insert(start.recipe, start.start);
            }
        }
        self.text += &json::line(&Event::RecordRun(run.clone()));
        self.text.push('\n');
        self.runs.push(run);
        durable::replace(&self.path, self.text.as_bytes())
    }
}

/// Line of the file with an event called `name`.
fn line_of(name: &str, mut value: Value) -> String {
    value["event"] = name.into();
    format!("{value}\n")
}
