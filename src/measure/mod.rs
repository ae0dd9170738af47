//! Measurements of the machine and of this process, and the statistics of timings.

pub mod allocations;
pub mod contention;
pub mod key;
pub mod machine;
pub mod memory;
pub mod roofline;
pub mod statistics;
