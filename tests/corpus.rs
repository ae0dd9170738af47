//! Reads the fuzzer's corpus, the files that it found worth keeping, in every run of the tests.

use std::fs;
use std::path::Path;

mod allocation;
#[path = "../fuzz/checks.rs"]
mod checks;

/// Checks every file of the corpus `name`, and that reading it takes little memory.
#[track_caller]
fn replay(name: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let ((), peak) = allocation::peak_bytes(|| check(&bytes));
        assert!(peak < (1 << 20) + 64 * bytes.len(), "{}: {peak} bytes", path.display());
        files += 1;
    }
    assert!(files >= 10, "only {files} files");
}

#[test]
fn idx_files_are_read_correctly_or_refused() {
    replay("idx", checks::idx);
}

#[test]
fn gzip_files_are_read_correctly_or_refused() {
    replay("gzip", checks::gzip);
}

#[test]
fn pictures_are_read_correctly_or_refused() {
    replay("picture", checks::picture);
}

#[test]
fn texts_of_networks_are_read_correctly_or_refused() {
    replay("network", checks::network);
}

#[test]
fn checkpoints_are_read_correctly_or_refused() {
    replay("checkpoint", checks::checkpoint);
}
