//! Reading IDX files: accepted files, refused files with their messages, and the memory and time
//! that reading takes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_train::data::dataset::{ImageFormat, Split, read_split};
use mnist_train::data::idx::{
    IdxImages, images_header, labels_file, parse_images, parse_labels, read_images, read_labels,
};
use mnist_train::data::known::Layout;
use mnist_train::data::synthetic::{CLASSES, SIDE};
use mnist_train::error::{Error, Result};
use proptest::prelude::*;
use tempfile::TempDir;

mod allocation;

/// Images and labels of MNIST.
const FORMAT: ImageFormat = ImageFormat { rows: SIDE, columns: SIDE, classes: CLASSES };

/// Bytes of a file of `count` images whose pixels count upwards.
fn images(count: usize, rows: usize, columns: usize) -> Vec<u8> {
    let pixels = (0..count * rows * columns).map(|i| i as u8);
    images_header(count, rows, columns).into_iter().chain(pixels).collect()
}

/// Bytes of a file of these labels.
fn labels(labels: &[u8]) -> Vec<u8> {
    labels_file(&labels.iter().map(|&label| label.into()).collect::<Vec<_>>())
}

/// Random bytes, which gzip cannot compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 16) as u8
    };
    (0..count).map(|_| byte()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A file in its own temporary folder.
struct Saved {
    _folder: TempDir,
    path: PathBuf,
}

fn save(name: &str, content: &[u8]) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Saved { _folder: folder, path }
}

/// A file that must be refused.
struct Refused {
    name: &'static str,
    content: Vec<u8>,
    /// Words that the error message must contain.
    says: &'static str,
}

fn refused(name: &'static str, content: impl Into<Vec<u8>>, says: &'static str) -> Refused {
    Refused { name, content: content.into(), says }
}

