//! Augmentation: each epoch sees every training image changed a little, as if it had been written
//! again. The network learns more from such images, and later begins to learn by heart.
//!
//! ```text
//! shift      by −1, 0 or 1 pixel up and sideways
//! affine     moved by up to 1.5 pixels, rotated by up to 10°, scaled by up to 10 %, sheared by up to 0.15
//! elastic    affine, and each part moved by another vector
//! ```
//!
//! All amounts are uniformly distributed. Pixels stay bytes, and blank ink stays 0, so the stages that
//! skip blank cells stay exact. What happens to an image depends on the seed, the epoch and the number
//! of the image alone: batches of another size, a resumed run and any number of threads see the same
//! images.

mod spline;
mod warp;

use serde::{Deserialize, Serialize};

use self::spline::Field;
use self::warp::{Affine, Warp};
use super::batches::Batch;
use super::dataset::Split;
use crate::random::Stream;

/// Largest distance of a shift, in pixels.
const LARGEST_SHIFT: usize = 1;

/// Kind of change of the training images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augment {
    /// No change.
    #[default]
    None,
    /// A move by whole pixels.
    Shift,
    /// A move, a rotation, a scaling and a shear.
    Affine,
    /// The same, and an elastic deformation.
    Elastic,
}

impl Augment {
    /// Names of the kinds in text and in JSON.
    pub const NAMES: [&str; 4] = ["none", "shift", "affine", "elastic"];
}

/// Augmented images of one batch. Its memory is used for one batch after the other.
#[derive(Debug)]
pub struct Augmented {
    kind: Augment,
    seed: u64,
    /// Factor of all amounts but those of a shift.
    strength: f32,
    /// Images and labels of the batch, from the front.
    split: Split,
    /// 0, 1, … for the images of the largest batch.
    indices: Vec<u32>,
    /// Number of images of the batch.
    count: usize,
    warp: Warp,
    field: Field,
}

impl Augmented {
    /// Augmented images with these `sides` [H, W], of batches of up to `most` images.
    pub fn new(kind: Augment, seed: u64, sides: [usize; 2], most: usize) -> Self {
        let split = Split::new(vec![0; most * sides[0] * sides[1]], sides, vec![0; most]);
        let indices = (0..most).map(|index| index as u32).collect();
        let (warp, field) = (Warp::new(sides), Field::new(sides));
        Self { kind, seed, strength: 1.0, split, indices, count: 0, warp, field }
    }

    /// The same, with all amounts but those of a shift multiplied by `strength`.
    pub fn at_strength(self, strength: f32) -> Self {
        Self { strength, ..self }
    }

    /// Batch of the images that were made last.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(&self.split, &self.indices[..self.count])
    }

    /// Makes the images of `batch` as `epoch` sees them.
    ///
    /// # Panics
    /// When the batch has too many images, or images of other sides.
    pub fn fill(&mut self, batch: &Batch<'_>, epoch: usize) {
        let Self { kind, seed, strength, .. } = *self;
        let [_, columns] = self.split.sides();
        self.each(batch, |(warp, field), index, image, augmented| {
            let mut stream = Stream::at(seed, "augmentation", [epoch as u64, u64::from(index)]);
            match kind {
                Augment::None => augmented.copy_from_slice(image),
                Augment::Shift => {
                    let mut distance = || {
                        stream.below(2 * LARGEST_SHIFT as u32 + 1) as isize - LARGEST_SHIFT as isize
                    };
                    shift(image, columns, [distance(), distance()], augmented);
                }
                Augment::Affine => {
                    let affine = Affine::random(&mut stream, strength);
                    warp.apply(image, &affine, None, augmented);
                }
                Augment::Elastic => {
                    let affine = Affine::random(&mut stream, strength);
                    field.draw(&mut stream, strength);
                    warp.apply(image, &affine, Some(field), augmented);
                }
            }
        });
    }

    /// Makes the images of `batch`, all moved by `distance` [down, right] in pixels; what comes from outside
    /// is 0.
    ///
    /// # Panics
    /// When the batch has too many images, or images of other sides, or they are moved by more than their
    /// width.
    pub fn shift(&mut self, batch: &Batch<'_>, distance: [isize; 2]) {
        let [_, columns] = self.split.sides();
        self.each(batch, |_, _, image, moved| shift(image, columns, distance, moved));
    }

    /// Makes an image of each one of `batch` with `change`, which has its index in its split, its pixels and
    /// the place of the new pixels.
    fn each(
        &mut self,
        batch: &Batch<'_>,
        mut change: impl FnMut((&mut Warp, &mut Field), u32, &[u8], &mut [u8]),
    ) {
        self.count = batch.len();
        let Self { split, warp, field, .. } = self;
        let [rows, columns] = split.sides();
        let (images, labels) = split.parts_mut();
        let from = batch.indices().iter().zip(batch.images()).zip(batch.labels());
        let to = images.chunks_exact_mut(rows * columns).zip(labels);
        for (((index, image), label), (changed, label_of_changed)) in from.zip(to) {
            *label_of_changed = label;
            change((warp, field), *index, image, changed);
        }
    }
}

