//! The flags of the hyperparameters, made from the table [`Recipe::FIELDS`].

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::values::{number, whole};
use crate::model::recipe::{Field, Recipe, Valid};

/// Names of the hyperparameters for which `bench stages` has flags.
const BENCH: [&str; 2] = ["batch_size", "seed"];

/// Flags of the hyperparameters: of all for training, of a few for `bench stages`.
#[derive(Debug)]
pub struct RecipeArgs<const OF_BENCH: bool = false> {
    /// Values that were given on the command line, by the names of their fields.
    pub given: Map<String, Value>,
}

impl<const OF_BENCH: bool> RecipeArgs<OF_BENCH> {
    fn fields() -> impl Iterator<Item = &'static Field> {
        Recipe::FIELDS.iter().filter(|field| !OF_BENCH || BENCH.contains(&field.name))
    }
}

impl<const OF_BENCH: bool> From<&RecipeArgs<OF_BENCH>> for Recipe {
    fn from(args: &RecipeArgs<OF_BENCH>) -> Self {
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

impl<const OF_BENCH: bool> Args for RecipeArgs<OF_BENCH> {
    fn augment_args(command: Command) -> Command {
        let defaults = values_of(&Recipe::default());
        let flag = |field: &Field| {
            let flag = flag(field, &defaults[field.name]);
            if OF_BENCH { flag } else { flag.help_heading("Training") }
        };
        command.args(Self::fields().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const OF_BENCH: bool> FromArgMatches for RecipeArgs<OF_BENCH> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let value = |name| matches.get_one::<Value>(name).cloned();
        let given = Self::fields().map(|field| field.name).filter(|name| is_given(name));
        let given = given.filter_map(|name| Some((name.to_string(), value(name)?)));
        Ok(Self { given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.given.extend(Self::from_arg_matches(matches)?.given);
        Ok(())
    }
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
        Valid::Number(range) => ("X", parser(move |text: &str| number(text, range))),
        Valid::Choice(names) => {
            let names = PossibleValuesParser::new(names.iter().copied());
            ("NAME", ValueParser::new(names.map(Value::from)))
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

/// Parser that gives the values of `parse` as JSON.
fn parser<N, P>(parse: P) -> ValueParser
where
    Value: From<N>,
    P: Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static,
{
    ValueParser::new(move |text: &str| parse(text).map(Value::from))
}

/// Shortest text of `value`: 1e-3 for 0.001, but 0.9.
fn shortest(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.into(),
        (None, Some(number)) if value.is_f64() => {
            let (plain, scientific) = (number.to_string(), format!("{number:e}"));
            if scientific.len() < plain.len() { scientific } else { plain }
        }
        _ => value.to_string(),
    }
}
