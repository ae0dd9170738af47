//! Sizes of the digits, those of MNIST.

/// Number of rows, and of columns, of an image.
pub const SIDE: usize = 28;
/// Number of digits.
pub const CLASSES: usize = 10;
