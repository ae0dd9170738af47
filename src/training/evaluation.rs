//! Evaluation: accuracy and loss of a model on a split of images.

use std::time::{Duration, Instant};

use crate::data::batches::Batch;
use crate::data::dataset::Split;
use crate::engine::Engine;
use crate::nn::cross_entropy::{self, LossSum};

/// Number of images in one forward pass.
const BATCH: usize = 100;

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
    /// Evaluates the parameters of `engine` on all images of `split`; returns `None` as soon as
    /// `stop` returns true.
    pub fn of(engine: &mut dyn Engine, split: &Split, stop: &dyn Fn() -> bool) -> Option<Self> {
        let started = Instant::now();
        let indices: Vec<u32> = (0..split.len() as u32).collect();
        let mut sum = LossSum::default();
        let mut confusion = Vec::new();
        let mut mistakes = Vec::new();
        for indices in indices.chunks(BATCH) {
            if stop() {
                return None;
            }
            let batch = Batch::new(split, indices);
            let logits = engine.predict(&batch);
            sum += cross_entropy::evaluate(logits, batch.labels());
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
            duration: started.elapsed(),
        })
    }
}
