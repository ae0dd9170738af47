//! The command `mnist-train sweep`, which trains with several seeds and values of flags in one process.
//!
//! The result of a run is a file with the JSON lines that the run would print alone. A run whose file
//! is there is not trained again, so a sweep goes on where it was interrupted.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::data;
use super::jobs::{self, SweepJob};
use super::output::Output;
use super::plan::TrainPlan;
use super::progress::SweepProgress;
use super::signals::Signals;
use super::train::{self, Clock};
use crate::cli::{Point, SweepArgs};
use crate::data::dataset::Dataset;
use crate::error::{Error, Result, quoted};
use crate::files::durable::{self, Folder};
use crate::files::input;
use crate::files::lock::{Lock, lock_for_writing};
use crate::measure::statistics::Sample;
use crate::ranks::Ranks;
use crate::report::sweep::{Reached, Sweep, SweepRow, SweepRun, Test, Validation};
use crate::report::{Diverged, Done, Event, SCHEMA_VERSION, Start, json};
use crate::training::trainer::Trainer;

/// Trains every combination of the values in `args` with every seed. The `ranks`, if there are several,
/// train a run each at the same time, and this one is rank 0.
pub fn run(args: &SweepArgs, ranks: Option<&Ranks>) -> anyhow::Result<()> {
    let output = Output::new(args.output, args.quiet);
    let signals = Signals::install(args.quiet)?;
    let first = args.points[0].training(args.seeds[0])?;
    let format = data::format(&first.data)?;
    let plan = |point: &Point, seed| -> anyhow::Result<TrainPlan> {
        Ok(TrainPlan::new(&point.training(seed)?, format, None)?)
    };
    // A combination that is not possible is refused before hours of work with others.
    let plans = args.points.iter().map(|point| plan(point, args.seeds[0]));
    let plans = plans.collect::<anyhow::Result<Vec<_>>>()?;
    let mut notes = HashSet::new();
    plans.iter().flat_map(|plan| &plan.notes).for_each(|note| {
        if notes.insert(note) {
            output.note(note);
        }
    });
    let remedy = "choose a writable place with --out";
    let _folder = Folder::make(&args.out).map_err(|error| error.with_remedy(remedy))?;
    let evaluates = plans.iter().any(|plan| plan.evaluate);
    let threads = plans[0].compute.threads;
    let loading = Instant::now();
    let dataset = data::load(&first.data, evaluates, format, threads, &output, &signals)?;
    let loading = loading.elapsed();

    let mut progress = SweepProgress::new(&output, signals, args.seeds.len() * args.points.len());
    let of_run = |point: &Point, seed| -> anyhow::Result<Run> {
        let kind = dataset.kind().name().into();
        let run = Run { plan: plan(point, seed)?, dataset: dataset.clone(), kind, loading };
        Ok(run.prepared(&output)?)
    };
    if let Some(ranks) = ranks {
        jobs::send_sweep(ranks, &dataset, format.classes, loading);
    }
    let runs = all_runs(args, ranks, of_run, &mut progress);
    if let Some(ranks) = ranks {
        jobs::send_runs(ranks, &[]);
    }
    let runs = runs?;
    progress.finish();
    let rows = plans.iter().zip(&runs).map(|(plan, runs)| row(plan, runs, args.mark));
    output.event(&Event::Sweep(Sweep {
        schema: SCHEMA_VERSION,
        folder: args.out.to_string_lossy().into_owned(),
        dataset: dataset.kind().name().into(),
        mark: args.mark.map(|percent| percent / 100.0),
        rows: rows.collect(),
    }));
    Ok(output.finish()?)
}

/// A run in its turn.
enum Turn {
    /// Its result is known from an earlier sweep; the number is the index of its combination of values.
    Known(usize, SweepRun),
    /// It has to be trained.
    Open(Open),
}

/// Run that has to be trained.
struct Open {
    /// Index of the combination of values.
    point: usize,
    seed: u64,
    path: PathBuf,
    /// Lock of the file for the result.
    _lock: Lock,
    /// The run, if this process trains it.
    run: Option<Box<Run>>,
}

