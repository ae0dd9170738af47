//! Output of a command: results go to stdout, notes to stderr. A failure to print does not end a
//! run before its model is saved.

use std::cell::RefCell;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use terminal_size::terminal_size_of;

use crate::cli::{OutputArgs, wrapped};
use crate::error::{Error, Result};
use crate::report::{Event, json, text};

/// Printer of results and notes.
#[derive(Debug)]
pub struct Output {
    /// Whether results are JSON lines and not text.
    json: bool,
    /// Whether notes are suppressed.
    quiet: bool,
    /// Number of characters that a line of stdout has room for; `None` if it is no terminal.
    width: Option<usize>,
    /// First error in printing a result.
    failure: RefCell<Option<io::Error>>,
}

impl Output {
    /// Output as the flags `args` say; `quiet` suppresses notes and progress bars.
    pub fn new(args: OutputArgs, quiet: bool) -> Self {
        let columns = || terminal_size_of(io::stdout()).map_or(80, |(width, _)| width.0.into());
        let width = io::stdout().is_terminal().then(columns);
        Self { json: args.json, quiet, width, failure: RefCell::default() }
    }

    /// Prints a result, as text or as one JSON line. The text of a quiet command is the last line of
    /// its last result.
    pub fn event(&self, event: &Event) {
        match event {
            _ if self.json => self.print(&json::line(event)),
            Event::Start(_) | Event::Epoch(_) | Event::SweepRun(_) | Event::RecordRun(_)
                if self.quiet => {}
            _ if self.quiet => {
                self.print(text::lines(event, self.width).lines().last().unwrap_or_default())
            }
            _ => self.print(&text::lines(event, self.width)),
        }
    }

    /// Prints `lines` as they are.
    pub fn print(&self, lines: &str) {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{lines}").and_then(|()| stdout.flush()) {
            // A closed pipe (`| head -1`) is no failure: its reader has read all that it wanted.
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

    /// Prints a note about the progress of the command to stderr, unless the output is quiet.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.warn(message);
        }
    }

    /// Prints a warning to stderr, also when the output is quiet.
    pub fn warn(&self, message: &str) {
        _ = writeln!(io::stderr(), "{}", wrapped(message));
    }

    /// Whether a progress bar is drawn on stderr.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && takes_codes()
    }
}

/// Whether stderr is a terminal that understands control codes, and the user has not refused them
/// (no-color.org).
pub fn takes_codes() -> bool {
    let says = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    let understands_codes = says("TERM").is_some_and(|terminal| terminal != "dumb");
    understands_codes && says("NO_COLOR").is_none() && io::stderr().is_terminal()
}
