//! Limits of what is read of a stranger's file.

/// Largest size in bytes of a file of pictures.
pub const LARGEST_FILE: u64 = 1 << 30;
/// Largest number of pixels of a picture.
pub const MOST_PIXELS: u64 = 64_000_000;
/// Largest number of rows, and of columns, of a picture, so that a row takes little memory.
pub const LONGEST_SIDE: u64 = 65_535;

/// Whether a picture may have so many `rows` and `columns`.
pub fn allow(rows: u64, columns: u64) -> bool {
    rows.max(columns) <= LONGEST_SIDE && rows * columns <= MOST_PIXELS
}
