//! What is measured against others.

use crate::stages::Stage;

/// A stage on a number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Contestant {
    /// The stage.
    pub stage: &'static Stage,
    /// Threads of a step.
    pub threads: usize,
}

impl Contestant {
    /// Each of `stages` on one thread and, where it shares its work, on up to `threads` too.
    pub fn all(stages: &[&'static Stage], threads: usize) -> Vec<Self> {
        let of_stage = |&stage: &&'static Stage| {
            let mut counts = vec![1, stage.threads(threads)];
            counts.dedup();
            counts.into_iter().map(move |threads| Self { stage, threads })
        };
        stages.iter().flat_map(of_stage).collect()
    }
}
