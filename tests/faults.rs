//! The table of docs/FAULTS.md has every case once, with a test, and the tests that it names exist.

use std::fs;
use std::path::Path;

/// Number of cases in the table.
const CASES: usize = 91;

/// Text of the page.
fn table() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FAULTS.md")).unwrap()
}

/// Number and last column of each case.
fn cases(table: &str) -> Vec<(usize, &str)> {
    fn case(line: &str) -> Option<(usize, &str)> {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
        Some((cells.next()?.parse().ok()?, cells.next_back()?))
    }
    table.lines().filter_map(case).collect()
}

/// File and function of every test that `text` names.
fn tests(text: &str) -> Vec<(&str, &str)> {
    text.split('`').filter_map(|word| word.split_once("::")).collect()
}

#[test]
fn every_case_is_in_the_table_once() {
    let table = table();
    let mut numbers: Vec<_> = cases(&table).into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=CASES), "{numbers:?}");
}

#[test]
fn every_case_has_a_test() {
    let table = table();
    let without = cases(&table).into_iter().filter(|(_, held_by)| tests(held_by).is_empty());
    assert_eq!(without.collect::<Vec<_>>(), []);
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = table();
    for (file, test) in tests(&table) {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}

#[test]
fn durations_are_taken_from_a_clock_that_only_goes_forward() {
    // The other clock is used once, for the date of a record.
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut users = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("SystemTime") {
            users.push(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(users, ["machine.rs"]);
}
