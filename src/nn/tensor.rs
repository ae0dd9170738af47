//! The description of a tensor of parameters, without the values of its elements.

/// Role of a tensor in its layer. It decides how the tensor is initialized, whether L2 applies, and how
/// a step changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Factors of products. L2 applies to them.
    Weight,
    /// Summands of outputs. L2 does not apply to them, and most schemes initialize them with 0.
    Bias,
    /// Factors of normalized values. They begin with 1, and L2 does not apply to them.
    Gain,
    /// Rows that are added to the tokens. They begin as numbers of N(0, 0.02), and L2 applies to them.
    Table,
    /// Running mean of a statistic. It begins with 0, has no gradient, and the loss in training does
    /// not depend on it.
    RunningMean,
    /// Running variance of a statistic. It begins with 1; else like [`Self::RunningMean`].
    RunningVariance,
}

impl Role {
    /// Whether the tensor is a running statistic. In place of a gradient, the backward pass writes the
    /// statistic of the batch, and a step moves the tensor towards it by
    /// [`MOMENTUM`].
    pub fn is_running(self) -> bool {
        matches!(self, Self::RunningMean | Self::RunningVariance)
    }

    /// Whether L2 applies to the tensor.
    pub fn has_l2(self) -> bool {
        matches!(self, Self::Weight | Self::Table)
    }
}

/// Share by which a running statistic moves towards the statistic of a batch, as in PyTorch.
pub const MOMENTUM: f32 = 0.1;

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
    /// Scheme by which PyTorch initializes the tensor.
    pub pytorch: Uniform,
}

/// Uniform distribution around 0 with which PyTorch initializes a weight or a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniform {
    /// U(±1/√fan_in): the weights and biases of most modules.
    FanIn,
    /// U(±√(6/(fan_in + fan_out))): `nn.init.xavier_uniform_`.
    Xavier,
    /// Zeros.
    Zero,
}

impl TensorSpec {
    /// Weight and bias of a layer: the weight has `shape`, whose first axis is the outputs, and the
    /// bias has one element for each output.
    pub fn weight_and_bias(shape: &[usize], fan_in: usize, fan_out: usize) -> Vec<Self> {
        let tensor = |name, shape: &[usize], role| Self::new(name, shape, role, fan_in, fan_out);
        vec![tensor("weight", shape, Role::Weight), tensor("bias", &shape[..1], Role::Bias)]
    }

    /// Tensor that PyTorch initializes by [`Uniform::FanIn`].
    pub fn new(name: &str, shape: &[usize], role: Role, fan_in: usize, fan_out: usize) -> Self {
        let pytorch = Uniform::FanIn;
        Self { name: name.into(), shape: shape.into(), role, fan_in, fan_out, pytorch }
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
