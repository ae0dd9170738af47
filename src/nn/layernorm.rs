//! The layer that normalizes the values along the last axis (Ba et al., "Layer Normalization",
//! 2016).
//!
//! # Definition
//! A row is the F features of an image or of a token. With x̂ as in [`normalize`] and ε = 10⁻⁶,
//!
//! ```text
//! y[n,f] = x̂[n,f]·w[f] + b[f]          n counts all rows of all images
//! ```
//!
//! # Backward
//! ```text
//! dw[f]   = Σ_n dy[n,f]·x̂[n,f]
//! db[f]   = Σ_n dy[n,f]
//! dx̂[n,f] = dy[n,f]·w[f]               dx follows from dx̂ as in `normalize`, row by row
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::normalize::{self, sum};
use super::primitives::{COLUMNS, Primitives, share_of};
use super::shape::Shape;
use super::tensor::{Role, TensorSpec, Uniform};
use crate::autograd::{Tape, Var};
use crate::onnx::{Attribute, Graph, Value};
use crate::scalar::Scalar;

/// Summand of the variance, ε.
const EPSILON: f64 = 1e-6;

/// Layer `layernorm`: (F) → (F), or (T, F) → (T, F). Its tensors are a weight (F), whose role is
/// gain, and a bias (F).
#[derive(Debug)]
pub struct LayerNorm;

impl fmt::Display for LayerNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("layernorm")
    }
}

impl Layer for LayerNorm {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        match input.sizes() {
            [_] | [_, _] => Ok(input),
            _ => Err(format!("needs features or tokens, gets {input}; put 'flatten' before it")),
        }
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let tensor = |name, role| TensorSpec {
            pytorch: Uniform::Zero,
            ..TensorSpec::new(name, &[input.last()], role, 1, 1)
        };
        vec![tensor("weight", Role::Gain), tensor("bias", Role::Bias)]
    }

    /// Mean and 1/√(σ² + ε) of each row.
    fn kept(&self, input: Shape) -> Kept {
        Kept { input: true, floats: 2 * (input.len() / input.last()), ..Kept::default() }
    }

    /// The operator works along the last axis, unless it is told another.
    fn onnx(&self, graph: &mut Graph, _: Shape, x: Value, tensors: &[Value]) -> Value {
        let epsilon = ("epsilon", Attribute::Float(EPSILON as f32));
        graph.call("LayerNormalization", &[&[x], tensors].concat(), [epsilon])
    }

    fn pytorch(&self, input: Shape) -> Module {
        Module::from(format!("nn.LayerNorm({}, eps={EPSILON:e})", input.last()))
    }
}

impl<T: Scalar> Pass<T> for LayerNorm {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, kept_floats, .. } = io;
        let features = input.last();
        let (weight, bias) = parameters.split_at(features);
        let count = T::of(features as f64);
        let own = share_of(x.len() / features);
        let items = x.chunks(own * features).zip(y.chunks_mut(own * features));
        primitives.share(
            x.len(),
            items.zip(kept_floats.chunks_mut(own * 2)),
            #[inline(always)]
            |((x, y), kept)| {
                let rows = x.chunks_exact(features).zip(y.chunks_exact_mut(features));
                for ((x, y), kept) in rows.zip(kept.chunks_exact_mut(2)) {
                    let mean = sum([x], |[x]| x) / count;
                    let variance = sum([x], |[x]| (x - mean) * (x - mean)) / count;
                    let scale = (variance + T::of(EPSILON)).sqrt().recip();
                    kept.copy_from_slice(&[mean, scale]);
                    for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        *y = (x - mean) * scale * w + b;
                    }
                }
            },
        );
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, x, parameters, kept_floats, dy, dparameters, dx, .. } = io;
        let features = input.last();
        let weight = &parameters[..features];
        let count = T::of(features as f64);
        let (dw, db) = dparameters.split_at_mut(features);
        let own = share_of(features).next_multiple_of(COLUMNS);
        primitives.share(
            x.len(),
            dw.chunks_mut(own).zip(db.chunks_mut(own)).enumerate(),
            #[inline(always)]
            |(item, (dw, db))| {
                let own = item * own..item * own + dw.len();
                dw.fill(T::zero());
                db.fill(T::zero());
                let rows = x.chunks_exact(features).zip(dy.chunks_exact(features));
                for ((x, dy), kept) in rows.zip(kept_floats.chunks_exact(2)) {
                    let (mean, scale) = (kept[0], kept[1]);
                    let (x, dy) = (&x[own.clone()], &dy[own.clone()]);
                    for (((dw, db), &x), &dy) in dw.iter_mut().zip(&mut *db).zip(x).zip(dy) {
                        *dw += dy * ((x - mean) * scale);
                        *db += dy;
                    }
                }
            },
        );
        let Some(dx) = dx else { return };
        let own = share_of(x.len() / features);
        let items = x.chunks(own * features).zip(dy.chunks(own * features));
        let items = items.zip(kept_floats.chunks(own * 2)).zip(dx.chunks_mut(own * features));
        primitives.share(
            x.len(),
            items,
            #[inline(always)]
            |(((x, dy), kept), dx)| {
                let rows = x.chunks_exact(features).zip(dy.chunks_exact(features));
                let rows = rows.zip(dx.chunks_exact_mut(features)).zip(kept.chunks_exact(2));
                for (((x, dy), dx), kept) in rows {
                    let (mean, scale) = (kept[0], kept[1]);
                    let first = sum([dy, weight], |[dy, w]| dy * w) / count;
                    let second =
                        sum([dy, weight, x], |[dy, w, x]| dy * w * ((x - mean) * scale)) / count;
                    for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                        *dx = scale * (dy * w - first - (x - mean) * scale * second);
                    }
                }
            },
        );
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let last = tape.shape(x).len() - 1;
        let normalized = normalize::record(tape, x, &[last], EPSILON);
        let products = tape.mul(normalized, tensors[0]);
        tape.add(products, tensors[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    fn forward(input: Shape, x: &[f64], parameters: &[f64]) -> Vec<f64> {
        let mut y = vec![f64::NAN; x.len()];
        let mut kept_floats = vec![f64::NAN; 2 * (x.len() / input.last())];
        let io =
            Forward { kept_floats: &mut kept_floats, ..Forward::new(input, x, parameters, &mut y) };
        LayerNorm.forward(&mut Reference, io);
        y
    }

    #[test]
    fn each_token_has_the_mean_and_the_deviation_of_bias_and_weight() {
        // Mean 3 and variance 4; mean -1 and variance 0.
        let x = [1., 5., 1., 5., -1., -1., -1., -1.];
        let y = forward(Shape::matrix(2, 4), &x, &[1., 1., 2., 2., 0., 0., 0., 7.]);
        let expected = [-1., 1., -2., 9., 0., 0., 0., 7.];
        assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-6), "{y:?}");
    }

    #[test]
    fn one_feature_has_no_deviation() {
        assert_eq!(forward(Shape::features(1), &[5.0, -2.0], &[3.0, 0.5]), [0.5, 0.5]);
    }

    #[test]
    fn an_image_is_refused() {
        let found = LayerNorm.output(Shape::image(2, 3, 4)).unwrap_err();
        assert_eq!(found, "needs features or tokens, gets 2x3x4; put 'flatten' before it");
    }
}
