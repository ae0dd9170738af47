//! A network as a sequence of layers, and everything that follows from it: the shape between any
//! two layers, the tensors it needs, the work of each layer.

use std::fmt;

use crate::nn::geometry::{Conv2d, Linear, MaxPool2d, Shape};

/// One layer with its geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Convolution.
    Conv2d(Conv2d),
    /// max(0, x) on each element of this shape.
    Relu(Shape),
    /// Max pooling.
    MaxPool2d(MaxPool2d),
    /// (C, H, W) → C·H·W features, channel-major as PyTorch does; moves nothing in memory.
    Flatten(Shape),
    /// Fully connected.
    Linear(Linear),
}

impl Layer {
    /// The shape that goes in.
    pub fn input(&self) -> Shape {
        match self {
            Self::Conv2d(conv) => conv.input,
            Self::Relu(shape) | Self::Flatten(shape) => *shape,
            Self::MaxPool2d(pool) => pool.input,
            Self::Linear(linear) => Shape::features(linear.in_features),
        }
    }

    /// The shape that comes out.
    pub fn output(&self) -> Shape {
        match self {
            Self::Conv2d(conv) => conv.output(),
            Self::Relu(shape) => *shape,
            Self::MaxPool2d(pool) => pool.output(),
            Self::Flatten(shape) => Shape::features(shape.len()),
            Self::Linear(linear) => Shape::features(linear.out_features),
        }
    }

    /// Number of weights and number of biases.
    pub fn parameters(&self) -> [usize; 2] {
        match self {
            Self::Conv2d(conv) => [conv.out_channels * conv.taps(), conv.out_channels],
            Self::Linear(linear) => [linear.in_features * linear.out_features, linear.out_features],
            Self::Relu(_) | Self::MaxPool2d(_) | Self::Flatten(_) => [0, 0],
        }
    }

    /// Multiply-adds of the forward pass of one image.
    fn multiply_adds(&self) -> usize {
        match self {
            Self::Conv2d(conv) => conv.output().len() * conv.taps(),
            Self::Linear(linear) => linear.in_features * linear.out_features,
            Self::Relu(_) | Self::MaxPool2d(_) | Self::Flatten(_) => 0,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv2d(Conv2d { out_channels, kernel, stride, padding, .. }) => {
                write!(
                    f,
                    "conv2d({out_channels}, {kernel}x{kernel}, stride {stride}, padding {padding})"
                )
            }
            Self::Relu(_) => write!(f, "relu"),
            Self::MaxPool2d(MaxPool2d { kernel, stride, .. }) => {
                write!(f, "maxpool2d({kernel}x{kernel}, stride {stride})")
            }
            Self::Flatten(_) => write!(f, "flatten"),
            Self::Linear(Linear { out_features, .. }) => write!(f, "linear({out_features})"),
        }
    }
}

/// Floating-point operations and bytes of memory traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-adds × 2.
    pub flops: usize,
    /// Bytes of f32 activations and parameters read and written once each.
    pub bytes: usize,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// What a tensor of parameters is, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// PyTorch's name: `conv1.weight`.
    pub name: String,
    /// PyTorch's shape: (O, C, K, K) or (O, F) for a weight, (O) for a bias.
    pub shape: Vec<usize>,
    /// Inputs that one output of the layer sees.
    pub fan_in: usize,
    /// Outputs that one input of the layer reaches, as PyTorch counts them: O·K·K or O.
    pub fan_out: usize,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a bias, which starts at 0 in most initialisations and has no L2.
    pub fn is_bias(&self) -> bool {
        self.shape.len() == 1
    }
}

/// A sequence of layers, built by naming one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture {
    input: Shape,
    layers: Vec<Layer>,
}

impl Architecture {
    /// A network without layers for images of shape `input`.
    pub fn new(input: Shape) -> Self {
        assert!(!input.is_empty(), "an image has pixels");
        Self { input, layers: Vec::new() }
    }

    /// Adds a convolution.
    pub fn conv2d(self, out_channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let input = self.output();
        self.then(Layer::Conv2d(Conv2d { input, out_channels, kernel, stride, padding }))
    }

    /// Adds a relu.
    pub fn relu(self) -> Self {
        let shape = self.output();
        self.then(Layer::Relu(shape))
    }

    /// Adds max pooling.
    pub fn max_pool2d(self, kernel: usize, stride: usize) -> Self {
        let input = self.output();
        self.then(Layer::MaxPool2d(MaxPool2d { input, kernel, stride }))
    }

    /// Adds a flattening.
    pub fn flatten(self) -> Self {
        let shape = self.output();
        self.then(Layer::Flatten(shape))
    }

    /// Adds a fully connected layer.
    ///
    /// # Panics
    /// When its input has not been flattened.
    pub fn linear(self, out_features: usize) -> Self {
        let input = self.output();
        assert_eq!(input.plane(), 1, "linear needs a vector: flatten {input} first");
        self.then(Layer::Linear(Linear { in_features: input.channels, out_features }))
    }

