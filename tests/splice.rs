//! The tables of the documents are those of the records.

use std::fs;
use std::path::Path;

mod program;

use program::{Run, Workplace};

/// Copies the folder at `from` with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn the_tables_of_the_documents_are_made_from_the_records() {
    let (place, root) = (Workplace::new(), Path::new(env!("CARGO_MANIFEST_DIR")));
    copy(&root.join("profiles"), &place.path("profiles"));
    let documents = ["README.md", "OPTIMIZATIONS.md", "RECORDS.md"];
    for name in documents {
        fs::copy(root.join(name), place.path(name)).unwrap();
    }
    let splice = |arguments: &str| Run::of(place.bare(&format!("report splice {arguments}")));
    let run = splice("README.md OPTIMIZATIONS.md RECORDS.md").succeeds().fits_a_terminal();
    for (line, name) in run.stdout.lines().zip(documents) {
        let is_current = line.starts_with(name) && line.ends_with(" tables, unchanged");
        assert!(is_current, "'mnist-train report splice {name}' changes it: {line}");
    }
    assert_eq!(run.stdout.lines().count(), 3);

    // A table that was typed is made again.
    let good = place.read("README.md");
    let text = String::from_utf8(good.clone()).unwrap();
    let edited = text.replace("| seed | gemm", "| seed | by hand");
    assert_ne!(edited, text);
    fs::write(place.path("README.md"), edited).unwrap();
    let run = splice("README.md").succeeds();
    assert!(run.stdout.ends_with(" tables, written\n"), "{run:#?}");
    assert_eq!(place.read("README.md"), good);

    // No document changes if a table of one cannot be made.
    fs::write(
        place.path("README.md"),
        "typed\n<!-- BEGIN synthetic: x -->\n<!-- END synthetic -->\n",
    )
    .unwrap();
    let before = [place.read("README.md"), place.read("OPTIMIZATIONS.md")];
    fs::write(place.path("profiles/ladder/fashion.json"), "hello").unwrap();
    let refused = splice("README.md OPTIMIZATIONS.md");
    refused.fails(3, &["OPTIMIZATIONS.md: line ", "fashion.json: is no record", "make it again"]);
    assert_eq!([place.read("README.md"), place.read("OPTIMIZATIONS.md")], before);
    splice("nowhere.md").fails(1, &["nowhere.md: cannot open: no such file"]);
    assert_eq!(place.names(), ["OPTIMIZATIONS.md", "README.md", "RECORDS.md", "profiles"]);
}
