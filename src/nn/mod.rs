//! The mathematics, a layer a file: definition, shapes, derivation of the backward pass.
//!
//! A [`Layer`](layer::Layer) is written once over [`primitives`], the operations that a stage may
//! replace. The primitives' reference arithmetic does what the definitions say in the order in which
//! they say it; it is the stage [`naive`](crate::stages::naive), against which every faster stage is
//! checked. The loss is the same arithmetic in every stage.
//!
//! Backward passes *overwrite* the gradients they are given with the sum over the batch. The loss has
//! already divided by the batch size.
//!
//! A new layer is a file here and a row of [`grammar::LAYERS`].

pub mod conv2d;
pub mod cross_entropy;
pub mod elementwise;
pub mod flatten;
pub mod grammar;
pub mod layer;
pub mod linear;
pub mod maxpool2d;
pub mod primitives;
pub mod relu;
pub mod settings;
pub mod shape;
pub mod sigmoid;
pub mod tensor;
