//! Machine and build of a measurement: only times with the same key can be compared.

use std::fmt;

use serde::Deserialize;

use crate::error::quoted;

/// Machine and build in the JSON of a measurement. The clock frequency is no part of it, because it
/// changes all the time.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct MachineKey {
    cpu: Option<String>,
    architecture: String,
    features: Vec<String>,
    threads: usize,
    rustc: String,
    rustflags: String,
    release: bool,
}

impl MachineKey {
    /// First part in which this machine or build differs from `other`, with its two values; `None`
    /// if there is none.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let pairs = self.parts().into_iter().zip(other.parts());
        let mut different = pairs.filter(|(this, other)| this != other);
        let ((what, this), (_, other)) = different.next()?;
        Some((what, quoted(&this), quoted(&other)))
    }

    fn parts(&self) -> [(&'static str, String); 7] {
        let Self { cpu, architecture, features, threads, rustc, rustflags, release } = self;
        [
            ("the CPU", cpu.clone().unwrap_or_else(|| "unknown".into())),
            ("the architecture", architecture.clone()),
            ("the vector extensions", features.join(" ")),
            ("the number of threads", threads.to_string()),
            ("the compiler", rustc.clone()),
            ("the compiler's flags", rustflags.clone()),
            ("a release build", release.to_string()),
        ]
    }
}

impl fmt::Display for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, architecture, features, threads, rustc, rustflags, release } = self;
        let cpu = cpu.as_deref().unwrap_or("unknown CPU");
        let plural = if *threads == 1 { "" } else { "s" };
        write!(f, "{cpu}, {threads} thread{plural}, {architecture}")?;
        features.iter().try_for_each(|feature| write!(f, " {feature}"))?;
        write!(f, "; {rustc}")?;
        if !rustflags.is_empty() {
            write!(f, ", {rustflags}")?;
        }
        if *release { Ok(()) } else { write!(f, ", not a release build") }
    }
}