/// Results of all runs of the sweep, by the combination of their values.
fn all_runs(
    args: &SweepArgs,
    ranks: Option<&Ranks>,
    of_run: impl Fn(&Point, u64) -> anyhow::Result<Run>,
    progress: &mut SweepProgress<'_>,
) -> anyhow::Result<Vec<Vec<SweepRun>>> {
    let remedy = "choose a writable place with --out";
    let most = ranks.map_or(1, Ranks::count);
    let mut results: Vec<Vec<SweepRun>> = args.points.iter().map(|_| Vec::new()).collect();
    // All points with a seed before the next seed, so that a machine that becomes slower does not
    // slow the runs of one point alone.
    let each = args.seeds.iter().flat_map(|&seed| {
        args.points.iter().enumerate().map(move |(index, point)| (seed, index, point))
    });
    let mut turns = Vec::new();
    let mut open = 0;
    let last = args.seeds.len() * args.points.len() - 1;
    for (number, (seed, index, point)) in each.enumerate() {
        let path = args.out.join(point.file_name(seed));
        let lock = lock_for_writing(&path).map_err(|error| error.with_remedy(remedy))?;
        let run = of_run(point, seed)?;
        turns.push(match run.earlier(&path)? {
            Some(lines) => Turn::Known(index, sweep_run(point, seed, &path, true, &lines)?),
            None => {
                open += 1;
                // Rank 0 trains the first of them.
                let run = (open == 1).then(|| Box::new(run));
                Turn::Open(Open { point: index, seed, path, _lock: lock, run })
            }
        });
        if (1..most).contains(&open) && number < last {
            continue;
        }
        let mut lines = train(args, ranks, &mut turns, progress).into_iter();
        let mut failure = None;
        for turn in turns.drain(..) {
            let result = match turn {
                Turn::Known(point, run) => Ok((point, run)),
                Turn::Open(Open { point, seed, path, .. }) => {
                    lines.next().expect("a run has a result").and_then(|lines| {
                        durable::replace(&path, lines.as_bytes())?;
                        let run = sweep_run(&args.points[point], seed, &path, false, &lines)?;
                        Ok((point, run))
                    })
                }
            };
            match result {
                Ok((point, run)) => {
                    progress.end_run(&run);
                    results[point].push(run);
                }
                // What the other ranks have trained is written first.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        open = 0;
        match failure {
            None => {}
            Some(Error::Interrupted { signal, .. }) => {
                return Err(progress.interrupted(signal).into());
            }
            Some(error) => return Err(error.into()),
        }
    }
    Ok(results)
}

/// Result of the run of `point` with `seed`, whose `lines` are in the file at `path`.
fn sweep_run(point: &Point, seed: u64, path: &Path, reused: bool, lines: &str) -> Result<SweepRun> {
    let (reached, diverged) = result(path, lines)?;
    Ok(SweepRun {
        schema: SCHEMA_VERSION,
        values: point.values.iter().cloned().collect(),
        seed,
        file: path.to_string_lossy().into_owned(),
        reused,
        diverged,
        reached,
    })
}

/// Trains the open runs of the `turns`, at most one on each rank. Returns the results in their order.
fn train(
    args: &SweepArgs,
    ranks: Option<&Ranks>,
    turns: &mut [Turn],
    progress: &mut SweepProgress<'_>,
) -> Vec<Result<String>> {
    let mut open: Vec<&mut Open> = turns
        .iter_mut()
        .filter_map(|turn| match turn {
            Turn::Open(open) => Some(open),
            Turn::Known(..) => None,
        })
        .collect();
    let Some(own) = open.first_mut() else { return Vec::new() };
    let run = own.run.take().expect("the first run is that of this process");
    progress.begin_run(described(&args.points[own.point], own.seed), run.plan.epochs);
    let Some(ranks) = ranks else { return vec![run.train(progress)] };
    let isa = run.plan.stage.vectorized.then_some(run.plan.compute.isa);
    let job = |open: &&mut Open| {
        let words = args.points[open.point].words().iter();
        let mut words: Vec<String> = words.map(|word| word.to_string_lossy().into()).collect();
        if let Some(isa) = isa.filter(|_| words.iter().all(|word| !word.starts_with("--isa="))) {
            words.push(format!("--isa={isa}"));
        }
        SweepJob { words, seed: open.seed }
    };
    let jobs: Vec<SweepJob> = open.iter().map(job).collect();
    jobs::send_runs(ranks, &jobs);
    let mut results = gather(ranks, run.train(progress));
    results.truncate(jobs.len());
    results
}

/// Result of a run, as a rank tells it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// Lines that the run would print alone.
    Lines(String),
    /// Number of the signal that ended it.
    Interrupted(i32),
    /// Message of the error that ended it.
    Failed(String),
}

/// Gives the `result` of a run to rank 0, which gets the results of all ranks. Nothing on the others.
pub fn gather(ranks: &Ranks, result: Result<String>) -> Vec<Result<String>> {
    let told = match result {
        Ok(lines) => Told::Lines(lines),
        Err(Error::Interrupted { signal, .. }) => Told::Interrupted(signal),
        Err(error) => Told::Failed(error.to_string()),
    };
    let all = ranks.gather(&serde_json::to_vec(&told).expect("plain data"));
    let results = all.iter().enumerate().map(|(rank, bytes)| {
        match serde_json::from_slice(bytes).expect("all ranks run the same program") {
            Told::Lines(lines) => Ok(lines),
            Told::Interrupted(signal) => {
                let message = "interrupted".into();
                Err(Error::Interrupted { signal, message })
            }
            Told::Failed(message) => Err(Error::Unavailable(match rank {
                0 => message,
                rank => format!("rank {rank}: {message}"),
            })),
        }
    });
    results.collect()
}

/// The values of `point` and the `seed`, for the line of progress.
fn described(point: &Point, seed: u64) -> String {
    let values = point.values.iter().map(|(flag, value)| format!("{flag} {value}, "));
    format!("{}seed {seed}", values.collect::<String>())
}

/// Run of a sweep.
pub struct Run {
    /// Plan of the run.
    pub plan: TrainPlan,
    /// Images of the run.
    pub dataset: Dataset,
    /// Name of the kind of the dataset.
    pub kind: String,
    /// Duration of loading the data of all runs.
    pub loading: Duration,
}

impl Run {
    /// This run with the images of its plan.
    ///
    /// # Errors
    /// The errors of [`TrainPlan::images`].
    pub fn prepared(mut self, output: &Output) -> Result<Self> {
        train::prepare(&mut self.plan, &mut self.dataset, output)?;
        Ok(self)
    }

    /// First line of the run.
    fn start(&self, threads: usize) -> Event {
        let start = train::start(&self.plan, &self.dataset, threads, None);
        Event::Start(Start { dataset: self.kind.clone(), ..start })
    }

    /// Lines of an earlier run with the same settings in the file at `path`, if there is one.
    ///
    /// # Errors
    /// When the file has anything else.
    fn earlier(&self, path: &Path) -> Result<Option<String>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = input::text(path)?;
        let threads = self.plan.stage.threads(self.plan.compute.threads);
        let start = json::line(&self.start(threads));
        let first = text.lines().next().unwrap_or_default();
        // Both are parsed, because a number can have several texts.
        let fields = |line: &str| serde_json::from_str::<Map<String, Value>>(line).ok();
        let was =
            fields(first).filter(|was| was.get("event").is_some_and(|event| event == "start"));
        let (Some(was), Some(is)) = (was, fields(&start)) else {
            return Err(foreign(path));
        };
        // The number of threads changes no bit.
        let differences = differences(&was, &is);
        match differences.iter().find(|difference| !difference.starts_with("threads ")) {
            None => Ok(Some(text)),
            Some(difference) => Err(Error::invalid(path)(format!(
                "has a run with other settings, {}: name another folder with --out",
                quoted(difference),
            ))),
        }
    }

    /// Trains, and returns the lines that the run would print alone.
    ///
    /// # Errors
    /// The errors of [`Trainer::run`], but for a run that diverged: its lines say so.
    pub fn train(self, progress: &mut SweepProgress<'_>) -> Result<String> {
        let mut engine = train::engine(&self.plan)?;
        let start = self.start(engine.threads());
        let Self { plan, dataset, kind, loading } = self;
        let started = Instant::now();
        let clock = Clock { started, loading, loaded: started };
        engine.load(&train::beginning(&plan, &dataset.train, None)?);
        let trainer = Trainer {
            engine: engine.as_mut(),
            dataset: &dataset,
            metadata: plan.metadata.clone(),
            epochs: plan.epochs,
            evaluate: plan.evaluate,
            eval_every: plan.eval_every,
            checkpoints: None,
            best: None,
            patience: plan.patience,
            ranks: None,
        };
        let last = match trainer.run(progress) {
            Ok(outcome) => {
                let engine = engine.as_ref();
                let done = train::done(&plan, &dataset, engine, &outcome, clock);
                Event::Done(Done { model: None, dataset: kind, ..done })
            }
            Err(error @ Error::Diverged { .. }) => {
                Event::Diverged(Diverged { message: error.to_string() })
            }
            Err(error) => return Err(error),
        };
        let events = [start].into_iter().chain(progress.epochs()).chain([last]);
        Ok(events.map(|event| json::line(&event) + "\n").collect())
    }
}

