//! How well a model does on images it was not trained on.

use std::time::{Duration, Instant};

use crate::data::batches::Batch;
use crate::data::dataset::{CLASSES, Split};
use crate::engine::Engine;
use crate::nn::cross_entropy::{self, LossSum};

/// Images of a forward pass.
const BATCH: usize = 100;

/// One pass over a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Images classified correctly.
    pub correct: usize,
    /// Images.
    pub total: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// `confusion[label][predicted]` images.
    pub confusion: [[usize; CLASSES]; CLASSES],
    /// Every image classified wrongly, the most confident first.
    pub mistakes: Vec<Mistake>,
    /// Time of the forward passes and of counting.
    pub duration: Duration,
}

/// An image classified wrongly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mistake {
    /// Which image of the split.
    pub index: usize,
    /// What it is.
    pub label: usize,
    /// What the model takes it for.
    pub predicted: usize,
    /// The softmax probability of `predicted`.
    pub probability: f32,
}

impl Evaluation {
    /// Evaluates the parameters that `engine` holds on all of `split`; `None` once `stop` says so.
    pub fn of(engine: &mut dyn Engine, split: &Split, stop: &dyn Fn() -> bool) -> Option<Self> {
        let started = Instant::now();
        let indices: Vec<u32> = (0..split.len() as u32).collect();
        let mut sum = LossSum::default();
        let mut confusion = [[0; CLASSES]; CLASSES];
        let mut mistakes = Vec::new();
        for indices in indices.chunks(BATCH) {
            if stop() {
                return None;
            }
            let batch = Batch::new(split, indices);
            let logits = engine.predict(&batch);
            sum += cross_entropy::evaluate(logits, batch.labels());
            let rows = logits.chunks_exact(logits.len() / batch.len());
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
