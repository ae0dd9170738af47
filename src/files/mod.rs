//! Files that are read without being believed, and files that are written whole or not at all.

pub mod durable;
pub mod input;
pub mod lock;
mod names;
pub mod replaceable;
mod system;
