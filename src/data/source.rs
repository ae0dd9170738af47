//! Where the images come from: a folder that was named, the default folder, or a download.
//!
//! 1. A folder that somebody named is used, or is an error.
//! 2. Otherwise the default folder is used if the four files are there. Files that are there and
//!    not valid are an error too: whoever put them there wants them to be used.
//! 3. Otherwise the official files are downloaded into the default folder. Files of another set
//!    are never mixed with them, and nothing that is there is ever overwritten.
//! 4. Otherwise there is no data, and the answer says why.
//!
//! What to do in the last case, and how to tell a person about any of it, is the caller's matter.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::dataset::{self, CLASSES, Dataset, OFFICIAL_SHA256, Sha256Digest, hex};
#[cfg(feature = "download")]
use super::download::download;
use super::idx::{self, IdxError};
use crate::error::{Error, Result, escaped, printable};

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
    /// All four, in the order of [`OFFICIAL_SHA256`].
    pub const ALL: [Self; 4] = [
        Self::TrainImages,
        Self::TrainLabels,
        Self::TestImages,
        Self::TestLabels,
    ];

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
    fn spellings(self) -> [String; 4] {
        let dashed = self.name();
        let dotted = dashed.replace("-idx", ".idx");
        [
            dashed.to_string(),
            format!("{dashed}.gz"),
            dotted.clone(),
            format!("{dotted}.gz"),
        ]
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
        let (count, header, body) = match self {
            Self::TrainImages | Self::TestImages => {
                let images = idx::parse_images(content, length)?;
                let count = images.pixels.len() / (images.rows * images.columns);
                let header = idx::images_header(count, images.rows, images.columns);
                (count, header, images.pixels)
            }
            Self::TrainLabels | Self::TestLabels => {
                let labels = idx::parse_labels(content, length, CLASSES)?;
                (labels.len(), idx::labels_header(labels.len()), labels)
            }
        };
        let sha256 = Sha256::new().chain_update(header).chain_update(body);
        Ok(Content {
            count,
            sha256: sha256.finalize().into(),
        })
    }

    fn examine_file(self, path: &Path) -> Result<Content> {
        idx::read(path, |content, length| self.examine(content, length))
    }
}

/// What a valid file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Number of images or labels.
    pub count: usize,
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

/// Where the files can be downloaded, what they must be, and how long to wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Folders on the web that hold the four files under their official names with `.gz`, tried
    /// in this order.
    pub mirrors: Vec<String>,
    /// SHA-256 of each uncompressed file in lower-case hexadecimal, in the order of [`Part::ALL`].
    pub sha256: [String; 4],
    /// How long finding the mirror's address may take, and how long connecting to it.
    pub connect_timeout: Duration,
    /// How long a mirror may send nothing.
    pub stall_timeout: Duration,
}

/// Where the official files are, without a registration.
const MIRRORS: [&str; 2] = [
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
];

impl Default for Remote {
    /// The official MNIST from its public mirrors.
    fn default() -> Self {
        Self {
            mirrors: MIRRORS.map(String::from).to_vec(),
            sha256: OFFICIAL_SHA256.map(String::from),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(15),
        }
    }
}

impl Remote {
    /// The official MNIST from the mirrors in `list`, separated by spaces or commas; from the
    /// public ones when there is none in it.
    ///
    /// # Errors
    /// [`Error::Usage`] when one of them is not a web address.
    pub fn with_mirrors(list: &str) -> Result<Self> {
        let mut remote = Self::default();
        let mirrors: Vec<String> = list
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|mirror| !mirror.is_empty())
            .map(String::from)
            .collect();
        for mirror in &mirrors {
            if !mirror.starts_with("https://") && !mirror.starts_with("http://") {
                return Err(Error::Usage(format!(
                    "mirror '{}' starts with neither https:// nor http://",
                    escaped(mirror),
                )));
            }
        }
        if !mirrors.is_empty() {
            remote.mirrors = mirrors;
        }
        Ok(remote)
    }
}

/// Something that happened during a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file is being asked for.
    Requested {
        /// The file.
        part: Part,
        /// The host that is asked, safe on a terminal.
        host: &'a str,
    },
    /// Some of it has come.
    Received {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, when the host says so.
        total: Option<u64>,
    },
    /// The host did not deliver; if there is another, it is asked next.
    Failed {
        /// The file.
        part: Part,
        /// The host that was asked, safe on a terminal.
        host: &'a str,
        /// Why, on one line.
        reason: &'a str,
    },
    /// The file is complete, verified and under its final name.
    Verified {
        /// Where it is.
        path: &'a Path,
    },
}

