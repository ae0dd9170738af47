//! The layer that adds to each token a learned embedding of its position (Gehring et al. 2017; in the
//! form of Dosovitskiy et al. 2021, equation 1). Without it, attention and the mean of the tokens do
//! not depend on the order of the tokens.
//!
//! # Definition
//! ```text
//! y[n,t,f] = x[n,t,f] + w[t,f]
//! ```
//!
//! # Backward
//! ```text
//! dw[t,f]   = Σ_n dy[n,t,f]
//! dx[n,t,f] = dy[n,t,f]
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::{COLUMNS, Primitives, share_of};
use super::shape::Shape;
use super::tensor::{Role, TensorSpec};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `pos`: (T, F) → (T, F). Its tensor is a weight (T, F).
#[derive(Debug)]
pub struct Position;

/// Class of PyTorch's module.
const CLASS: &str = "\
class Position(nn.Module):
    def __init__(self, tokens, features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tokens, features))

    def forward(self, x):
        return x + self.weight
";

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pos")
    }
}

impl Layer for Position {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        input.tokens().map(|_| input)
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        vec![TensorSpec::new("weight", input.sizes(), Role::Table, 1, 1)]
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, tensors: &[Value]) -> Value {
        graph.call("Add", &[x, tensors[0]], [])
    }

    fn pytorch(&self, input: Shape) -> Module {
        let [tokens, features] = input.tokens().expect("the network was checked");
        Module { expression: format!("Position({tokens}, {features})"), class: CLASS }
    }
}

impl<T: Scalar> Pass<T> for Position {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, .. } = io;
        let own = share_of(input.images_in(x.len())) * input.len();
        primitives.share(
            x.len(),
            x.chunks(own).zip(y.chunks_mut(own)),
            #[inline(always)]
            |(x, y)| {
                for (x, y) in x.chunks_exact(input.len()).zip(y.chunks_exact_mut(input.len())) {
                    y.iter_mut().zip(x).zip(parameters).for_each(|((y, &x), &w)| *y = x + w);
                }
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, dy, dparameters, dx, .. } = io;
        let own = share_of(input.len()).next_multiple_of(COLUMNS);
        primitives.share(
            dy.len(),
            dparameters.chunks_mut(own).enumerate(),
            #[inline(always)]
            |(item, dw)| {
                dw.fill(T::zero());
                for dy in dy.chunks_exact(input.len()) {
                    dw.iter_mut().zip(&dy[item * own..]).for_each(|(dw, &dy)| *dw += dy);
                }
            },
        );
        if let Some(dx) = dx {
            primitives.map(dy, dx, |dy| dy);
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        tape.add(x, tensors[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    #[test]
    fn every_image_gets_the_same_table() {
        let mut y = [f32::NAN; 4];
        let (x, table) = ([1., 2., 3., 4.], [10., 20.]);
        let input = Shape::matrix(2, 1);
        Position.forward(&mut Reference, Forward::new(input, &x, &table, &mut y));
        assert_eq!(y, [11., 22., 13., 24.]);
    }

    #[test]
    fn positions_are_those_of_tokens() {
        let problem = Position.output(Shape::features(3)).unwrap_err();
        assert_eq!(problem, "needs tokens, gets 3; put 'patches7' or 'rows' before it");
    }
}
