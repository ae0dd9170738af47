//! Evaluation: accuracy and loss of a model on a split of images.

use std::time::{Duration, Instant};

use crate::data::augment::{Augment, Augmented};
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::nn::cross_entropy::{self, LossSum};

/// Number of images in one forward pass.
const BATCH: usize = 100;

/// Seed of the copies of test-time augmentation that are drawn.
const SEED: u64 = 1;
/// Strength of their changes, with 1 for those of training. Half of those averaged better than all of them
/// on validation images by other writers.
const STRENGTH: f32 = 0.5;

/// Test-time augmentation: the logits of an image are the mean of those of the image and of changed copies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averaging {
    /// Number of copies, the image itself included.
    pub copies: usize,
    /// Change of the copies. A shift is by a pixel: 5 copies are the image and those above, below and beside,
    /// 9 also those at the corners. Of another kind, they are the image and what the first epochs of a
    /// training would see of it if all amounts were half of what they are.
    pub by: Augment,
    /// Probability of the predicted class from which on an image is sure enough to have no copies; with 1,
    /// all images have some.
    pub below: f32,
}

impl Averaging {
    /// Shifts [down, right] in pixels, in the order of their use.
    const SHIFTS: [[isize; 2]; 8] =
        [[-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [-1, 1], [1, -1], [1, 1]];

    /// Replaces the `logits` (N, classes) of those images of `split` at `indices` (N) that are not sure.
    /// Returns their number.
    fn apply(
        &self,
        engine: &mut dyn Engine,
        split: &Split,
        indices: &[u32],
        logits: &mut [f32],
    ) -> usize {
        let classes = logits.len() / indices.len();
        let is_unsure = |z: &[f32]| {
            let probability = cross_entropy::probability(z, cross_entropy::argmax(z));
            // A probability may be rounded to 1.
            probability < self.below || self.below == 1.0
        };
        let (unsure, mut sums): (Vec<u32>, Vec<&mut [f32]>) = indices
            .iter()
            .copied()
            .zip(logits.chunks_exact_mut(classes))
            .filter(|(_, z)| is_unsure(z))
            .unzip();
        if unsure.is_empty() {
            return 0;
        }
        let images = Batch::new(split, &unsure);
        let mut changed =
            Augmented::new(self.by, SEED, split.sides(), unsure.len()).at_strength(STRENGTH);
        for copy in 0..self.copies - 1 {
            match self.by {
                Augment::Shift => changed.shift(&images, Self::SHIFTS[copy]),
                _ => changed.fill(&images, copy),
            }
            let of_copy = engine.predict(&changed.batch());
            for (sums, of_copy) in sums.iter_mut().zip(of_copy.chunks_exact(classes)) {
                sums.iter_mut().zip(of_copy).for_each(|(sum, z)| *sum += z);
            }
        }
        for sum in sums.iter_mut().flat_map(|sums| sums.iter_mut()) {
            *sum /= self.copies as f32;
        }
        unsure.len()
    }
}

/// Result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Number of images classified correctly.
    pub correct: usize,
    /// Number of images in the split.
    pub total: usize,
    /// Mean cross-entropy of the images.
    pub loss: f64,
    /// Number of images with each label and prediction: `confusion[label][predicted]`.
    pub confusion: Vec<Vec<usize>>,
    /// Images classified wrongly, the most confident mistake first.
    pub mistakes: Vec<Mistake>,
    /// Number of images whose logits are means over several copies.
    pub averaged: usize,
    /// Duration of the evaluation.
    pub duration: Duration,
}

/// Image that was classified wrongly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mistake {
    /// Index of the image in the split.
    pub index: usize,
    /// Label of the image.
    pub label: usize,
    /// Class that the model predicts.
    pub predicted: usize,
    /// Softmax probability of the predicted class.
    pub probability: f32,
}

