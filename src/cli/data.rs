//! The flags of the command `data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::{DataArgs, OutputArgs, known, named_directory};
use super::values::{MOST_IMAGES, augment, whole};
use crate::data::augment::Augment;
use crate::data::known::Known;
use crate::data::synthetic;

/// Arguments of the command `data`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DataCommand {
    /// Action instead of listing the data files.
    #[command(subcommand)]
    pub action: Option<DataAction>,
    /// Folder whose files are listed.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flag of the folder to list or to fill.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// Dataset: mnist, fashion, kmnist or a split of EMNIST, like emnist-letters
    #[arg(long, value_name = "NAME", value_parser = known)]
    pub dataset: Option<&'static Known>,
    /// Data folder [env: MNIST_DATA] [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl FolderArgs {
    /// Data folder that the user named, if any.
    pub fn directory(&self) -> Option<PathBuf> {
        named_directory(self.data.as_deref(), self.dataset)
    }
}

/// Actions of the command `data`.
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// Download a dataset; mirrors can be named in MNIST_MIRRORS
    Fetch {
        /// Folder to download into.
        #[command(flatten)]
        folder: FolderArgs,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write the built-in synthetic digits or letters as four IDX files
    Synthetic {
        /// Folder to write into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Number of training images, all different; there are as many test images as in MNIST
        #[arg(long, value_name = "N", default_value_t = synthetic::TRAIN_IMAGES)]
        #[arg(value_parser = whole(1, Some(MOST_IMAGES)))]
        images: usize,
        /// Draw letters, stored as EMNIST's are: 26 classes, labels from 1, transposed images
        #[arg(long)]
        letters: bool,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Draw training images as each epoch sees them, as one PNG: the originals in the first column
    Augmented(AugmentedArgs),
}

/// Flags of a picture of augmented images.
#[derive(Debug, Args)]
pub struct AugmentedArgs {
    /// Change of the images, as in training: shift, affine or elastic
    #[arg(long, value_name = "NAME", default_value = "elastic", value_parser = augment())]
    pub augment: Augment,
    /// Seed of the changes, as in training
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0_u64, None))]
    pub seed: u64,
    /// File for the picture
    #[arg(long, value_name = "FILE", default_value = "augmented.png")]
    pub out: PathBuf,
    /// Data that images are read from.
    #[command(flatten)]
    pub data: DataArgs,
}
