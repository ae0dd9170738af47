//! The ladder, from the loops of the mathematics to the limit of the machine: a chapter in each
//! file, and the table of the stages.
//!
//! Read the chapters in the order of [`STAGES`]. All chapters have the same headings: the starting
//! point, the observation of where the stage before loses its time, the idea, what the idea costs,
//! and where it is measured. A stage changes only what its idea is about. Only [`fused`] begins
//! anew, with an engine of its own. A chapter without code is a setting in its row of the table.

pub mod bf16;
mod floats;
pub mod fused;
pub mod gemm;
pub mod im2col;
pub mod live;
pub mod naive;
pub mod parallel;
pub mod sparse;
pub mod tiled;

use std::fmt;

use self::fused::Skip;
use self::gemm::Gemm;
use self::im2col::Im2col;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::engine::layerwise::{self, LayerwiseEngine};
use crate::engine::plan::Plan;
use crate::engine::tree_sum::TreeSum;
use crate::error::Result;
use crate::model::architecture::Architecture;
use crate::model::recipe::Recipe;
use crate::nn::primitives::{Primitives, Reference};
use crate::optim::Optimizer;
use crate::simd::{self, Isa};

/// Named way to train, a row of [`STAGES`].
pub struct Stage {
    /// Name of the stage, the value of `--stage`.
    pub name: &'static str,
    /// Idea of the stage on one line.
    pub idea: &'static str,
    /// Kind of the engine that executes a step.
    pub engine: EngineKind,
    /// Format of the factors of products.
    pub precision: Precision,
    /// Name of the stage from which this one starts; `None` for the first stage.
    pub predecessor: Option<&'static str>,
    /// Whether several threads share a step.
    pub multithreaded: bool,
    /// Whether `--isa` can choose the vector instructions of the stage.
    pub vectorized: bool,
}

/// Function that makes primitives in the number format T, with resources R.
type Make<R, T> = fn(R) -> Result<Box<dyn Primitives<T>>>;

/// Kind of engine: a way to execute a whole step.
#[derive(Debug, Clone, Copy)]
pub enum EngineKind {
    /// Layer after layer, for any network: [`layerwise`].
    Layerwise {
        /// Function that makes the primitives.
        primitives: Make<Compute, f32>,
        /// Function that makes the same primitives in f64, in which gradients are checked, for a number
        /// of threads; `None` if they compute in f32 alone.
        in_f64: Option<Make<usize, f64>>,
    },
    /// Cell by cell, for one pattern of network: [`fused`].
    Fused {
        /// Products with 0 that a step leaves out.
        skip: Skip,
    },
}

impl EngineKind {
    /// Name of the kind in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layerwise { .. } => "layerwise",
            Self::Fused { .. } => "fused",
        }
    }
}

impl Stage {
    /// Engine of this stage that trains `architecture` by `recipe`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::error::Error::Unavailable) when the operating system refuses to start
    /// the threads.
    ///
    /// # Panics
    /// When the stage [lacks something](Self::unmet).
    pub fn build(
        &self,
        architecture: &Architecture,
        recipe: &Recipe,
        compute: Compute,
    ) -> Result<Box<dyn Engine>> {
        let compute = Compute { threads: self.threads(compute.threads), ..compute };
        match self.engine {
            EngineKind::Layerwise { primitives, .. } => {
                let primitives = primitives(compute)?;
                Ok(Box::new(LayerwiseEngine::new(architecture, recipe, primitives)))
            }
            EngineKind::Fused { skip } => {
                fused::build(architecture, recipe, compute, self.precision, skip)
            }
        }
    }

    /// Number of threads that share a step, at most `most`.
    pub fn threads(&self, most: usize) -> usize {
        match self.engine {
            _ if !self.multithreaded => 1,
            // More threads than rows of cells would only wait.
            EngineKind::Fused { .. } => most.min(fused::CELLS),
            EngineKind::Layerwise { .. } => most,
        }
    }

