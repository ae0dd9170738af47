//! Flags that several commands have.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::values::{MOST_THREADS, isa, kernel_size, stage, whole};
use crate::data::dataset::ImageFormat;
use crate::data::known::{self, Known, MNIST};
use crate::engine::compute::Compute;
use crate::error::{self, Error, printable, quoted};
use crate::measure::machine;
use crate::model::architecture::Architecture;
use crate::model::mnist_cnn::MnistCnn;
use crate::model::presets;
use crate::model::recipe::Recipe;
use crate::simd::Isa;
use crate::stages::Stage;

/// Flags of the network: its layers, or sizes of the default network. A size that is not given is the
/// default network's.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Layers of the network, or its name, see 'mnist-train help summary' [default: default]
    #[arg(long, value_name = "LAYERS")]
    #[arg(conflicts_with_all = ["channels", "kernel_size", "hidden"])]
    #[serde(skip)]
    pub arch: Option<String>,
    /// Channels of the convolution [default: 32]
    #[arg(long, value_name = "C", value_parser = whole(1, Some(MnistCnn::LARGEST.channels)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Side of the convolution's kernel, odd [default: 5]
    #[arg(long, value_name = "K", value_parser = kernel_size)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_size: Option<usize>,
    /// Features of the hidden linear layer [default: 128]
    #[arg(long, value_name = "H", value_parser = whole(1, Some(MnistCnn::LARGEST.hidden)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
}

impl NetworkArgs {
    /// Network with these layers or sizes for `images`.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is not possible.
    pub fn architecture(&self, images: ImageFormat) -> error::Result<Architecture> {
        let default = MnistCnn::default();
        let of_sizes = MnistCnn {
            channels: self.channels.unwrap_or(default.channels),
            kernel_size: self.kernel_size.unwrap_or(default.kernel_size),
            hidden: self.hidden.unwrap_or(default.hidden),
        };
        match &self.arch {
            Some(text) => network(text, images),
            None => of_sizes.for_images(images).map_err(Error::Usage),
        }
    }
}

/// Network that the value `text` of `--arch` means for `images`.
///
/// # Errors
/// [`Error::Usage`] when it is not possible.
pub fn network(text: &str, images: ImageFormat) -> error::Result<Architecture> {
    let problem = |problem| Error::Usage(format!("--arch '{}': {problem}", quoted(text)));
    presets::network(text, images).map_err(problem)
}

/// Dataset that the user names.
#[derive(Debug, Clone)]
enum Named {
    /// Dataset of the table.
    Known(&'static Known),
    /// Dataset in a folder.
    Folder(PathBuf),
}

/// Flags of the data that images are read from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Dataset: mnist, fashion, kmnist or a split of EMNIST, like emnist-letters; or a folder
    #[arg(long, value_name = "NAME", value_parser = named)]
    dataset: Option<Named>,
    /// Folder with the four IDX files [env: MNIST_DATA] [default: data, downloaded if empty]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Never download
    #[arg(long)]
    pub offline: bool,
}

