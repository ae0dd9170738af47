//! The four files of a dataset: their names, where they are in a folder, and what is in them.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::dataset::{self, CLASSES, Dataset, DatasetKind};
use super::idx::{self, IdxError};
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};
use rayon::prelude::*;

/// One of the four files of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The images to train on.
    TrainImages,
    /// Their labels.
    TrainLabels,
    /// The images to test on.
    TestImages,
    /// Their labels.
    TestLabels,
}

impl Part {
    /// All four, in the order of [`dataset::OFFICIAL_SHA256`].
    pub const ALL: [Self; 4] =
        [Self::TrainImages, Self::TrainLabels, Self::TestImages, Self::TestLabels];

    /// The official name of the uncompressed file.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrainImages => "train-images-idx3-ubyte",
            Self::TrainLabels => "train-labels-idx1-ubyte",
            Self::TestImages => "t10k-images-idx3-ubyte",
            Self::TestLabels => "t10k-labels-idx1-ubyte",
        }
    }

    /// The official name of the file on a mirror.
    pub fn download_name(self) -> String {
        format!("{}.gz", self.name())
    }

    /// The names under which the file is looked for, in that order. Whether it is gzip is told
    /// from its content.
    pub fn spellings(self) -> [String; 4] {
        let dashed = self.name();
        let dotted = dashed.replace("-idx", ".idx");
        [dashed.to_string(), format!("{dashed}.gz"), dotted.clone(), format!("{dotted}.gz")]
    }

    /// Reads `content`, which is `length` bytes long as it is stored, to the end.
    ///
    /// # Errors
    /// When it is not a valid file of this kind.
    pub(super) fn examine(
        self,
        content: impl BufRead,
        length: u64,
    ) -> std::result::Result<Content, IdxError> {
        let (count, side, header, body) = match self {
            Self::TrainImages | Self::TestImages => {
                let images = idx::parse_images(content, length)?;
                let side = (images.rows, images.columns);
                let count = images.pixels.len() / (side.0 * side.1);
                let header = idx::images_header(count, side.0, side.1);
                (count, Some(side), header, images.pixels)
            }
            Self::TrainLabels | Self::TestLabels => {
                let labels = idx::parse_labels(content, length, CLASSES)?;
                (labels.len(), None, idx::labels_header(labels.len()), labels)
            }
        };
        Ok(Content { count, side, sha256: Sha256Digest::of([header, body]) })
    }

    /// The same for the file at `path`.
    pub(super) fn examine_file(self, path: &Path) -> Result<Content> {
        idx::read(path, |content, length| self.examine(content, length))
    }
}

/// What a valid file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Number of images or labels.
    pub count: usize,
    /// Rows and columns of an image.
    pub side: Option<(usize, usize)>,
    /// The SHA-256 of the uncompressed file.
    pub sha256: Sha256Digest,
}

/// The paths of a complete set of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    paths: [PathBuf; 4],
}

impl Files {
    /// The path of one of them.
    pub fn path(&self, part: Part) -> &Path {
        &self.paths[part as usize]
    }

    /// Reads and checks all four, both splits at once.
    ///
    /// # Errors
    /// When one of them is not valid, or they do not belong together.
    pub fn read(&self) -> Result<Dataset> {
        let [train_images, train_labels, test_images, test_labels] = &self.paths;
        let (train, test) = rayon::join(
            || dataset::read_split(train_images, train_labels),
            || dataset::read_split(test_images, test_labels),
        );
        Ok(Dataset::new(train?, test?))
    }
}

/// Finds the four files in `directory`, without reading them.
///
/// # Errors
/// When the folder or one of the files is missing.
pub fn locate(directory: &Path) -> Result<Files> {
    Found::in_folder(directory)?.into_files()
}

/// What is known about one of the four files.
#[derive(Debug)]
pub struct Inspection {
    /// Which one.
    pub part: Part,
    /// `None` when it is not there, an error when it cannot be read or training would refuse it.
    pub file: Option<Result<FileFacts>>,
}

/// What is known about a valid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Where it is.
    pub path: PathBuf,
    /// Its size as it is stored, in bytes.
    pub stored_bytes: u64,
    /// What is in it.
    pub content: Content,
    /// Of which dataset that is the content of this part.
    pub kind: DatasetKind,
}

/// Looks at each of the four files in `directory` for itself.
///
/// # Errors
/// When `directory` is not a folder that can be read. One that does not exist holds no files.
pub fn inspect(directory: &Path) -> Result<Vec<Inspection>> {
    let facts = |part: Part, path: PathBuf| {
        let content = part.examine_file(&path)?;
        if let Some((rows, columns)) = content.side {
            dataset::check_side(&path, rows, columns)?;
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

/// Whether the files that are there and valid belong together.
///
/// # Errors
/// [`Error::InvalidData`] when there are more images than labels, or fewer.
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

/// Which of the four files a folder has.
pub(super) struct Found<'a> {
    directory: &'a Path,
    /// In the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl<'a> Found<'a> {
    /// Looks for the files; a folder that does not exist has none.
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

    pub(super) fn path(&self, part: Part) -> Option<&Path> {
        self.paths[part as usize].as_deref()
    }

    pub(super) fn missing(&self) -> Vec<Part> {
        let is_missing = |part: &Part| self.path(*part).is_none();
        Part::ALL.into_iter().filter(is_missing).collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.paths.iter().all(Option::is_some)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

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

    /// The error that says what is missing, and what to do about it.
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
