//! Bits that max pooling and relu leave for the backward pass: one for each channel.

use super::network::Network;

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

/// Bits of up to 64 channels in one row of a cell, the first channel the lowest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bits {
    /// Bits of the channels whose activation is not 0.
    pub live: u64,
    /// Bits of the channels whose largest sum is in the lower row of the window.
    pub lower: u64,
    /// Bits of the channels whose largest sum is in the right column of the window.
    pub right: u64,
}

impl Bits {
    /// Number of words of bits for a row.
    pub fn words(network: &Network) -> usize {
        network.channels.div_ceil(64)
    }

    /// Bits of one row from the `masks` of its vectors of channels, (C / lanes); a mask has `lanes`
    /// lanes. The `bits` (words) were 0.
    #[inline(always)]
    pub fn join(masks: &[Masks], lanes: usize, bits: &mut [Self]) {
        let mask = |bits: u16| u64::from(bits & (u16::MAX >> (16 - lanes)));
        for (vector, masks) in masks.iter().enumerate() {
            let (bits, place) = (&mut bits[vector * lanes / 64], vector * lanes % 64);
            bits.live |= mask(masks.live) << place;
            bits.lower |= mask(masks.lower) << place;
            bits.right |= mask(masks.right) << place;
        }
    }

    /// Bits of the row that all blank images share, from its activations, (C). The `bits` (words)
    /// were 0.
    pub fn of_blank(activations: &[f32], bits: &mut [Self]) {
        for (channel, &activation) in activations.iter().enumerate() {
            bits[channel / 64].live |= u64::from(activation != 0.0) << (channel % 64);
        }
    }
}
