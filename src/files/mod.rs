//! Reads files without trusting them, and writes files completely or not at all.

pub mod durable;
pub mod input;
pub mod lock;
mod names;
pub mod replaceable;
mod system;
