//! The head of the network: bias and relu of the first linear layer, the second linear layer, the
//! loss, and their backward pass to dz, the gradient of the hidden units before relu.
//!
//! ```text
//! for each image n of a group
//!     h = relu(b1 + Σ over rows of cells of their partial sums)     in the order of `row_tree`
//!     logits = W2 · h + b2
//!     dlogits = (softmax(logits) − target) / N                      N images in the batch
//!     dz = W2ᵀ · dlogits where h > 0, else 0
//!     dW2 += dlogits ⊗ h,  db2 += dlogits,  db1 += dz
//! ```
//!
//! The head is less than a hundredth of the arithmetic of a step. Images are split into groups of a
//! fixed size, which the cores share. Each group adds up its own gradients, and the gradients of
//! groups are added in the order of the groups.

use super::network::{ALIGNMENT, Network};
use super::trained::Tensors;
use crate::nn::cross_entropy::{self, LossSum};
use crate::simd::Simd;
use crate::stages::floats::{self, Floats};

/// Number of images in a group.
pub const GROUP_IMAGES: usize = 8;

/// Parameters of the head, or their gradient, or a moment.
#[derive(Debug, Clone)]
pub struct HeadWeights {
    /// Biases of the first linear layer, (H padded).
    pub bias1: Floats,
    /// Weights of the second linear layer, (O, H padded).
    pub weight2: Floats,
    /// Biases of the second linear layer, (O padded).
    pub bias2: Floats,
}

impl HeadWeights {
    /// Weights and biases that are all 0.
    pub fn new(network: &Network) -> Self {
        Self {
            bias1: floats::zeros(network.hidden_padded()),
            weight2: floats::zeros(network.classes * network.hidden_padded()),
            bias2: floats::zeros(network.classes.next_multiple_of(ALIGNMENT)),
        }
    }
}

impl Tensors<3> for HeadWeights {
    fn tensors(&self) -> [&[f32]; 3] {
        [&self.bias1, &self.weight2, &self.bias2]
    }

    fn tensors_mut(&mut self) -> [&mut [f32]; 3] {
        [&mut self.bias1, &mut self.weight2, &mut self.bias2]
    }
}

/// Up to [`GROUP_IMAGES`] images, and the results of the head for them; n is their number.
#[derive(Debug)]
pub struct Group {
    /// Number of classes, O.
    classes: usize,
    /// Labels of the images, (n).
    labels: Vec<u16>,
    /// Hidden units after relu, (n, H padded).
    hidden: Floats,
    /// Logits of the images, (n, O).
    logits: Floats,
    /// Gradient of the logits, (n, O).
    dlogits: Floats,
    /// Gradient of the hidden units before relu, (n, H padded).
    pub dz: Floats,
    /// Gradient of the head's parameters from the images of this group.
    pub gradient: HeadWeights,
    /// Loss of the images of this group.
    pub loss: LossSum,
}

impl Group {
    /// Group that has no images yet.
    pub fn new(network: &Network) -> Self {
        let hidden = GROUP_IMAGES * network.hidden_padded();
        let logits = GROUP_IMAGES * network.classes;
        Self {
            classes: network.classes,
            labels: Vec::with_capacity(GROUP_IMAGES),
            hidden: floats::zeros(hidden),
            logits: floats::zeros(logits),
            dlogits: floats::zeros(logits),
            dz: floats::zeros(hidden),
            gradient: HeadWeights::new(network),
            loss: LossSum::default(),
        }
    }

    /// Number of images in the group, n.
    pub fn images(&self) -> usize {
        self.labels.len()
    }

    /// Sets the labels of the images of the group.
    pub fn set_labels(&mut self, labels: impl Iterator<Item = u16>) {
        self.labels.clear();
        self.labels.extend(labels);
    }

    /// Sets the element of `units` to 1 for every hidden unit that is above 0 for any image of the
    /// group.
    pub fn mark_active(&self, units: &mut [u32]) {
        for hidden in self.hidden.chunks_exact(units.len()).take(self.images()) {
            units.iter_mut().zip(hidden).for_each(|(unit, &h)| *unit |= u32::from(h > 0.0));
        }
    }

