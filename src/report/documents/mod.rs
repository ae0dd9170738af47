//! Tables of Markdown documents, written from records.
//!
//! A table stands between two comments, each on its own line:
//!
//! ```text
//! <!-- BEGIN ladder: how to make the record -->
//! <!-- END ladder -->
//! ```
//!
//! The name says which table it is. The records are in the folder
//! `profiles` beside the document, so that the document can have links to them.

mod accuracy;
mod bench;
mod chapters;
mod ladder;
mod limits;
mod marks;
mod records;
mod runs;
mod scaling;
mod suite;
mod words;

use std::path::Path;

use self::records::Records;
use crate::error::quoted;

/// Names of the tables.
const TABLES: &str = "accuracy, bench NAME, chapter STAGE, datasets, epochs, fashion, ladder, limits, networks, \
                      no background, profile STAGE, recipes, roofline, saving, scaling, small networks, \
                      synthetic, transcript, tuning RECIPE";

/// Tables that `profiles/record.py` makes itself, most of them of what other programs say, and that are
/// left as they are.
const OF_OTHERS: [&str; 7] = [
    "compare",
    "compare networks",
    "headline",
    "instructions",
    "pictures",
    "profiling",
    "reliability",
];

/// Document whose tables have been made again.
#[derive(Debug, PartialEq, Eq)]
pub struct Spliced {
    /// Text of the document.
    pub text: String,
    /// Number of tables that were made.
    pub tables: usize,
}

/// `document`, which is in `folder`, with its tables made again from the records there.
///
/// # Errors
/// The line with a marker that is wrong or whose table cannot be made, and the reason.
pub fn spliced(document: &str, folder: &Path) -> Result<Spliced, String> {
    let records = Records { folder };
    let (mut text, mut tables) = (String::with_capacity(document.len()), 0);
    let mut open: Option<(usize, &str)> = None;
    for (index, line) in document.split_inclusive('\n').enumerate() {
        let at = |problem: String| format!("line {}: {problem}", index + 1);
        match (Marker::of(line), open) {
            (Some(Marker::Begin(_)), Some((begin, name))) => {
                return Err(at(format!("BEGIN before the END of {name} in line {begin}: add it")));
            }
            (Some(Marker::Begin(name)), None) => {
                open = Some((index + 1, name));
                text += line;
                if !OF_OTHERS.contains(&name) {
                    text += &format!("\n{}\n", table(&records, name).map_err(at)?);
                    tables += 1;
                }
            }
            (Some(Marker::End(name)), Some((begin, opened))) if name != opened => {
                return Err(at(format!(
                    "END {}, but line {begin} begins {opened}: correct one of them",
                    quoted(name)
                )));
            }
            (Some(Marker::End(name)), None) => {
                return Err(at(format!("END {} without a BEGIN: add it", quoted(name))));
            }
            (Some(Marker::End(_)), Some(_)) => {
                open = None;
                text += line;
            }
            // The old table.
            (None, Some((_, name))) if !OF_OTHERS.contains(&name) => {}
            (None, _) => text += line,
        }
    }
    match open {
        Some((begin, name)) => Err(format!("line {begin}: BEGIN {name} without an END: add it")),
        None => Ok(Spliced { text, tables }),
    }
}

/// Text of the table called `name`.
fn table(records: &Records, name: &str) -> Result<String, String> {
    match name {
        "accuracy" => accuracy::stages(records),
        "datasets" => accuracy::datasets(records),
        "epochs" => ladder::epochs(records),
        "fashion" => ladder::fashion(records),
        "ladder" => ladder::table(records),
        "limits" => limits::table(records),
        "networks" => accuracy::networks(records),
        "no background" => ladder::no_background(records),
        "recipes" => marks::recipes(records),
        "roofline" => limits::roofline(records),
        "saving" => runs::saving(records),
        "scaling" => scaling::tables(records),
        "small networks" => marks::small_networks(records),
        "synthetic" => runs::synthetic(records),
        "transcript" => runs::transcript(records),
        _ => match name.split_once(' ') {
            Some(("bench", _)) => suite::table(records, name),
            Some(("chapter", stage)) => chapters::table(records, stage),
            Some(("profile", stage)) => chapters::profile(records, stage),
            Some(("tuning", recipe)) => marks::tuning(records, recipe),
            _ => Err(format!("no table is called '{}': there are {TABLES}", quoted(name))),
        },
    }
}

