//! The mathematics, one piece a file: definition, shapes, derivation of the backward pass, and the
//! reference arithmetic, which does what the definition says in the order in which it says it.
//!
//! The reference of conv2d, maxpool2d and linear is the stage [`naive`](crate::stages::naive),
//! against which every faster stage is checked. Relu, the loss and Adam are the same arithmetic in
//! every layerwise stage.
//!
//! Backward functions *overwrite* the gradients they are given with the sum over the batch; what
//! was there before does not matter. The loss has already divided by the batch size.

pub mod conv2d;
pub mod cross_entropy;
pub mod geometry;
pub mod gradients;
pub mod linear;
pub mod maxpool2d;
pub mod primitives;
pub mod relu;
mod tensor_view;
