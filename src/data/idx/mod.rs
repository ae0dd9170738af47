//! The IDX format of the MNIST files, raw or gzip.
//!
//! A file is a header of big-endian 32-bit words, then one byte for each element:
//!
//! ```text
//! images   0x00000803 · count · rows · columns · count·rows·columns pixels
//! labels   0x00000801 · count · count labels
//! labels   0x00000c01 · count · count labels of four bytes, for more than 256 classes
//! ```
//!
//! The first two bytes of the magic number are 0, the third is the element type (8: unsigned
//! byte, 12: signed integer of 32 bits), the fourth the number of dimensions. The content, never the name, tells whether the file
//! is gzip. The sizes in a header are compared with the bytes in the file before anything relies on
//! them, so a file of twenty bytes cannot make the program allocate gigabytes.

mod error;
mod magic;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use flate2::bufread::GzDecoder;

pub use self::error::IdxError;
use self::magic::{IMAGES_MAGIC, LABELS_MAGIC, QMNIST_MAGIC, WIDE_LABELS_MAGIC};
use crate::error::{Error, Result};
use crate::files::input;

/// Content of a file of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxImages {
    /// Number of rows of an image.
    pub rows: usize,
    /// Number of columns of an image.
    pub columns: usize,
    /// Pixels of all images, (N, rows, columns), N ≥ 1.
    pub pixels: Vec<u8>,
}

/// Reads a file of images.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::InvalidFile`] when it is not a file of images.
pub fn read_images(path: &Path) -> Result<IdxImages> {
    read(path, parse_images)
}

/// Reads a file of labels; each label must be below `classes`.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::InvalidFile`] when it is not a file of labels.
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u16>> {
    read(path, |content, length| parse_labels(content, length, classes))
}

/// Numbers of rows and columns of the images in the file at `path`, from its header alone; `None` if
/// the header is not valid or cannot be read.
pub fn image_sides(path: &Path) -> Option<[usize; 2]> {
    let mut content = BufReader::new(input::open(path).ok()?.0);
    let mut header = [0; 16];
    if content.fill_buf().ok()?.starts_with(&GZIP) {
        GzDecoder::new(content).read_exact(&mut header).ok()?;
    } else {
        content.read_exact(&mut header).ok()?;
    }
    let (words, _) = header.as_chunks();
    let [magic, _, rows, columns] = [0, 1, 2, 3].map(|i| u32::from_be_bytes(words[i]));
    let is_valid = magic == IMAGES_MAGIC && rows > 0 && columns > 0;
    is_valid.then_some([rows as usize, columns as usize])
}

/// Opens the file at `path` and gives `parse` its content and its stored size in bytes.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::InvalidFile`] when `parse` refuses it or it
/// is not a regular file.
pub fn read<T>(
    path: &Path,
    parse: impl FnOnce(BufReader<Take<File>>, u64) -> std::result::Result<T, IdxError>,
) -> Result<T> {
    let (file, length) = input::open(path)?;
    parse(BufReader::with_capacity(1 << 17, file), length).map_err(|error| match error {
        IdxError::Read(source) => Error::io("read", path)(source),
        content => Error::invalid(path)(content),
    })
}

/// Parses a file of images with this `content`, raw or gzip, of `length` stored bytes.
///
/// # Errors
/// The first error in the content.
pub fn parse_images(
    content: impl BufRead,
    length: u64,
) -> std::result::Result<IdxImages, IdxError> {
    let ([count, rows, columns], pixels) = parse(content, length, IMAGES_MAGIC)?;
    debug_assert_eq!(pixels.len(), count * rows * columns);
    Ok(IdxImages { rows, columns, pixels })
}

/// Parses a file of labels with this `content`, raw or gzip, of `length` stored bytes. Each label
/// must be below `classes`.
///
/// # Errors
/// The first error in the content.
pub fn parse_labels(
    content: impl BufRead,
    length: u64,
    classes: usize,
) -> std::result::Result<Vec<u16>, IdxError> {
    let ([count], body) = parse(content, length, LABELS_MAGIC)?;
    let (words, _) = body.as_chunks();
    let wide = words.iter().map(|&word| i32::from_be_bytes(word));
    let labels: Vec<i32> = if body.len() == count {
        body.iter().map(|&label| label.into()).collect()
    } else {
        wide.collect()
    };
    let checked = labels.into_iter().enumerate().map(|(index, label)| {
        let below = u16::try_from(label).ok().filter(|&label| usize::from(label) < classes);
        below.ok_or(IdxError::Label { index, label, classes })
    });
    checked.collect()
}

