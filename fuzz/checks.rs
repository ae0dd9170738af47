//! Properties of the readers of files for any bytes: they either return an error of one line, or
//! their result corresponds to the bytes. The fuzzer calls these functions with bytes that it
//! makes, and `tests/corpus.rs` with the bytes that the fuzzer has kept in its corpus.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_train::data::dataset::ImageFormat;
use mnist_train::data::idx::{images_header, labels_file, parse_images, parse_labels};
use mnist_train::data::picture;
use mnist_train::data::synthetic::CLASSES;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::checkpoint::{self, Model};
use mnist_train::model::presets;

/// Reads `bytes` as an IDX file of images and as an IDX file of labels.
pub fn idx(bytes: &[u8]) {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return gzip(bytes);
    }
    match parse_images(bytes, bytes.len() as u64) {
        Ok(images) => {
            let (rows, columns) = (images.rows, images.columns);
            let header = images_header(images.pixels.len() / (rows * columns), rows, columns);
            assert_eq!([header, images.pixels].concat(), bytes);
        }
        Err(error) => assert_is_one_line(&error.to_string()),
    }
    match parse_labels(bytes, bytes.len() as u64, CLASSES) {
        // A file may give each label four bytes although one is enough.
        Ok(labels) => assert!(labels_file(&labels) == bytes || bytes[2] == 12),
        Err(error) => assert_is_one_line(&error.to_string()),
    }
}

/// Reads `bytes` as a gzip file; other bytes are compressed, and the compressed and the plain file
/// must give the same images or both be refused.
pub fn gzip(bytes: &[u8]) {
    for error in [
        parse_images(bytes, bytes.len() as u64).map(|_| ()),
        parse_labels(bytes, bytes.len() as u64, CLASSES).map(|_| ()),
    ] {
        error.unwrap_or_else(|error| assert_is_one_line(&error.to_string()));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    let packed = encoder.finish().expect("memory takes everything");
    let plain = parse_images(bytes, bytes.len() as u64);
    let unpacked = parse_images(&packed[..], packed.len() as u64);
    assert_eq!(plain.ok(), unpacked.ok());
}

/// Reads `bytes` as a file of pictures. Its last picture gives an image of the right size, or is
/// blank.
pub fn picture(bytes: &[u8]) {
    match picture::parse(bytes) {
        Ok(pictures) => {
            for sides in [[28, 28], [5, 9]] {
                let image = pictures.image(pictures.count() - 1, sides);
                assert!(image.is_none_or(|image| image.len() == sides[0] * sides[1]));
            }
        }
        Err(error) => assert_is_one_line(&error.to_string()),
    }
}

/// Reads `bytes` as the text of a network. A network that is displayed is read as the same network.
pub fn network(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match presets::network(text, ImageFormat::MNIST) {
        Ok(network) => {
            let again = presets::network(&network.to_string(), ImageFormat::MNIST);
            assert_eq!(again.as_ref(), Ok(&network), "{network}");
            assert!(network.parameter_count() <= Architecture::MOST_PARAMETERS);
        }
        Err(error) => assert!(!error.is_empty()),
    }
}

/// Reads `bytes` as a checkpoint, and as the header and data of a checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    let header = bytes.split(|&byte| byte == 0).next().map_or(0, <[u8]>::len);
    let headed = [&(header as u64).to_le_bytes(), bytes].concat();
    for bytes in [bytes, &headed] {
        match checkpoint::parse(bytes, None) {
            Ok((network, Model::Checkpoint(mut read))) => {
                let written = read.to_bytes();
                let again = checkpoint::parse(&written, None);
                let expected = (network, Model::Checkpoint(read));
                assert_eq!(again.expect("what was written is read"), expected);
            }
            Ok((_, Model::Weights(weights))) => assert!(weights.first_not_finite().is_none()),
            Err(error) => assert_is_one_line(&error.to_string()),
        }
    }
}

fn assert_is_one_line(message: &str) {
    assert!(!message.contains(char::is_control), "{message:?}");
}
