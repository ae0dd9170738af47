//! Settings of a training from several places: flags on the command line, variables of the environment,
//! the file of `--config`, and the recipe that one of them names, in this order. Each becomes a flag, so
//! each is checked as a flag is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use serde_json::Value;

use super::recipe::{self, OF_TRAINING, RecipeArgs};
use super::train::NAMED;
use crate::error::{Error, Result, printable, quoted};
use crate::files::input;
use crate::model::checkpoint::{self, Model};
use crate::model::recipe::{Recipe, shortest};
use crate::model::recipes::NamedRecipe;
use crate::report::config::Setting;

/// Beginning of the names of the variables.
const VARIABLES: &str = "MNIST_";

/// Flags that no other place can set: they say where to look, or what to print instead of training.
const FLAGS_ALONE: [&str; 4] = ["config", "help", "version", "json"];

/// Setting of one place.
#[derive(Debug, Clone)]
struct Entry {
    /// Name of the flag, without dashes.
    flag: String,
    /// Value of the flag; `None` for a flag that takes none.
    value: Option<OsString>,
    /// Place, as `config show` prints it.
    origin: String,
}

impl Entry {
    fn argument(&self) -> OsString {
        let mut argument = OsString::from(format!("--{}", self.flag));
        if let Some(value) = &self.value {
            argument.push("=");
            argument.push(value);
        }
        argument
    }
}

/// Failure to understand a command line.
#[derive(Debug)]
pub enum Failure {
    /// Failure of clap, or a text that it prints, like the help.
    Clap(clap::Error),
    /// Error in another place than the command line.
    Own(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// Definition of the command line.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// All commands and flags.
    pub command: fn() -> Command,
    /// Message of an error, on one line.
    pub message: fn(clap::Error) -> String,
}

/// Parses the arguments of this program, and completes the flags of a training by the settings of the
/// other places. Returns the settings of the training too; other commands have none.
///
/// # Errors
/// The first flag or setting that is not valid.
pub fn complete(
    definition: Definition,
) -> std::result::Result<(ArgMatches, Vec<Setting>), Failure> {
    let parse = |arguments: &[OsString]| {
        (definition.command)().try_get_matches_from(arguments).map_err(Failure::Clap)
    };
    let arguments: Vec<OsString> = env::args_os().collect();
    let matches = parse(&arguments)?;
    // The words of the command stand before the flags of the training.
    let words = match matches.subcommand() {
        None => 1,
        Some(("config", _)) => 3,
        Some(_) => return Ok((matches, Vec::new())),
    };
    let (command, given) = training((definition.command)(), &matches);
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let ids = command.get_arguments().map(|arg| arg.get_id().as_str());
    let mut taken: Vec<&str> = ids.filter(|id| is_given(id)).collect();
    let file =
        given.get_one::<PathBuf>("config").map(|path| of_file(path, &command)).transpose()?;
    let mut entries = Vec::new();
    let mut add = |place: Vec<Entry>, entries: &mut Vec<Entry>| {
        let kept = place.into_iter().filter_map(|entry| {
            let arg = find(&command, &entry.flag)?;
            let excludes = |id: &&str| conflict(&command, arg, id);
            let id = arg.get_id().as_str();
            (!taken.contains(&id) && !taken.iter().any(excludes)).then_some((id, entry))
        });
        let kept: Vec<_> = kept.collect();
        taken.extend(kept.iter().map(|(id, _)| *id));
        entries.extend(kept.into_iter().map(|(_, entry)| entry));
    };
    for place in [of_variables(&command)?, file.unwrap_or_default()] {
        check(&place, definition)?;
        add(place, &mut entries);
    }
    let named = entries.iter().find(|entry| entry.flag == "recipe");
    let named = named.and_then(|entry| entry.value.as_ref()?.to_str());
    let named = named.or_else(|| given.get_one::<String>(NAMED).map(String::as_str));
    if let Some(named) = named.and_then(NamedRecipe::find) {
        let value = |flag: &str| {
            recipe::given(given, flag).or_else(|| {
                let entry = entries.iter().find(|entry| entry.flag == flag)?;
                Some(entry.value.as_ref()?.to_string_lossy().into_owned())
            })
        };
        add(of_recipe(named, value), &mut entries);
    }
    let (before, after) = arguments.split_at(words.min(arguments.len()));
    let all = before.iter().cloned().chain(entries.iter().map(Entry::argument));
    let all = all.chain(after.iter().cloned());
    let matches = parse(&all.collect::<Vec<_>>())?;
    let (_, given) = training((definition.command)(), &matches);
    let settings = settings(&command, given, &entries);
    Ok((matches, settings))
}

/// Settings of a named recipe beside the flags whose values `given` knows.
fn of_recipe(recipe: &NamedRecipe, given: impl Fn(&str) -> Option<String>) -> Vec<Entry> {
    let entry = |(flag, value): &(&str, &str)| Entry {
        flag: (*flag).into(),
        value: Some((*value).into()),
        origin: format!("recipe {}", recipe.name),
    };
    recipe.beside(given).map(entry).collect()
}

/// Whether `arg` and the flag `other` of `command` cannot be used together.
fn conflict(command: &Command, arg: &Arg, other: &str) -> bool {
    let Some(other) = command.get_arguments().find(|arg| arg.get_id() == other) else {
        return false;
    };
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
    };
    excludes(arg, other) || excludes(other, arg)
}

/// Flags of the training that `matches` of `command` are for: their definition, and those that are given.
fn training(mut command: Command, matches: &ArgMatches) -> (Command, &ArgMatches) {
    command.build();
    let mut given = matches;
    while let Some((name, inner)) = given.subcommand() {
        command = command.find_subcommand(name).expect("it was parsed").clone();
        given = inner;
    }
    (command, given)
}