    /// Requirement of the stage, in words, that `architecture`, `recipe`, this CPU or `isa` does
    /// not meet; `None` if all are met.
    pub fn unmet(&self, architecture: &Architecture, recipe: &Recipe, isa: Isa) -> Option<String> {
        let name = self.name;
        let is_fused = matches!(self.engine, EngineKind::Fused { .. });
        if is_fused && fused::Network::of(architecture).is_none() {
            return Some(format!("stage {name} runs {} alone", fused::Network::PATTERN));
        }
        if is_fused && let Some(option) = fused::unmet(recipe) {
            return Some(format!("stage {name} cannot train with {option}, naive to tiled can"));
        }
        if self.precision == Precision::Bf16 {
            if !simd::has_bf16() {
                return Some(format!("stage {name} needs a CPU with avx512_bf16"));
            }
            if isa != Isa::Avx512 {
                return Some(format!("stage {name} has kernels for {} alone", Isa::Avx512));
            }
        }
        None
    }

    /// Reason why this number of `ranks` cannot share the steps of a training by `recipe`, in words; `None`
    /// if they can.
    pub fn unshared(&self, recipe: &Recipe, ranks: usize) -> Option<String> {
        let (name, parts) = (self.name, recipe.accumulate);
        match self.engine {
            EngineKind::Fused { .. } => {
                let is_shared = ranks.is_power_of_two() && ranks <= fused::MOST_PARTS;
                let counts = "2, 4 or 8 ranks share the steps of stage";
                (!is_shared).then(|| format!("{counts} {name}, and these are {ranks}"))
            }
            EngineKind::Layerwise { .. } => (!layerwise::is_shared(parts, ranks)).then(|| {
                format!(
                    "ranks share the parts of --accumulate: both are powers of two, and there are at least \
                     as many parts as ranks, not {parts} parts for {ranks} ranks"
                )
            }),
        }
    }

    /// Sets of vector instructions with which this CPU can run the stage on `architecture` by
    /// `recipe`.
    pub fn isas(&self, architecture: &Architecture, recipe: &Recipe) -> Vec<Isa> {
        let all = Isa::ALL.into_iter().filter(|isa| isa.is_available());
        let choice = all.filter(|&isa| self.vectorized || isa == Isa::detect());
        choice.filter(|&isa| self.unmet(architecture, recipe, isa).is_none()).collect()
    }

    /// Lower estimate of the bytes that training `architecture` by `recipe` takes: for each
    /// parameter its value, its gradient and the optimizer's slots, and the
    /// [activations](Self::activation_bytes).
    pub fn memory_bytes(&self, architecture: &Architecture, recipe: &Recipe) -> u64 {
        let gradients = 1 + TreeSum::waiting(recipe.accumulate);
        let numbers = 1 + gradients + Optimizer::from(recipe).slots().len();
        let parameters = numbers * architecture.parameter_count() * size_of::<f32>();
        (parameters + self.activation_bytes(architecture, recipe)) as u64
    }

    /// Number of bytes of the activations, and of their gradients, that a step of training
    /// `architecture` by `recipe` has in memory.
    pub fn activation_bytes(&self, architecture: &Architecture, recipe: &Recipe) -> usize {
        let Recipe { batch_size, accumulate, checkpoint_activations: keep_every, .. } = *recipe;
        match self.engine {
            EngineKind::Layerwise { .. } => {
                Plan::new(architecture, batch_size.div_ceil(accumulate), keep_every).memory_bytes()
            }
            EngineKind::Fused { .. } => {
                fused::activations(architecture, batch_size) * size_of::<f32>()
            }
        }
    }

    /// Stage called `name`; `None` if there is none.
    pub fn find(name: &str) -> Option<&'static Self> {
        STAGES.iter().find(|stage| stage.name == name)
    }

    /// Fastest exact stage that can train `architecture` by `recipe`.
    pub fn fastest_exact(architecture: &Architecture, recipe: &Recipe) -> &'static Self {
        let fits = |stage: &&Self| {
            let unmet = stage.unmet(architecture, recipe, Isa::detect());
            stage.precision == Precision::F32 && unmet.is_none()
        };
        STAGES.iter().rfind(fits).expect("naive is one")
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stage").field(&self.name).finish()
    }
}

