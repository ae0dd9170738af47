//! Replacing a file so that a reader, a crash or a full disk finds the old one or the new one,
//! never something between.
//!
//! The order is PostgreSQL's `durable_rename`: write a temporary file in the same folder, flush it
//! to the disk, rename it over the old one, flush the folder. The temporary file is
//! `.NAME.mnist-train.tmp` every time, so that what a killed process has left is found and removed;
//! this is why only the holder of the file's [`Lock`] may replace it. Nobody else gives a file such
//! a name: `NAME.tmp` or `NAME.lock` could be somebody's own.

use std::fs::{self, File};
use std::io::Seek;
use std::path::{Path, PathBuf};

use super::lock::{Lock, lock_for_writing};
use super::names::{TEMPORARY, folder_of, free_name, own, resolved};
use super::system::{Os, System, create_temporary, fill, permissions, write_temporary};
use crate::error::{Error, Result, printable};

/// Puts `bytes` under `path`, whole or not at all; returns when they are on the disk. The caller
/// holds the [`Lock`] of `path`: two that replace it at once would write into one temporary file.
///
/// # Errors
/// [`Error::Io`]; the file has its old or its new content, whole, and the temporary one is gone.
/// [`Error::Unavailable`] when everything was written and only the old file could not be replaced:
/// then the new one stands beside it, under the name that the error says.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_on(&Os, path, bytes, false).map(|_| ())
}

/// The same, and what stood under `path` before is kept beside it under the name that is returned:
/// `NAME.previous` or, where that is taken, `NAME.previous.2` and so on.
///
/// # Errors
/// The same; the old content has another name only if the file has its new one.
pub fn replace_and_keep(path: &Path, bytes: &[u8]) -> Result<Option<PathBuf>> {
    replace_on(&Os, path, bytes, true)
}

/// Does `work` in `folder`, which is made if need be; one that is new is not left behind empty when
/// the work fails.
///
/// # Errors
/// [`Error::Io`] when it cannot be made, and those of `work`.
pub fn in_folder<T>(folder: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let is_new = !folder.exists();
    fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    let outcome = work();
    if is_new && outcome.is_err() {
        // Succeeds only when nothing is in it.
        let _ = fs::remove_dir(folder);
    }
    outcome
}

fn replace_on(
    system: &impl System,
    path: &Path,
    bytes: &[u8],
    keeps: bool,
) -> Result<Option<PathBuf>> {
    let target = resolved(path)?;
    let temporary = own(&target, TEMPORARY);
    let mut kept = None;
    let mut write = || {
        write_temporary(system, &temporary, bytes, permissions(&target))
            .map_err(Error::io("write", &temporary))?;
        if keeps && target.exists() {
            kept = Some(keep(system, &target)?);
        }
        Ok(())
    };
    if let Err(error) = write() {
        // The failure that is reported is the one that came first.
        let _ = system.remove(&temporary);
        return Err(error);
    }
    if let Err(error) = system.rename(&temporary, &target) {
        if let Some(kept) = kept {
            let _ = system.remove(&kept);
        }
        let error = Error::io("replace", &target)(error);
        return Err(save_beside(system, &temporary, &target, error));
    }
    flush_folder_of(system, &target)?;
    Ok(kept)
}

/// Gives what was to replace `target`, and could not because of `error`, a name that is free:
/// hours of work may be in it.
fn save_beside(system: &impl System, temporary: &Path, target: &Path, error: Error) -> Error {
    let unsaved = free_name(target, ".unsaved");
    if system.rename(temporary, &unsaved).is_err() {
        let _ = system.remove(temporary);
        return error;
    }
    let _ = flush_folder_of(system, target);
    Error::Unavailable(format!("{error}; the new one is in {}", printable(&unsaved)))
}

/// Gives the file `target` a second name that is free.
fn keep(system: &impl System, target: &Path) -> Result<PathBuf> {
    let previous = free_name(target, ".previous");
    // A second name costs nothing; where the file system has none, a copy does the same.
    let kept = system.link(target, &previous).or_else(|_| {
        let copied = fs::read(target)
            .and_then(|bytes| fill(system, system.create(&previous, permissions(target))?, &bytes));
        if copied.is_err() {
            let _ = system.remove(&previous);
        }
        copied
    });
    kept.map_err(Error::io("write", &previous))?;
    Ok(previous)
}

/// A file on its way, bit by bit: locked, under a temporary name, and removed unless it is
/// [published](Self::publish).
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    /// Let go when the temporary file is gone.
    _lock: Lock,
}

impl Partial {
    /// Begins the file that is to be at `path`.
    ///
    /// # Errors
    /// Those of [`lock_for_writing`].
    pub fn begin(path: &Path) -> Result<Self> {
        let lock = lock_for_writing(path)?;
        let temporary = own(path, TEMPORARY);
        let file = create_temporary(&Os, &temporary, None);
        let file = file.map_err(Error::io("write", &temporary))?;
        Ok(Self { path: path.into(), temporary, file, _lock: lock })
    }

