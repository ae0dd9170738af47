//! A report as one self-contained HTML page, which loads no scripts, fonts or other files.

use askama::Template;

use super::document::{Document, Section};
use super::results::MARK;
use super::table::Side;

/// The `documents` of a report as one HTML page.
pub fn text(documents: &[Document]) -> String {
    Page { documents }.render().expect("plain data")
}

/// Values that the template of the page shows.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    documents: &'a [Document],
}

impl Page<'_> {
    fn mark(&self) -> &'static str {
        MARK
    }

    /// Sentences about the machine and the program, which all documents share.
    fn circumstances(&self) -> &[String] {
        self.documents.first().map_or(&[], |document| &document.circumstances)
    }

    /// Name of `section` in links.
    fn id(&self, section: &Section) -> String {
        section.title.replace(' ', "-")
    }

    fn class(&self, side: &Side) -> &'static str {
        match side {
            Side::Left => "words",
            Side::Right => "number",
        }
    }
}
