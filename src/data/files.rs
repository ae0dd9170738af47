//! The four files of a dataset: their names, their places in a folder, and their content.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::classes;
use super::dataset::{self, Dataset, DatasetKind, ImageFormat, TestSet};
use super::idx::{self, IdxError};
use super::known::{KNOWN, Known, MNIST, Sha256s};
pub use super::part::Part;
use crate::digest::Sha256Digest;
use crate::error::{Error, Result, printable};
use rayon::prelude::*;

impl Part {
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

/// Paths of the four files of a dataset, and what is known of it before they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Path of each file that exists, in the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
    /// Dataset whose names the files have.
    known: &'static Known,
    /// Whether the user named this dataset.
    is_named: bool,
    /// Name of each class, of `classes.txt` beside the files or of the known dataset; empty if the
    /// names are the numbers from 0.
    class_names: Vec<String>,
}

impl Files {
    /// Path of the file for `part`.
    ///
    /// # Panics
    /// When the file does not exist and was not asked for.
    pub fn path(&self, part: Part) -> &Path {
        self.paths[part as usize].as_deref().expect("a file that was asked for")
    }

    /// Format of the images and labels. The sides are those in the first file of images, or MNIST's
    /// if it is not valid, which reading it will tell.
    pub fn format(&self) -> ImageFormat {
        let images = [Part::TrainImages, Part::TestImages];
        let path = images.into_iter().find_map(|part| self.paths[part as usize].as_ref());
        let ImageFormat { rows, columns, .. } = ImageFormat::MNIST;
        let [mut rows, mut columns] =
            path.and_then(|path| idx::image_sides(path)).unwrap_or([rows, columns]);
        if self.known.layout.transposed {
            (rows, columns) = (columns, rows);
        }
        let named = Some(self.class_names.len()).filter(|&names| names > 0);
        ImageFormat { rows, columns, classes: named.unwrap_or(self.known.classes) }
    }

    /// Kind of the dataset and the names of its classes, if the kind of its content is `found`.
    ///
    /// # Errors
    /// [`Error::InvalidData`] when the user named another dataset.
    fn identity(&self, found: DatasetKind) -> Result<(DatasetKind, Vec<String>)> {
        let kind = match (found, self.known.sha256) {
            (DatasetKind::Custom, Sha256s::Packed(_)) => DatasetKind::Named(self.known),
            (DatasetKind::Verified(known), _) if known == self.known => found,
            (_, Sha256s::Unpacked(_)) if self.is_named => {
                let path = self.paths.iter().flatten().next().expect("files were read");
                return Err(Error::InvalidData(format!(
                    "{}: --dataset names {}, and this is {found}: name another folder with --data, \
                     or leave --dataset out",
                    printable(path),
                    self.known.title,
                )));
            }
            _ => found,
        };
        let names = match kind {
            DatasetKind::Verified(known) if self.class_names.is_empty() => names_of(known),
            _ => self.class_names.clone(),
        };
        Ok((kind, names))
    }

    /// The dataset with its kind and the names of its classes.
    fn identified(&self, dataset: Dataset) -> Result<Dataset> {
        let identity = self.identity(dataset.kind())?;
        Ok(dataset.identified(identity))
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
            || dataset::read_split([train_images, train_labels], self.known.layout, format),
            || dataset::read_split([test_images, test_labels], self.known.layout, format),
        );
        self.identified(Dataset::new(train?, test?))
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
        let paths = [Part::TestImages, Part::TestLabels].map(|part| self.path(part));
        let split = dataset::read_split(paths, self.known.layout, format)?;
        let test = TestSet::alone(split);
        let (kind, class_names) = self.identity(test.kind)?;
        Ok(TestSet { kind, class_names, ..test })
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
        let paths = [Part::TrainImages, Part::TrainLabels].map(|part| self.path(part));
        let split = dataset::read_split(paths, self.known.layout, format)?;
        self.identified(Dataset::new(split, None))
    }

    /// All images, if the four files are there and valid.
    fn read_if_valid(&self, format: ImageFormat) -> Option<Dataset> {
        self.paths.iter().all(Option::is_some).then(|| self.read(format).ok())?
    }
}

