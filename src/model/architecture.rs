//! A network as a sequence of layers, and everything that follows from the sequence: the shape
//! between any two layers, the tensors of the network, the work of each layer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::autograd::{Tape, Var};
use crate::data::dataset::ImageFormat;
use crate::error::quoted;
use crate::nn::grammar::{self, Part};
use crate::nn::layer::{Layer, Pass, Training, Work};
use crate::nn::shape::{ImageShape, Shape};
use crate::nn::tensor::TensorSpec;
use crate::scalar::Scalar;

/// Largest number of elements of a layer's output for one image.
const MOST_ELEMENTS: usize = 1 << 28;
/// Largest number of floats that a layer keeps for one image, and of floats of its scratch.
const MOST_FLOATS: usize = 1 << 28;
/// Largest number of multiply-adds of a layer for one image.
const MOST_MULTIPLY_ADDS: usize = 1 << 40;

/// Sequence of layers for images of one shape. Its `Display` is its text in the [network
/// language](crate::nn::grammar).
#[derive(Debug, Clone)]
pub struct Architecture {
    input: Shape,
    layers: Vec<PlacedLayer>,
    /// Residual blocks, each as the range of its layers. A block comes after the blocks inside it.
    blocks: Vec<Range<usize>>,
}

/// Layer at its place in a network.
#[derive(Debug, Clone)]
pub struct PlacedLayer {
    /// Layer, which knows its settings but not its place.
    pub layer: Arc<dyn Layer>,
    /// Name of the layer in the network. Layers with tensors have a number, as in `conv1` or `fc2`;
    /// other layers have the layer's word alone, as in `relu`.
    pub name: String,
    /// Shape of the layer's input for one image.
    pub input: Shape,
    /// Shape of the layer's output for one image.
    pub output: Shape,
    /// Range of the layer's parameters among all parameters of the network.
    pub parameters: Range<usize>,
}

impl Architecture {
    /// Largest number of parameters of a network.
    pub const MOST_PARAMETERS: usize = 1 << 28;

    /// Network without layers, for images of shape `input`.
    pub fn new(input: Shape) -> Self {
        Self { input, layers: Vec::new(), blocks: Vec::new() }
    }

    /// Network that `text` describes, for images of shape `input`.
    ///
    /// # Errors
    /// The first layer that is not valid: its number, its text, and the problem.
    pub fn parse(text: &str, input: Shape) -> Result<Self, String> {
        let mut network = Self::new(input);
        let mut open = Vec::new();
        for part in grammar::parts(text)? {
            match part {
                Part::Layer(text) => {
                    let number = network.layers.len() + 1;
                    let problem =
                        |problem| format!("layer {number} '{}': {problem}", quoted(&text));
                    let layer = grammar::layer(&text).map_err(problem)?;
                    network.push(layer.into()).map_err(problem)?;
                }
                Part::Open => open.push(network.layers.len()),
                Part::Close => network.end_block(open.pop().expect("the parentheses fit"))?,
            }
        }
        Ok(network)
    }

    /// Adds `layer` at the end.
    ///
    /// # Errors
    /// The input that the layer needs, or what of it is too large.
    pub fn push(&mut self, layer: Arc<dyn Layer>) -> Result<(), String> {
        let input = self.output();
        let output = layer.output(input)?;
        let tensors = layer.tensors(input);
        let first = self.parameter_count();
        let mut lengths = tensors.iter().map(|tensor| product(&tensor.shape));
        let end = lengths.try_fold(first, |sum, length| sum.checked_add(length?));
        let Some(end) = end.filter(|end| *end <= Self::MOST_PARAMETERS) else {
            let most = Self::MOST_PARAMETERS;
            return Err(format!("the network would have more than {most} parameters"));
        };
        if product(output.sizes()).is_none_or(|elements| elements > MOST_ELEMENTS) {
            return Err(format!("its output {output} has more than {MOST_ELEMENTS} elements"));
        }
        if layer.multiply_adds(input) > MOST_MULTIPLY_ADDS {
            return Err(format!(
                "an image would take more than {MOST_MULTIPLY_ADDS} multiply-adds"
            ));
        }
        if layer.kept(input).floats.max(layer.scratch(input)) > MOST_FLOATS {
            return Err(format!("it would need memory for more than {MOST_FLOATS} numbers"));
        }
        let mut name = layer.word();
        if end > first {
            let is_same = |one: &&PlacedLayer| one.layer.word() == name;
            name += &(self.layers.iter().filter(is_same).count() + 1).to_string();
        }
        let parameters = first..end;
        self.layers.push(PlacedLayer { layer, name, input, output, parameters });
        Ok(())
    }

