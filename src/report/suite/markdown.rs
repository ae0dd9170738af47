//! A document of a report as Markdown.
//!
//! Each table stands between two markers with its name, from which
//! [`documents`](crate::report::documents) takes it.

use std::fmt::Write;

use super::document::{Document, Section};
use super::results::MARK;
use super::table::{Side, Table};

/// `document` as Markdown.
pub fn text(document: &Document) -> String {
    let mut text = format!("# {}\n\n<!-- {MARK} -->\n", document.title);
    for line in &document.circumstances {
        _ = writeln!(text, "{line}.  ");
    }
    text.push('\n');
    for verdict in &document.verdicts {
        _ = writeln!(text, "- **{}**: {}", verdict.word(), verdict.text);
    }
    for section in &document.sections {
        self::section(&mut text, section);
    }
    text
}

fn section(text: &mut String, section: &Section) {
    _ = writeln!(text, "\n## {}\n\n{}", section.title, section.text);
    for figure in &section.figures {
        let titles: Vec<_> = figure.panels.iter().map(|panel| panel.title).collect();
        _ = writeln!(text, "\n![{}]({}.svg)", titles.join("; "), figure.name);
    }
    for table in &section.tables {
        let Table { name, title, .. } = table;
        _ = write!(text, "\n### {title}\n\n<!-- BEGIN {name}: {MARK} -->\n");
        self::table(text, table);
        _ = writeln!(text, "<!-- END {name} -->");
    }
}

fn table(text: &mut String, table: &Table) {
    let row = |text: &mut String, cells: &mut dyn Iterator<Item = &str>| {
        for cell in cells {
            _ = write!(text, "| {} ", cell.replace('|', "\\|"));
        }
        text.push_str("|\n");
    };
    row(text, &mut table.columns.iter().map(|(title, _)| *title));
    let sides = table.columns.iter().map(|(_, side)| match side {
        Side::Left => "|---",
        Side::Right => "|--:",
    });
    text.extend(sides);
    text.push_str("|\n");
    for cells in &table.rows {
        row(text, &mut cells.iter().map(String::as_str));
    }
    if !table.note.is_empty() {
        _ = writeln!(text, "\n{}", table.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::suite::table::Column;

    #[test]
    fn a_table_has_its_sides_and_its_bars_are_escaped() {
        let columns: [Column<(&str, u32)>; 2] = [
            ("name", Side::Left, |(name, _)| name.to_string()),
            ("count", Side::Right, |(_, count)| count.to_string()),
        ];
        let values = [("a", 1), ("b|c", 20)];
        let one = Table::new("bench some", "Some", &columns, values).with_note("Counts.");
        let mut found = String::new();
        table(&mut found, &one);
        let expected = "| name | count |\n|---|--:|\n| a | 1 |\n| b\\|c | 20 |\n\nCounts.\n";
        assert_eq!(found, expected);
    }
}
