//! What the CPU can do with many numbers at once. The only module with `unsafe` code.

mod isa;

pub use isa::Isa;