    /// Makes all layers from layer `first` on a residual block: its output is the output of the last
    /// layer plus the input of layer `first`.
    ///
    /// # Errors
    /// When the two shapes differ.
    pub fn end_block(&mut self, first: usize) -> Result<(), String> {
        let (input, output) = (self.layers[first].input, self.output());
        if input != output {
            return Err(format!(
                "layers {} to {} in 'res(…)': must keep the shape {input}, make {output}",
                first + 1,
                self.layers.len()
            ));
        }
        self.blocks.push(first..self.layers.len());
        Ok(())
    }

    /// Shape of one image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Layers from the image to the logits.
    pub fn layers(&self) -> &[PlacedLayer] {
        &self.layers
    }

    /// Residual blocks, each as the range of its layers. A block comes after the blocks inside it.
    pub fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// Shape of the last layer's output for one image.
    pub fn output(&self) -> Shape {
        self.layers.last().map_or(self.input, |placed| placed.output)
    }

    /// Number of classes, which is the number of logits of one image.
    pub fn classes(&self) -> usize {
        self.output().len()
    }

    /// Format of the images and labels that the network takes.
    pub fn format(&self) -> ImageFormat {
        let ImageShape { height, width, .. } = self.input.as_image();
        ImageFormat { rows: height, columns: width, classes: self.classes() }
    }

    /// Tensors of the network in canonical order: layer by layer, weight before bias.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let tensors = |placed: &PlacedLayer| {
            let name = placed.name.clone();
            let named = move |tensor: TensorSpec| TensorSpec {
                name: format!("{name}.{}", tensor.name),
                ..tensor
            };
            placed.layer.tensors(placed.input).into_iter().map(named)
        };
        self.layers.iter().flat_map(tensors).collect()
    }

    /// Whether the first layer is a convolution with kernels of 2 pixels up to the image's side.
    pub fn begins_with_convolution(&self) -> bool {
        let ImageShape { height, width, .. } = self.input.as_image();
        self.layers.first().is_some_and(|first| {
            let weight = first.layer.tensors(first.input).into_iter().next();
            let fits = |shape: &[usize]| matches!(*shape, [_, 1, k, _] if (2..=height.min(width)).contains(&k));
            first.layer.is_convolution() && weight.is_some_and(|weight| fits(&weight.shape))
        })
    }

    /// Number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.layers.last().map_or(0, |placed| placed.parameters.end)
    }

    /// Logits for the images `x`, (N, input), in a step of `training`, recorded on `tape`; `tensors`
    /// are those of the network in canonical order.
    pub fn record<T: Scalar>(
        &self,
        tape: &mut Tape<T>,
        mut x: Var,
        mut tensors: &[Var],
        training: Training,
    ) -> Var
    where
        dyn Layer: Pass<T>,
    {
        let mut open = Vec::new();
        for (index, placed) in self.layers.iter().enumerate() {
            open.extend(self.blocks_from(index).map(|_| x));
            let count = placed.layer.tensors(placed.input).len();
            let own = tensors.split_off(..count).expect("a node for each tensor");
            x = placed.layer.record(tape, x, own, Training { layer: index, ..training });
            for _ in self.blocks_to(index) {
                x = tape.add(x, open.pop().expect("the block has a beginning"));
            }
        }
        x
    }

    /// Residual blocks whose first layer is layer `index`.
    pub fn blocks_from(&self, index: usize) -> impl Iterator<Item = &Range<usize>> {
        self.blocks.iter().filter(move |block| block.start == index)
    }

    /// Residual blocks whose last layer is layer `index`, the innermost first.
    pub fn blocks_to(&self, index: usize) -> impl Iterator<Item = &Range<usize>> {
        self.blocks.iter().filter(move |block| block.end == index + 1)
    }

    /// Work of layer `index` for a batch of `images` images, as \[forward, backward\], if every
    /// tensor were read or written exactly once. The first layer computes no gradient of its input.
    pub fn work(&self, index: usize, images: usize) -> [Work; 2] {
        let PlacedLayer { layer, input, .. } = &self.layers[index];
        Work::of(layer.as_ref(), *input, images, index > 0)
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input && self.to_string() == other.to_string()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, placed) in self.layers.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            self.blocks_from(index).try_for_each(|_| f.write_str("res("))?;
            write!(f, "{}", placed.layer)?;
            self.blocks_to(index).try_for_each(|_| f.write_str(")"))?;
        }
        Ok(())
    }
}

