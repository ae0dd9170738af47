//! Flags of the command `predict`.

use std::ops::Range;
use std::path::PathBuf;

use clap::Args;

use super::shared::{ComputeArgs, OutputArgs};
use super::values::{probability, whole};
use crate::model::checkpoint::DEFAULT_FILE;

/// Text below the help of `predict`.
pub const NOTES: &str = "\
A picture shows one digit on paper of one grey. If it is darker inside than at
its border, it is inverted. The digit is cut out, scaled to fit 20x20 pixels and
centred in 28x28 by its centre of mass, as MNIST's digits were. Images of an IDX
file that already have the size of the network's input are taken as they are.
A prediction is unsure if its probability is below --threshold: a network names
a class for every picture, also for one that shows no digit.";

/// Flags of the command `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Pictures: PNG or IDX files, raw or gzip; - is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
    /// A checkpoint, or a safetensors file with the tensors of the network
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub model: PathBuf,
    /// Network of a file with weights alone, unless the file names it or it is the default one
    #[arg(long, value_name = "LAYERS")]
    pub arch: Option<String>,
    /// Image N of an IDX file, counted from 0, or images A..B, without B [default: all]
    #[arg(long, value_name = "RANGE", value_parser = indices)]
    pub index: Option<Range<usize>>,
    /// Number of classes to print, the most probable first
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = whole(1_usize, None))]
    pub top: usize,
    /// Probability below which a prediction is unsure
    #[arg(long, value_name = "P", default_value_t = 0.8, value_parser = probability)]
    pub threshold: f32,
    /// Stage and its resources.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Parses `N` as the range of N alone, and `A..B`.
fn indices(text: &str) -> Result<Range<usize>, String> {
    let number = |text: &str| text.parse::<usize>().ok();
    let range = match text.split_once("..") {
        Some((first, end)) => number(first).zip(number(end)),
        None => number(text).and_then(|index| Some((index, index.checked_add(1)?))),
    };
    match range {
        Some((first, end)) if first < end => Ok(first..end),
        _ => Err("must be a number N, or A..B with A below B".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_number_or_a_range_that_is_not_empty() {
        assert_eq!([indices("0"), indices("7"), indices("2..5")], [Ok(0..1), Ok(7..8), Ok(2..5)]);
        for refused in ["", "..", "3..", "..3", "3..3", "4..3", "-1", "1..2..3", "1.5"] {
            assert!(indices(refused).is_err(), "{refused}");
        }
        assert!(indices(&usize::MAX.to_string()).is_err());
    }
}
