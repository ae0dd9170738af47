//! The command `mnist-train completions`, which prints a script for a shell.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::output::Output;
use crate::cli::{Cli, OutputArgs};

/// Prints the script by which `shell` completes the commands and flags of the program.
pub fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut program = visible(&Cli::command()).version(env!("CARGO_PKG_VERSION"));
    clap_complete::generate(shell, &mut program, "mnist-train", &mut script);
    // clap_complete 4.6 gives the commands of a program with a hyphen in its name two names in bash.
    let script = String::from_utf8(script)?.replace("mnist__subcmd__train", "mnist__train");
    let output = Output::new(OutputArgs { json: false }, false);
    output.print(script.trim_end());
    Ok(output.finish()?)
}

/// `command` without its hidden commands and flags, which the scripts would show.
fn visible(command: &Command) -> Command {
    let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new(command.get_name().to_string())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(flags)
        .subcommands(commands.map(visible))
}
