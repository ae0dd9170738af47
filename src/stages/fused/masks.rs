//! Bits that max pooling and relu leave for the backward pass of the dense kernels: three for each
//! channel.

/// Masks of max pooling and relu, which the backward pass needs, for one vector of channels of one
/// image: a bit for each channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Masks {
    /// Mask of the channels whose largest sum is in the lower row of the window.
    pub lower: u16,
    /// Mask of the channels whose largest sum is in the right column of the window.
    pub right: u16,
    /// Mask of the channels whose activation is above 0, or not a number.
    pub live: u16,
}
