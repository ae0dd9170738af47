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
    /// Weight and bias of a layer: the weight has `shape`, whose first axis is the outputs, and the
    /// bias has one element for each output.
    pub fn weight_and_bias(shape: &[usize], fan_in: usize, fan_out: usize) -> Vec<Self> {
        let tensor = |name: &str, shape: &[usize], role| Self {
            name: name.into(),
            shape: shape.into(),
            role,
            fan_in,
            fan_out,
        };
        vec![tensor("weight", shape, Role::Weight), tensor("bias", &shape[..1], Role::Bias)]
    }

    /// Number of elements of the tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the number of elements is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