/// Header of a file of `count` images, 16 bytes.
pub fn images_header(count: usize, rows: usize, columns: usize) -> Vec<u8> {
    header(IMAGES_MAGIC, &[count, rows, columns])
}

/// Uncompressed file of `labels`: with a byte for each if they fit, or else with four.
pub fn labels_file(labels: &[u16]) -> Vec<u8> {
    let count = labels.len();
    let bytes: Option<Vec<u8>> = labels.iter().map(|&label| label.try_into().ok()).collect();
    let wide = || labels.iter().flat_map(|&label| i32::from(label).to_be_bytes()).collect();
    match bytes {
        Some(bytes) => [header(LABELS_MAGIC, &[count]), bytes].concat(),
        None => [header(WIDE_LABELS_MAGIC, &[count]), wide()].concat(),
    }
}

/// Header of a file with this magic number and these dimensions.
fn header(magic: u32, dimensions: &[usize]) -> Vec<u8> {
    let word = |&n: &usize| u32::try_from(n).expect("a dimension fits an IDX header");
    [magic].into_iter().chain(dimensions.iter().map(word)).flat_map(u32::to_be_bytes).collect()
}

/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Most bytes to which deflate can expand one byte (zlib's technical notes: 1032:1).
const DEFLATE_LIMIT: u64 = 1032;

/// Most bytes per stored byte that good data unpacks to: images of handwriting never compress to
/// less than a hundredth. A header that promises more is refused, unless [`HARMLESS`] allows it.
const PACKING_LIMIT: u64 = 100;
/// Number of bytes that may always be unpacked; MNIST has 47 million.
const HARMLESS: u64 = 64 << 20;

/// Most bytes per stored byte that are allocated before anything is unpacked. Images of handwriting
/// compress to a fifth, labels to half.
const TYPICAL_PACKING: u64 = 8;

/// The dimensions of a file and the bytes of its elements.
type Parsed<const RANK: usize> = ([usize; RANK], Vec<u8>);

/// Parses a file, raw or gzip, whose magic number must be `magic`.
fn parse<const RANK: usize>(
    mut content: impl BufRead,
    length: u64,
    magic: u32,
) -> std::result::Result<Parsed<RANK>, IdxError> {
    let start = content.fill_buf().map_err(IdxError::Read)?;
    if start.is_empty() {
        return Err(IdxError::Empty);
    }
    if start.starts_with(&GZIP) {
        let mut packed = Unpacked::new(Members(Some(GzDecoder::new(content))), true);
        let capacity = length.saturating_mul(DEFLATE_LIMIT);
        let parsed = parse_unpacked(&mut packed, length, capacity, magic)?;
        // Tapes and other blocks of fixed size are filled with zeros, which gunzip ignores too.
        return match packed.inner.file().bytes().find(|byte| !matches!(byte, Ok(0))) {
            None => Ok(parsed),
            Some(Ok(_)) => Err(IdxError::GzipTrailing),
            Some(Err(error)) => Err(IdxError::Read(error)),
        };
    }
    if start.trim_ascii_start().starts_with(b"<") {
        return Err(IdxError::Html);
    }
    if start.starts_with(b"version https://git-lfs") {
        return Err(IdxError::LfsPointer);
    }
    parse_unpacked(&mut Unpacked::new(content, false), length, length, magic)
}

/// Parses a file after any unpacking. `length` is its stored size in bytes, and `capacity` the
/// largest size to which it can unpack.
fn parse_unpacked<const RANK: usize>(
    content: &mut Unpacked<impl Read>,
    length: u64,
    capacity: u64,
    magic: u32,
) -> std::result::Result<Parsed<RANK>, IdxError> {
    let needed = 4 + 4 * RANK;
    let mut header = Vec::with_capacity(needed);
    content.read_up_to(needed, &mut header)?;
    let found = header.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    found.map_or(Ok(()), |found| check_magic(found, magic))?;
    let element_bytes = if found == Some(WIDE_LABELS_MAGIC) { 4 } else { 1 };
    if header.len() < needed {
        return Err(IdxError::Header { needed, found: header.len() });
    }
    let words: Vec<u32> = header
        .chunks_exact(4)
        .skip(1)
        .map(|word| u32::from_be_bytes(word.try_into().expect("four bytes")))
        .collect();
    if words.contains(&0) {
        return Err(IdxError::NoElements { dimensions: words });
    }
    let promised =
        words.iter().try_fold(element_bytes, |product: u64, &n| product.checked_mul(u64::from(n)));
    let room = capacity.saturating_sub(needed as u64);
    let bytes = match promised {
        Some(bytes) if bytes <= room => bytes,
        Some(expected) if !content.gzip => {
            return Err(IdxError::Truncated { expected, found: room });
        }
        _ => {
            return Err(IdxError::TooLarge { dimensions: words, present: length });
        }
    };
    if content.gzip && bytes > HARMLESS.max(length.saturating_mul(PACKING_LIMIT)) {
        return Err(IdxError::Bomb { dimensions: words, present: length });
    }
    if !content.gzip && bytes < room {
        return Err(IdxError::Trailing { extra: room - bytes, or_more: false });
    }

    // Room for the probable size; the vector grows if the file compresses better.
    let expected = bytes.min(length.saturating_mul(TYPICAL_PACKING));
    let mut body = Vec::with_capacity(expected as usize);
    content.read_up_to(bytes as usize, &mut body)?;
    if (body.len() as u64) < bytes {
        return Err(IdxError::Truncated { expected: bytes, found: body.len() as u64 });
    }
    // Reading to the end also verifies gzip's checksum.
    let mut extra = Vec::new();
    content.read_up_to(TRAILING_LIMIT, &mut extra)?;
    if !extra.is_empty() {
        let or_more = extra.len() == TRAILING_LIMIT;
        return Err(IdxError::Trailing { extra: extra.len() as u64, or_more });
    }
    let dimensions = std::array::from_fn(|i| words[i] as usize);
    Ok((dimensions, body))
}

/// Most extra bytes that are counted after the last element, so that a gzip bomb is not unpacked to
/// its end.
const TRAILING_LIMIT: usize = 1 << 16;

/// First bytes and names of other formats in which datasets are packed.
const PACKED: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zX", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    // One layer of gzip is already unpacked here.
    (b"\x1f\x8b", "gzip twice over"),
];