/// Product of `sizes`, unless it overflows.
fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mnist_cnn::MnistCnn;

    const IMAGE: Shape = Shape::image(1, 28, 28);

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
    fn work_counts_every_tensor_once() {
        let network = MnistCnn::default().architecture();
        let bytes: Vec<[usize; 2]> = (0..network.layers().len())
            .map(|i| network.work(i, 1).map(|work| work.bytes))
            .collect();
        let (image, map, pooled, hidden, classes) = (784, 25_088, 6_272, 128, 10);
        let (conv, fc1, fc2) = (832, 802_944, 1_290);
        let of = |floats: usize| 4 * floats;
        assert_eq!(bytes[0], [of(image + conv + map), of(map + image + conv)]);
        assert_eq!(bytes[1], [of(2 * map), of(3 * map)]);
        assert_eq!(bytes[2], [of(map + pooled) + pooled; 2]);
        assert_eq!(bytes[3], [0, 0]);
        assert_eq!(bytes[4], [of(pooled + fc1 + hidden), of(hidden + 2 * pooled + 2 * fc1)]);
        assert_eq!(bytes[6], [of(hidden + fc2 + classes), of(classes + 2 * hidden + 2 * fc2)]);
    }

    #[test]
    fn a_network_is_displayed_as_it_is_written() {
        for text in [
            "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10",
            "conv6k5,relu,maxpool3s2,conv16k3s2p1,relu,flatten,fc10",
            "res(conv1k3p1,res(relu),res(sigmoid)),flatten,res(fc784),fc10",
        ] {
            let network = Architecture::parse(text, IMAGE).unwrap();
            assert_eq!(network.to_string(), text);
        }
        assert_eq!(
            MnistCnn::default().architecture().to_string(),
            "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10"
        );
    }

    #[test]
    fn an_error_names_the_layer_and_the_shape_that_arrives() {
        for (text, problem) in [
            (
                "conv32k5p2, relu, maxpool2, fc128",
                "layer 4 'fc128': needs features or tokens, gets 32x14x14; put 'flatten' before it",
            ),
            ("conv8k31", "layer 1 'conv8k31': needs at least 31x31 pixels, gets 1x28x28"),
            ("maxpool16,maxpool2", "layer 2 'maxpool2': needs at least 2x2 pixels, gets 1x1x1"),
            ("relu,,fc10", "layer 2 '': is no layer"),
            (
                "flatten,fc1048576",
                "layer 2 'fc1048576': the network would have more than 268435456 parameters",
            ),
            (
                "conv1048576k1048576p1048576",
                "layer 1 'conv1048576k1048576p1048576': the network would have more than",
            ),
            (
                "conv1048576k1,maxpool2",
                "layer 1 'conv1048576k1': its output 1048576x28x28 has more than 268435456 elements",
            ),
            (
                "conv8192k1,conv8192k1,conv8192k1,conv8192k1,conv8192k1",
                "layer 5 'conv8192k1': the network would have more than 268435456 parameters",
            ),
            (
                "channels,conv1d20000k28,attn1",
                "layer 3 'attn1': it would need memory for more than 268435456 numbers",
            ),
            ("conv8k3,res(relu,conv8k3)", "layers 2 to 3 in 'res(…)': must keep the shape 8x26x26"),
        ] {
            let found = Architecture::parse(text, IMAGE).unwrap_err();
            assert!(found.starts_with(problem), "{found}");
        }
    }
}
