//! A contestant of a measurement: a stage with a number of threads.

use std::fmt;

use crate::report::text::numbers::counted;
use crate::stages::Stage;

/// Stage with a number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Contestant {
    /// Stage that is measured.
    pub stage: &'static Stage,
    /// Number of threads that a step uses.
    pub threads: usize,
}

impl Contestant {
    /// Each of `stages` on one thread and, if the stage shares its work, also on up to `threads`.
    pub fn all(stages: &[&'static Stage], threads: usize) -> Vec<Self> {
        let of_stage = |&stage: &&'static Stage| {
            let mut counts = vec![1, stage.threads(threads)];
            counts.dedup();
            counts.into_iter().map(move |threads| Self { stage, threads })
        };
        stages.iter().flat_map(of_stage).collect()
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(self.stage.name, self.threads))
    }
}

/// Name of the contestant with this `stage` and number of threads, like `fused, 2 threads`.
pub fn name(stage: &str, threads: usize) -> String {
    format!("{stage}, {}", counted(threads, "thread"))
}