impl Evaluation {
    /// Evaluates the parameters of `engine` on all images of `split`, with `averaging` if it is wanted;
    /// returns `None` as soon as `stop` returns true.
    pub fn of(
        engine: &mut dyn Engine,
        split: &Split,
        averaging: Option<Averaging>,
        stop: &dyn Fn() -> bool,
    ) -> Option<Self> {
        let started = Instant::now();
        let indices: Vec<u32> = (0..split.len() as u32).collect();
        let mut sum = LossSum::default();
        let mut confusion = Vec::new();
        let mut mistakes = Vec::new();
        let mut averaged = 0;
        for indices in indices.chunks(BATCH) {
            if stop() {
                return None;
            }
            let batch = Batch::new(split, indices);
            let mut logits = engine.predict(&batch).to_vec();
            if let Some(averaging) = averaging {
                averaged += averaging.apply(engine, split, indices, &mut logits);
            }
            sum += cross_entropy::evaluate(&logits, batch.labels());
            let classes = logits.len() / batch.len();
            confusion.resize_with(classes, || vec![0; classes]);
            let rows = logits.chunks_exact(classes);
            for ((z, label), &index) in rows.zip(batch.labels()).zip(indices) {
                let predicted = cross_entropy::argmax(z);
                let label = usize::from(label);
                confusion[label][predicted] += 1;
                if predicted != label {
                    let index = index as usize;
                    let probability = cross_entropy::probability(z, predicted);
                    mistakes.push(Mistake { index, label, predicted, probability });
                }
            }
        }
        mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Some(Self {
            correct: sum.correct,
            total: split.len(),
            loss: sum.loss / split.len() as f64,
            confusion,
            mistakes,
            averaged,
            duration: started.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic;
    use crate::engine::compute::Compute;
    use crate::model::mnist_cnn::MnistCnn;
    use crate::model::parameters::TrainState;
    use crate::model::recipe::Recipe;
    use crate::optim::adam::Adam;
    use crate::simd::Isa;
    use crate::stages::Stage;

    #[test]
    fn an_unsure_image_has_the_mean_logits_of_its_copies() {
        let architecture = MnistCnn { channels: 2, kernel_size: 3, hidden: 8 }.architecture();
        let recipe = Recipe::default();
        let compute = Compute { threads: 1, isa: Isa::Portable };
        let mut engine =
            Stage::find("im2col").unwrap().build(&architecture, &recipe, compute).unwrap();
        let parameters = recipe.init.parameters(&architecture, recipe.seed);
        engine.load(&TrainState::new(parameters, &Adam::SLOTS));
        let split = synthetic::generate(5, 130, 1).train;
        let evaluation = |engine: &mut dyn Engine, averaging| {
            let evaluation = Evaluation::of(engine, &split, averaging, &|| false).unwrap();
            Evaluation { duration: Duration::ZERO, ..evaluation }
        };
        let plain = evaluation(engine.as_mut(), None);
        assert_eq!(
            evaluation(
                engine.as_mut(),
                Some(Averaging { copies: 9, by: Augment::Shift, below: 0.0 })
            ),
            plain,
            "all are sure"
        );
        let indices: Vec<u32> = (0..130).collect();
        let logits = engine.predict(&Batch::new(&split, &indices)).to_vec();
        let sure = logits.chunks_exact(10);
        let sure = sure.map(|z| cross_entropy::probability(z, cross_entropy::argmax(z)));
        let mut sure: Vec<f32> = sure.collect();
        sure.sort_by(f32::total_cmp);
        let cases = [
            (5, Augment::Shift, sure[30]),
            (5, Augment::Shift, 1.0),
            (9, Augment::Shift, 1.0),
            (4, Augment::Elastic, sure[60]),
            (4, Augment::Elastic, 1.0),
        ];
        for (copies, by, below) in cases {
            let averaging = Averaging { copies, by, below };
            let found = evaluation(engine.as_mut(), Some(averaging));
            let unsure = |z: &[f32]| {
                below == 1.0 || cross_entropy::probability(z, cross_entropy::argmax(z)) < below
            };
            // By its definition, image by image.
            let mut changed = Augmented::new(by, SEED, split.sides(), 1).at_strength(STRENGTH);
            let (mut loss, mut averaged) = (0.0, 0);
            for (image, label) in indices.chunks(1).zip(split.labels()) {
                let batch = Batch::new(&split, image);
                let mut sums = engine.predict(&batch).to_vec();
                if unsure(&sums) {
                    averaged += 1;
                    for copy in 1..copies {
                        match by {
                            Augment::Shift => changed.shift(&batch, Averaging::SHIFTS[copy - 1]),
                            _ => changed.fill(&batch, copy - 1),
                        }
                        let logits = engine.predict(&changed.batch());
                        sums.iter_mut().zip(logits).for_each(|(sum, z)| *sum += z);
                    }
                    sums.iter_mut().for_each(|sum| *sum /= copies as f32);
                }
                loss += cross_entropy::evaluate(&sums, [*label].into_iter()).loss;
            }
            assert_eq!(found.averaged, averaged, "{averaging:?}");
            let expected = loss / 130.0;
            assert!((expected - found.loss).abs() < 1e-6, "{averaging:?}: {expected} {found:?}");
        }
    }
}
