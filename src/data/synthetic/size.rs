//! Sizes of the digits, the same as in MNIST.

/// Number of rows, and of columns, of an image.
pub const SIDE: usize = 28;
/// Number of different digits, 0 to 9.
pub const CLASSES: usize = 10;
