//! Batches of images, and the random order in which an epoch visits them.

use super::dataset::Split;
use crate::random::Stream;

/// N images of a split, given by their indices, so that no image is copied.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    split: &'a Split,
    /// Index of each image in the split, (N).
    indices: &'a [u32],
    /// Indices of the images of the next batch; empty when it is unknown.
    upcoming: &'a [u32],
}

impl<'a> Batch<'a> {
    /// A batch of the images of `split` at `indices`.
    pub fn new(split: &'a Split, indices: &'a [u32]) -> Self {
        Self { split, indices, upcoming: &[] }
    }

    /// This batch with the indices of the next batch, so that an engine may fetch its images early.
    pub fn followed_by(self, indices: &'a [u32]) -> Self {
        Self { upcoming: indices, ..self }
    }

    /// Parts of `size` images of the batch, from the front; the last part may be smaller. The parts
    /// do not know the next batch.
    pub fn parts(self, size: usize) -> impl ExactSizeIterator<Item = Self> {
        self.indices.chunks(size).map(move |indices| Self::new(self.split, indices))
    }

    /// Number of images, N.
    #[allow(clippy::len_without_is_empty)] // Nothing makes an empty batch.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Index of each image in its split, (N).
    pub(super) fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// Pixels of each image, (28, 28) bytes.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        images(self.split, self.indices)
    }

    /// Pixels of each image of the next batch, (28, 28) bytes; no images when it is unknown.
    pub fn upcoming(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        images(self.split, self.upcoming)
    }

    /// Label of each image.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = u16> + Clone + use<'a> {
        let labels = self.split.labels();
        self.indices.iter().map(move |&index| labels[index as usize])
    }
}

/// Pixels of the images of `split` at `indices`.
fn images<'a>(
    split: &'a Split,
    indices: &'a [u32],
) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
    indices.iter().map(move |&index| split.image(index as usize))
}

/// Batches of `size` images of `split`, which follow `order`. The last batch has the remaining
/// images, and each batch knows the next one.
pub fn batches<'a>(
    split: &'a Split,
    order: &'a [u32],
    size: usize,
) -> impl Iterator<Item = Batch<'a>> {
    let chunks = order.chunks(size);
    let following = chunks.clone().skip(1).chain([[].as_slice()]);
    chunks.zip(following).map(|(indices, next)| Batch::new(split, indices).followed_by(next))
}

/// Permutation of 0..`count` that depends only on (`count`, `seed`, `epoch`), so that a resumed run
/// visits the images in the order of an uninterrupted run.
pub fn epoch_order(count: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(count).expect("fewer than 2³² images")).collect();
    Stream::new(seed, "epoch order", epoch as u64).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_knows_its_images_and_the_images_of_the_next() {
        let split =
            Split::new((0..3).flat_map(|image| [image; 6]).collect(), [2, 3], vec![4, 5, 6]);
        let batch = Batch::new(&split, &[2, 0]);
        assert_eq!(batch.upcoming().len(), 0);
        let batch = batch.followed_by(&[1]);
        assert!(batch.images().map(|image| image[0]).eq([2, 0]));
        assert!(batch.labels().eq([6, 4]));
        assert!(batch.upcoming().map(|image| image[0]).eq([1]));
        let parts = batch.parts(1).map(|part| (part.images().next().unwrap()[0], part.len()));
        assert_eq!(parts.collect::<Vec<_>>(), [(2, 1), (0, 1)]);
    }

    #[test]
    fn the_last_batch_has_the_remaining_images_and_each_batch_knows_the_next() {
        let split = Split::new(vec![0; 5 * 6], [2, 3], vec![0, 1, 2, 3, 4]);
        let order = [4, 2, 0, 1, 3];
        let found = batches(&split, &order, 2).map(|batch| (batch.len(), batch.upcoming().len()));
        assert_eq!(found.collect::<Vec<_>>(), [(2, 2), (2, 1), (1, 0)]);
        let labels: Vec<_> = batches(&split, &order, 2).flat_map(|batch| batch.labels()).collect();
        assert_eq!(labels, [4, 2, 0, 1, 3]);
    }

    #[test]
    fn a_batch_larger_than_the_split_is_the_split() {
        let split = Split::new(vec![0; 4], [1, 1], vec![0; 4]);
        for (size, expected) in [(3, &[3, 1][..]), (4, &[4]), (10, &[4])] {
            let mut found = batches(&split, &[0, 1, 2, 3], size);
            let sizes: Vec<usize> = found.by_ref().map(|batch| batch.len()).collect();
            assert_eq!(sizes, expected);
            assert!(found.next().is_none());
        }
    }

    #[test]
    fn an_epoch_visits_every_image_once_in_an_order_of_its_own() {
        let first = epoch_order(1000, 7, 0);
        let second = epoch_order(1000, 7, 1);
        assert_ne!(first, second);
        assert_eq!(first, epoch_order(1000, 7, 0));
        assert_ne!(first, epoch_order(1000, 8, 0));
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.into_iter().eq(0..1000));
        }
    }

    #[test]
    fn the_order_of_an_epoch_never_changes_between_releases() {
        assert_eq!(epoch_order(60_000, 1, 0)[..6], [26771, 51226, 36124, 58688, 19500, 40264]);
    }
}