/// Reads every case with `read` and reports all that were not refused with the right message.
fn assert_refused<T>(cases: Vec<Refused>, read: impl Fn(&Path) -> Result<T>) {
    let mut failures = Vec::new();
    for case in cases {
        let file = save("data", &case.content);
        match read(&file.path) {
            Ok(_) => failures.push(format!("{}: accepted", case.name)),
            Err(error) => {
                let message = error.to_string();
                let names_the_file = message.starts_with(&format!("{}: ", file.path.display()));
                if error.exit_code() != 3
                    || !matches!(error, Error::InvalidFile { .. })
                    || !names_the_file
                    || message.contains('\n')
                    || !message.contains(case.says)
                {
                    failures.push(format!("{}: {message}\n  expected: {}", case.name, case.says));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `content` with the byte at `index` replaced.
fn with_byte(mut content: Vec<u8>, index: usize, byte: u8) -> Vec<u8> {
    content[index] = byte;
    content
}

#[test]
fn refuses_what_is_not_a_file_of_images() {
    let good = images(2, 28, 28);
    let packed = gzip(&good);
    let length = packed.len();
    let wide = |count: u32, rows: u32, columns: u32| {
        [0x803, count, rows, columns, 0].map(u32::to_be_bytes).concat()
    };
    assert_refused(
        vec![
            refused("empty", "", "empty file"),
            refused("one byte", [0], "need 16 header bytes, have 1"),
            refused("a magic number", &good[..4], "need 16 header bytes, have 4"),
            refused("fifteen bytes", &good[..15], "need 16 header bytes, have 15"),
            refused("packed short header", gzip(&good[..15]), "need 16 header bytes, have 15"),
            refused(
                "wrong magic number",
                *b"PNG\x89............",
                "magic number 0x504e4789, expected 0x00000803",
            ),
            refused(
                "a zip archive",
                *b"PK\x03\x04................",
                "is packed with zip: unpack it",
            ),
            refused("packed twice", gzip(&packed), "is packed with gzip twice over: unpack it"),
            refused(
                "labels",
                labels(&[0; 20]),
                "magic number 0x00000801 means labels, expected images (0x00000803): images and \
                 labels look swapped",
            ),
            refused(
                "little-endian",
                [3, 8, 0, 0, 2, 0, 0, 0],
                "magic number 0x03080000 is in little-endian byte order",
            ),
            refused(
                "floats",
                with_byte(good.clone(), 2, 0x0d),
                "element type 0x0d (f32), expected 0x08 (u8)",
            ),
            refused(
                "bytes with a sign",
                with_byte(good.clone(), 2, 0x09),
                "element type 0x09 (i8), expected 0x08 (u8)",
            ),
            refused(
                "a row for each image",
                [0x802, 2, 784].map(u32::to_be_bytes).concat(),
                "2 dimensions in the header, expected 3 (images, rows, columns)",
            ),
            refused(
                "colours",
                with_byte(good.clone(), 3, 4),
                "4 dimensions in the header, expected 3 (images, rows, columns)",
            ),
            refused("short body", &good[..100], "expected 1568 bytes after the header, found 84"),
            refused(
                "packed short body",
                gzip(&good[..100]),
                "expected 1568 bytes after the header, found 84",
            ),
            refused(
                "trailing bytes",
                [&good[..], b"xyz"].concat(),
                "3 extra bytes after the last element",
            ),
            refused(
                "packed trailing bytes",
                gzip(&[&good[..], b"xyz"].concat()),
                "3 extra bytes after the last element",
            ),
            refused("no images", images(0, 28, 28), "no images: the header says 0"),
            refused("no rows", wide(3, 0, 28), "images without pixels: the header says 3×0×28"),
            refused("no columns", wide(3, 28, 0), "images without pixels: the header says 3×28×0"),
            refused(
                "a product that overflows",
                wide(u32::MAX, u32::MAX, u32::MAX),
                "the header promises 4294967295×4294967295×4294967295 bytes",
            ),
            refused(
                "a packed product that overflows",
                gzip(&wide(u32::MAX, u32::MAX, u32::MAX)),
                "the header promises 4294967295×4294967295×4294967295 bytes",
            ),
            refused(
                "a packed promise beyond what gzip can do",
                gzip(&wide(60_000, 28, 28)),
                "the header promises 60000×28×28 bytes",
            ),
            refused("two bytes of gzip", &packed[..2], "truncated gzip"),
            refused("half of a gzip", &packed[..length / 2], "truncated gzip"),
            refused(
                "gzip without its checksum",
                &packed[..length - 8],
                "truncated gzip, after 1584 unpacked bytes",
            ),
            refused(
                "gzip without its last byte",
                &packed[..length - 1],
                "truncated gzip, after 1584 unpacked bytes",
            ),
            refused(
                "wrong checksum",
                with_byte(packed.clone(), length - 8, packed[length - 8] ^ 1),
                "damaged gzip",
            ),
            refused(
                "wrong length in gzip",
                with_byte(packed.clone(), length - 4, packed[length - 4] ^ 1),
                "damaged gzip",
            ),
            refused(
                "garbage after gzip",
                [&packed[..], b"garbage and more of it"].concat(),
                "trailing bytes after the end of the gzip: unpack it with gunzip",
            ),
            refused(
                "zeros and one byte after gzip",
                [&packed[..], &[0; 600], b"x"].concat(),
                "trailing bytes after the end of the gzip",
            ),
            refused(
                "half a member after gzip",
                [&packed[..], &packed[..12]].concat(),
                "truncated gzip",
            ),
            refused(
                "an error page",
                "\r\n<!DOCTYPE html><html><title>404</title></html>",
                "looks like HTML",
            ),
            refused(
                "a Git LFS pointer",
                "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
                "Git LFS pointer",
            ),
        ],
        read_images,
    );
}

#[test]
fn refuses_what_is_not_a_file_of_labels() {
    let good = labels(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_refused(
        vec![
            refused("empty", "", "empty file"),
            refused("seven bytes", &good[..7], "need 8 header bytes, have 7"),
            refused(
                "images",
                images(1, 28, 28),
                "magic number 0x00000803 means images, expected labels (0x00000801): images and \
                 labels look swapped",
            ),
            refused("little-endian", [1, 8, 0, 0, 1, 0, 0, 0], "little-endian"),
            refused(
                "a row for each label",
                [0x802, 10, 8].map(u32::to_be_bytes).concat(),
                "2 dimensions in the header, expected 1 (labels)",
            ),
            refused(
                "QMNIST's table of 32-bit numbers",
                [0xc02, 10, 8].map(u32::to_be_bytes).concat(),
                "a table of 32-bit numbers, like the labels of QMNIST: its first column",
            ),
            refused("no labels", labels(&[]), "no labels: the header says 0"),
            refused(
                "a negative label",
                [0xc01, 2, 3, u32::MAX].map(u32::to_be_bytes).concat(),
                "label -1 at index 1, and the model's classes end with label 9",
            ),
            refused(
                "a label beyond 16 bits",
                [0xc01, 2, 3, 0x1_0003].map(u32::to_be_bytes).concat(),
                "label 65539 at index 1",
            ),
            refused(
                "labels of four bytes, cut off",
                [0xc01, 3, 3, 1].map(u32::to_be_bytes).concat(),
                "expected 12 bytes after the header, found 8",
            ),
            refused(
                "short",
                &good[..good.len() - 1],
                "expected 10 bytes after the header, found 9",
            ),
            refused("long", [&good[..], &[0]].concat(), "1 extra bytes"),
            refused(
                "a label above nine",
                labels(&[9, 0, 10, 11]),
                "label 10 at index 2, and the model's classes end with label 9",
            ),
            refused(
                "letters",
                labels(&[1, 7, 26, 13]),
                "label 26 at index 2, and the model's classes end with label 9",
            ),
        ],
        |path| read_labels(path, CLASSES),
    );
}

#[test]
fn reads_packed_and_plain_files_under_either_name() {
    let content = images(3, 5, 4);
    for name in ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"] {
        for stored in [content.clone(), gzip(&content)] {
            let images = read_images(&save(name, &stored).path).unwrap();
            assert_eq!((images.rows, images.columns), (5, 4));
            assert_eq!(images.pixels, content[16..]);
        }
    }
}

#[test]
fn reads_every_member_of_a_gzip_file() {
    let content = images(3, 28, 28);
    for cut in [1, 4, 16, 17, content.len() - 1, content.len()] {
        let (first, second) = content.split_at(cut);
        let stored = [gzip(first), gzip(second)].concat();
        let images = read_images(&save("members.gz", &stored).path).unwrap();
        assert_eq!(images.pixels, content[16..], "cut at {cut}");
    }
}

#[test]
fn ignores_zeros_after_the_last_member_of_a_gzip_file() {
    let content = images(3, 28, 28);
    let (first, second) = content.split_at(500);
    for zeros in [1, 511, 200_000] {
        let stored = [gzip(first), gzip(second), vec![0; zeros]].concat();
        let images = read_images(&save("padded.gz", &stored).path).unwrap();
        assert_eq!(images.pixels, content[16..], "{zeros} zeros");
    }
}

#[test]
fn refuses_splits_that_do_not_fit_the_model_or_each_other() {
    let read = |images: &[u8], labels: &[u8]| {
        let (images, labels) = (save("images", images), save("labels", labels));
        let error = read_split([&images.path, &labels.path], Layout::UPRIGHT, FORMAT).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    };
    let wrong_size = read(&images(2, 32, 32), &labels(&[1, 2]));
    assert!(wrong_size.contains("images are 32×32, and the model needs 28×28"), "{wrong_size}");
    let wrong_count = read(&images(2, 28, 28), &labels(&[1, 2, 3]));
    assert!(wrong_count.contains("2 images") && wrong_count.contains("3 labels"), "{wrong_count}");
}

#[test]
fn reads_a_split() {
    let file = images(2, SIDE, SIDE);
    let images = save("images", &file);
    let labels = save("labels", &gzip(&labels(&[7, 2])));
    let split = read_split([&images.path, &labels.path], Layout::UPRIGHT, FORMAT).unwrap();
    assert_eq!(split, Split::new(file[16..].to_vec(), [SIDE; 2], vec![7, 2]));
    assert_eq!(split.image(1), &file[16 + SIDE * SIDE..]);
}

#[cfg(unix)]
mod on_unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn refuses_a_pipe_or_a_device_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe, "/dev/zero".into()] {
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || sender.send(read_images(&path)));
            let error = receiver
                .recv_timeout(Duration::from_secs(10))
                .expect("an answer in time")
                .unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
    }

    #[test]
    fn says_why_a_file_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        symlink(path("nowhere"), path("dangling")).unwrap();
        symlink(path("loop"), path("loop")).unwrap();
        fs::write(path("secret"), images(1, 28, 28)).unwrap();
        fs::set_permissions(path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        let mut cases = vec![
            ("missing", "no such file"),
            ("dangling", "no such file"),
            ("loop", "symbolic link"),
            (".", "is a directory"),
        ];
        // Root may read everything.
        if fs::read(path("secret")).is_err() {
            cases.push(("secret", "permission denied"));
        }
        for (name, says) in cases {
            let error = read_images(&path(name)).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{error}");
            let message = error.to_string();
            assert!(message.contains(name) && message.contains(says), "{message}");
        }
    }

    #[test]
    fn reads_through_a_link_and_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(OsStr::from_bytes(b"\xff\x1b[31m"));
        let link = folder.path().join("link");
        fs::write(&odd, images(1, 28, 28)).unwrap();
        symlink(&odd, &link).unwrap();
        assert_eq!(read_images(&odd).unwrap(), read_images(&link).unwrap());

        fs::write(&odd, "").unwrap();
        let message = read_images(&odd).unwrap_err().to_string();
        assert!(message.contains("empty file"), "{message}");
        assert!(!message.contains('\x1b'), "{message:?}");
    }
}

#[test]
fn a_lying_header_costs_neither_memory_nor_time() {
    let promise = |count: u32, body: &[u8]| {
        let header = [0x803, count, 28, 28].map(u32::to_be_bytes).concat();
        [&header[..], body].concat()
    };
    let zeros = vec![0; 64 << 20];
    let packed_noise = gzip(&promise(50_000, &noise(1_000_000)));
    struct Case {
        name: &'static str,
        content: Vec<u8>,
        says: &'static str,
        peak_bytes: usize,
    }
    // The reader's buffer has 128 KiB, and unpacking takes some tens of KiB more.
    let small = 256 << 10;
    let cases = [
        Case {
            name: "2³² − 1 images in twenty bytes",
            content: promise(u32::MAX, &[0; 4]),
            says: "found 4",
            peak_bytes: small,
        },
        Case {
            name: "2³² − 1 images in twenty packed bytes",
            content: gzip(&promise(u32::MAX, &[0; 4])),
            says: "cannot hold them",
            peak_bytes: small,
        },
        Case {
            name: "64 MiB of zeros after one image",
            content: gzip(&promise(1, &zeros)),
            says: "65536 or more extra bytes",
            peak_bytes: small + (128 << 10),
        },
        Case {
            name: "784 MB promised by 1 MB of gzip",
            content: gzip(&promise(1_000_000, &noise(1_000_000))),
            says: "images of handwriting do not compress so far",
            peak_bytes: small,
        },
        Case {
            name: "39 MB promised, and 1 MB there",
            peak_bytes: 8 * packed_noise.len() + small,
            content: packed_noise,
            says: "expected 39200000 bytes after the header, found 1000000",
        },
    ];
    for case in cases {
        let file = save("liar", &case.content);
        let (result, peak_bytes) = allocation::peak_bytes(|| read_images(&file.path));
        // The shortest of a few times counts, because other tests run at the same time.
        let time = || {
            let start = Instant::now();
            let _ = read_images(&file.path);
            start.elapsed()
        };
        let elapsed = (0..5).map(|_| time()).min().expect("five times");
        let message = result.unwrap_err().to_string();
        assert!(message.contains(case.says), "{}: {message}", case.name);
        assert!(peak_bytes <= case.peak_bytes, "{}: {peak_bytes} bytes", case.name);
        assert!(elapsed < Duration::from_millis(100), "{}: {elapsed:?}", case.name);
    }
}

#[test]
fn a_good_file_is_allocated_once() {
    let pixels: Vec<u8> = noise(2_000 * SIDE * SIDE).iter().map(|byte| byte & 0x0f).collect();
    let content = [images_header(2_000, SIDE, SIDE), pixels].concat();
    for stored in [content.clone(), gzip(&content)] {
        let file = save("good", &stored);
        let (images, peak_bytes) = allocation::peak_bytes(|| read_images(&file.path));
        assert!(images.is_ok());
        assert!(peak_bytes < content.len() + (256 << 10), "{peak_bytes}");
    }
}

#[test]
fn refuses_every_changed_byte_of_the_header_and_every_truncation_with_little_memory() {
    let (images, labels) = (images(3, 2, 5), labels(&[1, 2, 3]));
    let read_images = |file: &[u8]| parse_images(file, file.len() as u64).is_err();
    let read_labels = |file: &[u8]| parse_labels(file, file.len() as u64, CLASSES).is_err();
    let refused = |is_refused: &dyn Fn(&[u8]) -> bool, file: &[u8], what: &str| {
        let (is_refused, peak_bytes) = allocation::peak_bytes(|| is_refused(file));
        assert!(is_refused && peak_bytes < 4096, "{what}: {is_refused}, {peak_bytes} bytes");
    };
    for (file, is_refused) in
        [(&images, &read_images as &dyn Fn(&[u8]) -> bool), (&labels, &read_labels)]
    {
        for cut in 0..file.len() {
            refused(is_refused, &file[..cut], &format!("cut at {cut}"));
        }
    }
    for byte in 0..=u8::MAX {
        for index in (0..16).filter(|&index| images[index] != byte) {
            let changed = with_byte(images.clone(), index, byte);
            refused(&read_images, &changed, &format!("{byte} at {index} of a file of images"));
        }
        for index in (0..8).filter(|&index| labels[index] != byte) {
            let changed = with_byte(labels.clone(), index, byte);
            refused(&read_labels, &changed, &format!("{byte} at {index} of a file of labels"));
        }
    }
}

fn any_images() -> impl Strategy<Value = IdxImages> {
    (1..6_usize, 1..9_usize, 1..9_usize).prop_flat_map(|(count, rows, columns)| {
        prop::collection::vec(any::<u8>(), count * rows * columns)
            .prop_map(move |pixels| IdxImages { rows, columns, pixels })
    })
}

/// The uncompressed file that holds `images`.
fn file_of(images: &IdxImages) -> Vec<u8> {
    let count = images.pixels.len() / (images.rows * images.columns);
    let header = images_header(count, images.rows, images.columns);
    [&header[..], &images.pixels].concat()
}

/// Random bytes that often begin like a file of images or labels.
fn almost_a_file() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just(0x803_u32), Just(0x801), Just(0xc01), any::<u32>()];
    let dimensions = prop::collection::vec(prop_oneof![0..4_u32, any::<u32>()], 0..4);
    let body = prop::collection::vec(0..12_u8, 0..40);
    (magic, dimensions, body, any::<bool>()).prop_map(|(magic, dimensions, body, packed)| {
        let words = [vec![magic], dimensions].concat();
        let header: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        let content = [header, body].concat();
        if packed { gzip(&content) } else { content }
    })
}

