//! Grey pictures, as they are decoded.

/// Grey picture; 0 is black and 255 is white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Number of rows and columns, [H, W], each at least 1.
    pub sides: [usize; 2],
    /// Pixels, row by row, (H, W).
    pub pixels: Vec<u8>,
}
