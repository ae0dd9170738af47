//! Convolution, relu and max pooling of one cell from the rows of pixels that have ink, and the
//! gradient of the convolution from the live activations.

#![allow(clippy::needless_range_loop)] // See tile.rs.

use super::rows::{Bits, LiveChannel};
use crate::simd::Simd;
use crate::stages::fused::conv::ConvPlan;
use crate::stages::fused::images::PATCH_ROW;
use crate::stages::fused::network::Network;
use crate::stages::fused::tile;

/// Computes the activations of one cell, and their bits, from the rows of the patches that have
/// ink. Pixels of the other rows are 0.
///
/// # Shapes
/// `patches` (R, `patch_len`); `inked_rows` (R), a bit for each row of the patch; `activations`
/// (R, C); `bits` (R, words).
#[inline(always)]
pub fn forward<S: Simd>(
    simd: S,
    plan: &ConvPlan,
    patches: &[f32],
    inked_rows: &[u8],
    activations: &mut [f32],
    bits: &mut [Bits],
) {
    match plan.kernel {
        3 => forward_rows::<S, 3>(simd, plan, patches, inked_rows, activations, bits),
        5 => forward_rows::<S, 5>(simd, plan, patches, inked_rows, activations, bits),
        kernel => unreachable!("no network of the pattern has a {kernel}×{kernel} kernel"),
    }
}

/// Function [`forward`] for a K×K kernel.
#[inline(always)]
fn forward_rows<S: Simd, const K: usize>(
    simd: S,
    plan: &ConvPlan,
    patches: &[f32],
    inked_rows: &[u8],
    activations: &mut [f32],
    bits: &mut [Bits],
) {
    let channels = plan.bias.len();
    let words = channels.div_ceil(64);
    let vector = (K + 2) * K * S::LANES;
    let each = patches.chunks_exact((K + 1) * PATCH_ROW).zip(inked_rows);
    let out = activations.chunks_exact_mut(channels).zip(bits.chunks_exact_mut(words));
    for ((patch, &rows), (activations, bits)) in each.zip(out) {
        let mut channel = 0;
        bits.fill(Bits::default());
        while channel < channels {
            let weight = &plan.live_weight[channel / S::LANES * vector..];
            let bias = &plan.bias[channel..];
            let bits = &mut bits[channel / 64];
            let place = channel % 64;
            let activations = &mut activations[channel..];
            channel += S::LANES
                * if channels - channel >= 2 * S::LANES {
                    forward_tile::<S, K, 2>(
                        simd,
                        weight,
                        bias,
                        patch,
                        rows,
                        activations,
                        (bits, place),
                    )
                } else {
                    forward_tile::<S, K, 1>(
                        simd,
                        weight,
                        bias,
                        patch,
                        rows,
                        activations,
                        (bits, place),
                    )
                };
        }
    }
}