/// Checks that images and labels read from `stored` are the ones that `unpacked` contains.
fn assert_consistent(stored: &[u8], unpacked: &[u8]) {
    let length = stored.len() as u64;
    if let Ok(images) = parse_images(stored, length) {
        assert_eq!(file_of(&images), unpacked);
    }
    if let Ok(read) = parse_labels(stored, length, CLASSES) {
        // A file may give each label four bytes although one is enough.
        assert!(labels_file(&read) == unpacked || unpacked[2] == 12);
        assert!(read.iter().all(|&label| usize::from(label) < CLASSES));
    }
}

proptest! {
    #[test]
    fn reads_back_any_images(images in any_images(), cut in any::<prop::sample::Index>()) {
        let file = file_of(&images);
        let (first, second) = file.split_at(cut.index(file.len()));
        for stored in [file.clone(), gzip(&file), [gzip(first), gzip(second)].concat()] {
            let read = parse_images(&stored[..], stored.len() as u64).unwrap();
            prop_assert_eq!(&read, &images);
        }
    }

    #[test]
    fn reads_back_any_labels(
        classes in prop_oneof![Just(10_u16), Just(1000)],
        lots in prop::collection::vec(any::<u16>(), 1..300),
    ) {
        let expected: Vec<u16> = lots.into_iter().map(|lot| lot % classes).collect();
        let file = labels_file(&expected);
        for stored in [file.clone(), gzip(&file)] {
            let read = parse_labels(&stored[..], stored.len() as u64, classes.into()).unwrap();
            prop_assert_eq!(&read, &expected);
        }
    }

    #[test]
    fn refuses_any_truncation(images in any_images(), at in any::<prop::sample::Index>()) {
        let file = file_of(&images);
        for stored in [file.clone(), gzip(&file)] {
            let cut = &stored[..at.index(stored.len())];
            prop_assert!(parse_images(cut, cut.len() as u64).is_err());
        }
    }

    #[test]
    fn a_changed_byte_in_a_packed_file_changes_nothing_or_is_refused(
        images in any_images(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let packed = gzip(&file_of(&images));
        let index = at.index(packed.len());
        let changed = with_byte(packed, index, byte);
        if let Ok(read) = parse_images(&changed[..], changed.len() as u64) {
            prop_assert_eq!(read, images);
        }
    }

    #[test]
    fn reads_arbitrary_bytes_correctly_or_refuses_them(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        assert_consistent(&bytes, &bytes);
    }

    #[test]
    fn reads_bytes_like_a_file_correctly_or_refuses_them(stored in almost_a_file()) {
        let mut unpacked = Vec::new();
        if stored.starts_with(&[0x1f, 0x8b]) {
            std::io::Read::read_to_end(
                &mut flate2::read::GzDecoder::new(&stored[..]),
                &mut unpacked,
            )
            .unwrap();
        } else {
            unpacked.clone_from(&stored);
        }
        assert_consistent(&stored, &unpacked);
    }
}
