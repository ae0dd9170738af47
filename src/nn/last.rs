//! The layer that takes the last of T tokens: y\[n,f\] = x\[n,T−1,f\]. After an LSTM, the last token has
//! seen all tokens.
//!
//! # Backward
//! The other tokens do not affect y:
//!
//! ```text
//! dx[n,T−1,f] = dy[n,f],   dx[n,t,f] = 0 for t < T − 1
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::{Primitives, share_of};
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Attribute, Graph, Value};
use crate::scalar::Scalar;

/// Layer `last`: (T, F) → (F).
#[derive(Debug)]
pub struct Last;

/// Class of PyTorch's module.
const CLASS: &str = "\
class Last(nn.Module):
    def forward(self, x):
        return x[:, -1]
";

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("last")
    }
}

impl Layer for Last {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        input.tokens().map(|[_, features]| Shape::features(features))
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        let [tokens, _] = input.tokens().expect("the network was checked");
        let last = graph.call("Constant", &[], [("value_int", Attribute::Int(tokens as i64 - 1))]);
        graph.call("Gather", &[x, last], [("axis", Attribute::Int(1))])
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module { expression: "Last()".into(), class: CLASS }
    }
}

impl<T: Scalar> Pass<T> for Last {
    fn forward(&self, _: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let features = io.input.last();
        let images = io.x.chunks_exact(io.input.len()).zip(io.y.chunks_exact_mut(features));
        images.for_each(|(x, y)| y.copy_from_slice(&x[x.len() - features..]));
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, dy, dx: Some(dx), .. } = io else { return };
        let own = share_of(input.images_in(dx.len()));
        primitives.share(
            dx.len(),
            dy.chunks(own * input.last()).zip(dx.chunks_mut(own * input.len())),
            |(dy, dx)| {
                let images = dx.chunks_exact_mut(input.len()).zip(dy.chunks_exact(input.last()));
                for (dx, dy) in images {
                    let (before, last) = dx.split_at_mut(input.len() - input.last());
                    before.fill(T::zero());
                    last.copy_from_slice(dy);
                }
            },
        );
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let [images, tokens, features] = tape.shape(x).try_into().expect("x is tokens");
        let last = |[n, f]: [usize; 2]| Some((n * tokens + tokens - 1) * features + f);
        tape.gather(x, [images, features], last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    #[test]
    fn each_image_gives_its_own_last_token() {
        let mut y = [f32::NAN; 4];
        let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
        Last.forward(&mut Reference, Forward::new(Shape::matrix(3, 2), &x, &[], &mut y));
        assert_eq!(y, [4., 5., 10., 11.]);
        assert!(Layer::output(&Last, Shape::image(1, 2, 3)).is_err());
    }
}
