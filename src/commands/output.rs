//! stdout for results, stderr for narration; neither can end a run by being closed.

use std::io::{self, IsTerminal, Write};

use crate::cli::OutputArgs;
use crate::report::{Event, json, text};

/// Where results and narration go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// As the flags say.
    pub fn new(args: OutputArgs, quiet: bool) -> Self {
        Self { json: args.json, quiet }
    }

    /// Prints a result.
    pub fn event(&self, event: &Event) {
        let lines = if self.json { json::line(event) } else { text::lines(event) };
        // A reader that has gone away (`| head -1`) does not stop training.
        _ = writeln!(io::stdout(), "{lines}");
    }

    /// Prints lines that go with the last result, for people at a terminal only.
    pub fn picture(&self, lines: &[String]) {
        if !self.json && io::stdout().is_terminal() {
            _ = writeln!(io::stdout(), "{}", lines.join("\n"));
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

    /// Whether a bar may be drawn on stderr.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}
