//! The command `mnist-train data augmented`, which draws training images as the epochs see them.

use super::data;
use super::output::Output;
use super::signals::Signals;
use crate::cli::AugmentedArgs;
use crate::data::augment::Augmented;
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::data::picture::encode;
use crate::error::{Result, printable};
use crate::files::lock::lock_for_writing;
use crate::files::{durable, replaceable};
use crate::measure::machine;

/// Number of images, a row for each.
const IMAGES: usize = 12;
/// Number of epochs, a column for each after the column of the originals.
const EPOCHS: usize = 11;
/// Width of the lines between images, in pixels, and their grey.
const LINE: usize = 2;
const GREY: u8 = 96;
/// Number of rows and columns of pixels that show a pixel.
const ZOOM: usize = 2;
/// First bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Writes the picture that `args` ask for.
pub fn draw(args: &AugmentedArgs, output: &Output) -> Result<()> {
    let path = &args.out;
    data::check_no_data_file("--out", path, &args.data)?;
    let lock = lock_for_writing(path);
    let _lock = lock.map_err(|error| error.with_remedy("name another file with --out"))?;
    replaceable::check_bytes(path, "the picture", |bytes| bytes.starts_with(PNG))?;
    let signals = Signals::install(false)?;
    let format = data::format(&args.data)?;
    let train = data::load(&args.data, false, format, machine::threads(), output, &signals)?.train;
    let (pixels, sides) = sheet(args, &train);
    durable::replace(path, &encode::png(&pixels, sides))?;
    let images = IMAGES.min(train.len());
    output.print(&format!(
        "wrote {}: {images} training images, then as {EPOCHS} epochs see them",
        printable(path)
    ));
    Ok(())
}

/// Pixels of the picture, and its sides [H, W].
fn sheet(args: &AugmentedArgs, train: &Split) -> (Vec<u8>, [usize; 2]) {
    let indices: Vec<u32> = (0..train.len().min(IMAGES) as u32).collect();
    let originals = Batch::new(train, &indices);
    let mut augmented = Augmented::new(args.augment, args.seed, train.sides(), indices.len());
    let [rows, columns] = train.sides().map(|side| ZOOM * side + LINE);
    let sides = [rows * indices.len() - LINE, columns * (1 + EPOCHS) - LINE];
    let mut pixels = vec![GREY; sides[0] * sides[1]];
    let mut place = |column: usize, batch: &Batch<'_>| {
        for (row, image) in batch.images().enumerate() {
            let corner = row * rows * sides[1] + column * columns;
            for (y, image) in image.chunks_exact(train.sides()[1]).enumerate() {
                for zoomed in 0..ZOOM {
                    let to = corner + (ZOOM * y + zoomed) * sides[1];
                    let to = pixels[to..].chunks_exact_mut(ZOOM);
                    to.zip(image).for_each(|(to, pixel)| to.fill(*pixel));
                }
            }
        }
    };
    place(0, &originals);
    for epoch in 0..EPOCHS {
        place(1 + epoch, &augmented.batch(&originals, epoch));
    }
    (pixels, sides)
}
