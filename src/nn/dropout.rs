//! The layer that sets random elements to 0 in training (Srivastava et al., "Dropout: A Simple Way
//! to Prevent Neural Networks from Overfitting", 2014).
//!
//! # Definition
//! The rate p is the probability with which an element becomes 0. In training, m\[i\] is 1 with the
//! probability 1 − p and 0 otherwise. Division by 1 − p keeps the mean of y equal to x; this form
//! is called inverted dropout. So an evaluation, which keeps every element, has nothing to rescale:
//!
//! ```text
//! training      y[i] = m[i]·x[i]/(1 − p)
//! evaluation    y[i] = x[i]
//! ```
//!
//! The mask of an image is drawn from the seed, the step, the layer and the image, so it is the
//! same for any threads, in a resumed run, and in a second computation of the same pass.
//!
//! # Backward
//! y is linear in x, with the same factors on the way back:
//!
//! ```text
//! dx[i] = m[i]·dy[i]/(1 − p)
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::{Primitives, share_of};
use super::settings::Settings;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::random::Stream;
use crate::scalar::Scalar;

/// Layer `dropoutP`: any shape → the same shape.
#[derive(Debug)]
pub struct Dropout {
    /// Probability with which an element becomes 0, at least 0 and less than 1.
    rate: f32,
}

/// Dropout with the rate in `settings`.
///
/// # Errors
/// When the rate is missing, or not at least 0 and less than 1.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Dropout { rate: settings.share()? }))
}

impl Dropout {
    /// Factor of the elements that are kept, 1/(1 − p).
    fn scale<T: Scalar>(&self) -> T {
        T::of(1.0 / (1.0 - f64::from(self.rate)))
    }

    /// Mask of image `image` of a pass: for each element, whether it is kept.
    fn mask(&self, training: Training, image: usize) -> impl Iterator<Item = bool> {
        let Training { seed, step, first_image, layer } = training;
        let place = [step, layer as u64, (first_image + image) as u64];
        let (mut stream, rate) = (Stream::at(seed, "dropout", place), self.rate);
        std::iter::repeat_with(move || stream.unit() >= rate)
    }
}

/// Writes the elements of `from` that the `mask` keeps, multiplied by `scale`, to `to`, and 0 for
/// all others.
#[inline(always)]
fn apply<T: Scalar>(mask: &[u8], scale: T, from: &[T], to: &mut [T]) {
    for ((to, &from), &keep) in to.iter_mut().zip(from).zip(mask) {
        *to = if keep == 1 { from * scale } else { T::zero() };
    }
}

impl fmt::Display for Dropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropout{}", self.rate)
    }
}

impl Layer for Dropout {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        Ok(input)
    }

    /// One byte for each element: 1 if the element is kept, else 0.
    fn kept(&self, input: Shape) -> Kept {
        Kept { bytes: input.len(), ..Kept::default() }
    }

    fn onnx(&self, _: &mut Graph, _: Shape, x: Value, _: &[Value]) -> Value {
        x
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module::from(format!("nn.Dropout({})", self.rate))
    }
}

impl<T: Scalar> Pass<T> for Dropout {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, y, kept_bytes, training, .. } = io;
        let Some(training) = training else {
            y.copy_from_slice(x);
            return;
        };
        let own = share_of(input.images_in(x.len()));
        let items = x.chunks(own * input.len()).zip(y.chunks_mut(own * input.len()));
        primitives.share(
            x.len(),
            items.zip(kept_bytes.chunks_mut(own * input.len())).enumerate(),
            #[inline(always)]
            |(item, ((x, y), kept))| {
                for (image, kept) in (item * own..).zip(kept.chunks_exact_mut(input.len())) {
                    let mask = self.mask(training, image);
                    kept.iter_mut().zip(mask).for_each(|(kept, keep)| *kept = u8::from(keep));
                }
                apply(kept, self.scale(), x, y);
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Some(dx) = io.dx else { return };
        let own = share_of(dx.len());
        primitives.share(
            dx.len(),
            io.kept_bytes.chunks(own).zip(io.dy.chunks(own)).zip(dx.chunks_mut(own)),
            #[inline(always)]
            |((mask, dy), dx)| apply(mask, self.scale(), dy, dx),
        );
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], training: Training) -> Var {
        let shape = tape.shape(x).to_vec();
        let length = shape[1..].iter().product();
        let factor = |keep| if keep { self.scale() } else { T::zero() };
        let masks = (0..shape[0]).flat_map(|image| self.mask(training, image).take(length));
        let factors = tape.leaf(&shape, masks.map(factor).collect());
        tape.mul(x, factors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Output of dropout of this `rate` for images of ones.
    fn of_ones(rate: f32, images: usize, training: Option<Training>) -> Vec<f32> {
        const LENGTH: usize = 1000;
        let x = vec![1.0; images * LENGTH];
        let (mut y, mut kept_bytes) = (vec![f32::NAN; x.len()], vec![255; x.len()]);
        let io = Forward {
            kept_bytes: &mut kept_bytes,
            training,
            ..Forward::new(Shape::features(LENGTH), &x, &[], &mut y)
        };
        Dropout { rate }.forward(&mut Reference, io);
        y
    }

    const TRAINING: Training = Training { seed: 7, step: 3, first_image: 5, layer: 2 };

    #[test]
    fn an_element_is_zero_with_the_rate_and_else_rescaled() {
        for rate in [0.1, 0.5, 0.9_f32] {
            let y = of_ones(rate, 100, Some(TRAINING));
            let kept = y.iter().filter(|y| **y != 0.0).count() as f64 / y.len() as f64;
            let expected = 1.0 - f64::from(rate);
            // The standard deviation is at most 0.0016.
            assert!((kept - expected).abs() < 0.008, "{rate}: {kept}");
            let scale = (1.0 / expected) as f32;
            assert!(y.iter().all(|&y| y == 0.0 || y == scale));
        }
    }

    #[test]
    fn rate_zero_and_an_evaluation_keep_everything() {
        assert!(of_ones(0.0, 3, Some(TRAINING)).iter().all(|&y| y == 1.0));
        assert!(of_ones(0.5, 3, None).iter().all(|&y| y == 1.0));
    }

    #[test]
    fn a_mask_belongs_to_its_seed_step_layer_and_image() {
        let y = of_ones(0.5, 3, Some(TRAINING));
        let images: Vec<&[f32]> = y.chunks_exact(1000).collect();
        assert!(images[0] != images[1] && images[1] != images[2] && images[0] != images[2]);
        let one = |training| of_ones(0.5, 1, Some(training));
        assert_eq!(one(Training { first_image: 6, ..TRAINING }), images[1]);
        for other in [
            Training { seed: 8, ..TRAINING },
            Training { step: 4, ..TRAINING },
            Training { layer: 3, ..TRAINING },
        ] {
            assert_ne!(one(other), images[0], "{other:?}");
        }
    }
}
