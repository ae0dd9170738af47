//! Numbers of the format, and what its versions differ in.

use crate::model::mnist_cnn::MnistCnn;

/// The version of the format that this program writes, and the newest that it reads.
///
/// Version 1 described the network in words, one kind of network in three sizes, and always held the
/// two moments of Adam. Version 2 has the network's text, the shape of its images and the names of
/// what the optimizer keeps.
pub const FORMAT_VERSION: u32 = 2;

/// The largest header in bytes: ours has about 3 kB.
pub const HEADER_LIMIT: u64 = 1 << 20;

/// Name under which [`Metadata`](super::Metadata) stands in the header. One entry, because the
/// header's entries have no fixed order and the same state should give the same bytes.
pub const METADATA_KEY: &str = "mnist-train";

/// The largest mean loss of a batch before training has run away: guessing has ln 10 = 2.3, and from
/// 104 on the right class has, on average, a probability below the smallest f32.
pub const RUNAWAY_LOSS: f64 = 1e4;

/// The words with which version 1 describes the network.
pub fn architecture_1(network: MnistCnn) -> String {
    let MnistCnn { channels, kernel_size, hidden } = network;
    let padding = (kernel_size - 1) / 2;
    format!(
        "1x28x28 > conv2d({channels}, {kernel_size}x{kernel_size}, stride 1, padding {padding}) > relu \
         > maxpool2d(2x2, stride 2) > flatten > linear({hidden}) > relu > linear(10)"
    )
}
