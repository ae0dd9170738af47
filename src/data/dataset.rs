//! Images and labels in memory, and the recognition of datasets by their checksums.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::idx::{self, IdxError, IdxImages};
use super::known::{KNOWN, Known, Layout, Sha256s};
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};

/// Images and labels that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFormat {
    /// Number of rows of an image, H.
    pub rows: usize,
    /// Number of columns of an image, W.
    pub columns: usize,
    /// Number of classes; every label is smaller.
    pub classes: usize,
}

impl ImageFormat {
    /// Format of MNIST, and of the synthetic digits.
    pub const MNIST: Self = Self { rows: 28, columns: 28, classes: 10 };
}

/// Largest number of rows and of columns of an image.
pub const MOST_ROWS: usize = 256;

/// Number of values between the darkest and the brightest pixel below which a split is doubted.
const SMALL_RANGE: usize = 64;

/// N images and their labels, N ≥ 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Pixels of all images, row by row, (N, H, W); 0 is background.
    images: Vec<u8>,
    /// Number of rows and columns of an image, [H, W].
    sides: [usize; 2],
    /// Labels of all images, (N).
    labels: Vec<u16>,
    /// How files store these images and labels.
    layout: Layout,
}

impl Split {
    /// A split of `images`, (N, H, W) with `sides` [H, W], and `labels`, (N).
    ///
    /// # Panics
    /// When the lengths do not match, or there is no image.
    pub fn new(images: Vec<u8>, sides: [usize; 2], labels: Vec<u16>) -> Self {
        assert!(!labels.is_empty(), "a split has at least one image");
        assert_eq!(images.len(), labels.len() * sides[0] * sides[1]);
        Self { images, sides, labels, layout: Layout::UPRIGHT }
    }

    /// This split, for files with this `layout`.
    pub fn stored_as(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// How files store these images and labels.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Number of rows and columns of an image, [H, W].
    pub fn sides(&self) -> [usize; 2] {
        self.sides
    }

    /// Number of pixels of an image, H·W.
    fn pixels(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    /// Number of images, N.
    #[allow(clippy::len_without_is_empty)] // A split is never empty.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Pixels of all images, (N, H, W).
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// Labels of all images, (N).
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Pixels of image `index`, (H, W).
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.pixels()..][..self.pixels()]
    }

    /// Pixels of all images, (N, H, W), and their labels, (N), to write.
    pub(super) fn parts_mut(&mut self) -> (&mut [u8], &mut [u16]) {
        (&mut self.images, &mut self.labels)
    }

    /// Removes all images after the first `count`; nothing changes if there are no more than that.
    pub fn truncate(&mut self, count: usize) {
        let count = count.min(self.len());
        self.images.truncate(count * self.pixels());
        self.labels.truncate(count);
    }

    /// Removes all images from number `first` on, and returns them.
    fn split_off(&mut self, first: usize) -> Self {
        let images = self.images.split_off(first * self.pixels());
        Self { images, labels: self.labels.split_off(first), ..*self }
    }

    /// What is unusual about the pixels and may be a mistake, as lines of text, if anything is.
    pub fn doubt(&self) -> Option<String> {
        let mut counts = [0_usize; 256];
        self.images.iter().for_each(|&pixel| counts[usize::from(pixel)] += 1);
        let least = counts.iter().position(|&count| count > 0)?;
        let most = counts.iter().rposition(|&count| count > 0)?;
        if most - least < SMALL_RANGE {
            return Some(format!(
                "pixels are {least} to {most}, a small part of 0 to 255:\n\
                 give bytes from 0 to 255, if they were scaled; they are divided by 255 here"
            ));
        }
        let is_bright = 2 * counts[128..].iter().sum::<usize>() > self.images.len();
        is_bright.then(|| {
            "most pixels are bright, as in dark ink on paper; MNIST is bright on black:\n\
             a model of one fails on the other, and stage sparse gains nothing\n\
             (255 - pixel inverts an image)"
                .into()
        })
    }

    /// Header and pixels of the uncompressed IDX file of the images.
    pub fn images_file(&self) -> [Cow<'_, [u8]>; 2] {
        let [rows, columns] = self.sides;
        if !self.layout.transposed {
            let header = idx::images_header(self.len(), rows, columns);
            return [header.into(), (&self.images).into()];
        }
        let images = self.images.chunks_exact(rows * columns);
        let pixels = images.flat_map(|image| transposed(image, columns)).collect::<Vec<u8>>();
        [idx::images_header(self.len(), columns, rows).into(), pixels.into()]
    }

    /// Uncompressed IDX file of the labels.
    pub fn labels_file(&self) -> Vec<u8> {
        let first = self.layout.first_label;
        let stored: Vec<u16> = self.labels.iter().map(|&label| label + first).collect();
        idx::labels_file(&stored)
    }

