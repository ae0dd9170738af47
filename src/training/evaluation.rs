//! Evaluation: accuracy and loss of a model on a split of images.

use std::time::{Duration, Instant};

use crate::data::augment;
use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::nn::cross_entropy::{self, LossSum};

/// Number of images in one forward pass.
const BATCH: usize = 100;

/// Test-time augmentation: the logits of an image are the mean of those of the image and of the image
/// moved by up to two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averaging {
    /// Number of places of an image, its own included: 5 with those above, below and beside, 9 with those
    /// at the corners too, 25 with all that are two pixels away.
    pub shifts: usize,
    /// Probability of the predicted class from which on an image is sure enough not to be moved; with 1,
    /// all images are moved.
    pub below: f32,
}

impl Averaging {
    /// Moves [down, right] in pixels, in the order of their use.
    #[rustfmt::skip]
    const MOVES: [[isize; 2]; 24] = [
        [-1, 0], [1, 0], [0, -1], [0, 1],
        [-1, -1], [-1, 1], [1, -1], [1, 1],
        [-2, -2], [-2, -1], [-2, 0], [-2, 1], [-2, 2], [-1, -2], [-1, 2], [0, -2],
        [0, 2], [1, -2], [1, 2], [2, -2], [2, -1], [2, 0], [2, 1], [2, 2],
    ];

    /// Replaces the `logits` (N, classes) of those images of `batch` that are not sure. Returns their number.
    fn apply(&self, engine: &mut dyn Engine, batch: &Batch<'_>, logits: &mut [f32]) -> usize {
        let classes = logits.len() / batch.len();
        let is_unsure = |z: &[f32]| {
            let probability = cross_entropy::probability(z, cross_entropy::argmax(z));
            // A probability may be rounded to 1.
            probability < self.below || self.below == 1.0
        };
        let unsure: Vec<usize> = logits
            .chunks_exact(classes)
            .enumerate()
            .filter_map(|(index, z)| is_unsure(z).then_some(index))
            .collect();
        if unsure.is_empty() {
            return 0;
        }
        let indices: Vec<u32> = (0..unsure.len() as u32).collect();
        for distance in &Self::MOVES[..self.shifts - 1] {
            let moved = augment::shifted(batch, &unsure, *distance);
            let of_moved = engine.predict(&Batch::new(&moved, &indices));
            for (index, of_moved) in unsure.iter().zip(of_moved.chunks_exact(classes)) {
                let sums = &mut logits[index * classes..][..classes];
                sums.iter_mut().zip(of_moved).for_each(|(sum, z)| *sum += z);
            }
        }
        for index in &unsure {
            let sums = &mut logits[index * classes..][..classes];
            sums.iter_mut().for_each(|sum| *sum /= self.shifts as f32);
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
    /// Number of images whose logits are means over several places.
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
                averaged += averaging.apply(engine, &batch, &mut logits);
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
    use std::collections::HashSet;

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
    fn an_unsure_image_has_the_mean_logits_of_its_places() {
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
            evaluation(engine.as_mut(), Some(Averaging { shifts: 9, below: 0.0 })),
            plain,
            "all are sure"
        );
        let indices: Vec<u32> = (0..130).collect();
        let logits = engine.predict(&Batch::new(&split, &indices)).to_vec();
        let sure = logits.chunks_exact(10);
        let sure = sure.map(|z| cross_entropy::probability(z, cross_entropy::argmax(z)));
        let mut sure: Vec<f32> = sure.collect();
        sure.sort_by(f32::total_cmp);
        let few = evaluation(engine.as_mut(), Some(Averaging { shifts: 5, below: sure[30] }));
        assert_eq!(few.averaged, sure.partition_point(|one| *one < sure[30]));
        for shifts in [5, 9, 25] {
            let all = evaluation(engine.as_mut(), Some(Averaging { shifts, below: 1.0 }));
            assert_eq!(all.averaged, 130);
            // By its definition, image by image.
            let mut places = vec![[0, 0]];
            places.extend(&Averaging::MOVES[..shifts - 1]);
            // They are all different, and none is farther away than it must be.
            assert_eq!(places.iter().collect::<HashSet<_>>().len(), shifts);
            let within = shifts.isqrt() as isize / 2;
            let is_near = |place: &[isize; 2]| place.iter().all(|by| by.abs() <= within);
            assert!(places.iter().all(is_near), "{places:?}");
            let mut loss = 0.0;
            for index in 0..130 {
                let mut sums = [0.0; 10];
                for place in &places {
                    let moved = augment::shifted(&Batch::new(&split, &[index]), &[0], *place);
                    let logits = engine.predict(&Batch::new(&moved, &[0]));
                    sums.iter_mut().zip(logits).for_each(|(sum, z)| *sum += z / shifts as f32);
                }
                let label = split.labels()[index as usize];
                loss += cross_entropy::evaluate(&sums, [label].into_iter()).loss;
            }
            assert!((loss / 130.0 - all.loss).abs() < 1e-6, "{} {}", loss / 130.0, all.loss);
        }
    }
}
