//! The results that a report shows.

use crate::report::Event;
use crate::report::ablations::BenchAblations;
use crate::report::autograd::BenchAutograd;
use crate::report::bench::Bench;
use crate::report::budget::BenchBudget;
use crate::report::infer::BenchInfer;
use crate::report::layers::BenchLayers;
use crate::report::memory::BenchMemory;

/// Text in every file of a report but the CSV and the JSON, by which a file of an earlier run is
/// recognized.
pub const MARK: &str = "mnist-train bench all";

/// Results of all measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Speed of the stages; absent in a quick run.
    pub stages: Option<Bench>,
    /// Speed of layers.
    pub layers: BenchLayers,
    /// Speed of computations on the tape.
    pub autograd: BenchAutograd,
    /// Speed of predictions.
    pub infer: BenchInfer,
    /// What advice is worth.
    pub ablations: BenchAblations,
    /// Memory of training and of predictions.
    pub memory: BenchMemory,
    /// Limits, and whether they are met.
    pub budget: BenchBudget,
}

impl Results {
    /// Results as events, in the order of the measurements.
    pub fn events(&self) -> Vec<Event> {
        let stages = self.stages.iter().map(|bench| Event::Bench(Box::new(bench.clone())));
        let rest = [
            Event::BenchLayers(Box::new(self.layers.clone())),
            Event::BenchAutograd(Box::new(self.autograd.clone())),
            Event::BenchInfer(Box::new(self.infer.clone())),
            Event::BenchAblations(Box::new(self.ablations.clone())),
            Event::BenchMemory(Box::new(self.memory.clone())),
            Event::BenchBudget(Box::new(self.budget.clone())),
        ];
        stages.chain(rest).collect()
    }
}
