//! What the program finds out about the machine and about itself.

pub mod allocations;
pub mod contention;
pub mod machine;
pub mod memory;
pub mod roofline;
pub mod statistics;
