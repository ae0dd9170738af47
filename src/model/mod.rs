//! What is trained: layers and shapes, parameters in canonical form, the recipe, the checkpoint.

pub mod architecture;
pub mod checkpoint;
pub mod init;
pub mod mnist_cnn;
pub mod parameters;
pub mod recipe;