/// Names and values of the fields in which `was` and `is` differ.
fn differences(was: &Map<String, Value>, is: &Map<String, Value>) -> Vec<String> {
    let names = was.keys().chain(is.keys().filter(|name| !was.contains_key(*name)));
    let of = |name: &String| match (was.get(name), is.get(name)) {
        (was, is) if was == is => vec![],
        (Some(Value::Object(was)), Some(Value::Object(is))) => differences(was, is),
        (was, is) => {
            let shown = |value: Option<&Value>| value.map_or("absent".into(), Value::to_string);
            vec![format!("{name} was {} and is {}", shown(was), shown(is))]
        }
    };
    names.flat_map(of).collect()
}

/// Error of a file that has no lines of a run.
fn foreign(path: &Path) -> Error {
    Error::invalid(path)(
        "has no lines of a run: name another folder with --out, or move the file away",
    )
}

/// Last line of a run.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Last {
    Done {
        test_correct: Option<usize>,
        test_total: Option<usize>,
        train_seconds: f64,
        eval_seconds: f64,
        weights_sha256: String,
    },
    Diverged {
        message: String,
    },
}

/// Line of an epoch.
#[derive(Deserialize)]
struct EpochLine {
    validation_correct: Option<usize>,
    validation_total: Option<usize>,
}

