//! What the Rust peers share: arguments, files, and the lines they print. README.md here has the schema.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;
use flate2::read::GzDecoder;
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// The recipe, the same for every peer; batch size and epochs are arguments.
pub const L2: f64 = 1e-4;
pub const EPS: f64 = 1e-8;
const LEARNING_RATE: f64 = 1e-3;
const MIN_LEARNING_RATE: f64 = 1e-5;
const T_MAX: f64 = 20.0;

/// Pixels of an image.
pub const PIXELS: usize = 28 * 28;

/// The version of `package` in the lock file `lock`.
pub fn locked_version(lock: &str, package: &str) -> String {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).expect("it is locked");
    after.chars().take_while(|&c| c != '"').collect()
}

#[derive(Parser)]
pub struct Args {
    /// Folder with the four IDX files
    #[arg(long)]
    pub data: PathBuf,
    /// Safetensors file with the initial weights
    #[arg(long)]
    pub weights: PathBuf,
    /// Little-endian u32, epochs x images
    #[arg(long)]
    pub order: PathBuf,
    #[arg(long, default_value_t = 1)]
    pub epochs: usize,
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    #[arg(long)]
    pub threads: usize,
    /// Train on the first N images only
    #[arg(long)]
    pub max_samples: Option<usize>,
    #[arg(long, default_value_t = 64)]
    pub eval_batch: usize,
}

/// Pixels and labels.
pub struct Split {
    pub images: Vec<u8>,
    pub labels: Vec<u8>,
}

impl Split {
    fn load(folder: &Path, name: &str, count: Option<usize>) -> Self {
        let mut images = read_idx(&folder.join(format!("{name}-images-idx3-ubyte")), 16);
        let mut labels = read_idx(&folder.join(format!("{name}-labels-idx1-ubyte")), 8);
        let count = count.unwrap_or(labels.len());
        images.truncate(count * PIXELS);
        labels.truncate(count);
        Self { images, labels }
    }

    /// Pixels / 255 and labels of the images at `indices`.
    pub fn batch(&self, indices: &[u32]) -> (Vec<f32>, Vec<u32>) {
        let image = |&index: &u32| &self.images[index as usize * PIXELS..][..PIXELS];
        let pixels = indices.iter().flat_map(image).map(|&pixel| f32::from(pixel) / 255.0);
        (
            pixels.collect(),
            indices.iter().map(|&index| u32::from(self.labels[index as usize])).collect(),
        )
    }
}

fn read_idx(path: &Path, header: usize) -> Vec<u8> {
    let gzipped = PathBuf::from(format!("{}.gz", path.display()));
    let mut content = Vec::new();
    match fs::read(path) {
        Ok(bytes) => content = bytes,
        Err(_) => {
            let file = fs::File::open(&gzipped)
                .unwrap_or_else(|error| panic!("{}: {error}", gzipped.display()));
            GzDecoder::new(file).read_to_end(&mut content).expect("gzip");
        }
    }
    content.split_off(header)
}

/// The inputs of one run, and the lines that it prints.
pub struct Run {
    pub args: Args,
    pub train: Split,
    pub test: Split,
    /// Values and shape of each of the six tensors.
    pub weights: HashMap<String, (Vec<f32>, Vec<usize>)>,
    orders: Vec<u32>,
    train_seconds: f64,
}

impl Run {
    /// Reads the inputs; the thread pool has `--threads` threads from here on.
    pub fn from_command_line() -> Self {
        let args = Args::parse();
        rayon::ThreadPoolBuilder::new()
            .num_threads(args.threads)
            .build_global()
            .expect("the first pool");
        let train = Split::load(&args.data, "train", args.max_samples);
        let test = Split::load(&args.data, "t10k", None);
        let bytes = fs::read(&args.weights).expect("weights");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let floats = |data: &[u8]| {
            data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
        };
        let weights = file
            .tensors()
            .into_iter()
            // A checkpoint has Adam's moments as well; a peer starts from its own zeros.
            .filter(|(name, _)| !name.starts_with("adam."))
            .map(|(name, tensor)| (name, (floats(tensor.data()), tensor.shape().to_vec())))
            .collect();
        let order = fs::read(&args.order).expect("order");
        let orders = order.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        Self { args, train, test, weights, orders, train_seconds: 0.0 }
    }

    pub fn batches(&self, epoch: usize) -> impl Iterator<Item = &[u32]> {
        let images = self.train.labels.len();
        self.orders[epoch * images..][..images].chunks(self.args.batch_size)
    }

    pub fn learning_rate(&self, epoch: usize) -> f64 {
        MIN_LEARNING_RATE
            + 0.5 * (LEARNING_RATE - MIN_LEARNING_RATE) * (1.0 + (PI * epoch as f64 / T_MAX).cos())
    }

    pub fn start(&self, versions: Value) {
        let Args { threads, batch_size, .. } = self.args;
        let (train_images, test_images) = (self.train.labels.len(), self.test.labels.len());
        emit(json!({
            "event": "start", "versions": versions, "threads": threads, "batch_size": batch_size,
            "train_images": train_images, "test_images": test_images,
        }));
    }

    /// `losses` has one mean loss for each step.
    pub fn epoch(&mut self, epoch: usize, losses: &[f32], seconds: f64) {
        self.train_seconds += seconds;
        let images = self.train.labels.len() as f64;
        let sums = losses
            .iter()
            .zip(self.batches(epoch))
            .map(|(&loss, batch)| f64::from(loss) * batch.len() as f64);
        emit(json!({
            "event": "epoch", "epoch": epoch, "lr": self.learning_rate(epoch), "seconds": seconds,
            "images_per_second": images / seconds, "loss": sums.sum::<f64>() / images,
        }));
    }

    /// `weights` yields the six tensors; only their L2 norms are printed.
    pub fn done(
        &self,
        weights: impl IntoIterator<Item = (String, Vec<f32>)>,
        correct: usize,
        eval_seconds: f64,
    ) {
        let norm = |values: &[f32]| {
            values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        let norms: HashMap<String, f64> =
            weights.into_iter().map(|(name, values)| (name, norm(&values))).collect();
        emit(json!({
            "event": "done", "train_seconds": self.train_seconds, "eval_seconds": eval_seconds,
            "eval_batch": self.args.eval_batch, "test_correct": correct,
            "test_total": self.test.labels.len(), "norms": norms,
        }));
    }
}

fn emit(line: Value) {
    println!("{line}");
}
