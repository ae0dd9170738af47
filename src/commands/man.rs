//! The command `mnist-train man`, which prints the manual.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::output::Output;
use crate::cli::{Cli, OutputArgs};

/// Prints a page in the format of man for the program, then one for each command.
pub fn run() -> anyhow::Result<()> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives each command its whole name, like `mnist-train bench stages`.
    program.build();
    let mut pages = Vec::new();
    render(&program, &mut pages)?;
    let output = Output::new(OutputArgs { json: false }, false);
    output.print(String::from_utf8(pages)?.trim_end());
    Ok(output.finish()?)
}

/// Appends the page of `command` and the pages of its commands to `pages`.
fn render(command: &Command, pages: &mut Vec<u8>) -> io::Result<()> {
    let source = concat!("mnist-train ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).render(pages)?;
    let mut commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    commands.try_for_each(|command| render(command, pages))
}