/// Names of the classes of a known dataset.
fn names_of(known: &Known) -> Vec<String> {
    known.class_names.iter().map(ToString::to_string).collect()
}

/// Finds the files of `parts` in `directory`, and others that are there. If no dataset is `named`,
/// it is the one whose names the files have.
///
/// # Errors
/// When the folder or one of the files of `parts` is missing, or names of classes are not valid.
pub fn locate(directory: &Path, named: Option<&'static Known>, parts: &[Part]) -> Result<Files> {
    Found::in_folder(directory, named, parts)?.into_files()
}

/// Result of the inspection of one of the four files.
#[derive(Debug)]
pub struct Inspection {
    /// Kind of the file that was inspected.
    pub part: Part,
    /// Name of the file, uncompressed.
    pub name: String,
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

/// Inspects each of the four files in `directory`, in the order of [`Part::ALL`]: whether it is valid,
/// and its images have the sides of the first file of images. A folder that does not exist holds no
/// files.
///
/// # Errors
/// When `directory` is not a folder or cannot be read, or names of classes are not valid.
pub fn inspect(directory: &Path, named: Option<&'static Known>) -> Result<Vec<Inspection>> {
    let found = Found::in_folder(directory, named, &[])?;
    let known = found.known;
    let files = found.into_files()?;
    let format = files.format();
    let facts = |part: Part, path: PathBuf| {
        let layout = known.layout;
        let classes = format.classes + usize::from(layout.first_label);
        let content = part.examine_file(&path, classes)?;
        if let Some([rows, columns]) = content.sides {
            let sides = if layout.transposed { [columns, rows] } else { [rows, columns] };
            dataset::check_sides(&path, sides, format)?;
        }
        let kind = match DatasetKind::of_part(part as usize, content.sha256) {
            DatasetKind::Custom if known.has_own_names() => DatasetKind::Named(known),
            kind => kind,
        };
        let stored_bytes = fs::metadata(&path).map_err(Error::io("open", &path))?.len();
        Ok(FileFacts { stored_bytes, kind, content, path })
    };
    Ok(Part::ALL
        .into_par_iter()
        .zip(files.paths)
        .map(|(part, path)| {
            let file = path.map(|path| facts(part, path));
            Inspection { part, name: known.file_name(part), file }
        })
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
    /// Folder that holds the files.
    pub(super) directory: PathBuf,
    /// Dataset whose names the files have.
    known: &'static Known,
    /// Whether the user named this dataset.
    is_named: bool,
    /// Files that are needed.
    needed: &'a [Part],
    /// Path of each file that exists, in the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl<'a> Found<'a> {
    /// Looks in `directory` for the four files of the dataset that is `named`, or else of one with
    /// MNIST's names, or else of a split of EMNIST. The `needed` ones should be there. A folder that
    /// does not exist has none of them.
    ///
    /// # Errors
    /// When `directory` is not a folder or cannot be read, or no dataset is named and it has files of
    /// several splits.
    pub(super) fn in_folder(
        directory: &Path,
        named: Option<&'static Known>,
        needed: &'a [Part],
    ) -> Result<Self> {
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
        let mut found = Self::of_dataset(directory, named.unwrap_or(MNIST), needed)?;
        found.is_named = named.is_some();
        if found.is_named || !found.is_empty() {
            return Ok(found);
        }
        let others = KNOWN.iter().filter(|known| known.has_own_names());
        let others = others.map(|known| Self::of_dataset(directory, known, needed));
        let mut others: Vec<Self> = others.collect::<Result<_>>()?;
        others.retain(|found| !found.is_empty());
        if others.len() > 1 {
            let names: Vec<_> = others.iter().map(|found| found.known.name).collect();
            return Err(Error::Usage(format!(
                "--dataset: {} holds several datasets: choose {}",
                printable(directory),
                names.join(" or "),
            )));
        }
        Ok(others.pop().unwrap_or(found))
    }

    /// Looks for the four files of `known` in `directory`, and in the folders below it to which
    /// torchvision writes them.
    fn of_dataset(directory: &Path, known: &'static Known, needed: &'a [Part]) -> Result<Self> {
        let raw = format!("{}/raw", known.torchvision);
        let mut all = Vec::new();
        for place in ["", "raw", &raw] {
            let directory = match place {
                "" => directory.to_path_buf(),
                _ => directory.join(place),
            };
            let mut paths = [const { None }; 4];
            for part in Part::ALL {
                paths[part as usize] = find(&directory, &known.spellings(part), part)?;
            }
            all.push(Self { directory, known, is_named: false, needed, paths });
        }
        let complete = all.iter().position(|found| !found.is_empty() && found.is_complete());
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

    /// The paths of the files, and what is known of the dataset.
    ///
    /// # Errors
    /// When a file that is needed is missing, or the names of the classes are not valid.
    pub(super) fn into_files(self) -> Result<Files> {
        let Self { known, is_named, .. } = self;
        if self.is_complete() {
            let own = classes::read(&self.directory)?;
            let class_names = own.unwrap_or_else(|| names_of(known));
            return Ok(Files { paths: self.paths, known, is_named, class_names });
        }
        if known.mirrors.is_empty() {
            return Err(self.incomplete(known.remedy));
        }
        let dataset = if known == MNIST { "".into() } else { format!(" --dataset {}", known.name) };
        let folder = printable(&self.directory);
        let fetch = format!("'mnist-train data fetch{dataset} --data {folder}'");
        let title = known.title;
        Err(self.incomplete(&if self.is_empty() {
            format!("name the folder with --data, or download {title} there: {fetch}")
        } else {
            format!(
                "add them or, if the files that are there are the official {title}, use {fetch}"
            )
        }))
    }

    /// Error that names the missing files and the `remedy`.
    pub(super) fn incomplete(&self, remedy: &str) -> Error {
        let folder = printable(&self.directory);
        let names = self.missing().into_iter().map(|part| self.known.file_name(part));
        let no_folder = if self.directory.exists() { "" } else { "no such folder, " };
        Error::Unavailable(format!(
            "{folder}: {no_folder}missing {} (also looked for with .gz, with .idx for -idx, \
             and in raw and {}/raw); {remedy}",
            names.collect::<Vec<_>>().join(", "),
            self.known.torchvision,
        ))
    }
}

/// Finds the file for `part` in `directory`: of the files with one of the `spellings` of its name the
/// first that can be read, because an interrupted gunzip leaves half a file beside the packed one. Some archives unpack
/// to a folder with the name of the file and the file in it.
fn find(directory: &Path, spellings: &[String], part: Part) -> Result<Option<PathBuf>> {
    let mut there = Vec::new();
    for path in spellings.iter().map(|spelling| directory.join(spelling)) {
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("open", &path)(error)),
            Ok(_) if path.is_dir() => {
                let inside = spellings.iter().map(|spelling| path.join(spelling));
                there.extend(inside.filter(|path| path.is_file()));
                // The last choice: opening it says that it is a folder.
                there.push(path);
            }
            // A link that leads nowhere counts as found: opening it says what is wrong.
            Ok(_) => there.push(path),
        }
    }
    let is_usable = |path: &PathBuf| match part {
        Part::TrainImages | Part::TestImages => idx::read_images(path).is_ok(),
        Part::TrainLabels | Part::TestLabels => idx::read_labels(path, classes::MOST + 1).is_ok(),
    };
    let usable = if there.len() > 1 { there.iter().position(is_usable) } else { None };
    Ok(if there.is_empty() { None } else { Some(there.swap_remove(usable.unwrap_or(0))) })
}
