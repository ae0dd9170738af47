//! The mathematics, one piece a file: definition, shapes, derivation of the backward pass, and the
//! reference arithmetic, which does what the definition says in the order in which it says it.
//!
//! The reference of conv2d, maxpool2d and linear is the stage [`naive`](crate::stages::naive),
//! against which every faster stage is checked. Relu, the loss and Adam are the same arithmetic in
//! every layerwise stage.
//!
//! Backward functions *overwrite* the gradients they are given with the sum over the batch; what
//! was there before does not matter. The loss has already divided by the batch size.

pub mod adam;
pub mod conv2d;
pub mod cross_entropy;
pub mod linear;
pub mod maxpool2d;
pub mod relu;
mod tensor_view;

/// Where the backward pass of a layer with parameters leaves its results.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// dW, shaped like the weight.
    pub weight: &'a mut [f32],
    /// db, shaped like the bias.
    pub bias: &'a mut [f32],
    /// dX, shaped like the input; `None` for the first layer, whose input is the image.
    pub input: Option<&'a mut [f32]>,
}

impl Gradients<'_> {
    /// The same, all zero, to be added to.
    pub fn cleared(mut self) -> Self {
        self.weight.fill(0.0);
        self.bias.fill(0.0);
        if let Some(input) = self.input.as_deref_mut() {
            input.fill(0.0);
        }
        self
    }
}
