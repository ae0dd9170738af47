//! The shape of the activations between two layers.

use std::fmt;

/// Shape of the activations of one image. There are three ranks:
///
/// ```text
/// (C, H, W)         an image with C channels
/// (C, L) or (T, F)  a signal of length L with C channels, or T tokens with F features each
/// (F)               features
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sizes of the axes. Sizes beyond the rank are 1.
    sizes: [usize; 3],
    rank: usize,
}

impl Shape {
    /// Shape (C, H, W) of an image.
    pub const fn image(channels: usize, height: usize, width: usize) -> Self {
        Self { sizes: [channels, height, width], rank: 3 }
    }

    /// Shape (C, L) of a signal, or (T, F) of tokens.
    pub const fn matrix(rows: usize, columns: usize) -> Self {
        Self { sizes: [rows, columns, 1], rank: 2 }
    }

    /// Shape of a vector of `count` features.
    pub const fn features(count: usize) -> Self {
        Self { sizes: [count, 1, 1], rank: 1 }
    }

    /// Shape with these `sizes`, if they are one, two or three.
    pub fn of(sizes: &[usize]) -> Option<Self> {
        match *sizes {
            [features] => Some(Self::features(features)),
            [rows, columns] => Some(Self::matrix(rows, columns)),
            [channels, height, width] => Some(Self::image(channels, height, width)),
            _ => None,
        }
    }

    /// Sizes of the axes, as in `(C, H, W)`.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    /// Shape of `images` images of this shape together, (N, …).
    pub fn of_batch(&self, images: usize) -> Vec<usize> {
        [&[images], self.sizes()].concat()
    }

    /// Number of elements.
    pub const fn len(self) -> usize {
        let [one, two, three] = self.sizes;
        one * two * three
    }

    /// Whether the number of elements is 0.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Size of the last axis.
    pub const fn last(self) -> usize {
        self.sizes[self.rank - 1]
    }

    /// Numbers \[T, F\] of tokens, and of the features of each.
    ///
    /// # Errors
    /// When the shape is not (T, F).
    pub fn tokens(&self) -> Result<[usize; 2], String> {
        match *self.sizes() {
            [tokens, features] => Ok([tokens, features]),
            _ => Err(format!("needs tokens, gets {self}; put 'patches7' or 'rows' before it")),
        }
    }

    /// The shape as an image: a signal has one row, and a vector of features has one pixel.
    pub const fn as_image(self) -> ImageShape {
        let [one, two, three] = self.sizes;
        match self.rank {
            2 => ImageShape::new(one, 1, two),
            _ => ImageShape::new(one, two, three),
        }
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
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        f.write_str(&sizes.join("x"))
    }
}

/// Shape (C, H, W) of an image, as convolution and pooling see it. A signal is an image with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Number of channels, C.
    pub channels: usize,
    /// Number of rows, H.
    pub height: usize,
    /// Number of columns, W.
    pub width: usize,
}

impl ImageShape {
    /// Shape (C, H, W).
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Sizes as an array, \[C, H, W\].
    pub const fn sizes(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Number of elements, C·H·W.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether the number of elements is 0.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of elements of one channel, H·W.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }

    /// Number of images, N, that have `values` elements together.
    ///
    /// # Panics
    /// When `values` elements are not a whole number of images.
    pub fn images_in(self, values: usize) -> usize {
        assert_eq!(values % self.len(), 0, "{values} values are not whole images of {self:?}");
        values / self.len()
    }
}

impl From<ImageShape> for Shape {
    fn from(image: ImageShape) -> Self {
        Self::image(image.channels, image.height, image.width)
    }
}
