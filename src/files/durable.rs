//! Replaces a file so that its content is always the old one or the new one, never a mixture, even
//! after a crash or on a full disk.
//!
//! The order is PostgreSQL's `durable_rename`: write a temporary file in the same folder, flush it
//! to the disk, rename it over the old one, flush the folder. The temporary file always has the
//! name `.NAME.mnist-train.tmp`, so that the next run finds and removes what a killed process left.
//! Therefore only the holder of the file's [`Lock`] may replace it. The name is unusual on purpose:
//! `NAME.tmp` or `NAME.lock` could be a file of the user.

use std::fs::{self, File};
use std::io::Seek;
use std::path::{Path, PathBuf};

use super::lock::{Lock, lock_for_writing};
use super::names::{TEMPORARY, companion, folder_of, free_name, is_free, numbered, resolved};
use super::system::{Os, System, create_temporary, permissions, write_and_flush, write_temporary};
use crate::error::{Error, Result, printable};

/// Writes `bytes` to `path`, completely or not at all; returns when they are on the disk. The
/// caller holds the [`Lock`] of `path`, because two processes that replace it at once would write
/// into one temporary file.
///
/// # Errors
/// [`Error::Io`]: the file has its old or its new content, and the temporary file is gone.
/// [`Error::Unavailable`] when everything was written and only the old file could not be replaced:
/// the new content is then in a file beside it, which the error names.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_on(&Os, path, bytes, 0).map(|_| ())
}

/// Replaces a file as [`replace`] does, and keeps the old content beside it as `NAME.previous`. A
/// file that has this name moves on to `NAME.previous.2`, and so on: the larger the number, the older
/// is the file. At most `most` files are kept. Returns what happened to an old file, if there was
/// one and `most` is not 0.
///
/// # Errors
/// The errors of [`replace`]. The old content has another name only if the file has its new
/// content.
pub fn replace_and_keep(path: &Path, bytes: &[u8], most: usize) -> Result<Option<Kept>> {
    replace_on(&Os, path, bytes, most)
}

/// Names that [`replace_and_keep`] uses, from the latest old file on, as far as the first free name.
///
/// # Errors
/// [`Error::Unavailable`] when `path` is a link that leads nowhere.
pub fn previous_names(path: &Path, most: usize) -> Result<Vec<PathBuf>> {
    let target = resolved(path)?;
    let mut names = Vec::new();
    while names.len() < most && names.last().is_none_or(|last: &PathBuf| !is_free(last)) {
        names.push(numbered(&target, ".previous", names.len() + 1));
    }
    Ok(names)
}

/// Files that [`replace_and_keep`] has kept and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// New name of the file that was replaced.
    pub previous: PathBuf,
    /// Name that the oldest file had, if it had to be dropped.
    pub dropped: Option<PathBuf>,
}

/// Folder to write files into. When this value is dropped, it removes the folders that it has made
/// and that are empty.
#[derive(Debug)]
pub struct Folder {
    /// Folders that did not exist before, the innermost first.
    new: Vec<PathBuf>,
}

