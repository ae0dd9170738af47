//! Event files, which TensorBoard reads: scalars of every epoch.
//!
//! A file is a sequence of records ("TFRecord", tensorflow/core/lib/io/record_writer.h). Numbers are
//! little-endian, and the checksums are masked CRC-32C:
//!
//! ```text
//! length: u64 · masked checksum of the length: u32 · data · masked checksum of the data: u32
//! ```
//!
//! The data of a record is a message `Event` of protocol buffers
//! (tensorboard/compat/proto/event.proto), of which these fields are written:
//!
//! ```text
//! Event       1 wall_time: double · 2 step: int64 · 3 file_version: string
//!             5 summary: Summary · 7 session_log: SessionLog
//! Summary     1 value: repeated Value
//! Value       1 tag: string · 2 simple_value: float
//! SessionLog  1 status: enum, where 1 is START
//! ```
//!
//! A field is its number and its wire type in one varint, and then its value: 8 bytes (type 1), 4
//! bytes (type 5), a varint (type 0), or a length and as many bytes (type 2). These few fields need
//! no library of protocol buffers.

use crate::model::checkpoint::EpochRecord;

/// Record with which every file begins.
pub fn beginning(unix_seconds: u64) -> Vec<u8> {
    let mut event = event(unix_seconds, 0);
    bytes(&mut event, 3, b"brain.Event:2");
    record(&event)
}

/// Record that says that a run goes on with epoch `first`: a reader forgets that epoch and those
/// after it, which an earlier file may have.
pub fn going_on(unix_seconds: u64, first: usize) -> Vec<u8> {
    let mut event = event(unix_seconds, first);
    bytes(&mut event, 7, &[1 << 3, 1]);
    record(&event)
}

/// Record with the scalars of the epoch of `results`.
pub fn epoch(unix_seconds: u64, results: &EpochRecord) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars(results) {
        let Some(number) = value else { continue };
        let mut value = Vec::new();
        bytes(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((number as f32).to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = event(unix_seconds, results.epoch);
    bytes(&mut event, 5, &summary);
    record(&event)
}

/// Name of each scalar, and its value if the epoch has it. Names with the same beginning are one
/// section of the page.
fn scalars(results: &EpochRecord) -> [(&'static str, Option<f64>); 9] {
    let share = |correct: Option<usize>, total: Option<usize>| {
        correct.zip(total).map(|(correct, total)| correct as f64 / total as f64)
    };
    [
        ("loss/train", Some(results.loss)),
        ("loss/validation", results.validation_loss),
        ("loss/test", results.test_loss),
        ("accuracy/train", Some(results.train_accuracy)),
        ("accuracy/validation", share(results.validation_correct, results.validation_total)),
        ("accuracy/test", share(results.test_correct, results.test_total)),
        ("norm/gradient", results.gradient_norm),
        ("norm/weights", Some(results.weight_norm)),
        ("learning_rate", Some(results.lr)),
    ]
}

/// Message `Event` with its time and its step.
fn event(unix_seconds: u64, step: usize) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend((unix_seconds as f64).to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step);
    event
}

/// Appends the field `number` of `message`, whose value is `content`.
fn bytes(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(number << 3 | 2);
    varint(message, content.len());
    message.extend(content);
}

/// Appends `value` in groups of 7 bits, the lowest first; all but the last have the highest bit.
fn varint(message: &mut Vec<u8>, mut value: usize) {
    while value >= 128 {
        message.push(value as u8 | 128);
        value >>= 7;
    }
    message.push(value as u8);
}

/// `data` as a record.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let checksum = |data: &[u8]| masked(crc32c(data)).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// `crc` as it is stored: a checksum of data that contain checksums would say little.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C of `data` (Castagnoli; RFC 3720, appendix B.4), bit by bit: a record is short.
fn crc32c(data: &[u8]) -> u32 {
    let remainder = data.iter().fold(u32::MAX, |remainder, &byte| {
        (0..8).fold(remainder ^ u32::from(byte), |remainder, _| {
            let polynomial = if remainder & 1 == 1 { 0x82f6_3b78 } else { 0 };
            remainder >> 1 ^ polynomial
        })
    });
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4: 32 bytes of 0, 32 bytes of ones, and the numbers 0 to 31.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn long_lengths_take_several_bytes() {
        for (value, expected) in [(127, &[127][..]), (128, &[128, 1]), (300, &[172, 2])] {
            let mut found = Vec::new();
            varint(&mut found, value);
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn the_first_record_names_the_version_of_the_format() {
        let found = beginning(1);
        // A length of 8 bytes and its checksum, then 9 + 2 + 15 bytes, then their checksum.
        assert_eq!((found.len(), found[0]), (12 + 26 + 4, 26));
        assert!(found.windows(13).any(|window| window == b"brain.Event:2"));
    }
}
