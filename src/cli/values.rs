//! Parsers of the values of flags. An error of a parser is the end of clap's message.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::data::augment::Augment;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Range;
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Largest number of threads. More would be slower, or are a mistake.
pub const MOST_THREADS: usize = 1024;
/// Largest number of rounds of a measurement. With more rounds, a probability of the sign test
/// could be too small for an f64.
pub const MOST_ROUNDS: usize = 1000;
/// Last epoch whose steps can be timed.
pub const MOST_EPOCH: usize = 1000;
/// Largest number of generated images. More would need more memory than most machines have.
pub const MOST_IMAGES: usize = 10_000_000;
/// Largest number of copies of an image whose logits are averaged. More are a mistake.
pub const MOST_COPIES: usize = 1000;
/// Largest number of seconds that a stage is sampled: a day.
pub const MOST_SECONDS: usize = 86_400;

/// Parser of a whole number from `least` to `most`, if there is a limit but that of the type.
pub fn whole<N>(least: N, most: Option<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: FromStr + PartialOrd + fmt::Display + Copy,
{
    move |text| match text.parse() {
        Ok(number) if least <= number && most.is_none_or(|most| number <= most) => Ok(number),
        _ => Err(match most {
            Some(most) => format!("must be a whole number from {least} to {most}"),
            None => format!("must be a whole number, at least {least}"),
        }),
    }
}

/// Parses the side of a kernel, which is odd and not larger than that of the largest network.
pub fn kernel_size(text: &str) -> Result<usize, String> {
    let most = MnistCnn::LARGEST.kernel_size;
    match whole(1, Some(most))(text) {
        Ok(odd) if odd % 2 == 1 => Ok(odd),
        _ => Err(format!("must be an odd number from 1 to {most}")),
    }
}

/// Parses a number in `range`.
pub fn number(text: &str, range: Range) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if range.contains(number) => Ok(number),
        _ => Err(format!("must be {range}")),
    }
}

/// Parses the step of a central difference. Steps outside the range would measure rounding errors
/// or the curvature of the loss.
pub fn step(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(step) if (1e-9..=1e-2).contains(&step) => Ok(step),
        _ => Err("must be a number from 1e-9 to 0.01".into()),
    }
}

/// Parser of the path after `flag` that refuses a ~ at its beginning: the shell has not replaced it, and
/// a folder of this name would be made.
pub fn path(flag: String) -> impl Fn(PathBuf) -> Result<PathBuf, String> + Clone {
    move |path| match path.as_os_str().as_encoded_bytes() {
        [b'~', ..] => Err(format!(
            "~ is the home folder only after a space and without quotes: write {flag}{}, or the home \
             folder in full",
            path.display(),
        )),
        _ => Ok(path),
    }
}

/// Finds a stage by its name.
pub fn stage(name: &str) -> Result<&'static Stage, String> {
    Stage::find(name).ok_or_else(|| {
        let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Finds vector instructions by their name. They must be instructions of this CPU.
pub fn isa(name: &str) -> Result<Isa, String> {
    let available: Vec<_> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
    match Isa::find(name) {
        Some(isa) if isa.is_available() => Ok(isa),
        Some(_) => Err(format!("this CPU does not have it; it has {}", names.join(", "))),
        None => Err(format!("this CPU has {}", names.join(", "))),
    }
}

/// Parses a probability.
pub fn probability(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// Parser of a change of images.
pub fn augment() -> impl TypedValueParser<Value = Augment> {
    PossibleValuesParser::new(&Augment::NAMES[1..])
        .map(|name| serde_json::from_value(name.into()).expect("it is one of the names"))
}
