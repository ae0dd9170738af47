//! What the program finds out about the machine and about itself.

pub mod machine;
pub mod phases;
pub mod roofline;
pub mod statistics;