    fn then(mut self, layer: Layer) -> Self {
        assert!(!layer.output().is_empty(), "{layer} leaves nothing");
        self.layers.push(layer);
        self
    }

    /// The shape of one image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The layers from the image to the logits.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The shape that the last layer leaves.
    pub fn output(&self) -> Shape {
        self.layers.last().map_or(self.input, Layer::output)
    }

    /// Number of classes: the logits of one image.
    pub fn classes(&self) -> usize {
        self.output().len()
    }

    /// A name for each layer: PyTorch's `conv1`, `fc1` for those that have parameters, else what
    /// the layer does.
    pub fn layer_names(&self) -> Vec<String> {
        let (mut convolutions, mut linears) = (0, 0);
        let name = |layer: &Layer| match layer {
            Layer::Conv2d(_) => {
                convolutions += 1;
                format!("conv{convolutions}")
            }
            Layer::Linear(_) => {
                linears += 1;
                format!("fc{linears}")
            }
            Layer::Relu(_) => "relu".into(),
            Layer::MaxPool2d(_) => "maxpool".into(),
            Layer::Flatten(_) => "flatten".into(),
        };
        self.layers.iter().map(name).collect()
    }

    /// The tensors that the network needs, in canonical order: layer by layer, weight before bias.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let tensors = |(layer, name): (&Layer, String)| {
            let (shape, fan_in, fan_out) = match layer {
                Layer::Conv2d(conv) => {
                    let fan_out = conv.out_channels * conv.kernel * conv.kernel;
                    (conv.weight_shape().to_vec(), conv.taps(), fan_out)
                }
                Layer::Linear(Linear { in_features, out_features }) => {
                    (vec![*out_features, *in_features], *in_features, *out_features)
                }
                Layer::Relu(_) | Layer::MaxPool2d(_) | Layer::Flatten(_) => return Vec::new(),
            };
            let bias_shape = vec![shape[0]];
            let tensor =
                |part, shape| TensorSpec { name: format!("{name}.{part}"), shape, fan_in, fan_out };
            vec![tensor("weight", shape), tensor("bias", bias_shape)]
        };
        self.layers.iter().zip(self.layer_names()).flat_map(tensors).collect()
    }

    /// Number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.layers.iter().flat_map(Layer::parameters).sum()
    }

    /// The work of layer `index` for a batch of `images`, forward and backward, if every tensor
    /// were read or written exactly once. The first layer needs no gradient of its input.
    pub fn work(&self, index: usize, images: usize) -> [Work; 2] {
        const F32: usize = size_of::<f32>();
        let layer = &self.layers[index];
        if matches!(layer, Layer::Flatten(_)) {
            return [Work::default(); 2];
        }
        let (input, output) = (images * layer.input().len(), images * layer.output().len());
        if matches!(layer, Layer::MaxPool2d(_)) {
            // x in, y and a byte of argmax out; dy and argmax in, dX out.
            let work = Work { flops: 0, bytes: F32 * (input + output) + output };
            return [work, work];
        }
        let parameters: usize = layer.parameters().into_iter().sum();
        let products = 2 * images * layer.multiply_adds();
        // x and the parameters in, y out.
        let forward = Work { flops: products, bytes: F32 * (input + parameters + output) };
        // dy and x in, dW and db out; with dX: the weights in, dX out.
        let mut backward = Work { flops: products, bytes: F32 * (output + input + parameters) };
        if index > 0 {
            backward += Work { flops: products, bytes: F32 * (parameters + input) };
        }
        [forward, backward]
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.input)?;
        self.layers.iter().try_for_each(|layer| write!(f, " > {layer}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mnist_cnn::MnistCnn;

    #[test]
    fn the_mnist_cnn_has_the_published_counts() {
        let network = MnistCnn::default().architecture();
        assert_eq!(network.parameter_count(), 805_066);
        let names: Vec<String> = network.tensors().into_iter().map(|t| t.name).collect();
        let expected =
            ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
        assert_eq!(names, expected);
        assert_eq!(network.tensors().iter().map(TensorSpec::len).sum::<usize>(), 805_066);

        let work = |direction: usize| -> usize {
            (0..network.layers().len()).map(|i| network.work(i, 1)[direction].flops).sum()
        };
        // 627,200 + 802,816 + 1,280 multiply-adds forward; backward twice that, without the
        // gradient of the image.
        assert_eq!(work(0), 2_862_592);
        assert_eq!(work(1), 2 * 2_862_592 - 2 * 627_200);
    }

    #[test]
    fn a_network_describes_itself_on_one_line() {
        assert_eq!(
            MnistCnn::default().architecture().to_string(),
            "1x28x28 > conv2d(32, 5x5, stride 1, padding 2) > relu > maxpool2d(2x2, stride 2) > \
             flatten > linear(128) > relu > linear(10)"
        );
    }
}
