//! A table of results as text, which every format of a report renders in its own way.

/// Table of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Name of the table in the markers of a document.
    pub name: &'static str,
    /// Heading above the table.
    pub title: &'static str,
    /// Sentences below the table.
    pub note: String,
    /// Titles of the columns, each with its side.
    pub columns: Vec<(&'static str, Side)>,
    /// Rows, each with a text for each column.
    pub rows: Vec<Vec<String>>,
}

/// Side of a column at which its texts begin or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Left side, for words.
    Left,
    /// Right side, for numbers.
    Right,
}

/// Column of a table whose rows are made from values of type `T`: its title, its side, and its text
/// of a value.
pub type Column<T> = (&'static str, Side, fn(&T) -> String);

impl Table {
    /// Table with these `columns`, and a row for each of `values`; it has no note.
    pub fn new<T>(
        name: &'static str,
        title: &'static str,
        columns: &[Column<T>],
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let row = |value| columns.iter().map(|(_, _, cell)| cell(&value)).collect();
        Self {
            name,
            title,
            note: String::new(),
            columns: columns.iter().map(|&(title, side, _)| (title, side)).collect(),
            rows: values.into_iter().map(row).collect(),
        }
    }

    /// This table with the sentences `note` below it.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}