/// What the run with these `lines` in the file at `path` has reached, or the message of a run that
/// diverged.
fn result(path: &Path, lines: &str) -> Result<(Option<Reached>, Option<String>)> {
    let mut lines = lines.lines().rev();
    match parsed(path, lines.next())? {
        Last::Diverged { message } => Ok((None, Some(message))),
        Last::Done { test_correct, test_total, train_seconds, eval_seconds, weights_sha256 } => {
            let EpochLine { validation_correct, validation_total } = parsed(path, lines.next())?;
            let test = test_correct.zip(test_total);
            let test = test.map(|(test_correct, test_total)| Test { test_correct, test_total });
            let validation = validation_correct.zip(validation_total);
            let validation = validation.map(|(validation_correct, validation_total)| Validation {
                validation_correct,
                validation_total,
            });
            let reached = Reached { test, validation, train_seconds, eval_seconds, weights_sha256 };
            Ok((Some(reached), None))
        }
    }
}

fn parsed<T: DeserializeOwned>(path: &Path, line: Option<&str>) -> Result<T> {
    serde_json::from_str(line.unwrap_or_default()).map_err(|_| foreign(path))
}

/// Row of the `runs` of `plan`, compared with the `mark`, 0 to 100.
fn row(plan: &TrainPlan, runs: &[SweepRun], mark: Option<f64>) -> SweepRow {
    let reached: Vec<&Reached> = runs.iter().filter_map(|run| run.reached.as_ref()).collect();
    let sample = |value: &dyn Fn(&Reached) -> Option<f64>| {
        let values: Vec<f64> = reached.iter().filter_map(|one| value(one)).collect();
        (!values.is_empty()).then(|| Sample::of(&values))
    };
    let share = |correct: usize, total: usize| correct as f64 / total as f64;
    let test_accuracy =
        sample(&|one| one.test.map(|test| share(test.test_correct, test.test_total)));
    let validation_accuracy = sample(&|one| {
        one.validation.map(|one| share(one.validation_correct, one.validation_total))
    });
    let compared = mark.zip(test_accuracy.or(validation_accuracy));
    SweepRow {
        values: runs[0].values.clone(),
        architecture: plan.architecture.to_string(),
        parameters: plan.architecture.parameter_count(),
        diverged: runs.len() - reached.len(),
        test_accuracy,
        validation_accuracy,
        chance: compared.and_then(|(mark, accuracy)| accuracy.chance_above(mark / 100.0)),
        train_seconds: sample(&|one| Some(one.train_seconds)),
    }
}
