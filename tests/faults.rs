//! The table of docs/FAULTS.md has every case once, and the tests that it names exist.

use std::fs;
use std::path::Path;

/// Cases of the table.
const CASES: usize = 74;

fn table() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FAULTS.md")).unwrap()
}

#[test]
fn every_case_stands_in_the_table_once() {
    let table = table();
    let number = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<usize>().ok();
    let mut numbers: Vec<_> = table.lines().filter_map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=CASES), "{numbers:?}");
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = table();
    let names: Vec<_> = table.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(names.len() >= CASES, "only {} names", names.len());
    for (file, test) in names {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}

#[test]
fn durations_are_taken_from_a_clock_that_only_goes_forward() {
    // The one use of the other clock is the date of a record.
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut users = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if fs::read_to_string(&path).unwrap().contains("SystemTime") {
            users.push(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(users, ["machine.rs"]);
}
