//! The layer that takes the mean of T tokens: y\[n,f\] = (1/T)·Σ_t x\[n,t,f\].
//!
//! # Backward
//! Each token has a share of 1/T in y:
//!
//! ```text
//! dx[n,t,f] = dy[n,f]/T
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::{Primitives, share_of};
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `mean`: (T, F) → (F).
#[derive(Debug)]
pub struct Mean;

/// Class of PyTorch's module.
const CLASS: &str = "\
class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)
";

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mean")
    }
}

impl Layer for Mean {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        input.tokens().map(|[_, features]| Shape::features(features))
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, _: &[Value]) -> Value {
        graph.reduce("ReduceMean", x, &[1])
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module { expression: "Mean()".into(), class: CLASS }
    }
}

/// Number of tokens in `input`, as a number of the format.
fn count<T: Scalar>(input: Shape) -> T {
    T::of((input.len() / input.last()) as f64)
}

impl<T: Scalar> Pass<T> for Mean {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, y, .. } = io;
        let own = share_of(input.images_in(x.len()));
        primitives.share(
            x.len(),
            x.chunks(own * input.len()).zip(y.chunks_mut(own * input.last())),
            #[inline(always)]
            |(x, y)| {
                y.fill(T::zero());
                for (x, y) in x.chunks_exact(input.len()).zip(y.chunks_exact_mut(input.last())) {
                    for x in x.chunks_exact(input.last()) {
                        y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
                    }
                }
                y.iter_mut().for_each(|y| *y /= count(input));
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, dy, dx: Some(dx), .. } = io else { return };
        let own = share_of(input.images_in(dx.len()));
        primitives.share(
            dx.len(),
            dy.chunks(own * input.last()).zip(dx.chunks_mut(own * input.len())),
            #[inline(always)]
            |(dy, dx)| {
                let images = dx.chunks_exact_mut(input.len()).zip(dy.chunks_exact(input.last()));
                for (dx, dy) in images {
                    for dx in dx.chunks_exact_mut(input.last()) {
                        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy / count(input));
                    }
                }
            },
        );
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let [images, _, features] = tape.shape(x).try_into().expect("x is tokens");
        let means = tape.mean(x, 1);
        tape.reshape(means, &[images, features])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    #[test]
    fn each_image_gives_the_mean_of_its_own_tokens() {
        let mut y = [f32::NAN; 4];
        let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
        Mean.forward(&mut Reference, Forward::new(Shape::matrix(3, 2), &x, &[], &mut y));
        assert_eq!(y, [2., 3., 8., 9.]);
        assert!(Layer::output(&Mean, Shape::features(3)).is_err());
    }
}
