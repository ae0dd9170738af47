//! This program once more, in a process of its own, to do the same to the same.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::ValueEnum;

use crate::benchmark::Contestant;
use crate::cli::{DataArgs, NetworkArgs};
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Recipe;
use crate::simd::Isa;

/// What is trained, on what.
pub struct Job<'a> {
    /// Every hyperparameter.
    pub recipe: &'a Recipe,
    /// The sizes of the network.
    pub network: &'a NetworkArgs,
    /// Where images come from.
    pub data: &'a DataArgs,
    /// Vector instructions of the stages that can choose.
    pub isa: Isa,
}

impl Job<'_> {
    /// This program with `verb`, or to train without one, set to do the job by `contestant` on the
    /// first images, at most `max_samples`.
    pub fn command(
        &self,
        verb: Option<&str>,
        contestant: Contestant,
        max_samples: usize,
    ) -> anyhow::Result<Command> {
        let Contestant { stage, threads } = contestant;
        let Recipe { batch_size, lr, min_lr, t_max, l2, beta1, beta2, eps, seed, init, .. } =
            self.recipe;
        let MnistCnn { channels, kernel_size, hidden } = MnistCnn::from(self.network);
        let mut command = Command::new(this_program()?);
        command.args(verb);
        command.args([format!("--stage={}", stage.name), format!("--threads={threads}")]);
        if stage.vectorized {
            command.arg(format!("--isa={}", self.isa));
        }
        command.args([format!("--batch-size={batch_size}"), format!("--seed={seed}")]);
        command.args([format!("--lr={lr}"), format!("--min-lr={min_lr}"), format!("--l2={l2}")]);
        let init = init.to_possible_value().expect("every scheme has a name");
        command.args([format!("--t-max={t_max}"), format!("--eps={eps}")]);
        command.arg(format!("--init={}", init.get_name()));
        command.args([format!("--beta1={beta1}"), format!("--beta2={beta2}")]);
        command.args([format!("--channels={channels}"), format!("--kernel-size={kernel_size}")]);
        command.args([format!("--hidden={hidden}"), format!("--max-samples={max_samples}")]);
        // What could be downloaded has been.
        command.arg("--offline");
        if let Some(directory) = self.data.directory() {
            command.arg("--data").arg(directory);
        }
        Ok(command)
    }
}

fn this_program() -> anyhow::Result<PathBuf> {
    env::current_exe().context("cannot find this program's file")
}
