//! The ladder from the loops as the mathematics writes them to the machine's limit: one chapter a
//! file, and the table of them.
//!
//! Read the chapters in the order of [`STAGES`]. Each opens with the same headings: where it
//! starts, where the stage before loses its time, the idea, what it costs, and where its
//! measurements are. What a stage does not change is one line of delegation to the one before.

pub mod fused;
pub mod gemm;
pub mod im2col;
pub mod kernels;
pub mod layerwise;
pub mod naive;
pub mod parallel;
pub mod sparse;
pub mod strided;

use std::fmt;

use crate::engine::Engine;
use crate::model::architecture::Architecture;
use crate::nn::adam::Adam;
use crate::simd::Isa;
use layerwise::LayerwiseEngine;

/// One named way to train: a row of the table that everything else iterates.
pub struct Stage {
    /// What `--stage` takes.
    pub name: &'static str,
    /// The idea in one line.
    pub idea: &'static str,
    /// The engine that executes it.
    pub engine: &'static str,
    /// The format of the products.
    pub precision: &'static str,
    /// The stage that this one starts from.
    pub predecessor: Option<&'static str>,
    /// Whether a step is shared over several threads.
    pub multithreaded: bool,
    /// Whether the stage has kernels for each [`Isa`], to choose from.
    pub vectorized: bool,
    /// Whether the stage is faster the more pixels are 0.
    pub skips_zeros: bool,
    build: fn(&Architecture, Adam, Compute) -> Box<dyn Engine>,
}

/// What a stage may compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// Threads at most.
    pub threads: usize,
    /// Vector instructions, for stages that are [`vectorized`](Stage::vectorized).
    pub isa: Isa,
}

impl Stage {
    /// An engine of this stage for `architecture`.
    pub fn build(
        &self,
        architecture: &Architecture,
        adam: Adam,
        compute: Compute,
    ) -> Box<dyn Engine> {
        (self.build)(architecture, adam, compute)
    }

    /// Vector instructions that this CPU can run the stage with.
    pub fn isas(&self) -> Vec<Isa> {
        let all = Isa::ALL.into_iter().filter(|isa| isa.is_available());
        if self.vectorized { all.collect() } else { vec![Isa::detect()] }
    }

    /// What `architecture` lacks for this stage, if it lacks anything.
    pub fn unmet(&self, architecture: &Architecture) -> Option<String> {
        let fused = self.engine == "fused" && fused::Network::of(architecture).is_none();
        fused.then(|| format!("stage {} runs {} alone", self.name, fused::Network::PATTERN))
    }

    /// The stage called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        STAGES.iter().find(|stage| stage.name == name)
    }

    /// The fastest stage that computes `architecture` in f32 on images of which `zeros`, a share,
    /// are pixels of 0.
    pub fn fastest_exact(architecture: &Architecture, zeros: f64) -> &'static Self {
        let fits = |stage: &&Self| {
            stage.precision == "f32"
                && stage.unmet(architecture).is_none()
                && (zeros >= WORTH_SKIPPING || !stage.skips_zeros)
        };
        STAGES.iter().rfind(fits).expect("naive is one")
    }
}

/// Share of pixels of 0 from which on looking for them pays.
const WORTH_SKIPPING: f64 = 0.25;

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stage").field(&self.name).finish()
    }
}

/// All stages, each after the one it starts from, slowest first.
pub static STAGES: [Stage; 7] = [
    Stage {
        name: "naive",
        idea: "the loops of the definition; every index recomputed through strides",
        engine: "layerwise",
        precision: "f32",
        predecessor: None,
        multithreaded: false,
        vectorized: false,
        skips_zeros: false,
        build: |architecture, adam, _| {
            Box::new(LayerwiseEngine::new(architecture, adam, naive::Naive))
        },
    },
    Stage {
        name: "strided",
        idea: "index arithmetic hoisted out of the loops; padding decided once a window",
        engine: "layerwise",
        precision: "f32",
        predecessor: Some("naive"),
        multithreaded: false,
        vectorized: false,
        skips_zeros: false,
        build: |architecture, adam, _| {
            Box::new(LayerwiseEngine::new(architecture, adam, strided::Strided))
        },
    },
    Stage {
        name: "im2col",
        idea: "convolution as a matrix product, by a plain blocked product",
        engine: "layerwise",
        precision: "f32",
        predecessor: Some("strided"),
        multithreaded: false,
        vectorized: false,
        skips_zeros: false,
        build: |architecture, adam, _| {
            Box::new(LayerwiseEngine::new(architecture, adam, im2col::Im2col::default()))
        },
    },
    Stage {
        name: "gemm",
        idea: "a library's matrix product, shared over the cores in fixed chunks",
        engine: "layerwise",
        precision: "f32",
        predecessor: Some("im2col"),
        multithreaded: true,
        vectorized: false,
        skips_zeros: false,
        build: |architecture, adam, Compute { threads, .. }| {
            Box::new(LayerwiseEngine::new(architecture, adam, gemm::Gemm::new(threads)))
        },
    },
    Stage {
        name: "fused",
        idea: "cell by cell in registers: conv to pooling, and linear gradient to Adam, in one pass",
        engine: "fused",
        precision: "f32",
        predecessor: Some("gemm"),
        multithreaded: false,
        vectorized: true,
        skips_zeros: false,
        build: |architecture, adam, compute| {
            fused::build(architecture, adam, Compute { threads: 1, ..compute }, false)
        },
    },
    Stage {
        name: "parallel",
        idea: "fused, the rows of cells shared over the cores",
        engine: "fused",
        precision: "f32",
        predecessor: Some("fused"),
        multithreaded: true,
        vectorized: true,
        skips_zeros: false,
        build: parallel::build,
    },
    Stage {
        name: "sparse",
        idea: "parallel, leaving out what is multiplied by zero: blank cells, silent units",
        engine: "fused",
        precision: "f32",
        predecessor: Some("parallel"),
        multithreaded: true,
        vectorized: true,
        skips_zeros: true,
        build: sparse::build,
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
