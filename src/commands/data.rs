//! The command `mnist-train data`, and the loading of data for the other commands.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::augmented;
use super::output::Output;
use super::progress::{DownloadProgress, spinner};
use super::signals::Signals;
use crate::cli::{AugmentedArgs, DataAction, DataArgs, DataCommand, FolderArgs, OutputArgs};
use crate::data::dataset::{Dataset, DatasetKind, ImageFormat, Split, TestSet};
use crate::data::files::{self, Files, Inspection, Part};
use crate::data::known::{KNOWN, Known, MNIST};
use crate::data::remote::Remote;
use crate::data::source::{self, Outcome, Request};
use crate::data::synthetic::{self, Characters};
use crate::error::{Error, Result, printable};
use crate::files::durable::{self, Folder, Partial};
use crate::files::lock::lock_for_writing;
use crate::files::replaceable;
use crate::measure::machine;
use crate::report::{self, DataFile, Event, SCHEMA_VERSION};
use crate::team::{STACK_BYTES, check_memory};

/// Data folder if the user names none.
const DEFAULT_DIRECTORY: &str = "data";

/// Environment variable with mirrors to use instead of the public ones, separated by spaces or
/// commas.
const MIRRORS_VARIABLE: &str = "MNIST_MIRRORS";

/// First bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Lists, downloads or generates data.
pub fn run(args: &DataCommand) -> anyhow::Result<()> {
    if !matches!(args.action, Some(DataAction::Augmented(_))) {
        // Loading a dataset starts them too.
        start_threads(machine::threads())?;
    }
    let output = Output::new(
        match &args.action {
            Some(DataAction::Fetch { output, .. } | DataAction::Synthetic { output, .. }) => {
                *output
            }
            Some(DataAction::Augmented(_)) => OutputArgs { json: false },
            None => args.output,
        },
        false,
    );
    match &args.action {
        None => {
            let FolderArgs { dataset, .. } = args.folder;
            let named = args.folder.directory();
            if let Some(directory) = named.as_ref().filter(|directory| !directory.exists()) {
                files::locate(directory, dataset, &Part::ALL)?;
            }
            list(&named.unwrap_or_else(|| default_directory(dataset)), dataset, &output)?;
        }
        Some(DataAction::Fetch { folder, .. }) => {
            let known = folder.dataset.unwrap_or(MNIST);
            let named = folder.directory();
            let directory = named.unwrap_or_else(|| default_directory(folder.dataset));
            let mut progress = DownloadProgress::new(&output, Signals::install(false)?);
            let fetched = source::fetch(&directory, known, &remote(known), &mut progress);
            progress.finish();
            fetched?;
            list(&directory, folder.dataset, &output)?;
        }
        Some(DataAction::Augmented(args)) => draw(args, &output)?,
        Some(DataAction::Synthetic { out, images, letters, .. }) => {
            let signals = Signals::install(false)?;
            let characters = if *letters { Characters::Letters } else { Characters::Digits };
            let known = characters.known();
            // These checks come before the drawing, which takes time.
            if fs::metadata(out).is_ok_and(|found| !found.is_dir()) {
                return Err(not_a_folder(out).into());
            }
            check_free(out, known)?;
            let at_once = signals.stop_at_once(())?;
            let dataset = generate(characters, &output, *images);
            at_once.end();
            let written =
                Folder::make(out).and_then(|_folder| write(&dataset, known, out, &signals));
            written.map_err(|error| error.with_remedy("name another folder with --out"))?;
            list(out, None, &output)?;
        }
    }
    Ok(output.finish()?)
}

