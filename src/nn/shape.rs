//! The shape of the activations between two layers.

use std::fmt;

/// Shape of the activations of one image: (C, H, W). A vector of F features has the shape (F, 1,
/// 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of channels, C.
    pub channels: usize,
    /// Number of rows, H.
    pub height: usize,
    /// Number of columns, W.
    pub width: usize,
}

impl Shape {
    /// Shape (C, H, W).
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Shape of a vector of `count` features.
    pub const fn features(count: usize) -> Self {
        Self::new(count, 1, 1)
    }

    /// Sizes as an array, \[C, H, W\].
    pub const fn sizes(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Number of elements, C·H·W.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Number of elements of one channel, H·W.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }

    /// Whether the number of elements is 0.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of images, N, whose activations of this shape have `values` elements together.
    ///
    /// # Panics
    /// When `values` elements are not a whole number of images.
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
