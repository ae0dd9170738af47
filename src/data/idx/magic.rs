//! Magic numbers: the first four bytes of an IDX file, as a big-endian number.

/// Magic number of a file of images: unsigned bytes in three dimensions.
pub const IMAGES_MAGIC: u32 = 0x0000_0803;
/// Magic number of a file of labels: unsigned bytes in one dimension.
pub const LABELS_MAGIC: u32 = 0x0000_0801;
