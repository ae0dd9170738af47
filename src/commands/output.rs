//! stdout for results, stderr for narration; neither can end a run before its model is saved.

use std::cell::RefCell;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::cli::OutputArgs;
use crate::error::{Error, Result};
use crate::report::{Event, json, text};

/// Where results and narration go.
#[derive(Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    /// The first result that could not be printed.
    failure: RefCell<Option<io::Error>>,
}

impl Output {
    /// As the flags say.
    pub fn new(args: OutputArgs, quiet: bool) -> Self {
        Self { json: args.json, quiet, failure: RefCell::default() }
    }

    /// Prints a result.
    pub fn event(&self, event: &Event) {
        let lines = if self.json { json::line(event) } else { text::lines(event) };
        self.print(&lines);
    }

    /// Prints lines that go with the last result, for people at a terminal only.
    pub fn picture(&self, lines: &[String]) {
        if !self.json && io::stdout().is_terminal() {
            self.print(&lines.join("\n"));
        }
    }

    /// Prints `lines` as they are.
    pub fn print(&self, lines: &str) {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{lines}").and_then(|()| stdout.flush()) {
            // A reader that has gone away (`| head -1`) has read all it wanted.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.failure.borrow_mut().get_or_insert(error);
            }
            _ => {}
        }
    }

    /// Ends the program's output.
    ///
    /// # Errors
    /// [`Error::Io`] when a result could not be printed.
    pub fn finish(self) -> Result<()> {
        match self.failure.into_inner() {
            None => Ok(()),
            Some(error) => Err(Error::io("print the results", Path::new("stdout"))(error)),
        }
    }

    /// Says what is going on.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            _ = writeln!(io::stderr(), "{message}");
        }
    }

    /// Says what must not be missed, however quiet the run.
    pub fn warn(&self, message: &str) {
        _ = writeln!(io::stderr(), "{message}");
    }

    /// Whether a bar may be drawn on stderr: a terminal that knows codes, for someone who has not
    /// asked to be spared them (no-color.org).
    pub fn shows_progress(&self) -> bool {
        let says = |variable| env::var_os(variable).filter(|value| !value.is_empty());
        let understands_codes = says("TERM").is_some_and(|terminal| terminal != "dumb");
        let wanted = !self.quiet && says("NO_COLOR").is_none();
        wanted && understands_codes && io::stderr().is_terminal()
    }
}
