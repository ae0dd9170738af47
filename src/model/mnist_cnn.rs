//! The convolutional network that this program trains, in all its sizes.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use crate::data::dataset::ImageFormat;
use crate::nn::shape::Shape;

/// Sizes of the network conv2d(1→C, K×K) → relu → maxpool 2×2 → flatten → linear(H) → relu → linear,
/// which ends with an output for each class. The convolution's padding of (K − 1)/2 keeps the sides of
/// the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnistCnn {
    /// Number of channels of the convolution, C.
    pub channels: usize,
    /// Side of the convolution's kernel, K; an odd number.
    pub kernel_size: usize,
    /// Number of hidden features, H.
    pub hidden: usize,
}

impl Default for MnistCnn {
    fn default() -> Self {
        Self { channels: 32, kernel_size: 5, hidden: 128 }
    }
}

impl MnistCnn {
    /// Sizes of the largest network, which has 51 million parameters and checkpoints of 620 MB.
    pub const LARGEST: Self = Self { channels: 256, kernel_size: 27, hidden: 1024 };

    /// Whether every size is at least 1 and at most the same size of [`Self::LARGEST`], and K is
    /// odd.
    pub fn is_possible(self) -> bool {
        let Self { channels, kernel_size, hidden } = self;
        (1..=Self::LARGEST.channels).contains(&channels)
            && (1..=Self::LARGEST.kernel_size).contains(&kernel_size)
            && kernel_size % 2 == 1
            && (1..=Self::LARGEST.hidden).contains(&hidden)
    }

    /// Sizes of `architecture`, if it is a network of this kind.
    pub fn of(architecture: &Architecture) -> Option<Self> {
        let shapes: Vec<_> =
            architecture.tensors().into_iter().map(|tensor| tensor.shape).collect();
        let [conv, _, hidden, ..] = &shapes[..] else { return None };
        let (&[channels, _, kernel_size, _], &[hidden, _]) = (&conv[..], &hidden[..]) else {
            return None;
        };
        let sizes = Self { channels, kernel_size, hidden };
        let is_this = |network: &Architecture| network == architecture;
        let same = || sizes.for_images(architecture.format()).is_ok_and(|same| is_this(&same));
        (sizes.is_possible() && same()).then_some(sizes)
    }

    /// Network with these sizes for the images of MNIST.
    ///
    /// # Panics
    /// When the sizes [are not possible](Self::is_possible).
    pub fn architecture(self) -> Architecture {
        self.for_images(ImageFormat::MNIST).expect("every possible size fits")
    }

    /// Network with these sizes for `images`.
    ///
    /// # Errors
    /// When the images are too small, or the network would be too large.
    ///
    /// # Panics
    /// When the sizes [are not possible](Self::is_possible).
    pub fn for_images(self, images: ImageFormat) -> Result<Architecture, String> {
        assert!(self.is_possible(), "{self:?}");
        let Self { channels, kernel_size, hidden } = self;
        let ImageFormat { rows, columns, classes } = images;
        let padding = (kernel_size - 1) / 2;
        let text = format!(
            "conv{channels}k{kernel_size}p{padding},relu,maxpool2,flatten,fc{hidden},relu,fc{classes}"
        );
        Architecture::parse(&text, Shape::image(1, rows, columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_keeps_the_image_and_the_classes() {
        let smallest = MnistCnn { channels: 1, kernel_size: 1, hidden: 1 };
        for network in [smallest, MnistCnn::default(), MnistCnn::LARGEST] {
            let architecture = network.architecture();
            let convolution = architecture.layers()[0].output;
            assert_eq!(convolution, Shape::image(network.channels, 28, 28));
            assert_eq!(architecture.classes(), 10);
            assert_eq!(MnistCnn::of(&architecture), Some(network));
        }
        assert_eq!(MnistCnn::LARGEST.architecture().parameter_count(), 51_578_378);
    }

    #[test]
    fn sizes_beyond_the_largest_and_even_kernels_are_not_possible() {
        let MnistCnn { channels, kernel_size, hidden } = MnistCnn::LARGEST;
        for network in [
            MnistCnn { channels: 0, ..MnistCnn::LARGEST },
            MnistCnn { channels: channels + 1, ..MnistCnn::LARGEST },
            MnistCnn { kernel_size: 4, ..MnistCnn::LARGEST },
            MnistCnn { kernel_size: kernel_size + 2, ..MnistCnn::LARGEST },
            MnistCnn { hidden: 0, ..MnistCnn::LARGEST },
            MnistCnn { hidden: hidden + 1, ..MnistCnn::LARGEST },
        ] {
            assert!(!network.is_possible(), "{network:?}");
        }
    }
}
