//! Where the time of a step goes, function by function: call stacks of a short run, sampled by
//! pprof and drawn as flamegraphs.
//!
//! [`engine::phases`](crate::engine::phases) times whole phases with a clock; a profile counts
//! samples of every function, also of functions that no clock times.

pub mod capped_run;
pub mod flamegraph;
pub mod part;
pub mod sampler;
pub mod stacks;