/// Writes `image`, with this number of `columns`, to `to`, moved by `distance` [down, right] in pixels.
/// What comes from outside is 0.
fn shift(image: &[u8], columns: usize, distance: [isize; 2], to: &mut [u8]) {
    let [down, right] = distance;
    let kept = columns - right.unsigned_abs();
    let (from_column, to_column) = (right.min(0).unsigned_abs(), right.max(0).unsigned_abs());
    for (y, to) in (0..).zip(to.chunks_exact_mut(columns)) {
        to.fill(0);
        let row = usize::try_from(y - down).ok();
        let row = row.and_then(|row| image.chunks_exact(columns).nth(row));
        if let Some(row) = row {
            to[to_column..][..kept].copy_from_slice(&row[from_column..][..kept]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::batches;
    use crate::data::synthetic;
    use crate::digest::Sha256Digest;

    const KINDS: [Augment; 3] = [Augment::Shift, Augment::Affine, Augment::Elastic];

    /// Images of `split` in `order` as `epoch` sees them, in batches of `size`.
    fn augmented(
        kind: Augment,
        split: &Split,
        order: &[u32],
        size: usize,
        epoch: usize,
    ) -> Vec<(Vec<u8>, u16)> {
        let mut buffer = Augmented::new(kind, 7, split.sides(), size);
        let mut all = Vec::new();
        for batch in batches(split, order, size) {
            buffer.fill(&batch, epoch);
            let batch = buffer.batch();
            all.extend(batch.images().map(<[u8]>::to_vec).zip(batch.labels()));
        }
        all
    }

    #[test]
    fn an_image_depends_on_the_seed_the_epoch_and_its_number_alone() {
        let split = synthetic::generate(3, 40, 1).train;
        let order: Vec<u32> = (0..40).collect();
        let reversed: Vec<u32> = (0..40).rev().collect();
        for kind in KINDS {
            let all = augmented(kind, &split, &order, 64, 2);
            let mut backwards = augmented(kind, &split, &reversed, 7, 2);
            backwards.reverse();
            assert_eq!(all, backwards, "{kind:?}");
            assert_ne!(all, augmented(kind, &split, &order, 64, 3), "{kind:?}");
            assert!(all.iter().map(|(_, label)| *label).eq(split.labels().iter().copied()));
        }
    }

    #[test]
    fn half_the_strength_changes_images_less() {
        let split = synthetic::generate(3, 40, 1).train;
        let order: Vec<u32> = (0..40).collect();
        let batch = Batch::new(&split, &order);
        for kind in [Augment::Affine, Augment::Elastic] {
            let [none, half, whole] = [0.0, 0.5, 1.0].map(|strength| {
                let mut buffer = Augmented::new(kind, 7, split.sides(), 40).at_strength(strength);
                buffer.fill(&batch, 0);
                let distance = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
                let pairs = buffer.batch().images().zip(batch.images());
                pairs.flat_map(|(a, b)| a.iter().zip(b)).map(distance).sum::<u64>()
            });
            assert_eq!(none, 0, "{kind:?}");
            assert!(half > 0 && whole > half, "{kind:?}: {half} {whole}");
        }
    }

    #[test]
    fn images_of_any_sides_keep_about_their_ink() {
        let wide: Vec<u8> = (0..20 * 40 * 60)
            .map(|index| {
                let (y, x) = (index / 60 % 40, index % 60);
                if (12..28).contains(&y) && (20..40).contains(&x) { 200 } else { 0 }
            })
            .collect();
        let wide = Split::new(wide, [40, 60], vec![0; 20]);
        for split in [synthetic::generate(3, 40, 1).train, wide] {
            let order: Vec<u32> = (0..split.len() as u32).collect();
            let ink = |image: &[u8]| image.iter().map(|&pixel| f64::from(pixel)).sum::<f64>();
            for kind in KINDS {
                for (index, (image, _)) in augmented(kind, &split, &order, 16, 0).iter().enumerate()
                {
                    let ratio = ink(image) / ink(split.image(index));
                    assert!((0.6..1.5).contains(&ratio), "{kind:?}, image {index}: {ratio}");
                    assert!(image.contains(&0), "{kind:?}: blank stays blank");
                }
            }
        }
    }

    #[test]
    fn a_shift_moves_pixels_and_fills_with_blank() {
        let image = [1, 2, 3, 4, 5, 6];
        for (distance, expected) in [
            ([0, 0], image),
            ([1, 0], [0, 0, 0, 1, 2, 3]),
            ([-1, 0], [4, 5, 6, 0, 0, 0]),
            ([0, 1], [0, 1, 2, 0, 4, 5]),
            ([-1, -1], [5, 6, 0, 0, 0, 0]),
        ] {
            let mut moved = [9; 6];
            shift(&image, 3, distance, &mut moved);
            assert_eq!(moved, expected, "{distance:?}");
        }
        // One pixel: whatever is moved leaves it.
        let mut moved = [9];
        shift(&[5], 1, [0, 1], &mut moved);
        assert_eq!(moved, [0]);
    }

    #[test]
    fn augmented_images_never_change_between_releases() {
        let split = synthetic::generate(1, 100, 1).train;
        let order: Vec<u32> = (0..100).collect();
        let digest = |kind| {
            let images = augmented(kind, &split, &order, 100, 0);
            Sha256Digest::of(images.into_iter().map(|(image, _)| image)).to_string()[..16]
                .to_owned()
        };
        assert_eq!(KINDS.map(digest), ["0b2b363f58f0338b", "094dfad6346abafd", "02446eb97ebfc3ab"]);
    }
}
