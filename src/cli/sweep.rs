//! The flags of the command `sweep`: those of a training, of which most take several values.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::PathBufValueParser;
use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::recipe;
use super::shared::OutputArgs;
use super::train::{NAMED, TrainArgs};
use super::values::number;
use crate::digest::Sha256Digest;
use crate::model::recipe::Range;
use crate::model::recipes::NamedRecipe;

/// End of the help of the command.
pub const NOTES: &str = "\
Every flag of the training but those of the data takes several values: --lr 1e-3,2e-3, or
--arch lenet5 --arch mlp. Each combination of the values is trained with each seed. The models
are not kept; the results are, a file for each run, and a run whose file is there is not trained
again.
Example: mnist-train sweep --seeds 1..10 --epochs 5 --lr 1e-3,2e-3";

/// Flags of a training that a sweep does not have: files of one run, its seed, and profiles.
const OF_ONE_RUN: [&str; 15] = [
    "config",
    "init_from",
    "resume",
    "model",
    "checkpoint_every",
    "keep_previous",
    "save_best",
    "log",
    "tensorboard",
    "seed",
    "profile",
    "profile_out",
    "profile_seconds",
    "json",
    "quiet",
];
/// Flags that have one value in a sweep, because the data is loaded once.
const OF_ALL_RUNS: [&str; 2] = ["dataset", "data"];
/// Flags whose values contain commas, so that several values are several flags.
const WITH_COMMAS: [&str; 2] = ["arch", "init_scale"];
/// Most runs of a sweep. More are a mistake.
const MOST_RUNS: usize = 100_000;
/// Longest value that is part of the name of a file as it is.
const LONGEST_VALUE: usize = 32;

/// Flags of the command `sweep`.
#[derive(Debug)]
pub struct SweepArgs {
    /// Folder for the results.
    pub out: PathBuf,
    /// Seeds, in ascending order.
    pub seeds: Vec<u64>,
    /// Combinations of the values of all flags.
    pub points: Vec<Point>,
    /// Accuracy, 0 to 100, that the means are compared with.
    pub mark: Option<f64>,
    /// Form of the output.
    pub output: OutputArgs,
    /// Whether only errors and the last line are printed.
    pub quiet: bool,
}

/// Combination of values of flags.
#[derive(Debug)]
pub struct Point {
    /// Names and values of the flags that have several values in the sweep.
    pub values: Vec<(String, String)>,
    /// All flags of the training but the seed, as words of a command line.
    words: Vec<OsString>,
}

impl Point {
    /// Combination of values that is given by `words` of a command line.
    pub fn of(words: Vec<OsString>) -> Self {
        Self { values: Vec::new(), words }
    }

    /// All flags of the training but the seed, as words of a command line.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// This combination with a `value` of one more `flag`, which `varies` in the sweep or not.
    fn with(&self, flag: &str, value: &OsStr, varies: bool) -> Self {
        let (mut values, mut words) = (self.values.clone(), self.words.clone());
        if varies {
            values.push((flag.into(), value.to_string_lossy().into_owned()));
        }
        let mut word = OsString::from(format!("--{flag}="));
        word.push(value);
        words.push(word);
        Self { values, words }
    }

    /// Flags of the training with this `seed`.
    ///
    /// # Errors
    /// When flags contradict each other.
    pub fn training(&self, seed: u64) -> Result<TrainArgs, Error> {
        let program = [OsString::from("mnist-train")].into_iter();
        let words = program.chain(self.words.iter().cloned());
        let words = words.chain([OsString::from(format!("--seed={seed}"))]);
        let parse = |words: Vec<OsString>| {
            TrainArgs::augment_args(Command::new("mnist-train")).try_get_matches_from(words)
        };
        let given = parse(words.clone().collect())?;
        let named = given.get_one::<String>(NAMED).and_then(|name| NamedRecipe::find(name));
        let settings =
            named.into_iter().flat_map(|recipe| recipe.beside(|flag| recipe::given(&given, flag)));
        let settings = settings.map(|(flag, value)| format!("--{flag}={value}").into());
        TrainArgs::from_arg_matches(&parse(words.chain(settings).collect())?)
    }

    /// Name of the file with the results of the run with this `seed`.
    pub fn file_name(&self, seed: u64) -> String {
        let values = self.values.iter().map(|(flag, value)| format!("{flag}-{}-", plain(value)));
        format!("{}seed-{seed}.jsonl", values.collect::<String>())
    }
}

/// `value` as a part of a file name: its digest if it is long or has other characters than a name has.
fn plain(value: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "+-._".contains(character);
    if value.len() <= LONGEST_VALUE && value.chars().all(is_plain) {
        return value.into();
    }
    Sha256Digest::of([value]).to_string()[..16].into()
}