/// Draws training images as the epochs see them.
fn draw(args: &AugmentedArgs, output: &Output) -> Result<()> {
    let path = &args.out;
    check_no_data_file("--out", path, &args.data)?;
    let lock = lock_for_writing(path);
    let _lock = lock.map_err(|error| error.with_remedy("name another file with --out"))?;
    replaceable::check_bytes(path, "the picture", |bytes| bytes.starts_with(PNG))?;
    let signals = Signals::install(false)?;
    let format = self::format(&args.data)?;
    let train = load(&args.data, false, format, machine::threads(), output, &signals)?.train;
    durable::replace(path, &augmented::sheet(args, &train))?;
    let images = augmented::IMAGES.min(train.len());
    output.print(&format!(
        "wrote {}: {images} training images, then as {} epochs see them",
        printable(path),
        augmented::EPOCHS,
    ));
    Ok(())
}

/// Starts the threads that read, hash and draw. Rayon would start them by itself, but panic if the
/// operating system refuses.
pub fn start_threads(threads: usize) -> Result<()> {
    check_memory(threads).map_err(Error::threads(threads))?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK_BYTES)
        .build_global()
        .map_err(Error::threads(threads))
}

/// Data folder for the dataset `known` if the user names none.
fn default_directory(known: Option<&Known>) -> PathBuf {
    match known.filter(|known| *known != MNIST) {
        Some(known) => Path::new(DEFAULT_DIRECTORY).join(known.name),
        None => DEFAULT_DIRECTORY.into(),
    }
}

/// Format of the images and labels, as far as it is known before anything is downloaded.
///
/// # Errors
/// When the data folder cannot be read, or the names of the classes are not valid.
pub fn format(args: &DataArgs) -> Result<ImageFormat> {
    source::format(&request(args)?)
}

/// Request for the data that `args` name.
fn request(args: &DataArgs) -> Result<Request> {
    let known = args.known();
    Ok(Request {
        known,
        directory: args.directory()?,
        default_directory: default_directory(known),
        remote: if args.offline { None } else { Some(remote(known.unwrap_or(MNIST))) },
    })
}

/// Finds the data for training, and also for evaluation if the caller `evaluates`, and reads it, on at
/// most `threads` threads; images that are not of the `format` are refused. If no data is available,
/// it prints a warning and draws synthetic digits.
pub fn load(
    args: &DataArgs,
    evaluates: bool,
    format: ImageFormat,
    threads: usize,
    output: &Output,
    signals: &Signals,
) -> Result<Dataset> {
    let parts = if evaluates { &Part::ALL[..] } else { &[Part::TrainImages, Part::TrainLabels] };
    let dataset = match find(args, parts, threads, output, signals)? {
        Some(files) if evaluates => files.read(format)?,
        Some(files) => files.read_train(format)?,
        None => digits(format, output)?,
    };
    note_doubt(dataset.kind(), &dataset.train, output);
    Ok(dataset)
}

/// Finds and reads the test set alone, as [`load`] does.
pub fn load_test(
    args: &DataArgs,
    format: ImageFormat,
    threads: usize,
    output: &Output,
    signals: &Signals,
) -> Result<TestSet> {
    let parts = [Part::TestImages, Part::TestLabels];
    let test = match find(args, &parts, threads, output, signals)? {
        Some(files) => files.read_test(format)?,
        None => digits(format, output)?.into(),
    };
    note_doubt(test.kind, &test.split, output);
    Ok(test)
}

/// Prints a note if the pixels of a `split` of the user's own look like a mistake.
fn note_doubt(kind: DatasetKind, split: &Split, output: &Output) {
    if let Some(doubt) = split.doubt().filter(|_| kind == DatasetKind::Custom) {
        output.note(&format!("note: {doubt}"));
    }
}

/// Finds the files of `parts`; `None`, after a warning, if no data is available.
fn find(
    args: &DataArgs,
    parts: &[Part],
    threads: usize,
    output: &Output,
    signals: &Signals,
) -> Result<Option<Files>> {
    start_threads(threads.min(machine::threads()))?;
    let request = request(args)?;
    let mut progress = DownloadProgress::new(output, signals.clone());
    let outcome = source::find(&request, parts, &mut progress);
    progress.finish();
    match outcome? {
        Outcome::Found(files) => Ok(Some(files)),
        Outcome::NotAvailable { reason } if request.known.is_some() => Err(reason),
        Outcome::NotAvailable { reason } => {
            output.warn(&synthetic_notice(&reason));
            Ok(None)
        }
    }
}

