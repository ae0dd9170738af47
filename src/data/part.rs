//! The four files of a dataset.

/// One of the four files of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Images to train on.
    TrainImages,
    /// Labels of the images to train on.
    TrainLabels,
    /// Images to test on.
    TestImages,
    /// Labels of the images to test on.
    TestLabels,
}

impl Part {
    /// All four parts, in the order in which a dataset is hashed.
    pub const ALL: [Self; 4] =
        [Self::TrainImages, Self::TrainLabels, Self::TestImages, Self::TestLabels];

    /// Name of the uncompressed file of MNIST, and of the datasets with its names.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrainImages => "train-images-idx3-ubyte",
            Self::TrainLabels => "train-labels-idx1-ubyte",
            Self::TestImages => "t10k-images-idx3-ubyte",
            Self::TestLabels => "t10k-labels-idx1-ubyte",
        }
    }

    /// Name of the compressed file, which mirrors have.
    pub fn download_name(self) -> String {
        format!("{}.gz", self.name())
    }
}
