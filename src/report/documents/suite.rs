//! Tables of `bench all`, taken from its report in the folder `profiles/suite`.

use super::records::Records;
use crate::error::quoted;
use crate::report::suite::results::MARK;
use crate::report::suite::{BENCHMARK_REPORT, MEMORY_REPORT};

/// Table called `name`, as it stands between the markers of the report.
pub fn table(records: &Records, name: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- BEGIN {name}: {MARK} -->\n"), format!("<!-- END {name} -->"));
    for report in [BENCHMARK_REPORT, MEMORY_REPORT] {
        let file = format!("suite/{report}");
        let text = records.text(&file)?;
        if !text.contains(MARK) {
            return Err(records.foreign(&file, "it is no report of 'bench all'"));
        }
        let table = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
        if let Some((table, _)) = table {
            return Ok(table.into());
        }
    }
    Err(format!("the report in profiles/suite has no table '{}': see its markers", quoted(name)))
}