    /// SHA-256 of the images and SHA-256 of the labels, each as an uncompressed IDX file.
    fn digests(&self) -> [Sha256Digest; 2] {
        [Sha256Digest::of(self.images_file()), Sha256Digest::of([self.labels_file()])]
    }
}

/// Kind of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetKind {
    /// A known dataset: the checksums of all files that were read agree.
    Verified(&'static Known),
    /// A known dataset by the names of its files, whose uncompressed files have no checksums here.
    Named(&'static Known),
    /// The digits that this program generates: the checksums agree.
    Synthetic,
    /// The letters that this program generates: the checksums agree.
    SyntheticLetters,
    /// Any other images and labels.
    Custom,
}

impl DatasetKind {
    /// Kind of the dataset whose part number `part`, in the order of
    /// [`Part::ALL`](super::part::Part::ALL), has this checksum.
    pub fn of_part(part: usize, sha256: Sha256Digest) -> Self {
        let found = sha256.to_string();
        let is_this = |known: &&Known| match known.sha256 {
            Sha256s::Unpacked(sums) => sums[part] == found,
            Sha256s::Packed(_) => false,
        };
        match KNOWN.iter().find(is_this) {
            Some(known) => Self::Verified(known),
            None if found == SYNTHETIC_SHA256[part] => Self::Synthetic,
            None if found == SYNTHETIC_LETTERS_SHA256[part] => Self::SyntheticLetters,
            None => Self::Custom,
        }
    }

    /// Kind of the dataset whose parts from number `first` on have these checksums.
    fn of_parts(first: usize, digests: &[Sha256Digest]) -> Self {
        let mut kinds = (first..).zip(digests).map(|(part, sha256)| Self::of_part(part, *sha256));
        let kind = kinds.next().expect("a split has two parts");
        if kinds.all(|other| other == kind) { kind } else { Self::Custom }
    }

    /// Name of the kind in JSON and in checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified(known) | Self::Named(known) => known.name,
            Self::Synthetic => "synthetic",
            Self::SyntheticLetters => "synthetic-letters",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(known) => write!(f, "{} (checksums verified)", known.title),
            Self::Named(known) => write!(f, "{} (not verified)", known.title),
            Self::Synthetic => f.write_str("SYNTHETIC digits (not MNIST)"),
            Self::SyntheticLetters => f.write_str("SYNTHETIC letters (not EMNIST)"),
            Self::Custom => f.write_str("not the official MNIST"),
        }
    }
}

/// A training set, and the test set of the same dataset if it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Images to train on.
    pub train: Split,
    /// Images that were [held out](Self::hold_out) of the training.
    pub validation: Option<Split>,
    /// Images to evaluate on.
    pub test: Option<Split>,
    /// Name of each class; empty if the names are the numbers from 0.
    pub class_names: Vec<String>,
    kind: DatasetKind,
    sha256s: [Sha256Digest; 2],
}

impl Dataset {
    /// A dataset of two splits, or of one; its kind is recognized by their checksums.
    pub fn new(train: Split, test: impl Into<Option<Split>>) -> Self {
        let test = test.into();
        let (train_digests, test_digests) =
            rayon::join(|| train.digests(), || test.as_ref().map(Split::digests));
        let mut digests = train_digests.to_vec();
        digests.extend(test_digests.into_iter().flatten());
        let sha256s = [&digests[..], &train_digests]
            .map(|digests| Sha256Digest::of(digests.iter().map(|digest| digest.bytes())));
        let kind = DatasetKind::of_parts(0, &digests);
        Self { train, validation: None, test, class_names: Vec::new(), kind, sha256s }
    }

    /// This dataset, of the kind and with the names of classes that its files tell.
    pub(super) fn identified(self, (kind, class_names): (DatasetKind, Vec<String>)) -> Self {
        Self { kind, class_names, ..self }
    }

    /// Holds out the last `images` training images for validation.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn hold_out(&mut self, images: usize) {
        self.validation = Some(self.train.split_off(self.train.len() - images));
    }

    /// Kind of this dataset.
    pub fn kind(&self) -> DatasetKind {
        self.kind
    }

    /// SHA-256 over the SHA-256 of the uncompressed IDX files, in the order of
    /// [`Part::ALL`](super::part::Part::ALL): of all files that were read, and of the two training files.
    pub fn sha256s(&self) -> [Sha256Digest; 2] {
        self.sha256s
    }
}

/// A test set, with what is known of its dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSet {
    /// Images to evaluate on.
    pub split: Split,
    /// Kind of the dataset.
    pub kind: DatasetKind,
    /// Name of each class; empty if the names are the numbers from 0.
    pub class_names: Vec<String>,
    /// The [`Dataset::sha256s`] of the dataset; `None` when its training set was not read.
    pub sha256s: Option<[Sha256Digest; 2]>,
}

impl TestSet {
    /// The test set `split` of a dataset whose training set was not read.
    pub fn alone(split: Split) -> Self {
        let kind = DatasetKind::of_parts(2, &split.digests());
        Self { split, kind, class_names: Vec::new(), sha256s: None }
    }
}

