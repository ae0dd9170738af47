//! Sizes of the characters, the same as in MNIST and EMNIST.

/// Number of rows, and of columns, of an image.
pub const SIDE: usize = 28;
/// Number of different digits, 0 to 9.
pub const CLASSES: usize = 10;
/// Number of different letters, A to Z.
pub const LETTERS: usize = 26;
