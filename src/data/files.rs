//! The four files of a dataset: their names, their places in a folder, and their content.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::dataset::{self, Dataset, DatasetKind, ImageFormat};
use super::idx::{self, IdxError};
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};
use rayon::prelude::*;

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
    /// All four parts, in the order of [`dataset::OFFICIAL_SHA256`].
    pub const ALL: [Self; 4] =
        [Self::TrainImages, Self::TrainLabels, Self::TestImages, Self::TestLabels];

    /// Official name of the uncompressed file.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrainImages => "train-images-idx3-ubyte",
            Self::TrainLabels => "train-labels-idx1-ubyte",
            Self::TestImages => "t10k-images-idx3-ubyte",
            Self::TestLabels => "t10k-labels-idx1-ubyte",
        }
    }

    /// Official name of the compressed file, which mirrors have.
    pub fn download_name(self) -> String {
        format!("{}.gz", self.name())
    }

    /// Names that the file may have, in the order in which they are tried. The content, not the
    /// name, tells whether the file is gzip.
    pub fn spellings(self) -> [String; 4] {
        let dashed = self.name();
        let dotted = dashed.replace("-idx", ".idx");
        [dashed.to_string(), format!("{dashed}.gz"), dotted.clone(), format!("{dotted}.gz")]
    }

    /// Reads `content`, of `length` stored bytes, to its end.
    ///
    /// # Errors
    /// When `content` is not a valid file of this kind, or a label is not below `classes`.
    pub(super) fn examine(
        self,
        content: impl BufRead,
        length: u64,
        classes: usize,
    ) -> std::result::Result<Content, IdxError> {
        let (count, sides, header, body) = match self {
            Self::TrainImages | Self::TestImages => {
                let images = idx::parse_images(content, length)?;
                let [rows, columns] = [images.rows, images.columns];
                let count = images.pixels.len() / (rows * columns);
                let header = idx::images_header(count, rows, columns);
                (count, Some([rows, columns]), header, images.pixels)
            }
            Self::TrainLabels | Self::TestLabels => {
                let labels = idx::parse_labels(content, length, classes)?;
                (labels.len(), None, idx::labels_header(labels.len()), labels)
            }
        };
        Ok(Content { count, sides, sha256: Sha256Digest::of([header, body]) })
    }

    /// Reads the file at `path` to its end.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::InvalidFile`] when it is not a valid file of
    /// this kind, or a label is not below `classes`.
    pub(super) fn examine_file(self, path: &Path, classes: usize) -> Result<Content> {
        idx::read(path, |content, length| self.examine(content, length, classes))
    }
}

/// Facts about the content of a valid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Number of images or labels.
    pub count: usize,
    /// Rows and columns of an image; `None` for labels.
    pub sides: Option<[usize; 2]>,
    /// SHA-256 of the uncompressed file.
    pub sha256: Sha256Digest,
}

/// Paths of the four files of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    paths: [PathBuf; 4],
}

impl Files {
    /// Path of the file for `part`.
    pub fn path(&self, part: Part) -> &Path {
        &self.paths[part as usize]
    }

    /// Reads and checks all four files, both splits at the same time.
    ///
    /// # Errors
    /// When a file is not valid or not of the `format`, or a file of images does not match its file of
    /// labels.
    pub fn read(&self, format: ImageFormat) -> Result<Dataset> {
        let [train_images, train_labels, test_images, test_labels] = &self.paths;
        let (train, test) = rayon::join(
            || dataset::read_split(train_images, train_labels, format),
            || dataset::read_split(test_images, test_labels, format),
        );
        Ok(Dataset::new(train?, test?))
    }
}

/// Finds the four files in `directory` without reading them.
///
/// # Errors
/// When the folder or one of the files is missing.
pub fn locate(directory: &Path) -> Result<Files> {
    Found::in_folder(directory)?.into_files()
}

/// Result of the inspection of one of the four files.
#[derive(Debug)]
pub struct Inspection {
    /// File that was inspected.
    pub part: Part,
    /// Facts about the file; `None` when it does not exist, an error when it cannot be read or
    /// training would refuse it.
    pub file: Option<Result<FileFacts>>,
}

/// Facts about a valid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Path of the file.
    pub path: PathBuf,
    /// Size of the file on the disk in bytes.
    pub stored_bytes: u64,
    /// Facts about the file's content.
    pub content: Content,
    /// Kind of the dataset that this content belongs to.
    pub kind: DatasetKind,
}

