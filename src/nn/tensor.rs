//! The description of a tensor of parameters, without the values of its elements.

/// Role of a tensor in its layer. It decides how the tensor is initialized and whether L2 applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Factors of products. L2 applies to them.
    Weight,
    /// Summands of outputs. L2 does not apply to them, and most schemes initialize them with 0.
    Bias,
}

/// Description of a tensor: its name, shape and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name of the tensor, as in PyTorch: `weight` in a layer, `conv1.weight` in a network.
    pub name: String,
    /// Shape of the tensor, as in PyTorch: (O, C, K, K) or (O, F) for a weight, (O) for a bias.
    pub shape: Vec<usize>,
    /// Role of the tensor in its layer.
    pub role: Role,
    /// Number of inputs from which one output of the layer is computed.
    pub fan_in: usize,
    /// Number of outputs of the layer that one input affects, as PyTorch counts them: O·K·K for a
    /// convolution, O for a linear layer.
    pub fan_out: usize,
}

impl TensorSpec {
    /// Number of elements of the tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the number of elements is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