/// Refuses a magic number other than `expected`, with the most probable reason.
fn check_magic(found: u32, expected: u32) -> std::result::Result<(), IdxError> {
    if found == expected || (found == WIDE_LABELS_MAGIC && expected == LABELS_MAGIC) {
        Ok(())
    } else if found.swap_bytes() == expected {
        Err(IdxError::LittleEndian { found })
    } else if [IMAGES_MAGIC, LABELS_MAGIC].contains(&found) {
        Err(IdxError::Swapped { expected, found })
    } else if found == QMNIST_MAGIC && expected == LABELS_MAGIC {
        Err(IdxError::Qmnist)
    } else if found >> 8 == expected >> 8 {
        Err(IdxError::Dimensions { found: found as u8, expected: expected as u8 })
    } else if found & 0xffff_00ff == expected & 0xffff_00ff {
        Err(IdxError::ElementType { found: (found >> 8) as u8 })
    } else if let Some((_, format)) =
        PACKED.iter().find(|(start, _)| found.to_be_bytes().starts_with(start))
    {
        Err(IdxError::Packed { format })
    } else {
        Err(IdxError::Magic { expected, found })
    }
}

/// Reader of the contents of a gzip file's members, of which it may have several, one after the
/// other. It ends before the first bytes that are no member.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    /// The file, read up to the end of what has been unpacked.
    fn file(&mut self) -> &mut R {
        self.0.as_mut().expect("there is always a member").get_mut()
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.as_mut().map_or(Ok(0), |member| member.read(bytes))?;
            let ends = count == 0 && !bytes.is_empty();
            if !ends || !self.file().fill_buf()?.starts_with(&[0x1f]) {
                return Ok(count);
            }
            self.0 = self.0.take().map(|member| GzDecoder::new(member.into_inner()));
        }
    }
}

/// Reader of unpacked content that tells errors of unpacking from errors of reading.
struct Unpacked<R> {
    inner: R,
    /// Whether `inner` unpacks gzip.
    gzip: bool,
    /// Number of unpacked bytes that have been read.
    position: u64,
}

impl<R: Read> Unpacked<R> {
    fn new(inner: R, gzip: bool) -> Self {
        Self { inner, gzip, position: 0 }
    }

    /// Appends `count` bytes to `bytes`, or fewer at the end of the content.
    fn read_up_to(
        &mut self,
        count: usize,
        bytes: &mut Vec<u8>,
    ) -> std::result::Result<(), IdxError> {
        let before = bytes.len();
        let outcome = self.inner.by_ref().take(count as u64).read_to_end(bytes);
        self.position += (bytes.len() - before) as u64;
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if !self.gzip => Err(IdxError::Read(error)),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::UnexpectedEof => IdxError::GzipTruncated { unpacked: self.position },
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => IdxError::Gzip(error),
                _ => IdxError::Read(error),
            }),
        }
    }
}
