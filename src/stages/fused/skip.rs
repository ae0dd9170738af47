//! The setting that tells the stages of the fused engine apart.

/// Products with a factor of 0 that a step leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// No product: every cell is computed for every image.
    Nothing,
    /// Products of blank cells and of silent units: see [`sparse`](crate::stages::sparse).
    Blank,
    /// Products of blank cells, of silent units, and of activations that relu made 0: see
    /// [`live`](crate::stages::live).
    Zeros,
}