/// Refuses a batch size larger than the number of `images`. `what` names the images in the error.
pub fn check_batch_size(batch_size: usize, images: usize, what: &str) -> Result<()> {
    if batch_size <= images {
        return Ok(());
    }
    Err(Error::Usage(format!("--batch-size {batch_size} is more than the {images} {what}")))
}

/// Refuses a `path`, the value of `flag`, at which the program would look for a data file.
pub fn check_no_data_file(flag: &str, path: &Path, args: &DataArgs) -> Result<()> {
    let data = args.directory()?.unwrap_or_else(|| default_directory(args.known()));
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
    let is_there = folder.is_ok_and(|folder| fs::canonicalize(&data).is_ok_and(|at| at == folder));
    let spellings = |known: &'static Known| Part::ALL.map(|part| known.spellings(part));
    let mut names = KNOWN.iter().flat_map(spellings).flatten();
    if is_there && names.any(|name| path.file_name() == Some(name.as_ref())) {
        return Err(Error::Usage(format!(
            "{flag} {} is the name of a data file in the data folder: name another",
            printable(path),
        )));
    }
    Ok(())
}

/// Warning that the run uses synthetic digits, with the `reason`.
fn synthetic_notice(reason: &Error) -> String {
    let rule = "=".repeat(40);
    format!(
        "{rule}\n\
         NOT MNIST: this run uses the built-in SYNTHETIC digits.\n\
         {reason}\n\
         For MNIST: 'mnist-train data fetch', or name its folder with --data DIR.\n\
         {rule}"
    )
}

/// Synthetic digits for a network that takes images of the `format`.
///
/// # Errors
/// [`Error::Usage`] when the network has fewer classes than there are digits.
fn digits(format: ImageFormat, output: &Output) -> Result<Dataset> {
    let classes = format.classes;
    if classes < synthetic::CLASSES {
        return Err(Error::Usage(format!(
            "the network has {classes} classes, and there are {} digits: give its last layer as many \
             outputs",
            synthetic::CLASSES
        )));
    }
    Ok(generate(Characters::Digits, output, synthetic::TRAIN_IMAGES))
}

/// Draws a dataset of synthetic characters, with a note on a terminal.
fn generate(characters: Characters, output: &Output, train_images: usize) -> Dataset {
    let spinner = spinner(output, "drawing synthetic characters");
    let counts = [train_images, synthetic::TEST_IMAGES];
    let dataset = synthetic::draw(characters, synthetic::DEFAULT_SEED, counts);
    spinner.finish_and_clear();
    dataset
}

/// The mirrors of `known` that the environment names, or the public ones.
fn remote(known: &'static Known) -> Remote {
    Remote::with_mirrors(known, &env::var_os(MIRRORS_VARIABLE).unwrap_or_default())
}

/// Refuses to write a dataset into a folder that holds one, under any of the names. One to three
/// files with the names that this program uses are accepted: a stopped run may have left them.
fn check_free(directory: &Path, known: &'static Known) -> Result<()> {
    let mut found = files::inspect(directory, Some(known))?;
    found.retain(|inspection| inspection.file.is_some());
    let is_ours = |Inspection { name, file, .. }: &Inspection| match file {
        Some(Ok(facts)) => facts.path == directory.join(name),
        _ => false,
    };
    match found.iter().find(|inspection| found.len() == 4 || !is_ours(inspection)) {
        None => Ok(()),
        Some(inspection) => Err(not_free(directory, &inspection.name)),
    }
}

/// The error of a file in the place of the folder to write to.
fn not_a_folder(path: &Path) -> Error {
    let path = printable(path);
    Error::Unavailable(format!("{path}: is not a folder: name another with --out"))
}

