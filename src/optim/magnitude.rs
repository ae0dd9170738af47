//! What all optimizers do with very small and very large values.

/// Smallest magnitude that is not flushed to 0: 2⁻¹⁰⁰, about 8e-31. It is small enough not to
/// matter, and large enough that λ times it is not denormal.
pub const SMALLEST: f32 = f32::from_bits(0x0d80_0000);
/// Number of steps from one flush to the next.
pub const FLUSH_STEPS: u64 = 64;

/// Magnitude below which values become 0 after step `t`; 0 in most steps.
pub fn smallest(t: u64) -> f32 {
    if t.is_multiple_of(FLUSH_STEPS) { SMALLEST } else { 0.0 }
}

/// Magnitude of `value` as a whole number. Without the sign, the bits of floats are ordered as
/// their magnitudes, and NaN is above infinity.
#[inline(always)]
pub fn magnitude(value: f32) -> u32 {
    value.to_bits() << 1
}
