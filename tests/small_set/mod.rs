//! A dataset of a few images, as files.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_train::data::files::Part;
use mnist_train::data::idx::{images_header, labels_file};
use mnist_train::data::remote::Progress;
use mnist_train::data::source::{Outcome, Request, find};
use mnist_train::data::synthetic::SIDE;
use mnist_train::error::Result;
use mnist_train::model::mnist_cnn::MnistCnn;

/// The four uncompressed files of three training images and two test images.
pub struct SmallSet {
    files: [Vec<u8>; 4],
}

impl SmallSet {
    pub fn new() -> Self {
        let images = |count: usize| {
            let pixels = (0..count * SIDE * SIDE).map(|i| (i % 251) as u8).collect();
            [images_header(count, SIDE, SIDE), pixels].concat()
        };
        let [train, test] = [&[5, 0, 4][..], &[7, 2]].map(labels_file);
        Self { files: [images(3), train, images(2), test] }
    }

    /// Bytes of the uncompressed file for `part`.
    pub fn raw(&self, part: Part) -> &[u8] {
        &self.files[part as usize]
    }

    pub fn gzip(&self, part: Part) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(self.raw(part)).unwrap();
        encoder.finish().unwrap()
    }

    /// Writes the compressed files of `parts` into `folder` with their official names.
    pub fn save(&self, folder: &Path, parts: &[Part]) {
        for &part in parts {
            fs::write(folder.join(part.download_name()), self.gzip(part)).unwrap();
        }
    }
}

/// Finds the files of a dataset and reads them.
pub fn load(request: &Request, progress: &mut dyn Progress) -> Result<Outcome> {
    let outcome = find(request, &Part::ALL, progress)?;
    if let Outcome::Found(files) = &outcome {
        files.read(MnistCnn::default().architecture().format())?;
    }
    Ok(outcome)
}

/// Names of the files in `folder`, sorted; no names if it does not exist.
pub fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
