//! The flags of the hyperparameters, made from the table [`Recipe::FIELDS`].

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::values::{number, whole};
use crate::model::factors::Factors;
use crate::model::recipe::{Field, Range, Recipe, Valid, plain, shortest};

/// The flags for training: those of all hyperparameters.
pub const OF_TRAINING: usize = 0;
/// The flags for `bench stages`.
pub const OF_BENCH: usize = 1;
/// The flags for `summary`: those on which the memory of training depends.
pub const OF_MEMORY: usize = 2;

/// Names of the hyperparameters that have flags, for commands that do not have all.
const FEW: [&[&str]; 2] =
    [&["batch_size", "seed"], &["batch_size", "optimizer", "accumulate", "checkpoint_activations"]];

/// Value of `--batch-size` with which training chooses the size.
pub const AUTO: &str = "auto";

/// Flags of the hyperparameters: of all for training, of a few for other commands.
#[derive(Debug)]
pub struct RecipeArgs<const OF: usize = OF_TRAINING> {
    /// Values that were given on the command line, by the names of their fields.
    pub given: Map<String, Value>,
    /// Whether training chooses the size of the batches.
    pub auto_batch_size: bool,
}

impl<const OF: usize> RecipeArgs<OF> {
    fn fields() -> impl Iterator<Item = &'static Field> {
        let few = OF.checked_sub(1).map(|index| FEW[index]);
        Recipe::FIELDS.iter().filter(move |field| few.is_none_or(|few| few.contains(&field.name)))
    }
}

impl<const OF: usize> From<&RecipeArgs<OF>> for Recipe {
    fn from(args: &RecipeArgs<OF>) -> Self {
        let optimizer = args.given.get("optimizer").cloned();
        let optimizer = optimizer.map(|name| serde_json::from_value(name).expect("it is checked"));
        let schedule = args.given.get("schedule").cloned();
        let schedule = schedule.map(|name| serde_json::from_value(name).expect("it is checked"));
        let recipe = Recipe::with_optimizer(optimizer.unwrap_or_default());
        let mut values = values_of(&recipe.with_schedule(schedule.unwrap_or_default()));
        values.extend(args.given.clone());
        serde_json::from_value(Value::Object(values)).expect("every flag has been checked")
    }
}

impl<const OF: usize> Args for RecipeArgs<OF> {
    fn augment_args(command: Command) -> Command {
        let defaults = values_of(&Recipe::default());
        let flag = |field: &Field| {
            let flag = flag(field, &defaults[field.name]);
            match (OF, field.name) {
                (OF_TRAINING, "batch_size") => {
                    auto_batch_size(flag, field).help_heading("Training")
                }
                (OF_TRAINING, _) => flag.help_heading("Training"),
                _ => flag,
            }
        };
        command.args(Self::fields().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const OF: usize> FromArgMatches for RecipeArgs<OF> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let value = |name| matches.get_one::<Value>(name).cloned();
        let given = Self::fields().map(|field| field.name).filter(|name| is_given(name));
        let given = given.filter_map(|name| Some((name.to_string(), value(name)?)));
        let mut given: Map<_, _> = given.collect();
        let auto_batch_size = given.get("batch_size").is_some_and(|size| size == AUTO);
        if auto_batch_size {
            given.remove("batch_size");
        }
        Ok(Self { given, auto_batch_size })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let Self { given, auto_batch_size } = Self::from_arg_matches(matches)?;
        self.given.extend(given);
        self.auto_batch_size |= auto_batch_size;
        Ok(())
    }
}

/// Text of the value of `flag`, if it is given on the command line that `matches` are from.
pub fn given(matches: &ArgMatches, flag: &str) -> Option<String> {
    let id = flag.replace('-', "_");
    let is_given = matches.value_source(&id) == Some(ValueSource::CommandLine);
    let mut values = matches.get_raw(&id).filter(|_| is_given)?;
    values.next().map(|value| value.to_string_lossy().into_owned())
}

fn values_of(recipe: &Recipe) -> Map<String, Value> {
    match serde_json::to_value(recipe) {
        Ok(Value::Object(values)) => values,
        _ => unreachable!("a struct of plain data"),
    }
}

fn flag(field: &Field, default: &Value) -> Arg {
    let valid = field.valid;
    let (value_name, parser) = match valid {
        Valid::Count | Valid::OptionalCount => ("N", parser(whole(1_usize, None))),
        Valid::Whole => ("N", parser(whole(0_u64, None))),
        // The text in a checkpoint, with which a value is compared.
        Valid::Number(Range::Epochs) => {
            ("X", parser(|text: &str| number(text, Range::Epochs).map(plain)))
        }
        Valid::Number(range) => ("X", parser(move |text: &str| number(text, range))),
        Valid::Choice(names) => {
            let names = PossibleValuesParser::new(names.iter().copied());
            ("NAME", ValueParser::new(names.map(Value::from)))
        }
        Valid::Factors => {
            let factors = |text: &str| text.parse().map(|factors: Factors| factors.to_string());
            ("FACTORS", parser(factors))
        }
        Valid::Switch => ("", parser(|text: &str| text.parse::<bool>().map_err(|e| e.to_string()))),
    };
    let flag = Arg::new(field.name)
        .long(field.name.replace('_', "-"))
        .help(field.help.trim_end_matches('.'))
        .value_parser(parser);
    match default {
        Value::Bool(_) => flag.action(ArgAction::SetTrue),
        Value::Null => flag.value_name(value_name).hide_possible_values(true),
        default => {
            flag.value_name(value_name).hide_possible_values(true).default_value(shortest(default))
        }
    }
}

/// The `flag` of the size of the batches, which training may choose.
fn auto_batch_size(flag: Arg, field: &Field) -> Arg {
    let help = field.help.trim_end_matches('.');
    flag.help(format!("{help}; auto: a power of two from 16 to 512 that fits memory and images"))
        .value_parser(parser(|text: &str| match text {
            AUTO => Ok(Value::from(AUTO)),
            text => whole(1_usize, None)(text).map(Value::from),
        }))
}

/// Parser that gives the values of `parse` as JSON.
fn parser<N, P>(parse: P) -> ValueParser
where
    Value: From<N>,
    P: Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static,
{
    ValueParser::new(move |text: &str| parse(text).map(Value::from))
}
