//! Where the time of a step goes, function by function: call stacks of a short run, sampled by
//! pprof and drawn as flamegraphs.
//!
//! [`engine::phases`](crate::engine::phases) says the same of whole phases, by a clock; a profile
//! says it of every function, and of what nobody thought of giving a clock.

pub mod capped_run;
pub mod flamegraph;
pub mod part;
pub mod sampler;
pub mod stacks;
