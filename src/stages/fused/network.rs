//! Pattern of the networks that the fused engine runs, and their sizes.

use crate::model::architecture::Architecture;
use crate::nn::shape::Shape;

/// Number of rows and of columns of an image.
pub const SIDE: usize = 28;
/// Number of cells along a side of an image. A cell is a window of 2×2 pixels of the convolution's
/// output, which max pooling reduces to one value for each channel.
pub const CELLS: usize = SIDE / 2;
/// Largest side of a kernel.
pub const LARGEST_KERNEL: usize = 5;
/// Number of floats in the widest vectors. The length of every row of weights is a
/// multiple of this number.
pub const ALIGNMENT: usize = 16;

/// Sizes of a network of the pattern conv(1→C, K×K, same padding) → relu → maxpool 2×2 → flatten →
/// linear(H) → relu → linear(O), on images of 28×28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Number of output channels of the convolution, C: a multiple of 16.
    pub channels: usize,
    /// Side of the kernel of the convolution, K: 3 or 5.
    pub kernel: usize,
    /// Number of hidden units, H.
    pub hidden: usize,
    /// Number of classes, O.
    pub classes: usize,
}

impl Network {
    /// Description of the pattern, for the message that refuses another network.
    pub const PATTERN: &str = "conv (C a multiple of 16, 3x3 or 5x5, same padding) > relu > \
                               maxpool 2x2 > linear > relu > linear on 28x28 images";

    /// Sizes of `architecture`, if it fits the pattern.
    pub fn of(architecture: &Architecture) -> Option<Self> {
        let sizes: Vec<Vec<usize>> = architecture.tensors().into_iter().map(|t| t.shape).collect();
        let [kernel, _, weight1, _, weight2, _] = &sizes[..] else { return None };
        let (&[channels, 1, kernel, _], &[hidden, _], &[classes, _]) =
            (&kernel[..], &weight1[..], &weight2[..])
        else {
            return None;
        };
        let padding = kernel / 2;
        let pattern = format!(
            "conv{channels}k{kernel}p{padding},relu,maxpool2,flatten,fc{hidden},relu,fc{classes}"
        );
        let fits = architecture.input() == Shape::image(1, SIDE, SIDE)
            && architecture.to_string() == pattern
            && channels.is_multiple_of(ALIGNMENT)
            && matches!(kernel, 3 | LARGEST_KERNEL);
        fits.then_some(Self { channels, kernel, hidden, classes })
    }

    /// Number of weights of one output channel of the convolution, K².
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Number of hidden units, rounded up to whole vectors. Weights of added units are always 0.
    pub fn hidden_padded(&self) -> usize {
        self.hidden.next_multiple_of(ALIGNMENT)
    }

    /// Number of weights of the first linear layer that belong to one cell, (C, H padded).
    pub fn cell_weights(&self) -> usize {
        self.channels * self.hidden_padded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mnist_cnn::MnistCnn;

    #[test]
    fn the_mnist_cnn_is_of_the_pattern_and_its_neighbours_are_not() {
        let network = Network::of(&MnistCnn::default().architecture()).unwrap();
        assert_eq!(network, Network { channels: 32, kernel: 5, hidden: 128, classes: 10 });
        let with = |text: &str| {
            Network::of(&Architecture::parse(text, Shape::image(1, SIDE, SIDE)).unwrap())
        };
        assert!(with("conv16k3p1,relu,maxpool2,flatten,fc9,relu,fc10").is_some());
        for other in [
            "conv8k3p1,relu,maxpool2,flatten,fc9,relu,fc10",
            "conv16k7p3,relu,maxpool2,flatten,fc9,relu,fc10",
            "conv16k5p1,relu,maxpool2,flatten,fc9,relu,fc10",
            "conv16k5s2p2,relu,maxpool2,flatten,fc9,relu,fc10",
            "conv16k5p2,relu,maxpool3s2,flatten,fc9,relu,fc10",
            "conv16k5p2,maxpool2,relu,flatten,fc9,relu,fc10",
            "conv16k5p2,relu,maxpool2,flatten,fc9,fc10",
            "flatten,fc10",
        ] {
            assert_eq!(with(other), None, "{other}");
        }
        let wide = Shape::image(1, SIDE, 2 * SIDE);
        let text = "conv16k5p2,relu,maxpool2,flatten,fc9,relu,fc10";
        assert_eq!(Network::of(&Architecture::parse(text, wide).unwrap()), None);
    }
}