/// Whether a sweep has the flag `arg` of a training.
fn is_swept(arg: &&Arg) -> bool {
    !OF_ONE_RUN.contains(&arg.get_id().as_str()) && !arg.is_hide_set()
}

/// The flag `arg` of a training with as many values as a sweep allows.
fn with_values(arg: &Arg) -> Arg {
    let id = arg.get_id().as_str();
    if !arg.get_action().takes_values() || OF_ALL_RUNS.contains(&id) {
        return arg.clone();
    }
    let arg = arg.clone().action(ArgAction::Append);
    if WITH_COMMAS.contains(&id) { arg } else { arg.value_delimiter(',') }
}

impl Args for SweepArgs {
    fn augment_args(command: Command) -> Command {
        let seeds = Arg::new("seeds")
            .long("seeds")
            .value_name("RANGE")
            .help("Seeds, with both ends of a range: 1..40, or 3,5,8")
            .default_value("1..5")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .value_parser(seeds);
        let out = Arg::new("out")
            .long("out")
            .value_name("DIR")
            .help("Folder for the results, a file for each run")
            .default_value("sweep")
            .value_parser(PathBufValueParser::new());
        let mark = Arg::new("mark")
            .long("mark")
            .value_name("PERCENT")
            .help("Also print how probable so high a mean is by chance, if the accuracy is PERCENT")
            .value_parser(|text: &str| number(text, Range::NotNegative));
        let quiet = Arg::new("quiet")
            .long("quiet")
            .short('q')
            .help("Print only errors and the last line; with --json, all results")
            .action(ArgAction::SetTrue)
            .help_heading("Output");
        let command = OutputArgs::augment_args(command.args([seeds, out, mark])).arg(quiet);
        let training = TrainArgs::augment_args(Command::new("training"));
        command.args(training.get_arguments().filter(is_swept).map(with_values))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SweepArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut points = vec![Point::of(Vec::new())];
        let training = TrainArgs::augment_args(Command::new("training"));
        for arg in training.get_arguments().filter(is_swept) {
            let (id, flag) =
                (arg.get_id().as_str(), arg.get_long().expect("no flag is positional"));
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            if !arg.get_action().takes_values() {
                points.iter_mut().for_each(|point| point.words.push(format!("--{flag}").into()));
                continue;
            }
            let values: Vec<&OsStr> = matches.get_raw(id).into_iter().flatten().collect();
            points = points
                .iter()
                .flat_map(|point| {
                    values.iter().map(|value| point.with(flag, value, values.len() > 1))
                })
                .collect();
        }
        let ranges = matches.get_many("seeds").into_iter().flatten();
        let seeds = in_order(ranges);
        if seeds.len() * points.len() > MOST_RUNS {
            let problem = format!(
                "these are {} runs, and a sweep has at most {MOST_RUNS}",
                seeds.len() * points.len()
            );
            return Err(Error::raw(ErrorKind::TooManyValues, problem));
        }
        Ok(Self {
            out: matches.get_one::<PathBuf>("out").expect("it has a default").clone(),
            seeds,
            points,
            mark: matches.get_one("mark").copied(),
            output: OutputArgs::from_arg_matches(matches)?,
            quiet: matches.get_flag("quiet"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Seeds of the `ranges`, in ascending order and each once.
pub fn in_order<'a>(ranges: impl IntoIterator<Item = &'a RangeInclusive<u64>>) -> Vec<u64> {
    let mut seeds: Vec<u64> = ranges.into_iter().cloned().flatten().collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

/// Parses a seed or a range of seeds.
pub fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_RUNS as u64 => {
            Ok(first..=last)
        }
        _ => Err("must be a whole number, or a range of them like 1..40".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recipe::{OptimizerKind, Recipe};
    use crate::optim::schedule::Kind;

    #[test]
    fn every_named_recipe_can_have_every_optimizer_and_schedule() {
        for recipe in NamedRecipe::names() {
            for optimizer in OptimizerKind::NAMES {
                for schedule in Kind::NAMES {
                    for more in ["", " --freeze-conv=0"] {
                        let words = format!(
                            "--recipe={recipe} --optimizer={optimizer} --schedule={schedule}{more}"
                        );
                        let point = Point::of(words.split(' ').map(OsString::from).collect());
                        let recipe = Recipe::from(&point.training(1).unwrap().recipe);
                        assert_eq!(recipe.contradiction(), None, "{words}");
                        assert_eq!(recipe.optimizer.name(), optimizer, "{words}");
                        assert_eq!(recipe.schedule.name(), schedule, "{words}");
                    }
                }
            }
        }
    }
}