/// The error of a folder that already holds the file with this `name`.
fn not_free(directory: &Path, name: &str) -> Error {
    Error::Unavailable(format!(
        "{}: holds {name} already, and no file is overwritten: name another folder",
        printable(directory),
    ))
}

/// Writes the four files of `dataset` with the names of `known`. Files that a stopped run has left are
/// kept if their content is the same.
fn write(
    dataset: &Dataset,
    known: &'static Known,
    directory: &Path,
    signals: &Signals,
) -> Result<()> {
    let begun = Part::ALL.map(|part| Partial::begin(&directory.join(known.file_name(part))));
    let mut begun = begun.into_iter().collect::<Result<Vec<_>>>()?;
    // Another process may have written the files meanwhile.
    check_free(directory, known)?;
    let test = dataset.test.as_ref().expect("digits are drawn for both");
    let mut unwritten = Vec::new();
    for (partial, part) in begun.iter_mut().zip(Part::ALL) {
        if let Some(signal) = signals.received() {
            return Err(Error::Interrupted { signal, message: "interrupted".into() });
        }
        let content = match part {
            Part::TrainImages => dataset.train.images_file().concat(),
            Part::TrainLabels => dataset.train.labels_file(),
            Part::TestImages => test.images_file().concat(),
            Part::TestLabels => test.labels_file(),
        };
        let name = known.file_name(part);
        match fs::read(directory.join(&name)) {
            Ok(found) if found == content => {}
            Ok(_) => return Err(not_free(directory, &name)),
            Err(_) => {
                partial.append(&content)?;
                unwritten.push(partial);
            }
        }
    }
    // All files are on the disk before the first one gets its name.
    unwritten.iter().try_for_each(|partial| partial.flush())?;
    unwritten.iter().try_for_each(|partial| partial.publish())
}

/// Prints the list of files in `directory`.
///
/// # Errors
/// When a file cannot be read or training would refuse it. The list is printed before.
fn list(directory: &Path, known: Option<&'static Known>, output: &Output) -> Result<()> {
    let inspections = files::inspect(directory, known)?;
    let together = files::check_together(&inspections);
    let files: Vec<_> = inspections.iter().map(data_file).collect();
    let names_with = |status| {
        let names = files.iter().filter(|file| file.status == status).map(|file| &*file.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (invalid, unreadable) = (names_with("invalid"), names_with("unreadable"));
    output.event(&Event::Data(report::Data {
        schema: SCHEMA_VERSION,
        directory: directory.to_string_lossy().into_owned(),
        files,
    }));
    if !unreadable.is_empty() {
        let folder = printable(directory);
        let problem = format!("{folder}: not readable, for the reasons listed: {unreadable}");
        return Err(Error::Unavailable(problem));
    }
    if invalid.is_empty() {
        return together;
    }
    Err(Error::InvalidData(format!(
        "{}: not valid, as listed: {}; replace them, or move them away and run 'mnist-train data \
         fetch'",
        printable(directory),
        invalid,
    )))
}

/// Row of the list for one file.
fn data_file(Inspection { name, file, .. }: &Inspection) -> DataFile {
    let bare = DataFile {
        name: name.clone(),
        status: "missing",
        path: None,
        count: None,
        bytes: None,
        sha256: None,
        problem: None,
    };
    match file {
        None => bare,
        Some(Err(problem)) => {
            let is_invalid = matches!(problem, Error::InvalidFile { .. });
            let status = if is_invalid { "invalid" } else { "unreadable" };
            DataFile { status, problem: Some(problem.to_string()), ..bare }
        }
        Some(Ok(facts)) => DataFile {
            status: facts.kind.name(),
            path: Some(facts.path.to_string_lossy().into_owned()),
            count: Some(facts.content.count),
            bytes: Some(facts.stored_bytes),
            sha256: Some(facts.content.sha256.to_string()),
            ..bare
        },
    }
}