/// Hears how a download goes, and may stop it. `()` hears nothing and never stops.
pub trait Progress {
    /// Takes note of `event`.
    fn event(&mut self, event: Event<'_>);

    /// The number of the signal that asks to stop, if there was one. Asked several times a second.
    fn stop_requested(&self) -> Option<i32>;
}

impl Progress for () {
    fn event(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> Option<i32> {
        None
    }
}

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The folder that somebody named.
    pub directory: Option<PathBuf>,
    /// The folder to use otherwise, and to download into.
    pub default_directory: PathBuf,
    /// Where to download from; `None` forbids it.
    pub remote: Option<Remote>,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// Files were found, or downloaded, and read.
    Loaded {
        /// Their content.
        dataset: Dataset,
        /// Where they are.
        files: Files,
    },
    /// Nobody named a folder, the default one holds no data, and none could be downloaded.
    NotAvailable {
        /// Why, on one line.
        reason: Error,
    },
}

/// Finds, downloads if need be, and reads a dataset.
///
/// # Errors
/// When files are there that cannot be used, or `progress` asked to stop. A download that fails is
/// no error, but [`Outcome::NotAvailable`].
pub fn load(request: &Request, progress: &mut dyn Progress) -> Result<Outcome> {
    let read = |files: Files| {
        let dataset = files.read()?;
        Ok(Outcome::Loaded { dataset, files })
    };
    if let Some(directory) = &request.directory {
        return read(locate(directory)?);
    }
    let directory = &request.default_directory;
    let found = Found::in_folder(directory)?;
    let remote = match &request.remote {
        _ if found.is_complete() => return read(found.into_files()?),
        Some(remote) if cfg!(feature = "download") => remote,
        _ if found.is_empty() => {
            let reason = Error::Unavailable(format!("{}; {NO_DOWNLOAD}", found.what_is_missing()));
            return Ok(Outcome::NotAvailable { reason });
        }
        _ => return Err(found.incomplete(NO_DOWNLOAD)),
    };
    found.check_official(remote)?;
    match download(directory, &found.missing(), remote, progress) {
        Ok(()) => read(locate(directory)?),
        Err(interrupted @ Error::Interrupted { .. }) => Err(interrupted),
        Err(reason) => Ok(Outcome::NotAvailable { reason }),
    }
}

/// Downloads those of the four official files that `directory` lacks.
///
/// # Errors
/// When a file that is there is not the official one, or the download fails: [`Error::InvalidData`]
/// if a mirror delivered something else than the official file, [`Error::Unavailable`] if none
/// delivered anything.
pub fn fetch(directory: &Path, remote: &Remote, progress: &mut dyn Progress) -> Result<Files> {
    let found = Found::in_folder(directory)?;
    found.check_official(remote)?;
    download(directory, &found.missing(), remote, progress)?;
    locate(directory)
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
    /// `None` when it is not there, an error when it is not valid.
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
    /// Whether that is what the file of the official MNIST holds.
    pub official: bool,
}

/// Looks at each of the four files in `directory` for itself.
///
/// # Errors
/// When `directory` is not a folder that can be read. One that does not exist holds no files.
pub fn inspect(directory: &Path) -> Result<Vec<Inspection>> {
    let facts = |part: Part, path: PathBuf| {
        let content = part.examine_file(&path)?;
        Ok(FileFacts {
            stored_bytes: fs::metadata(&path).map_err(Error::io("open", &path))?.len(),
            official: hex(&content.sha256) == OFFICIAL_SHA256[part as usize],
            content,
            path,
        })
    };
    let found = Found::in_folder(directory)?;
    Ok(Part::ALL
        .into_par_iter()
        .zip(found.paths)
        .map(|(part, path)| Inspection {
            part,
            file: path.map(|path| facts(part, path)),
        })
        .collect())
}

/// Which of the four files a folder has.
struct Found<'a> {
    directory: &'a Path,
    /// In the order of [`Part::ALL`].
    paths: [Option<PathBuf>; 4],
}

impl<'a> Found<'a> {
    /// Looks for the files; a folder that does not exist has none.
    fn in_folder(directory: &'a Path) -> Result<Self> {
        let mut found = Self {
            directory,
            paths: [const { None }; 4],
        };
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

    fn missing(&self) -> Vec<Part> {
        let is_missing = |part: &Part| self.paths[*part as usize].is_none();
        Part::ALL.into_iter().filter(is_missing).collect()
    }

    fn is_complete(&self) -> bool {
        self.paths.iter().all(Option::is_some)
    }

    fn is_empty(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

    fn into_files(self) -> Result<Files> {
        match self.paths {
            [Some(a), Some(b), Some(c), Some(d)] => Ok(Files {
                paths: [a, b, c, d],
            }),
            _ => Err(self.incomplete(
                "run 'mnist-train data fetch' to download MNIST, or name its folder with --data",
            )),
        }
    }

    /// Refuses to complete a set that is not the one that `remote` has.
    fn check_official(&self, remote: &Remote) -> Result<()> {
        for part in Part::ALL {
            let Some(path) = &self.paths[part as usize] else {
                continue;
            };
            let reason = match part.examine_file(path) {
                Ok(content) if hex(&content.sha256) == remote.sha256[part as usize] => continue,
                Ok(_) => format!("{}: not the official MNIST", printable(path)),
                Err(error) => error.to_string(),
            };
            return Err(if self.is_complete() {
                Error::Unavailable(format!(
                    "{reason}, and nothing is overwritten: move it away, or fetch into another \
                     folder"
                ))
            } else {
                self.incomplete(&format!(
                    "not downloaded, because two sets would be mixed ({reason}): add what is \
                     missing, or move the other files away"
                ))
            });
        }
        Ok(())
    }

    fn incomplete(&self, remedy: &str) -> Error {
        Error::Unavailable(format!("{}; {remedy}", self.what_is_missing()))
    }

    fn what_is_missing(&self) -> String {
        let folder = printable(self.directory);
        let names: Vec<_> = self.missing().into_iter().map(Part::name).collect();
        format!(
            "{folder}: {}missing {} (also looked for with .gz, and with .idx for -idx)",
            if self.directory.exists() {
                ""
            } else {
                "no such folder, "
            },
            names.join(", "),
        )
    }
}

/// Why a program that may not download does not.
const NO_DOWNLOAD: &str = if cfg!(feature = "download") {
    "downloading is forbidden by --offline"
} else {
    "this program was built without its feature 'download'"
};

#[cfg(not(feature = "download"))]
fn download(_: &Path, missing: &[Part], _: &Remote, _: &mut dyn Progress) -> Result<()> {
    match missing {
        [] => Ok(()),
        _ => Err(Error::Unavailable(NO_DOWNLOAD.into())),
    }
}
