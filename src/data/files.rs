//! The four files of a dataset: their names, their places in a folder, and their content.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::dataset::{self, Dataset, DatasetKind, ImageFormat, TestSet};
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
                (labels.len(), None, vec![], idx::labels_file(&labels))
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
    /// Path of each file that exists, in the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl Files {
    /// Path of the file for `part`.
    ///
    /// # Panics
    /// When the file does not exist and was not asked for.
    pub fn path(&self, part: Part) -> &Path {
        self.paths[part as usize].as_deref().expect("a file that was asked for")
    }

    /// Reads and checks all four files, both splits at the same time.
    ///
    /// # Errors
    /// When a file is not valid or not of the `format`, or a file of images does not match its file of
    /// labels.
    pub fn read(&self, format: ImageFormat) -> Result<Dataset> {
        let [train_images, train_labels, test_images, test_labels] =
            Part::ALL.map(|part| self.path(part));
        let (train, test) = rayon::join(
            || dataset::read_split(train_images, train_labels, format),
            || dataset::read_split(test_images, test_labels, format),
        );
        Ok(Dataset::new(train?, test?))
    }

    /// Reads and checks the images to test on. The images to train on are read too if they are there
    /// and valid, because they tell which dataset it is.
    ///
    /// # Errors
    /// When a file to test on is not valid or not of the `format`, or the two do not match.
    pub fn read_test(&self, format: ImageFormat) -> Result<TestSet> {
        if let Some(dataset) = self.read_if_valid(format) {
            return Ok(dataset.into());
        }
        let [images, labels] = [Part::TestImages, Part::TestLabels].map(|part| self.path(part));
        dataset::read_split(images, labels, format).map(TestSet::alone)
    }

    /// Reads and checks the images to train on, in the same way: the images to test on are read too if
    /// they are there and valid.
    ///
    /// # Errors
    /// When a file to train on is not valid or not of the `format`, or the two do not match.
    pub fn read_train(&self, format: ImageFormat) -> Result<Dataset> {
        if let Some(dataset) = self.read_if_valid(format) {
            return Ok(dataset);
        }
        let [images, labels] = [Part::TrainImages, Part::TrainLabels].map(|part| self.path(part));
        Ok(Dataset::new(dataset::read_split(images, labels, format)?, None))
    }

    /// All images, if the four files are there and valid.
    fn read_if_valid(&self, format: ImageFormat) -> Option<Dataset> {
        self.paths.iter().all(Option::is_some).then(|| self.read(format).ok())?
    }
}

/// Finds the files of `parts` in `directory`, and others that are there.
///
/// # Errors
/// When the folder or one of the files of `parts` is missing.
pub fn locate(directory: &Path, parts: &[Part]) -> Result<Files> {
    Found::in_folder(directory, parts)?.into_files()
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
    let found = Found::in_folder(directory, &Part::ALL)?;
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

/// Folders in which the files may lie below the folder that the user names, in the order in which they
/// are tried: torchvision writes them to the last two.
const PLACES: [&str; 3] = ["", "raw", "MNIST/raw"];

/// The files of a dataset that a folder has, from none to all four.
pub(super) struct Found<'a> {
    /// Folder that holds the files.
    pub(super) directory: PathBuf,
    /// Files that are needed.
    needed: &'a [Part],
    /// Path of each file that exists, in the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl<'a> Found<'a> {
    /// Looks for the four files in `directory`, of which the `needed` ones should be there. A folder
    /// that does not exist has none of them.
    ///
    /// # Errors
    /// When `directory` is not a folder or cannot be read.
    pub(super) fn in_folder(directory: &Path, needed: &'a [Part]) -> Result<Self> {
        match fs::metadata(directory) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::Unavailable(format!(
                    "{}: is not a folder: name the folder that holds the four files",
                    printable(directory),
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("open", directory)(error));
            }
            _ => {}
        }
        let places = PLACES.map(|place| match place {
            "" => directory.to_path_buf(),
            _ => directory.join(place),
        });
        let mut all = Vec::new();
        for directory in places {
            let mut paths = [const { None }; 4];
            for part in Part::ALL {
                paths[part as usize] = find(&directory, part)?;
            }
            all.push(Self { directory, needed, paths });
        }
        let complete = all.iter().position(Self::is_complete);
        let best = complete.or_else(|| all.iter().position(|found| !found.is_empty()));
        Ok(all.swap_remove(best.unwrap_or(0)))
    }

    /// Path of the file for `part`, if it exists.
    pub(super) fn path(&self, part: Part) -> Option<&Path> {
        self.paths[part as usize].as_deref()
    }

    /// Files that are needed and do not exist.
    pub(super) fn missing(&self) -> Vec<Part> {
        let is_missing = |part: &Part| self.path(*part).is_none();
        self.needed.iter().copied().filter(is_missing).collect()
    }

    /// Whether all files that are needed exist.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// Whether none of the four files exists.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

    /// The paths of the files.
    ///
    /// # Errors
    /// When a file that is needed is missing.
    pub(super) fn into_files(self) -> Result<Files> {
        if self.is_complete() {
            return Ok(Files { paths: self.paths });
        }
        let fetch = format!("'mnist-train data fetch --data {}'", printable(&self.directory));
        Err(self.incomplete(&if self.is_empty() {
            format!("name the folder with --data, or download MNIST there: {fetch}")
        } else {
            format!("add them or, if the files that are there are the official MNIST, use {fetch}")
        }))
    }

    /// Error that names the missing files and the `remedy`.
    pub(super) fn incomplete(&self, remedy: &str) -> Error {
        let folder = printable(&self.directory);
        let names: Vec<_> = self.missing().into_iter().map(Part::name).collect();
        let no_folder = if self.directory.exists() { "" } else { "no such folder, " };
        Error::Unavailable(format!(
            "{folder}: {no_folder}missing {} (also looked for with .gz, with .idx for -idx, \
             and in raw and MNIST/raw); {remedy}",
            names.join(", "),
        ))
    }
}

/// Finds the file for `part` in `directory`: of the files with one of its names the first that can be
/// read, because an interrupted gunzip leaves half a file beside the packed one. Some archives unpack
/// to a folder with the name of the file and the file in it.
fn find(directory: &Path, part: Part) -> Result<Option<PathBuf>> {
    let mut there = Vec::new();
    for path in part.spellings().map(|spelling| directory.join(spelling)) {
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("open", &path)(error)),
            Ok(_) if path.is_dir() => {
                let inside = part.spellings().map(|spelling| path.join(spelling));
                there.extend(inside.into_iter().filter(|path| path.is_file()));
                // The last choice: opening it says that it is a folder.
                there.push(path);
            }
            // A link that leads nowhere counts as found: opening it says what is wrong.
            Ok(_) => there.push(path),
        }
    }
    let is_usable = |path: &PathBuf| match part {
        Part::TrainImages | Part::TestImages => idx::read_images(path).is_ok(),
        Part::TrainLabels | Part::TestLabels => idx::read_labels(path, 256).is_ok(),
    };
    let usable = if there.len() > 1 { there.iter().position(is_usable) } else { None };
    Ok(if there.is_empty() { None } else { Some(there.swap_remove(usable.unwrap_or(0))) })
}