impl Folder {
    /// Makes `folder`, and the folders above it, if they do not exist.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be created.
    pub fn make(folder: &Path) -> Result<Self> {
        let is_new = |one: &&Path| !one.as_os_str().is_empty() && !one.exists();
        let new = folder.ancestors().take_while(is_new).map(Path::to_path_buf).collect();
        let made = Self { new };
        fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
        Ok(made)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Removing succeeds only when the folder is empty.
        self.new.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// Replaces the file at `path` on a given operating system, and keeps at most `most` old files
/// beside it.
fn replace_on(
    system: &impl System,
    path: &Path,
    bytes: &[u8],
    most: usize,
) -> Result<Option<Kept>> {
    let target = resolved(path)?;
    let temporary = companion(&target, TEMPORARY);
    let mut kept = None;
    let mut write = || {
        write_temporary(system, &temporary, bytes, permissions(&target))
            .map_err(Error::io("write", &temporary))?;
        if most > 0 && target.exists() {
            kept = Some(keep_previous(system, &target, most)?);
        }
        Ok(())
    };
    if let Err(error) = write() {
        // The first failure is the one that is reported.
        let _ = system.remove(&temporary);
        return Err(error);
    }
    if let Err(error) = system.rename(&temporary, &target) {
        if let Some(Kept { previous, .. }) = kept {
            let _ = system.remove(&previous);
        }
        let error = Error::io("replace", &target)(error);
        return Err(save_beside(system, &temporary, &target, error));
    }
    flush_folder_of(system, &target)?;
    Ok(kept)
}

/// Gives the new content that could not replace `target` because of `error` a free name, because
/// it may be the result of hours of work.
fn save_beside(system: &impl System, temporary: &Path, target: &Path, error: Error) -> Error {
    let unsaved = free_name(target, ".unsaved");
    if system.rename(temporary, &unsaved).is_err() {
        let _ = system.remove(temporary);
        return error;
    }
    let _ = flush_folder_of(system, target);
    Error::Unavailable(format!("{error}; the new one is in {}", printable(&unsaved)))
}

/// Gives the file `target` the second name `NAME.previous`. Before, the files that were kept move
/// on by one number as far as the first free number. If all numbers up to `most` are taken, the
/// oldest file is dropped, and a machine that stops at any moment loses no other file.
fn keep_previous(system: &impl System, target: &Path, most: usize) -> Result<Kept> {
    let names = previous_names(target, most)?;
    let previous = names[0].clone();
    let dropped = names.last().filter(|last| !is_free(last)).cloned();
    if let Some(oldest) = &dropped {
        system.remove(oldest).map_err(Error::io("remove", oldest))?;
    }
    for pair in names.windows(2).rev() {
        system.rename(&pair[0], &pair[1]).map_err(Error::io("rename", &pair[0]))?;
    }
    // A second name costs nothing; a file system that has no second names gets a copy.
    let kept = system.link(target, &previous).or_else(|_| {
        let copied = fs::read(target).and_then(|bytes| {
            write_and_flush(system, system.create(&previous, permissions(target))?, &bytes)
        });
        if copied.is_err() {
            let _ = system.remove(&previous);
        }
        copied
    });
    kept.map_err(Error::io("write", &previous))?;
    Ok(Kept { previous, dropped })
}

/// A file that is written piece by piece under a temporary name. Its final name is locked, and the
/// file is removed unless it is [published](Self::publish).
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    /// Lock of `path`; it is released after the temporary file is removed.
    _lock: Lock,
}

impl Partial {
    /// Locks `path`, the final name, and creates an empty temporary file.
    ///
    /// # Errors
    /// The errors of [`lock_for_writing`], and [`Error::Io`] when the file cannot be created.
    pub fn begin(path: &Path) -> Result<Self> {
        let lock = lock_for_writing(path)?;
        let temporary = companion(path, TEMPORARY);
        let file = create_temporary(&Os, &temporary, None);
        let file = file.map_err(Error::io("write", &temporary))?;
        Ok(Self { path: path.into(), temporary, file, _lock: lock })
    }

    /// Discards everything that was written.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be emptied.
    pub fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(Error::io("write", &self.temporary))
    }