impl From<Dataset> for TestSet {
    /// # Panics
    /// When the test set was not read.
    fn from(Dataset { test, class_names, kind, sha256s, .. }: Dataset) -> Self {
        let split = test.expect("it was read");
        Self { split, kind, class_names, sha256s: Some(sha256s) }
    }
}

/// SHA-256 of each file of the generated digits with the default seed, in the order of
/// [`Part::ALL`](super::part::Part::ALL).
pub const SYNTHETIC_SHA256: [&str; 4] = [
    "a306742a3bbab35f7719c210403db9704e94d01868973be45304221f10084db5",
    "67cbb4c0a138489d5fd6784b4dd7b0d8b0a1e6ef3f3ef4ee804cd4ae4d416a87",
    "f7bc9529e7e057e0592170ad7311da3f61e06bfa63d914b3e25ee48b1a82a3bd",
    "0937c24eecfd22646cb7588c6629c85cea536c683412ab9fa1d2169f52799b61",
];

/// SHA-256 of each file of the generated letters, in the same order.
pub const SYNTHETIC_LETTERS_SHA256: [&str; 4] = [
    "28556a8fedc7796afb83479d0acc594235bdedc990c041d2c52ecda027f1ae35",
    "a7b79e8b2c0c4a729ad3901ff528618941b1d9d23710af8f3b8ca5e2af283b35",
    "ca54ec2b86837ba29b165c3d5bb14be127bc25d83ee0c104e8b15abc4910b0e3",
    "8f4881147e2bfeaae52f2006a9d0eee5d0f2a318c5c90c8b546953f2584f8482",
];

/// Reads one split from a file of images and a file of labels, which store it in this `layout`.
///
/// # Errors
/// When either file is not valid or not of the `format`, or the counts differ.
pub fn read_split(
    [images_path, labels_path]: [&Path; 2],
    layout: Layout,
    format: ImageFormat,
) -> Result<Split> {
    let IdxImages { mut rows, mut columns, mut pixels } = idx::read_images(images_path)?;
    if layout.transposed {
        let images = pixels.chunks_exact(rows * columns);
        pixels = images.flat_map(|image| transposed(image, columns)).collect();
        (rows, columns) = (columns, rows);
    }
    check_sides(images_path, [rows, columns], format)?;
    let first = layout.first_label;
    let mut labels = idx::read_labels(labels_path, format.classes + usize::from(first))?;
    if let Some(index) = labels.iter().position(|&label| label < first) {
        let label = labels[index];
        return Err(Error::invalid(labels_path)(IdxError::LabelBelow { index, label, first }));
    }
    labels.iter_mut().for_each(|label| *label -= first);
    check_counts(images_path, pixels.len() / (rows * columns), labels_path, labels.len())?;
    Ok(Split::new(pixels, [rows, columns], labels).stored_as(layout))
}

/// Pixels of `image`, whose rows have `columns` pixels, column by column.
fn transposed(image: &[u8], columns: usize) -> impl Iterator<Item = u8> {
    (0..columns).flat_map(move |x| image.iter().skip(x).step_by(columns).copied())
}

/// Refuses images whose `sides` differ from the sides in `format`.
pub(super) fn check_sides(path: &Path, sides: [usize; 2], format: ImageFormat) -> Result<()> {
    let ImageFormat { rows, columns, .. } = format;
    let [found_rows, found_columns] = sides;
    if found_rows.max(found_columns) > MOST_ROWS {
        return Err(Error::invalid(path)(format!(
            "images are {found_rows}×{found_columns}, and the largest possible are \
             {MOST_ROWS}×{MOST_ROWS}: scale them first"
        )));
    }
    if sides == [rows, columns] {
        return Ok(());
    }
    Err(Error::invalid(path)(format!(
        "images are {found_rows}×{found_columns}, and the model needs {rows}×{columns}: scale them \
         first"
    )))
}

/// Refuses a number of images that is not the number of labels.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_a_small_range_and_bright_paper_are_doubted() {
        let split = |pixels: &[u8]| Split::new(pixels.to_vec(), [2, 2], vec![0]);
        for ordinary in [[0, 64, 0, 0], [0, 255, 255, 0], [127, 0, 255, 255], [0, 0, 63, 200]] {
            assert_eq!(split(&ordinary).doubt(), None, "{ordinary:?}");
        }
        for (pixels, words) in [
            ([0, 1, 1, 0], "pixels are 0 to 1, a small part"),
            ([9, 9, 9, 9], "pixels are 9 to 9, a small part"),
            ([200, 255, 230, 240], "pixels are 200 to 255, a small part"),
            ([255, 255, 0, 255], "most pixels are bright"),
        ] {
            let doubt = split(&pixels).doubt().unwrap();
            assert!(doubt.contains(words), "{doubt}");
        }
    }
}