    /// Logits of the images of the group, (n, O).
    pub fn logits(&self) -> &[f32] {
        &self.logits[..self.images() * self.classes]
    }

    /// Computes the hidden units and the logits of the images from `first` on. `sum` returns the vector
    /// at an index of the sums (N, H padded) over the rows of cells, and `common` (H padded) is the part
    /// of the sums that all images have in common.
    #[inline(never)]
    pub fn forward<S: Simd>(
        &mut self,
        simd: S,
        weights: &HeadWeights,
        first: usize,
        common: &[f32],
        sum: impl Fn(usize) -> S::Vector,
    ) {
        let (width, classes) = (weights.bias1.len(), self.classes);
        simd.vectorize(
            #[inline(always)]
            || {
                let zero = simd.splat(0.0);
                let images =
                    self.hidden.chunks_exact_mut(width).zip(self.logits.chunks_exact_mut(classes));
                for (n, (hidden, logits)) in images.enumerate().take(self.labels.len()) {
                    for at in (0..width).step_by(S::LANES) {
                        let z = sum((first + n) * width + at);
                        let z = simd.add(simd.load(&common[at..]), z);
                        simd.store(simd.max(zero, z), &mut hidden[at..]);
                    }
                    let rows = weights.weight2.chunks_exact(width).zip(weights.bias2.iter());
                    for (logit, (row, &bias)) in logits.iter_mut().zip(rows) {
                        let products =
                            row.chunks_exact(S::LANES).zip(hidden.chunks_exact(S::LANES));
                        let sum = products.fold(zero, |sum, (w, h)| {
                            simd.mul_add(simd.load(w), simd.load(h), sum)
                        });
                        *logit = bias + simd.sum(sum);
                    }
                }
            },
        );
    }

    /// Computes the loss and the gradients from the logits back to dz. `images` is N, the number of
    /// images in the batch; the part `smoothing` of the target is spread over all classes.
    #[inline(never)]
    pub fn backward<S: Simd>(
        &mut self,
        simd: S,
        weights: &HeadWeights,
        images: usize,
        smoothing: f64,
    ) {
        let (width, classes) = (weights.bias1.len(), self.classes);
        simd.vectorize(
            #[inline(always)]
            || {
                self.gradient.clear();
                self.loss = LossSum::default();
                if self.images() == 0 {
                    return;
                }
                let own = self.images() * classes;
                let labels = self.labels.iter().copied();
                self.loss = cross_entropy::backward(
                    &self.logits[..own],
                    labels,
                    images,
                    smoothing,
                    &mut self.dlogits[..own],
                );
                let zero = simd.splat(0.0);
                let rows = self.hidden.chunks_exact(width).zip(self.dz.chunks_exact_mut(width));
                for ((hidden, dz), dlogits) in rows.zip(self.dlogits[..own].chunks_exact(classes)) {
                    for at in (0..width).step_by(S::LANES) {
                        let h = simd.load(&hidden[at..]);
                        let mut dh = zero;
                        for (class, &dlogit) in dlogits.iter().enumerate() {
                            let dlogit = simd.splat(dlogit);
                            let place = class * width + at;
                            dh = simd.mul_add(dlogit, simd.load(&weights.weight2[place..]), dh);
                            let dw = &mut self.gradient.weight2[place..];
                            simd.store(simd.mul_add(dlogit, h, simd.load(dw)), dw);
                        }
                        let d = simd.select(simd.greater(h, zero), dh);
                        simd.store(d, &mut dz[at..]);
                        let db = &mut self.gradient.bias1[at..];
                        simd.store(simd.add(simd.load(db), d), db);
                    }
                    let db2 = self.gradient.bias2.iter_mut();
                    db2.zip(dlogits).for_each(|(sum, dlogit)| *sum += dlogit);
                }
            },
        );
    }
}