impl DataArgs {
    /// Dataset that the user named, if it is one of the table.
    pub fn known(&self) -> Option<&'static Known> {
        match self.dataset {
            Some(Named::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// Data folder that the user named by the flags or the variable, if any.
    ///
    /// # Errors
    /// [`Error::Usage`] when the flags name two.
    pub fn directory(&self) -> error::Result<Option<PathBuf>> {
        match (&self.dataset, &self.data) {
            (Some(Named::Folder(folder)), Some(_)) => Err(Error::Usage(format!(
                "--dataset: there is no dataset '{}', and --data names a folder: choose {}",
                printable(folder),
                known::names(),
            ))),
            (Some(Named::Folder(folder)), None) => Ok(Some(folder.clone())),
            _ => Ok(named_directory(self.data.as_deref(), self.known())),
        }
    }

    /// Flags that name the same dataset and folder.
    ///
    /// # Errors
    /// The errors of [`Self::directory`].
    pub fn flags(&self) -> error::Result<Vec<OsString>> {
        let known = self.known().map(|known| ["--dataset".into(), known.name.into()]);
        let folder = self.directory()?.map(|folder| ["--data".into(), folder.into()]);
        Ok(known.into_iter().chain(folder).flatten().collect())
    }
}

/// Parses the value of `--dataset`: a name, or the path of a folder that exists.
fn named(text: &str) -> Result<Named, String> {
    match Known::find(text) {
        Some(known) => Ok(Named::Known(known)),
        None if Path::new(text).is_dir() => Ok(Named::Folder(text.into())),
        None => Err(format!("neither a folder nor a dataset: choose {}", known::names())),
    }
}

/// Parses the value of `--dataset` where a folder has a flag of its own.
pub(super) fn known(text: &str) -> Result<&'static Known, String> {
    Known::find(text).ok_or_else(|| format!("no dataset: choose {}", known::names()))
}

/// Data folder from the flag, or else from the variable `MNIST_DATA`, if that is not empty and no other
/// dataset is `known`.
pub(super) fn named_directory(
    flag: Option<&Path>,
    known: Option<&'static Known>,
) -> Option<PathBuf> {
    let is_mnist = known.is_none_or(|known| known == MNIST);
    let variable = || env::var_os("MNIST_DATA").filter(|value| is_mnist && !value.is_empty());
    flag.map(Path::to_path_buf).or_else(|| variable().map(PathBuf::from))
}

/// Flags of the stage and its resources.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct ComputeArgs {
    /// Stage that executes a step, see 'mnist-train stages' [default: the fastest exact one]
    #[arg(long, value_name = "NAME", value_parser = stage)]
    pub stage: Option<&'static Stage>,
    /// Resources that the stage may use.
    #[command(flatten)]
    machine: MachineArgs,
}

impl ComputeArgs {
    /// Stage that the flag names, or else `otherwise`, or else the fastest exact stage that trains
    /// `architecture` by `recipe`.
    ///
    /// # Errors
    /// [`Error::Usage`] when the stage cannot run.
    pub fn stage(
        &self,
        otherwise: Option<&'static Stage>,
        architecture: &Architecture,
        recipe: &Recipe,
    ) -> error::Result<&'static Stage> {
        let fastest = || Stage::fastest_exact(architecture, recipe);
        let stage = self.stage.or(otherwise).unwrap_or_else(fastest);
        if let Some(unmet) = stage.unmet(architecture, recipe, self.compute().isa) {
            return Err(Error::Usage(format!("{unmet}: choose another with --stage")));
        }
        if self.machine.isa.is_some() && !stage.vectorized {
            let problem = format!("--isa: stage {} has no kernels to choose from", stage.name);
            return Err(Error::Usage(format!("{problem}: leave it out")));
        }
        Ok(stage)
    }

    /// Resources that the stage may compute with.
    pub fn compute(&self) -> Compute {
        self.machine.compute()
    }

    /// Number of threads that the flag names, if any.
    pub fn threads(&self) -> Option<usize> {
        self.machine.threads
    }

    /// Vector instructions that the flag names, if any.
    pub fn isa(&self) -> Option<Isa> {
        self.machine.isa
    }

    /// Note about the threads that the flag names and `stage` does not use, if there are any.
    pub fn idle_threads(&self, stage: &Stage) -> Option<String> {
        let named = self.machine.threads?;
        let used = stage.threads(named);
        let note = || format!("note: of {named} threads, stage {} uses {used} at most", stage.name);
        (used < named).then(note)
    }
}

/// Flags of the resources that a stage may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Number of threads [default: all]
    #[arg(long, value_name = "N", value_parser = whole(1, Some(MOST_THREADS)))]
    threads: Option<usize>,
    /// Vector instructions: portable, neon, avx2 or avx512 [default: the widest that the CPU has]
    #[arg(long, value_name = "NAME", value_parser = isa)]
    isa: Option<Isa>,
}

impl MachineArgs {
    /// Resources that the stage may compute with.
    pub fn compute(&self) -> Compute {
        let threads = self.threads.unwrap_or_else(machine::threads);
        Compute { threads, isa: self.isa.unwrap_or_else(Isa::detect) }
    }
}

/// Flags of the output.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print results as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
