//! Images with labels, in memory as bytes, and which set they are.

use std::fmt;
use std::path::Path;

use super::idx::{self, IdxImages};
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};

/// Rows and columns of an image.
pub const SIDE: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// The largest number of classes.
pub const CLASSES: usize = 10;

/// Images and their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// (N, 28, 28), row by row, 0 is background.
    images: Vec<u8>,
    /// (N), each below [`CLASSES`].
    labels: Vec<u8>,
}

impl Split {
    /// # Panics
    /// When the lengths do not belong together, there is no image, or a label is out of range.
    pub fn new(images: Vec<u8>, labels: Vec<u8>) -> Self {
        assert!(!labels.is_empty(), "a split has at least one image");
        assert_eq!(images.len(), labels.len() * PIXELS);
        assert!(labels.iter().all(|&label| usize::from(label) < CLASSES));
        Self { images, labels }
    }

    /// Number of images.
    #[allow(clippy::len_without_is_empty)] // A split is never empty.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The pixels of all images, (N, 28, 28).
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// The label of each image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The pixels of image `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * PIXELS..][..PIXELS]
    }

    /// Keeps the first `count` images; a `count` above the length changes nothing.
    pub fn truncate(&mut self, count: usize) {
        let count = count.min(self.len());
        self.images.truncate(count * PIXELS);
        self.labels.truncate(count);
    }

    /// The SHA-256 of the images and of the labels as uncompressed IDX files.
    fn digests(&self) -> [Sha256Digest; 2] {
        [
            Sha256Digest::of([&idx::images_header(self.len(), SIDE, SIDE), &self.images]),
            Sha256Digest::of([&idx::labels_header(self.len()), &self.labels]),
        ]
    }
}

/// Which set of images this is, told from the content alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetKind {
    /// The official MNIST: all four checksums agree.
    Mnist,
    /// The digits that this program generates.
    Synthetic,
    /// Anything else.
    Custom,
}

impl DatasetKind {
    /// Whose part number `part`, in the order of [`OFFICIAL_SHA256`], has this checksum.
    pub fn of_part(part: usize, sha256: Sha256Digest) -> Self {
        match sha256.to_string() {
            found if found == OFFICIAL_SHA256[part] => Self::Mnist,
            found if found == SYNTHETIC_SHA256[part] => Self::Synthetic,
            _ => Self::Custom,
        }
    }

    /// The word for it in JSON and in checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Synthetic => "synthetic",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mnist => "MNIST (checksums verified)",
            Self::Synthetic => "SYNTHETIC digits (not MNIST)",
            Self::Custom => "not the official MNIST",
        })
    }
}

/// A training set and a test set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// What is trained on.
    pub train: Split,
    /// What is evaluated on.
    pub test: Split,
    kind: DatasetKind,
    sha256: Sha256Digest,
}

impl Dataset {
    /// Puts two splits together and finds out which set they are.
    pub fn new(train: Split, test: Split) -> Self {
        let (train_digests, test_digests) = rayon::join(|| train.digests(), || test.digests());
        let digests = [train_digests, test_digests].concat();
        let sha256 = Sha256Digest::of(digests.iter().map(|digest| digest.bytes()));
        let kinds: Vec<_> = (0..4).map(|part| DatasetKind::of_part(part, digests[part])).collect();
        let same = kinds.iter().all(|kind| *kind == kinds[0]);
        let kind = if same { kinds[0] } else { DatasetKind::Custom };
        Self { train, test, kind, sha256 }
    }

    /// Which set this is.
    pub fn kind(&self) -> DatasetKind {
        self.kind
    }

    /// The SHA-256 over the SHA-256s of the four uncompressed IDX files, in the order training
    /// images, training labels, test images, test labels.
    pub fn sha256(&self) -> Sha256Digest {
        self.sha256
    }
}

/// SHA-256 of the official uncompressed files: training images, training labels, test images,
/// test labels.
pub const OFFICIAL_SHA256: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

/// The same four for the generated digits of the default seed.
pub const SYNTHETIC_SHA256: [&str; 4] = [
    "a306742a3bbab35f7719c210403db9704e94d01868973be45304221f10084db5",
    "67cbb4c0a138489d5fd6784b4dd7b0d8b0a1e6ef3f3ef4ee804cd4ae4d416a87",
    "f7bc9529e7e057e0592170ad7311da3f61e06bfa63d914b3e25ee48b1a82a3bd",
    "0937c24eecfd22646cb7588c6629c85cea536c683412ab9fa1d2169f52799b61",
];

/// Reads one split from a file of images and a file of labels.
///
/// # Errors
/// When either file is not valid, the images are not 28×28, or the counts differ.
pub fn read_split(images_path: &Path, labels_path: &Path) -> Result<Split> {
    let IdxImages { rows, columns, pixels } = idx::read_images(images_path)?;
    check_side(images_path, rows, columns)?;
    let labels = idx::read_labels(labels_path, CLASSES)?;
    check_counts(images_path, pixels.len() / PIXELS, labels_path, labels.len())?;
    Ok(Split::new(pixels, labels))
}

/// Refuses images of another size than the model's.
pub(super) fn check_side(path: &Path, rows: usize, columns: usize) -> Result<()> {
    if (rows, columns) == (SIDE, SIDE) {
        return Ok(());
    }
    Err(Error::invalid(path)(format!(
        "images are {rows}×{columns}, and the model needs {SIDE}×{SIDE}: scale them first"
    )))
}

/// Refuses as many images as there are not labels for.
pub(super) fn check_counts(
    images_path: &Path,
    images: usize,
    labels_path: &Path,
    labels: usize,
) -> Result<()> {
    if images == labels {
        return Ok(());
    }
    Err(Error::InvalidData(format!(
        "{} holds {images} images and {} holds {labels} labels: these files do not belong together",
        printable(images_path),
        printable(labels_path),
    )))
}
