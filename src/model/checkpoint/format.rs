//! Constants of the checkpoint format, and the differences between its versions.

use crate::model::mnist_cnn::MnistCnn;

/// Version of the format that this program writes, and the newest version that it reads.
///
/// A file of version 1 describes the network in words, which tell the sizes of the one kind of
/// network that it can have, and always holds the two moments of Adam. A file of version 2 has the
/// network's text, the shape of its images and the names of the optimizer's slots.
pub const FORMAT_VERSION: u32 = 2;

/// Largest length of a header in bytes. A header that this program writes has about 3 kB.
pub const HEADER_LIMIT: u64 = 1 << 20;

/// Key of the text in the header that holds the [`Metadata`](super::Metadata). It is one text,
/// because texts have no fixed order, and the same state must give the same bytes.
pub const METADATA_KEY: &str = "mnist-train";

/// Mean loss of a batch above which training counts as diverged. A guess among ten classes costs
/// ln 10 = 2.3; at a mean loss of 104 the right class has, on average, a probability below the
/// smallest f32.
pub const RUNAWAY_LOSS: f64 = 1e4;

/// Description of `network` in the words of format version 1.
pub fn architecture_1(network: MnistCnn) -> String {
    let MnistCnn { channels, kernel_size, hidden } = network;
    let padding = (kernel_size - 1) / 2;
    format!(
        "1x28x28 > conv2d({channels}, {kernel_size}x{kernel_size}, stride 1, padding {padding}) > relu \
         > maxpool2d(2x2, stride 2) > flatten > linear({hidden}) > relu > linear(10)"
    )
}
