//! Parsers of the values of flags. An error of a parser is the end of clap's message.

use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Range;
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Largest number of threads. More would be slower, or are a mistake.
pub const MOST_THREADS: usize = 1024;
/// Largest number of rounds of a measurement. With more rounds, a probability of the sign test
/// could be too small for an f64.
pub const MOST_ROUNDS: usize = 1000;
/// Largest number of generated images. More would need more memory than most machines have.
pub const MOST_IMAGES: usize = 10_000_000;

/// Parses a whole number, 0 or more.
pub fn whole<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => "is too large".into(),
        _ => "is not a whole number, 0 or more".into(),
    })
}

/// Parses a whole number, 1 or more.
pub fn positive(text: &str) -> Result<usize, String> {
    match whole(text)? {
        0 => Err("must be at least 1".into()),
        number => Ok(number),
    }
}

/// Parser of a whole number from 1 to `most`.
pub fn up_to(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match positive(text)? {
        count if count > most => Err(format!("must be at most {most}")),
        count => Ok(count),
    }
}

/// Parses the side of a kernel, which is odd and not larger than that of the largest network.
pub fn kernel_size(text: &str) -> Result<usize, String> {
    match up_to(MnistCnn::LARGEST.kernel_size)(text)? {
        even if even % 2 == 0 => Err("must be odd, so that the kernel has a middle".into()),
        odd => Ok(odd),
    }
}

/// Parses a number in `range`.
pub fn number(text: &str, range: Range) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if range.contains(number) => Ok(number),
        Ok(_) => Err(format!("must be {range}")),
        Err(_) => Err("is not a number".into()),
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
