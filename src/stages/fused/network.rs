//! The one pattern of network that is fused, and its sizes.

use crate::model::architecture::{Architecture, Layer};
use crate::nn::geometry::{Conv2d, Linear, MaxPool2d};

/// Rows and columns of an image.
pub const SIDE: usize = 28;
/// Cells along a side: windows of 2×2 pixels of the convolution's output, each of which max pooling
/// makes one value a channel of.
pub const CELLS: usize = SIDE / 2;
/// The largest side of a kernel.
pub const LARGEST_KERNEL: usize = 5;
/// Floats that row lengths are rounded up to: a vector of the widest instructions.
pub const ALIGNMENT: usize = 16;

/// conv(1→C, K×K, same padding) → relu → maxpool 2×2 → flatten → linear(H) → relu → linear(O), on
/// images of 28×28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Output channels of the convolution, C: a multiple of 16.
    pub channels: usize,
    /// Side of its kernel, K: 3 or 5.
    pub kernel: usize,
    /// Hidden units, H.
    pub hidden: usize,
    /// Classes, O.
    pub classes: usize,
}

impl Network {
    /// What the pattern is, for a person whose network is another.
    pub const PATTERN: &str = "conv (C a multiple of 16, 3x3 or 5x5, same padding) > relu > \
                               maxpool 2x2 > linear > relu > linear on 28x28 images";

    /// The sizes of `architecture`, if it is of the pattern.
    pub fn of(architecture: &Architecture) -> Option<Self> {
        use Layer::{Flatten, Linear as Full, Relu};
        let [
            Layer::Conv2d(Conv2d { input, out_channels, kernel, stride: 1, padding }),
            Relu(_),
            Layer::MaxPool2d(MaxPool2d { kernel: 2, stride: 2, .. }),
            Flatten(_),
            Full(Linear { out_features: hidden, .. }),
            Relu(_),
            Full(Linear { out_features: classes, .. }),
        ] = *architecture.layers()
        else {
            return None;
        };
        let fits = (input.channels, input.height, input.width) == (1, SIDE, SIDE)
            && out_channels.is_multiple_of(ALIGNMENT)
            && matches!((kernel, padding), (3, 1) | (5, 2));
        fits.then_some(Self { channels: out_channels, kernel, hidden, classes })
    }

    /// Weights of one output channel of the convolution, K².
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Hidden units rounded up to whole vectors; those that are added have weights of 0 for ever.
    pub fn hidden_padded(&self) -> usize {
        self.hidden.next_multiple_of(ALIGNMENT)
    }

    /// Weights of the first linear layer that belong to one cell, (C, H padded).
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
        let with = |channels, kernel, stride, padding, pool| {
            let input = MnistCnn::default().architecture().input();
            let features = Architecture::new(input).conv2d(channels, kernel, stride, padding);
            let pooled = features.relu().max_pool2d(pool, 2).flatten();
            Network::of(&pooled.linear(9).relu().linear(10))
        };
        assert!(with(16, 3, 1, 1, 2).is_some());
        assert_eq!(with(8, 3, 1, 1, 2), None);
        assert_eq!(with(16, 7, 1, 3, 2), None);
        assert_eq!(with(16, 5, 1, 1, 2), None);
        assert_eq!(with(16, 5, 2, 2, 2), None);
        assert_eq!(with(16, 5, 1, 2, 3), None);
        assert_eq!(
            Network::of(&Architecture::new(MnistCnn::default().architecture().input())),
            None
        );
    }
}
