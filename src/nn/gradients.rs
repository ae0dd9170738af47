//! The results of a backward pass.

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