/// Table of all stages, the slowest first. Each stage comes after the stage from which it starts.
pub static STAGES: [Stage; 9] = [
    Stage {
        name: "naive",
        idea: "the loops of the definition",
        engine: EngineKind::Layerwise {
            primitives: |_| Ok(Box::new(Reference)),
            in_f64: Some(|_| Ok(Box::new(Reference))),
        },
        precision: Precision::F32,
        predecessor: None,
        multithreaded: false,
        vectorized: false,
    },
    Stage {
        name: "im2col",
        idea: "convolution as a matrix product, by a plain blocked product",
        engine: EngineKind::Layerwise {
            primitives: |_| Ok(Box::new(Im2col::default())),
            in_f64: Some(|_| Ok(Box::new(Im2col::default()))),
        },
        precision: Precision::F32,
        predecessor: Some("naive"),
        multithreaded: false,
        vectorized: false,
    },
    Stage {
        name: "gemm",
        idea: "a library's product, in fixed chunks shared over the cores; allocates",
        engine: EngineKind::Layerwise {
            primitives: |compute| Ok(Box::new(Gemm::new(compute.threads)?)),
            in_f64: Some(|threads| Ok(Box::new(Gemm::new(threads)?))),
        },
        precision: Precision::F32,
        predecessor: Some("im2col"),
        multithreaded: true,
        vectorized: false,
    },
    Stage {
        name: "tiled",
        idea: "our own product and convolution: sums in registers, nothing copied twice",
        engine: EngineKind::Layerwise { primitives: tiled::build, in_f64: None },
        precision: Precision::F32,
        predecessor: Some("gemm"),
        multithreaded: true,
        vectorized: true,
    },
    Stage {
        name: "fused",
        idea: "cell by cell in registers: conv to pooling, linear gradient to Adam",
        engine: EngineKind::Fused { skip: Skip::Nothing },
        precision: Precision::F32,
        predecessor: Some("tiled"),
        multithreaded: false,
        vectorized: true,
    },
    Stage {
        name: "parallel",
        idea: "fused, the rows of cells shared over the cores",
        engine: EngineKind::Fused { skip: Skip::Nothing },
        precision: Precision::F32,
        predecessor: Some("fused"),
        multithreaded: true,
        vectorized: true,
    },
    Stage {
        name: "sparse",
        idea: "parallel, leaving out what is multiplied by zero: blank cells, silent units",
        engine: EngineKind::Fused { skip: Skip::Blank },
        precision: Precision::F32,
        predecessor: Some("parallel"),
        multithreaded: true,
        vectorized: true,
    },
    Stage {
        name: "live",
        idea: "sparse, leaving out products of activations that relu made 0",
        engine: EngineKind::Fused { skip: Skip::Zeros },
        precision: Precision::F32,
        predecessor: Some("sparse"),
        multithreaded: true,
        vectorized: true,
    },
    Stage {
        name: "bf16",
        idea: "sparse, with products of bf16 added up in f32: not exact",
        engine: EngineKind::Fused { skip: Skip::Blank },
        precision: Precision::Bf16,
        predecessor: Some("sparse"),
        multithreaded: true,
        vectorized: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_follows_its_predecessor_under_a_name_of_its_own() {
        for (index, stage) in STAGES.iter().enumerate() {
            let earlier = &STAGES[..index];
            assert!(earlier.iter().all(|other| other.name != stage.name), "{stage:?}");
            if let Some(predecessor) = stage.predecessor {
                assert!(earlier.iter().any(|other| other.name == predecessor), "{stage:?}");
            }
            assert_eq!(Stage::find(stage.name).map(|found| found.name), Some(stage.name));
        }
    }
}
