//! Numbers of the format.

/// The version of the format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The largest header: ours has about 3 kB.
pub const HEADER_LIMIT: u64 = 1 << 20;

/// Under this name [`Metadata`](super::Metadata) stands in the header. One entry, because the header's entries have
/// no fixed order and the same state should give the same bytes.
pub const METADATA_KEY: &str = "mnist-train";

/// A batch whose mean loss is larger has run away: guessing has ln 10 = 2.3, and from 104 on the
/// right class has, on average, a probability below the smallest f32.
pub const RUNAWAY_LOSS: f64 = 1e4;