/// Inspects each of the four files in `directory`, in the order of [`Part::ALL`]: whether it is valid
/// and of the `format`. A folder that does not exist holds no files.
///
/// # Errors
/// When `directory` is not a folder or cannot be read.
pub fn inspect(directory: &Path, format: ImageFormat) -> Result<Vec<Inspection>> {
    let facts = |part: Part, path: PathBuf| {
        let content = part.examine_file(&path, format.classes)?;
        if let Some(sides) = content.sides {
            dataset::check_sides(&path, sides, format)?;
        }
        Ok(FileFacts {
            stored_bytes: fs::metadata(&path).map_err(Error::io("open", &path))?.len(),
            kind: DatasetKind::of_part(part as usize, content.sha256),
            content,
            path,
        })
    };
    let found = Found::in_folder(directory)?;
    Ok(Part::ALL
        .into_par_iter()
        .zip(found.paths)
        .map(|(part, path)| Inspection { part, file: path.map(|path| facts(part, path)) })
        .collect())
}

/// Checks that the valid files among `files` belong together.
///
/// # Errors
/// [`Error::InvalidData`] when the number of images is not the number of labels.
pub fn check_together(files: &[Inspection]) -> Result<()> {
    let facts = |part| {
        let inspection = files.iter().find(|inspection| inspection.part == part)?;
        inspection.file.as_ref()?.as_ref().ok()
    };
    for (images, labels) in
        [(Part::TrainImages, Part::TrainLabels), (Part::TestImages, Part::TestLabels)]
    {
        if let Some((images, labels)) = facts(images).zip(facts(labels)) {
            let counts = (images.content.count, labels.content.count);
            dataset::check_counts(&images.path, counts.0, &labels.path, counts.1)?;
        }
    }
    Ok(())
}

/// The files of a dataset that a folder has, from none to all four.
pub(super) struct Found<'a> {
    directory: &'a Path,
    /// Path of each file that exists, in the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl<'a> Found<'a> {
    /// Looks for the four files in `directory`. A folder that does not exist has none of them.
    pub(super) fn in_folder(directory: &'a Path) -> Result<Self> {
        let mut found = Self { directory, paths: [const { None }; 4] };
        match fs::metadata(directory) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::Unavailable(format!(
                    "{}: is not a folder: name the folder that holds the four files",
                    printable(directory),
                )));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(Error::io("open", directory)(error)),
        }
        for part in Part::ALL {
            for spelling in part.spellings() {
                let path = directory.join(spelling);
                // A link that leads nowhere counts as found: opening it says what is wrong.
                match fs::symlink_metadata(&path) {
                    Ok(_) => {
                        found.paths[part as usize] = Some(path);
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("open", &path)(error)),
                }
            }
        }
        Ok(found)
    }

    /// Path of the file for `part`, if it exists.
    pub(super) fn path(&self, part: Part) -> Option<&Path> {
        self.paths[part as usize].as_deref()
    }

    /// Files that do not exist.
    pub(super) fn missing(&self) -> Vec<Part> {
        let is_missing = |part: &Part| self.path(*part).is_none();
        Part::ALL.into_iter().filter(is_missing).collect()
    }

    /// Whether all four files exist.
    pub(super) fn is_complete(&self) -> bool {
        self.paths.iter().all(Option::is_some)
    }

    /// Whether none of the four files exists.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

    /// The paths of all four files.
    ///
    /// # Errors
    /// When a file is missing.
    pub(super) fn into_files(self) -> Result<Files> {
        match self.paths {
            [Some(a), Some(b), Some(c), Some(d)] => Ok(Files { paths: [a, b, c, d] }),
            _ => Err(self.incomplete(&format!(
                "name the folder with --data, or download MNIST there: 'mnist-train data fetch \
                 --data {}'",
                printable(self.directory),
            ))),
        }
    }

    /// Error that names the missing files and the `remedy`.
    pub(super) fn incomplete(&self, remedy: &str) -> Error {
        let folder = printable(self.directory);
        let names: Vec<_> = self.missing().into_iter().map(Part::name).collect();
        let no_folder = if self.directory.exists() { "" } else { "no such folder, " };
        Error::Unavailable(format!(
            "{folder}: {no_folder}missing {} (also looked for with .gz, and with .idx for -idx); \
             {remedy}",
            names.join(", "),
        ))
    }
}
