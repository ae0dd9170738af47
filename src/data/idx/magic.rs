//! Magic numbers: the first four bytes of an IDX file, as a big-endian number.

/// Magic number of a file of images: unsigned bytes in three dimensions.
pub const IMAGES_MAGIC: u32 = 0x0000_0803;
/// Magic number of a file of labels: unsigned bytes in one dimension.
pub const LABELS_MAGIC: u32 = 0x0000_0801;
/// Magic number of a file of labels above 255: signed integers of 32 bits in one dimension.
pub const WIDE_LABELS_MAGIC: u32 = 0x0000_0c01;
/// Magic number of QMNIST's files of labels: a table of signed integers of 32 bits.
pub const QMNIST_MAGIC: u32 = 0x0000_0c02;
