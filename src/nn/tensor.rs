//! What a tensor of parameters is, without its values.

/// What a tensor is for, which decides how it starts and whether L2 applies to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Factors of a product: L2 applies.
    Weight,
    /// Summands of an output: no L2; most initialisations start at 0.
    Bias,
}

/// Name, shape and role of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// PyTorch's name: `weight` within its layer, `conv1.weight` within a network.
    pub name: String,
    /// PyTorch's shape: (O, C, K, K) or (O, F) for a weight, (O) for a bias.
    pub shape: Vec<usize>,
    /// What the tensor is for.
    pub role: Role,
    /// Number of inputs that one output of the layer sees.
    pub fan_in: usize,
    /// Number of outputs that one input of the layer reaches, as PyTorch counts them: O·K·K or O.
    pub fan_out: usize,
}

impl TensorSpec {
    /// The weight of `shape`, whose first axis are the outputs, and the bias of a layer.
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

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