/// Computes U vectors of activations of one image; returns U.
#[inline(always)]
fn forward_tile<S: Simd, const K: usize, const U: usize>(
    simd: S,
    weight: &[f32],
    bias: &[f32],
    patch: &[f32],
    rows: u8,
    activations: &mut [f32],
    (bits, place): (&mut Bits, usize),
) -> usize {
    let row_len = K * S::LANES;
    let vector = (K + 2) * row_len;
    let zero = simd.splat(0.0);
    let mut sums = [[zero; 4]; U];
    let mut left = rows;
    while left != 0 {
        let row = left.trailing_zeros() as usize;
        left &= left - 1;
        let pixels = &patch[row * PATCH_ROW..][..PATCH_ROW];
        let mut weights = [weight; U];
        for u in 0..U {
            weights[u] = &weight[u * vector + row * row_len..][..2 * row_len];
        }
        let mut left_pixel = simd.splat(pixels[0]);
        for j in 0..K {
            let right_pixel = simd.splat(pixels[j + 1]);
            for u in 0..U {
                let lower = simd.load(&weights[u][j * S::LANES..]);
                let upper = simd.load(&weights[u][(K + j) * S::LANES..]);
                sums[u][0] = simd.mul_add(left_pixel, upper, sums[u][0]);
                sums[u][1] = simd.mul_add(right_pixel, upper, sums[u][1]);
                sums[u][2] = simd.mul_add(left_pixel, lower, sums[u][2]);
                sums[u][3] = simd.mul_add(right_pixel, lower, sums[u][3]);
            }
            left_pixel = right_pixel;
        }
    }
    let negative = simd.splat(-1.0);
    for u in 0..U {
        let [a, b, c, d] = sums[u];
        let (top, bottom) = (simd.max(a, b), simd.max(c, d));
        let lower = simd.greater(bottom, top);
        let right = simd.greater(d, c) & lower | simd.greater(b, a) & !lower;
        let sum = simd.add(simd.max(top, bottom), simd.load(&bias[u * S::LANES..]));
        let activation = simd.max(zero, sum);
        let live = simd.greater(activation, zero) | !simd.greater(activation, negative);
        simd.store(activation, &mut activations[u * S::LANES..]);
        let place = place + u * S::LANES;
        let mask = u16::MAX >> (16 - S::LANES);
        bits.live |= u64::from(live & mask) << place;
        bits.lower |= u64::from(lower & mask) << place;
        bits.right |= u64::from(right & mask) << place;
    }
    U
}

/// Number of pixels in a patch of one image, for a K×K `kernel`.
pub fn patch_len(kernel: usize) -> usize {
    (kernel + 1) * PATCH_ROW
}

/// Number of values of the gradient that [`backward`] keeps for a channel: K rows, and one
/// more if that makes their number even, so that vectors of two rows are whole.
pub fn gradient_len(network: &Network) -> usize {
    network.kernel.next_multiple_of(2) * PATCH_ROW
}

/// Adds the part of one channel of one cell to its `gradient`, over the rows in which the channel
/// is live, whose gradients are `da`. Returns the sum of `da`.
///
/// A row of a patch has [`PATCH_ROW`] pixels, and so has a row of the gradient: a vector holds one
/// or two rows, with the K taps in front. The other lanes have no meaning.
///
/// # Shapes
/// `channel` is live in L rows; `da` (at least L, of which the first L are read); `patches` (R,
/// `patch_len`) and 16 further pixels; `gradient` ([`gradient_len`]).
#[inline(always)]
pub fn backward<S: Simd>(
    simd: S,
    plan: &ConvPlan,
    channel: LiveChannel<'_>,
    da: &[f32],
    patches: &[f32],
    gradient: &mut [f32],
) -> f32 {
    let patch_len = patch_len(plan.kernel);
    match plan.kernel.div_ceil(S::LANES / PATCH_ROW) {
        2 => add_windows::<S, 2>(simd, channel, da, (patches, patch_len), gradient),
        3 => add_windows::<S, 3>(simd, channel, da, (patches, patch_len), gradient),
        5 => add_windows::<S, 5>(simd, channel, da, (patches, patch_len), gradient),
        vectors => unreachable!("no kernel of the pattern has {vectors} vectors"),
    }
}

/// Adds da · window to V vectors of the gradient, for each row in which the channel is live. The
/// window is the part of the row's patch under the largest sum. Returns the sum of da.
#[inline(always)]
fn add_windows<S: Simd, const V: usize>(
    simd: S,
    channel: LiveChannel<'_>,
    da: &[f32],
    (patches, patch_len): (&[f32], usize),
    gradient: &mut [f32],
) -> f32 {
    let (mut sums, mut bias_sum) = (tile::vectors::<S, V>(simd, gradient), 0.0);
    let mut da = da.iter();
    channel.for_each_row(
        #[inline(always)]
        |row| {
            let window = &patches[row * patch_len + channel.window(row)..][..V * S::LANES];
            let da = *da.next().expect("as many as rows");
            bias_sum += da;
            let da = simd.splat(da);
            for v in 0..V {
                let pixels = simd.load(&window[v * S::LANES..]);
                sums[v] = simd.mul_add(da, pixels, sums[v]);
            }
        },
    );
    tile::store(simd, sums, gradient);
    bias_sum
}