/// The flag `name` of `command` that other places can set.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut settable = command.get_arguments().filter(|arg| {
        arg.get_long().is_some_and(|long| !FLAGS_ALONE.contains(&long)) && !arg.is_hide_set()
    });
    settable.find(|arg| arg.get_long() == Some(name))
}

/// Settings of the variables of the environment. `MNIST_DATA` is none of them: it is a default of
/// several commands.
fn of_variables(command: &Command) -> Result<Vec<Entry>> {
    let flags = command.get_arguments().filter_map(Arg::get_long);
    let flags = flags.filter(|long| *long != "data" && find(command, long).is_some());
    let entry = |flag: &str| {
        let name = format!("{VARIABLES}{}", flag.replace('-', "_").to_uppercase());
        let value = env::var_os(&name).filter(|value| !value.is_empty())?;
        if takes_value(find(command, flag)?) {
            return Some(Ok(Entry { flag: flag.into(), value: Some(value), origin: name }));
        }
        match value.to_str() {
            Some("1" | "true") => Some(Ok(Entry { flag: flag.into(), value: None, origin: name })),
            Some("0" | "false") => None,
            _ => {
                Some(Err(Error::Usage(format!("{name}: must be 1 or 0: --{flag} takes no value"))))
            }
        }
    };
    flags.filter_map(entry).collect()
}

fn takes_value(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Settings in the file at `path`: TOML, or a checkpoint, whose recipe and network count.
fn of_file(path: &Path, command: &Command) -> Result<Vec<Entry>> {
    let is_checkpoint = checkpoint::is_model(path);
    let values = if is_checkpoint { of_checkpoint(path)? } else { of_toml(path)? };
    let mut entries = Vec::new();
    for (name, value) in values {
        let flag = name.replace('_', "-");
        let invalid =
            |problem: String| Error::invalid(path)(format!("{}: {problem}", quoted(&name)));
        let Some(arg) = find(command, &flag) else {
            return Err(invalid("no flag of training has this name, see --help".into()));
        };
        let value = match (takes_value(arg), value) {
            (false, Value::Bool(true)) => None,
            (false, Value::Bool(false)) => continue,
            (false, _) => return Err(invalid("must be true or false".into())),
            (true, Value::String(text)) => Some(text.into()),
            (true, Value::Number(number)) => Some(number.to_string().into()),
            (true, _) => return Err(invalid("must be a text or a number".into())),
        };
        entries.push(Entry { flag, value, origin: path.to_string_lossy().into_owned() });
    }
    Ok(entries)
}

/// Names and values in a file of TOML.
fn of_toml(path: &Path) -> Result<Vec<(String, Value)>> {
    let text = input::text(path)?;
    let problem = |error: toml::de::Error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        Error::invalid(path)(format!("{line}{}", quoted(error.message())))
    };
    let table: toml::Table = text.parse().map_err(problem)?;
    let json = |value| serde_json::to_value(value).unwrap_or(Value::Null);
    Ok(table.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// Recipe and network of a checkpoint: those hyperparameters that are not the defaults.
fn of_checkpoint(path: &Path) -> Result<Vec<(String, Value)>> {
    let (architecture, model) = checkpoint::read(path, None)?;
    let mut values = vec![("arch".to_string(), Value::from(architecture.to_string()))];
    if let Model::Checkpoint(checkpoint) = model {
        let recipe = &checkpoint.metadata.recipe;
        values.extend(recipe.differences().map(|(name, value)| (name.into(), value)));
    }
    Ok(values)
}

/// Refuses settings of one place that are not valid as flags.
fn check(entries: &[Entry], definition: Definition) -> Result<()> {
    for entry in entries {
        let arguments = ["mnist-train".into(), entry.argument()];
        if let Err(error) = (definition.command)().try_get_matches_from(arguments) {
            let problem = (definition.message)(error);
            let place = printable(Path::new(&entry.origin));
            return Err(Error::Usage(format!("{place}: {problem}")));
        }
    }
    Ok(())
}

/// Value and origin of every flag of a training.
fn settings(command: &Command, matches: &ArgMatches, entries: &[Entry]) -> Vec<Setting> {
    let flags = command.get_arguments().filter(|arg| {
        arg.get_long().is_some_and(|long| !["help", "version"].contains(&long))
            && !arg.is_hide_set()
    });
    let recipe = RecipeArgs::<OF_TRAINING>::from_arg_matches(matches).expect("they are valid");
    let recipe = serde_json::to_value(Recipe::from(&recipe)).expect("plain data");
    // An optimizer or a schedule may have other defaults than the help shows.
    let own_default = |id: &str| recipe.get(id).filter(|value| value.is_number()).map(shortest);
    let setting = |arg: &Arg| {
        let name = arg.get_long()?.to_string();
        let id = arg.get_id().as_str();
        let entry = entries.iter().find(|entry| entry.flag == name);
        let origin = match (matches.value_source(id), entry) {
            (Some(ValueSource::CommandLine), Some(entry)) => entry.origin.clone(),
            (Some(ValueSource::CommandLine), None) => "flag".into(),
            _ => "default".into(),
        };
        let value = if takes_value(arg) {
            let own_default = own_default(id).filter(|_| origin == "default");
            own_default.or_else(|| {
                let raw = matches.get_raw(id).and_then(|mut values| values.next());
                raw.map(|value| value.to_string_lossy().into_owned())
            })
        } else {
            let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
            Some(is_given.to_string())
        };
        Some(Setting { name, value, origin })
    };
    flags.filter_map(setting).collect()
}
