//! The picture of `mnist-train data augmented`: training images as the epochs see them.

use crate::cli::AugmentedArgs;
use crate::data::augment::Augmented;
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::data::picture::encode;

/// Largest number of images, a row for each.
pub const IMAGES: usize = 12;
/// Number of epochs, a column for each after the column of the originals.
pub const EPOCHS: usize = 11;
/// Width of the lines between images, in pixels, and their grey.
const LINE: usize = 2;
const GREY: u8 = 96;
/// Number of rows and columns of pixels that show a pixel.
const ZOOM: usize = 2;

/// PNG file of the first images of `train`, changed as `args` say.
pub fn sheet(args: &AugmentedArgs, train: &Split) -> Vec<u8> {
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
        augmented.fill(&originals, epoch);
        place(1 + epoch, &augmented.batch());
    }
    encode::png(&pixels, sides)
}
