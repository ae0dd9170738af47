//! Files into which a run writes the results of its epochs: `--log` and `--tensorboard`. A file that
//! cannot be written does not end a run before its model is saved.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};

use super::output::Output;
use crate::cli::TrainArgs;
use crate::error::{Error, Result, escaped, printable};
use crate::files::durable::{self, Folder};
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::{input, replaceable};
use crate::measure::machine::unix_seconds;
use crate::model::checkpoint::EpochRecord;
use crate::report::log::Log;
use crate::report::{Epoch, tensorboard};

/// Text in the names of event files, by which TensorBoard recognizes them.
const EVENTS: &str = "events.out.tfevents.";
/// End of the names of this program's event files.
const OURS: &str = ".mnist-train";

/// Files of a run, none of which it needs.
#[derive(Debug)]
pub struct Logs {
    table: Option<Table>,
    events: Option<Events>,
    /// First failure to write one of them.
    failure: Option<Error>,
}

impl Logs {
    /// Files that the flags `args` name.
    ///
    /// # Errors
    /// When one of them cannot be written, or would replace another kind of file, or would mix two
    /// runs.
    pub fn open(args: &TrainArgs) -> Result<Self> {
        let table = args.log.as_deref().map(|path| Table::open(path, args)).transpose()?;
        let events = args.tensorboard.as_deref().map(|folder| Events::open(folder, args.resume));
        Ok(Self { table, events: events.transpose()?, failure: None })
    }

    /// Writes what a run has before its first step, which belongs to epoch `first`: the `history` of
    /// the epochs before.
    pub fn begin(&mut self, first: usize, history: &[EpochRecord], output: &Output) {
        self.events.iter_mut().for_each(|events| events.begin(first, history));
        let written = self.table.as_mut().map_or(Ok(()), |table| table.begin(first, history));
        self.note(written, output);
    }

    /// Writes the results of an epoch.
    pub fn epoch(&mut self, epoch: &Epoch, output: &Output) {
        let written = self.table.as_mut().map_or(Ok(()), |table| table.add(epoch));
        self.note(written, output);
        let written = self.events.as_mut().map_or(Ok(()), |events| events.add(epoch));
        self.note(written, output);
    }

    /// Keeps the first failure, and warns of it.
    fn note(&mut self, written: Result<()>, output: &Output) {
        if let (Err(error), None) = (written, &self.failure) {
            output.warn(&format!("not logged: {}", escaped(&error.to_string())));
            self.failure = Some(error);
        }
    }

    /// Ends the files.
    ///
    /// # Errors
    /// The first failure to write one of them.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Whether a training writes `path` for its `model`: the model, the best one, or a copy of one of them.
fn is_of_model(model: &Path, path: &Path) -> bool {
    let [model, path] = [model, path].map(|path| path.as_os_str().as_encoded_bytes());
    let Some(ending) = path.strip_prefix(model) else { return false };
    let ending = ending.strip_prefix(b".best").unwrap_or(ending);
    let is_number = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
    match ending {
        b"" | b".unsaved" | b".previous" => true,
        copy => copy.strip_prefix(b".previous.").is_some_and(is_number),
    }
}

/// The table of `--log`. The file is replaced as a whole, so it never ends in the middle of a row.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    log: Log,
    _lock: Lock,
}

impl Table {
    fn open(path: &Path, args: &TrainArgs) -> Result<Self> {
        if is_of_model(&args.model, path) {
            let problem = format!("--log {} is a file of the model", printable(path));
            return Err(Error::Usage(format!("{problem}: name another")));
        }
        let lock = lock_for_writing(path);
        let lock = lock.map_err(|error| error.with_remedy("choose a writable place with --log"))?;
        replaceable::check(path, "the log", |text| Log::parse(text).is_some())?;
        let old = if args.resume && path.exists() { input::text(path)? } else { String::new() };
        let log = Log::parse(&old).unwrap_or_default();
        Ok(Self { path: path.into(), log, _lock: lock })
    }

    fn begin(&mut self, first: usize, history: &[EpochRecord]) -> Result<()> {
        self.log.go_on_from(first, history);
        self.write()
    }

    fn add(&mut self, epoch: &Epoch) -> Result<()> {
        self.log.add(epoch.record.epoch, epoch);
        self.write()
    }

    fn write(&self) -> Result<()> {
        durable::replace(&self.path, self.log.text().as_bytes())
    }
}

/// The event file of `--tensorboard`. Records are appended, because TensorBoard reads on where it
/// stopped. The file is created with its first epoch, so a run that ends before leaves none.
#[derive(Debug)]
struct Events {
    folder: PathBuf,
    /// Keeps the folder, or removes it if it is new and nothing is written.
    _made: Folder,
    /// Whether an earlier file of the folder has the epochs before this run.
    goes_on: bool,
    /// Records that the first epoch is written with.
    first: Vec<u8>,
    file: Option<(PathBuf, File)>,
}

impl Events {
    fn open(folder: &Path, resumes: bool) -> Result<Self> {
        let remedy = "choose a writable place with --tensorboard";
        let made = Folder::make(folder).map_err(|error| error.with_remedy(remedy))?;
        let goes_on = has_events(folder).map_err(Error::io("read", folder));
        let goes_on = goes_on.map_err(|error| error.with_remedy(remedy))?;
        if goes_on && !resumes {
            return Err(Error::Unavailable(format!(
                "{} has events of an earlier run, and TensorBoard would mix the two: name another \
                 folder with --tensorboard, or go on with --resume",
                printable(folder)
            )));
        }
        Ok(Self { folder: folder.into(), _made: made, goes_on, first: Vec::new(), file: None })
    }

    fn begin(&mut self, first: usize, history: &[EpochRecord]) {
        let now = unix_seconds();
        self.first = tensorboard::beginning(now);
        match self.goes_on {
            true => self.first.extend(tensorboard::going_on(now, first)),
            false => {
                let history = history.iter().filter(|record| record.epoch < first);
                self.first.extend(history.flat_map(|record| tensorboard::epoch(now, record)));
            }
        }
    }

    fn add(&mut self, epoch: &Epoch) -> Result<()> {
        let mut records = mem::take(&mut self.first);
        records.extend(tensorboard::epoch(unix_seconds(), &epoch.record));
        let (path, file) = match &mut self.file {
            Some(file) => file,
            none => none.insert(new_file(&self.folder)?),
        };
        file.write_all(&records).map_err(Error::io("write", path))
    }
}

/// Whether this program has written an event file into `folder`.
fn has_events(folder: &Path) -> io::Result<bool> {
    let mut has_events = false;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        has_events |= name.starts_with(EVENTS) && name.ends_with(OURS);
    }
    Ok(has_events)
}

/// New file in `folder`. Its name has the time: TensorBoard reads files in the order of their names.
fn new_file(folder: &Path) -> Result<(PathBuf, File)> {
    let mut time = unix_seconds();
    loop {
        let path = folder.join(format!("{EVENTS}{time}{OURS}"));
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => time += 1,
            file => return Ok((path.clone(), file.map_err(Error::io("write", &path))?)),
        }
    }
}