    /// Forgets everything that was written.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(Error::io("write", &self.temporary))
    }

    /// Writes more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Os.write(&mut self.file, bytes).map_err(Error::io("write", &self.temporary))
    }

    /// What was written, from its beginning.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn content(&mut self) -> Result<&File> {
        self.file.rewind().map_err(Error::io("read", &self.temporary))?;
        Ok(&self.file)
    }

    /// Its temporary name.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Returns when what was written is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&self) -> Result<()> {
        Os.flush(&self.file).map_err(Error::io("write", &self.temporary))
    }

    /// Gives the file its name; returns when all of it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(&self) -> Result<()> {
        self.flush()?;
        Os.rename(&self.temporary, &self.path).map_err(Error::io("replace", &self.path))?;
        flush_folder_of(&Os, &self.path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Of a file that was published there is nothing left under this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

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

    /// An operating system that refuses the call number `fails_at`, counted from 0, or every one
    /// from there on, as if the machine had stopped there.
    struct Failing {
        fails_at: usize,
        for_good: bool,
        calls: Cell<usize>,
        /// The file whose content is not on the disk.
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

        /// Forgets what is not on the disk, as a machine without power does.
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

    /// Replaces `old` by `new` on a system that fails at each call in turn, and has `examine` look
    /// at what that leaves.
    fn fail_at_each_call(
        for_good: bool,
        keeps: bool,
        examine: impl Fn(&Path, &Failing, Result<()>),
    ) -> usize {
        for fails_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            fs::write(&path, b"old").unwrap();
            let system = Failing::at(fails_at, for_good);
            let replaced = replace_on(&system, &path, b"new", keeps).map(|_| ());
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
        for keeps in [false, true] {
            let calls = fail_at_each_call(false, keeps, |path, system, replaced| {
                let call = system.fails_at;
                // A second name is given in another way where it cannot be given in one.
                let is_link = keeps && call == 4;
                assert_eq!(replaced.is_ok(), is_link, "call {call}");
                let is_renamed = is_link || call == if keeps { 6 } else { 5 };
                let content: &[u8] = if is_renamed { b"new" } else { b"old" };
                assert_eq!(fs::read(path).unwrap(), content, "call {call}");
                let mut expected = vec!["model"];
                // The new file is whole when it cannot be given its name.
                if call == if keeps { 5 } else { 4 } {
                    expected.push("model.unsaved");
                    assert_eq!(fs::read(beside(path, ".unsaved")).unwrap(), b"new");
                    let said = replaced.unwrap_err().to_string();
                    assert!(said.contains("disk on fire; the new one is in "), "{said}");
                }
                if keeps && is_renamed {
                    expected.push("model.previous");
                    assert_eq!(fs::read(beside(path, ".previous")).unwrap(), b"old");
                }
                assert_eq!(names_beside(path), expected, "call {call}");
            });
            assert_eq!(calls, if keeps { 7 } else { 6 });
        }
    }

    #[test]
    fn a_machine_that_stops_at_any_call_leaves_the_old_file_or_the_new_one() {
        for keeps in [false, true] {
            fail_at_each_call(true, keeps, |path, system, replaced| {
                system.lose_power();
                replaced.unwrap_err();
                assert!(is_old_or_new(path), "call {}", system.fails_at);
                // The next run removes what was left, and goes on.
                drop(lock_for_writing(path).unwrap());
                assert!(!own(path, TEMPORARY).exists());
                replace(path, b"newer").unwrap();
            });
        }
    }

    #[test]
    fn a_check_that_fails_leaves_nothing() {
        for fails_at in 0..4 {
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
        replace_on(&system, &folder.path().join("model"), b"new", false).unwrap();
        assert!(system.names_are_flushed.get() && system.unflushed.take().is_none());
    }

    #[test]
    fn a_file_is_replaced_and_the_old_one_kept_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let kept = [b"one", b"two", b"six"].map(|content| {
            let kept = replace_and_keep(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            kept
        });
        let names = ["model.previous", "model.previous.2"].map(|name| folder.path().join(name));
        assert_eq!(kept, [None, Some(names[0].clone()), Some(names[1].clone())]);
        assert_eq!(names.map(|name| fs::read(name).unwrap()), [b"one", b"two"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing temporary is left");
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
    fn who_may_read_a_file_may_read_the_one_in_its_place_and_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for allowed in [0o600, 0o644, 0o666, 0o440] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            fs::write(&path, b"old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(allowed)).unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(mode(&path), allowed);
            // The fourth call gives a second name, and fails: a copy is made.
            let kept = replace_on(&Failing::at(4, false), &path, b"newer", true).unwrap().unwrap();
            assert_eq!((mode(&path), mode(&kept)), (allowed, allowed));
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
