//! The shapes of layers, and what follows from a shape alone: output size, number of parameters,
//! number of multiply-adds.
//!
//! Counts are for one image. A FLOP count takes a multiply-add as two and counts nothing else, so
//! that it can be compared with a machine's peak; relu, pooling and bias additions are not counted.

use std::fmt;

/// The shape of one image's activations: (C, H, W). A vector of F features is (F, 1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

impl Shape {
    /// (C, H, W).
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A vector of `count` features.
    pub const fn features(count: usize) -> Self {
        Self::new(count, 1, 1)
    }

    /// Number of elements, C·H·W.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Elements of one channel, H·W.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }

    /// Whether there are no elements.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number of images, N, in `values` elements of this shape each.
    ///
    /// # Panics
    /// When `values` is not a whole number of images.
    pub fn images_in(self, values: usize) -> usize {
        assert_eq!(values % self.len(), 0, "{values} values are not whole images of {self}");
        values / self.len()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, height, width } = self;
        if (*height, *width) == (1, 1) {
            write!(f, "{channels}")
        } else {
            write!(f, "{channels}x{height}x{width}")
        }
    }
}

/// A two-dimensional convolution (cross-correlation, as in every framework) with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// (C, H, W).
    pub input: Shape,
    /// O.
    pub out_channels: usize,
    /// K: the kernel is K×K.
    pub kernel: usize,
    /// Distance between two windows.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
}

impl Conv2d {
    /// (O, ⌊(H + 2·padding − K)/stride⌋ + 1, likewise for W).
    pub fn output(&self) -> Shape {
        let side = |input: usize| {
            let padded = input + 2 * self.padding;
            assert!(padded >= self.kernel, "the kernel is larger than its padded input");
            (padded - self.kernel) / self.stride + 1
        };
        Shape::new(self.out_channels, side(self.input.height), side(self.input.width))
    }

    /// Weights that one output sees: C·K·K, also the fan-in.
    pub fn taps(&self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }

    /// [O, C, K, K].
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.input.channels, self.kernel, self.kernel]
    }

    /// The element of the input under kernel position `tap` of window `window`, which must be one
    /// of [`taps_inside`](Self::taps_inside).
    #[inline]
    pub fn position(&self, window: usize, tap: usize) -> usize {
        window * self.stride + tap - self.padding
    }

    /// The kernel positions of window `window` along a side of `length` elements that lie inside.
    pub fn taps_inside(&self, window: usize, length: usize) -> std::ops::Range<usize> {
        let start = window * self.stride;
        let first = self.padding.saturating_sub(start).min(self.kernel);
        let end = (length + self.padding).saturating_sub(start).min(self.kernel);
        first..end.max(first)
    }

    /// The range of windows along a side of `outputs` windows for which kernel position `tap` lies
    /// inside the `length` elements of the input.
    pub fn windows_inside(
        &self,
        tap: usize,
        length: usize,
        outputs: usize,
    ) -> std::ops::Range<usize> {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (length + self.padding).saturating_sub(tap).div_ceil(self.stride).min(outputs);
        first.min(end)..end
    }
}

/// Max pooling without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2d {
    /// (C, H, W).
    pub input: Shape,
    /// K: the window is K×K.
    pub kernel: usize,
    /// Distance between two windows.
    pub stride: usize,
}

impl MaxPool2d {
    /// (C, ⌊(H − K)/stride⌋ + 1, likewise for W): what does not fill a window is left out.
    pub fn output(&self) -> Shape {
        let side = |input: usize| {
            assert!(input >= self.kernel, "the pooling window is larger than its input");
            assert!(self.kernel <= 16, "a place in the window fits a byte");
            (input - self.kernel) / self.stride + 1
        };
        let Shape { channels, height, width } = self.input;
        Shape::new(channels, side(height), side(width))
    }
}

/// A fully connected layer with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// F, also the fan-in.
    pub in_features: usize,
    /// O.
    pub out_features: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(side: usize, kernel: usize, stride: usize, padding: usize) -> Conv2d {
        Conv2d { input: Shape::new(2, side, side), out_channels: 3, kernel, stride, padding }
    }

    #[test]
    fn output_sides_are_those_of_pytorch() {
        assert_eq!(conv(28, 3, 1, 1).output(), Shape::new(3, 28, 28));
        assert_eq!(conv(28, 3, 1, 0).output(), Shape::new(3, 26, 26));
        assert_eq!(conv(28, 5, 2, 0).output(), Shape::new(3, 12, 12));
        let pool = |side, kernel, stride| {
            MaxPool2d { input: Shape::new(1, side, side), kernel, stride }.output().height
        };
        assert_eq!((pool(4, 2, 2), pool(6, 2, 2), pool(8, 3, 2), pool(7, 2, 2)), (2, 3, 3, 3));
    }

    #[test]
    fn taps_and_windows_inside_are_those_that_see_an_element() {
        for (side, kernel, stride, padding) in
            [(28, 5, 1, 2), (9, 3, 2, 0), (8, 5, 2, 2), (5, 1, 1, 0), (7, 3, 3, 1), (3, 5, 1, 4)]
        {
            let conv = conv(side, kernel, stride, padding);
            let outputs = conv.output().height;
            let is_inside = |window: usize, tap: usize| {
                (padding..side + padding).contains(&(window * stride + tap))
            };
            for window in 0..outputs {
                let inside: Vec<usize> =
                    (0..kernel).filter(|&tap| is_inside(window, tap)).collect();
                let range: Vec<usize> = conv.taps_inside(window, side).collect();
                assert_eq!(inside, range, "{conv:?} window {window}");
            }
            for tap in 0..kernel {
                let inside: Vec<usize> =
                    (0..outputs).filter(|&window| is_inside(window, tap)).collect();
                let range: Vec<usize> = conv.windows_inside(tap, side, outputs).collect();
                assert_eq!(inside, range, "{conv:?} tap {tap}");
            }
        }
    }
}