    /// Writes `bytes` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Os.write(&mut self.file, bytes).map_err(Error::io("write", &self.temporary))
    }

    /// The file, positioned at its beginning, to read what was written.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read.
    pub fn content(&mut self) -> Result<&File> {
        self.file.rewind().map_err(Error::io("read", &self.temporary))?;
        Ok(&self.file)
    }

    /// Path of the temporary file.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] when the operating system cannot write it.
    pub fn flush(&self) -> Result<()> {
        Os.flush(&self.file).map_err(Error::io("write", &self.temporary))
    }

    /// Gives the file its final name; returns when content and name are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be flushed or renamed.
    pub fn publish(&self) -> Result<()> {
        self.flush()?;
        Os.rename(&self.temporary, &self.path).map_err(Error::io("replace", &self.path))?;
        flush_folder_of(&Os, &self.path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // A published file no longer has this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Waits until the name of the file at `path` is on the disk.
fn flush_folder_of(system: &impl System, path: &Path) -> Result<()> {
    let folder = folder_of(path);
    system.flush_folder(folder).map_err(Error::io("flush", folder))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io;

    use super::super::lock::lock_on;
    use super::super::names::beside;
    use super::*;
    use std::cell::{Cell, RefCell};

    /// An operating system that refuses call number `fails_at`, counted from 0, and with `for_good`
    /// every later call too, as if the machine had stopped.
    struct Failing {
        fails_at: usize,
        for_good: bool,
        calls: Cell<usize>,
        /// File whose content is not yet on the disk.
        unflushed: RefCell<Option<PathBuf>>,
        names_are_flushed: Cell<bool>,
    }

    impl Failing {
        fn at(fails_at: usize, for_good: bool) -> Self {
            let (calls, unflushed) = (Cell::new(0), RefCell::default());
            Self { fails_at, for_good, calls, unflushed, names_are_flushed: Cell::new(true) }
        }

        fn call(&self) -> io::Result<()> {
            let call = self.calls.replace(self.calls.get() + 1);
            let fails = call == self.fails_at || self.for_good && call > self.fails_at;
            if fails { Err(io::Error::other("disk on fire")) } else { Ok(()) }
        }

        fn has_failed(&self) -> bool {
            self.calls.get() > self.fails_at
        }

        /// Loses what is not on the disk, as a machine does when its power fails.
        fn lose_power(&self) {
            if let Some(path) = self.unflushed.take().filter(|path| path.exists()) {
                fs::write(path, b"torn").unwrap();
            }
        }
    }

    impl System for Failing {
        fn create(&self, path: &Path, permissions: Option<Permissions>) -> io::Result<File> {
            self.call()?;
            self.unflushed.replace(Some(path.into()));
            Os.create(path, permissions)
        }

        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            self.call()
                .or_else(|error| Os.write(file, &bytes[..bytes.len() / 2]).and(Err(error)))?;
            Os.write(file, bytes)
        }

        fn flush(&self, file: &File) -> io::Result<()> {
            self.call()?;
            self.unflushed.take();
            Os.flush(file)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.call()?;
            self.names_are_flushed.set(false);
            let moved =
                self.unflushed.take().map(|path| if path == from { to.into() } else { path });
            self.unflushed.replace(moved);
            Os.rename(from, to)
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.call()?;
            Os.link(from, to)
        }

        fn flush_folder(&self, folder: &Path) -> io::Result<()> {
            self.call()?;
            self.names_are_flushed.set(true);
            Os.flush_folder(folder)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.call()?;
            Os.remove(path)
        }
    }

    /// Replaces `old` by `new` on a system that fails at each call in turn, lets `examine` look at
    /// the result, and returns how many calls a replacement makes.
    fn fail_at_each_call(
        for_good: bool,
        keep_old: bool,
        examine: impl Fn(&Path, &Failing, Result<()>),
    ) -> usize {
        for fails_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            fs::write(&path, b"old").unwrap();
            let system = Failing::at(fails_at, for_good);
            let replaced = replace_on(&system, &path, b"new", keep_old.into()).map(|_| ());
            if !system.has_failed() {
                replaced.unwrap();
                return fails_at;
            }
            examine(&path, &system, replaced);
        }
        unreachable!("a file takes finitely many calls");
    }

    fn names_beside(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_old_or_new(path: &Path) -> bool {
        [b"old", b"new"].contains(&fs::read(path).unwrap().as_slice().try_into().unwrap())
    }

    #[test]
    fn whichever_call_fails_the_file_is_the_old_or_the_new_one_and_nothing_is_left_beside_it() {
        for keep_old in [false, true] {
            let calls = fail_at_each_call(false, keep_old, |path, system, replaced| {
                let call = system.fails_at;
                // A copy replaces the second name that the system refuses.
                let is_link = keep_old && call == 4;
                assert_eq!(replaced.is_ok(), is_link, "call {call}");
                let is_renamed = is_link || call == if keep_old { 6 } else { 5 };
                let content: &[u8] = if is_renamed { b"new" } else { b"old" };
                assert_eq!(fs::read(path).unwrap(), content, "call {call}");
                let mut expected = vec!["model"];
                // The new content is complete when the rename fails.
                if call == if keep_old { 5 } else { 4 } {
                    expected.push("model.unsaved");
                    assert_eq!(fs::read(beside(path, ".unsaved")).unwrap(), b"new");
                    let said = replaced.unwrap_err().to_string();
                    assert!(said.contains("disk on fire; the new one is in "), "{said}");
                }
                if keep_old && is_renamed {
                    expected.push("model.previous");
                    assert_eq!(fs::read(beside(path, ".previous")).unwrap(), b"old");
                }
                assert_eq!(names_beside(path), expected, "call {call}");
            });
            assert_eq!(calls, if keep_old { 7 } else { 6 });
        }
    }

    #[test]
    fn a_machine_that_stops_at_any_call_leaves_the_old_file_or_the_new_one() {
        for keep_old in [false, true] {
            fail_at_each_call(true, keep_old, |path, system, replaced| {
                system.lose_power();
                replaced.unwrap_err();
                assert!(is_old_or_new(path), "call {}", system.fails_at);
                // The next run removes the rest of the interrupted one and succeeds.
                drop(lock_for_writing(path).unwrap());
                assert!(!companion(path, TEMPORARY).exists());
                replace(path, b"newer").unwrap();
            });
        }
    }

    #[test]
    fn a_check_that_fails_leaves_nothing() {
        // Call 4 removes the temporary file, and call 5 flushes the folder.
        for fails_at in [0, 1, 2, 3, 5] {
            let folder = tempfile::tempdir().unwrap();
            let system = Failing::at(fails_at, false);
            lock_on(&system, &folder.path().join("model")).unwrap_err();
            assert!(system.has_failed());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "call {fails_at}");
        }
    }

    #[test]
    fn nothing_is_said_to_be_replaced_before_its_name_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let system = Failing::at(usize::MAX, false);
        replace_on(&system, &folder.path().join("model"), b"new", 0).unwrap();
        assert!(system.names_are_flushed.get() && system.unflushed.take().is_none());
    }

    /// Names and contents of the files beside `path` that were kept.
    fn kept_beside(path: &Path) -> Vec<(String, String)> {
        let names = names_beside(path).into_iter().filter(|name| name.contains(".previous"));
        let read = |name: &String| fs::read_to_string(path.with_file_name(name)).unwrap();
        names.map(|name| (name.clone(), read(&name))).collect()
    }

    #[test]
    fn the_latest_old_files_are_kept_on_request_and_numbered_from_the_latest_on() {
        for (most, expected) in [
            (1, &[(".previous", "4")][..]),
            (2, &[(".previous", "4"), (".previous.2", "3")]),
            (
                9,
                &[
                    (".previous", "4"),
                    (".previous.2", "3"),
                    (".previous.3", "2"),
                    (".previous.4", "1"),
                ],
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            let mut dropped = 0;
            for content in ["1", "2", "3", "4", "5"] {
                let kept = replace_and_keep(&path, content.as_bytes(), most).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), content);
                assert_eq!(kept.is_none(), content == "1");
                dropped += usize::from(kept.is_some_and(|kept| kept.dropped.is_some()));
            }
            let expected = expected.iter().map(|(n, c)| (format!("model{n}"), c.to_string()));
            assert_eq!(kept_beside(&path), expected.collect::<Vec<_>>(), "{most}");
            assert_eq!(dropped, 4 - 4.min(most));
            assert!(names_beside(&path).iter().all(|name| name.starts_with("model")));
        }
    }

    #[test]
    fn a_gap_among_the_kept_files_is_filled_and_nothing_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for (suffix, content) in [("", "c"), (".previous", "b"), (".previous.3", "a")] {
            fs::write(beside(&path, suffix), content).unwrap();
        }
        let kept = replace_and_keep(&path, b"d", 3).unwrap().unwrap();
        assert_eq!(kept, Kept { previous: beside(&path, ".previous"), dropped: None });
        let contents = kept_beside(&path).into_iter().map(|(_, content)| content);
        assert_eq!(contents.collect::<String>(), "cba");
    }

    #[test]
    fn whichever_call_fails_no_file_but_the_dropped_one_is_lost() {
        for fails_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            for (suffix, content) in [("", "d"), (".previous", "c"), (".previous.2", "b")] {
                fs::write(beside(&path, suffix), content).unwrap();
            }
            let system = Failing::at(fails_at, true);
            let replaced = replace_on(&system, &path, b"e", 2);
            if !system.has_failed() {
                assert_eq!(kept_beside(&path).len(), 2);
                break;
            }
            replaced.unwrap_err();
            let all = names_beside(&path).into_iter().map(|name| path.with_file_name(name));
            let all: Vec<_> = all.map(|path| fs::read_to_string(path).unwrap()).collect();
            assert!(["d", "c"].iter().all(|old| all.contains(&old.to_string())), "call {fails_at}");
        }
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        // A folder in place of the file: the rename fails after everything was written.
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"").unwrap();
        let said = replace(&path, b"new").unwrap_err().to_string();
        assert!(said.contains("; the new one is in "), "{said}");
        assert!(path.join("inside").exists());
        assert_eq!(names_beside(&path), ["model", "model.unsaved"]);
        assert_eq!(fs::read(beside(&path, ".unsaved")).unwrap(), b"new");
        fs::remove_file(beside(&path, ".unsaved")).unwrap();
        lock_for_writing(&path).unwrap_err();
        lock_for_writing(&folder.path().join("missing").join("model")).unwrap_err();
        lock_for_writing(&folder.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for allowed in [0o600, 0o644, 0o666, 0o440] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            fs::write(&path, b"old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(allowed)).unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(mode(&path), allowed);
            // The fourth call, which gives a second name, fails: a copy is made.
            let kept = replace_on(&Failing::at(4, false), &path, b"newer", 1).unwrap().unwrap();
            assert_eq!((mode(&path), mode(&kept.previous)), (allowed, allowed));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_stays_and_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for refused in [lock_for_writing(&link).map(|_| ()), replace(&link, b"new")] {
            let refused = refused.unwrap_err();
            assert!(refused.to_string().contains("link leads to nowhere, which is not there"));
            assert_eq!(refused.exit_code(), 1);
        }
        assert!(link.is_symlink());
        assert_eq!(names_beside(&link), ["link"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_to_the_new_content() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
