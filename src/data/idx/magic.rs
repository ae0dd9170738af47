//! The first four bytes of a file, as a big-endian number.

/// Unsigned bytes in three dimensions.
pub const IMAGES_MAGIC: u32 = 0x0000_0803;
/// Unsigned bytes in one dimension.
pub const LABELS_MAGIC: u32 = 0x0000_0801;