/// Comment before or after a table, with the name of the table.
enum Marker<'a> {
    Begin(&'a str),
    End(&'a str),
}

impl<'a> Marker<'a> {
    /// Marker in `line`, if it is one.
    fn of(line: &'a str) -> Option<Self> {
        let comment = line.trim_end().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        if let Some(name) = comment.strip_prefix("END ") {
            return Some(Self::End(name));
        }
        let begin = comment.strip_prefix("BEGIN ")?;
        Some(Self::Begin(begin.split_once(':').map_or(begin, |(name, _)| name)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::report::suite::results::MARK;
    use crate::report::suite::{BENCHMARK_REPORT, MEMORY_REPORT};

    /// A folder with these files in `profiles`.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join("profiles").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    const MACHINE: &str = r#"{"date": "2026-11-28 13:25 UTC", "cpu": "A", "threads": 1,
        "features": ["avx2", "fma"], "kernel": "6", "rustc": "rustc 1", "commit": "abc",
        "load_average": 2.0, "share_of_others": 0.25}"#;

    const FOOTER: &str = "A, 1 thread, avx2 fma; 6, rustc 1; commit abc, 2026-11-28 13:25 UTC, load \
                          average at the start 2.0, other processes used 25 % of the processors: \
                          [profiles/transcript](profiles/transcript).";

    fn transcript() -> tempfile::TempDir {
        folder(&[("transcript/machine.json", MACHINE), ("transcript/stdout.txt", "done\n")])
    }

    #[test]
    fn a_table_replaces_what_is_between_its_markers_and_nothing_else() {
        let folder = transcript();
        let table = |old: &str| {
            format!(
                "# A\n\n<!-- BEGIN transcript: run it -->\n{old}<!-- END transcript -->\nafter\n\
                 <!-- BEGIN compare: make compare -->\nkept\n<!-- END compare -->\nno end of line"
            )
        };
        let new =
            format!("\n```text\n$ cargo run --release -- --epochs 10\ndone\n```\n\n{FOOTER}\n\n");
        for old in ["", "old\n\n| a |\n", &new] {
            let spliced = spliced(&table(old), folder.path()).unwrap();
            assert_eq!(spliced, Spliced { text: table(&new), tables: 1 });
        }
        let none = Spliced { text: "BEGIN <!-- -->\n".into(), tables: 0 };
        assert_eq!(spliced(&none.text, folder.path()), Ok(none));
    }

    #[test]
    fn a_wrong_marker_is_named_with_its_line() {
        let folder = transcript();
        let begin = "<!-- BEGIN transcript: x -->\n";
        for (document, words) in [
            (format!("a\n{begin}"), "line 2: BEGIN transcript without an END: add it"),
            (format!("{begin}{begin}"), "line 2: BEGIN before the END of transcript in line 1"),
            ("\n<!-- END ladder -->".into(), "line 2: END ladder without a BEGIN"),
            (
                format!("{begin}<!-- END ladder -->\n"),
                "line 2: END ladder, but line 1 begins transcript",
            ),
            (
                "<!-- BEGIN bogus: x -->\n".into(),
                "line 1: no table is called 'bogus': there are acc",
            ),
            ("<!-- BEGIN chapter bogus -->\n".into(), "line 1: no stage is called 'bogus'"),
            ("<!-- BEGIN profile naive -->\n".into(), "line 1: naive starts from no other stage"),
        ] {
            let problem = spliced(&document, folder.path()).unwrap_err();
            assert!(problem.starts_with(words), "{problem}");
        }
    }

    #[test]
    fn a_record_that_is_missing_or_foreign_is_named() {
        let broken = folder(&[
            ("transcript/machine.json", "{}"),
            ("transcript/stdout.txt", ""),
            ("synthetic/seed-1.jsonl", "{\"event\":\"done\"}"),
            ("ladder/bench.json", "{\"event\":\"bench\",\"rows\":[{\"stage\":7}]}"),
            ("ladder/fashion.json", "hello"),
            ("suite/BENCHMARK_REPORT.md", "my report"),
        ]);
        for (name, words) in [
            ("saving", "profiles/saving/every-1-0.jsonl: cannot open: no such file"),
            ("accuracy", "profiles/accuracy: has no record: make one"),
            ("transcript", "transcript/machine.json: is no record: missing field `date`"),
            ("synthetic", "seed-1.jsonl: is no record: it has no event 'epoch': make it again"),
            ("ladder", "ladder/bench.json: is no record: "),
            ("bench layers", "BENCHMARK_REPORT.md: is no record: it is no report of 'bench all'"),
        ] {
            let document = format!("\n<!-- BEGIN {name}: x -->\n<!-- END {name} -->\n");
            let problem = spliced(&document, broken.path()).unwrap_err();
            assert!(problem.starts_with("line 2: ") && problem.contains(words), "{problem}");
        }
    }

    #[test]
    fn a_table_of_all_measurements_is_the_table_of_their_report() {
        let report = |name: &str| {
            format!(
                "# A\n\n<!-- {MARK} -->\n<!-- BEGIN {name}: {MARK} -->\n| {name} |\n<!-- END {name} -->\n"
            )
        };
        let [times, bytes] = [report("bench layers"), report("bench fits")];
        let names = [BENCHMARK_REPORT, MEMORY_REPORT].map(|name| format!("suite/{name}"));
        let folder = folder(&[(&names[0], &times), (&names[1], &bytes)]);
        let document = |name: &str, table: &str| {
            format!("<!-- BEGIN {name}: bench all -->\n{table}<!-- END {name} -->\n")
        };
        for name in ["bench layers", "bench fits"] {
            let spliced = spliced(&document(name, ""), folder.path()).unwrap();
            assert_eq!(spliced.text, document(name, &format!("\n| {name} |\n\n")));
        }
        let problem = spliced(&document("bench none", ""), folder.path()).unwrap_err();
        assert!(problem.contains("has no table 'bench none'"), "{problem}");
    }
}
