//! Names of the classes of a dataset, from a file `classes.txt` beside its files.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result, quoted};
use crate::files::input;

/// Name of the file.
pub const FILE: &str = "classes.txt";

/// Largest number of classes of a dataset.
pub const MOST: usize = 1000;

/// Largest number of characters of a name.
const LONGEST: usize = 60;

/// Name of `class`, if the names of the classes are `names`: its number if they are the numbers from 0.
pub fn name(names: &[String], class: usize) -> Cow<'_, str> {
    names.get(class).map_or_else(|| class.to_string().into(), |name| name.into())
}

/// Names of the classes in `directory`, one a line, the class with label 0 first; `None` if the
/// folder has no such file.
///
/// # Errors
/// [`Error::InvalidFile`] with the line that is not valid, [`Error::Io`] when the file cannot be
/// read.
pub fn read(directory: &Path) -> Result<Option<Vec<String>>> {
    let path = directory.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    parse(&input::text(&path)?).map(Some).map_err(Error::invalid(&path))
}

/// Names in the `text` of a file.
///
/// # Errors
/// The first problem, with the number of its line.
pub fn parse(text: &str) -> std::result::Result<Vec<String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut names: Vec<String> = Vec::new();
    for (index, line) in text.trim_end().lines().enumerate() {
        let (number, name) = (index + 1, line.trim());
        let problem = if index == MOST {
            format!("there are at most {MOST} classes")
        } else if name.is_empty() {
            "the name is missing: write the name of a class in each line".into()
        } else if name.chars().count() > LONGEST || name.chars().any(char::is_control) {
            format!("a name has at most {LONGEST} characters, all of them printable")
        } else if let Some(first) = names.iter().position(|other| other == name) {
            format!("'{}' is the name of line {} too", quoted(name), first + 1)
        } else {
            names.push(name.into());
            continue;
        };
        return Err(format!("line {number}: {problem}"));
    }
    match names.len() {
        0 | 1 => Err("names fewer than two classes: write the name of a class in each line".into()),
        _ => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_line_without_the_space_around_it() {
        let names = parse("\u{feff}cat\r\n  big dog \r\nMäuse\n\n").unwrap();
        assert_eq!(names, ["cat", "big dog", "Mäuse"]);
        let most: String = (0..MOST).map(|class| format!("{class}\n")).collect();
        assert_eq!(parse(&most).unwrap().len(), MOST);
    }

    #[test]
    fn an_error_names_the_line() {
        let most: String = (0..=MOST).map(|class| format!("{class}\n")).collect();
        for (text, problem) in [
            ("", "names fewer than two classes"),
            ("one\n", "names fewer than two classes"),
            ("one\n\ntwo", "line 2: the name is missing"),
            ("one\ntwo\none", "line 3: 'one' is the name of line 1 too"),
            ("one\ntwo\u{1b}[2J", "line 2: a name has at most 60 characters"),
            (&most, "line 1001: there are at most 1000 classes"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(problem), "{text:?}: {found}");
        }
        assert!(parse(&format!("one\n{}", "x".repeat(61))).unwrap_err().starts_with("line 2"));
    }
}
