//! The model: its layers and their shapes, its parameters in canonical form, the recipe of its
//! training, and the checkpoint.

pub mod architecture;
pub mod checkpoint;
pub mod export;
pub mod factors;
pub mod init;
pub mod mnist_cnn;
pub mod parameters;
pub mod presets;
pub mod recipe;
pub mod recipes;
