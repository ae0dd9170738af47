//! The layer that connects every input with every output. Its F inputs are the features x and its O
//! outputs are y, for each of N images. If an image consists of tokens, the layer takes each token as
//! an image: n counts all tokens of all images.
//!
//! # Definition
//! ```text
//! y[n,o] = b[o] + Σ_f x[n,f] · w[o,f]          Y = X·Wᵀ + b
//! ```
//!
//! # Backward
//! ```text
//! db[o]   = Σ_n dy[n,o]
//! dw[o,f] = Σ_n dy[n,o] · x[n,f]               dW = dYᵀ·X
//! dx[n,f] = Σ_o dy[n,o] · w[o,f]               dX = dY·W
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::product::Matrix;
use super::primitives::{COLUMNS, Primitives, share_of};
use super::settings::Settings;
use super::shape::Shape;
use super::tensor::TensorSpec;
use crate::autograd::{Tape, Var};
use crate::onnx::{Attribute, Graph, Value};
use crate::scalar::Scalar;

/// Layer `fcO`: (F) → (O), or (T, F) → (T, O). Its tensors are a weight (O, F) and a bias (O).
#[derive(Debug)]
pub struct Linear {
    /// Number of outputs, O.
    pub out_features: usize,
}

/// Linear layer with the number of outputs in `settings`.
///
/// # Errors
/// When the number is missing or 0.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Linear { out_features: settings.count("outputs")? }))
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fc{}", self.out_features)
    }
}

impl Layer for Linear {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        match *input.sizes() {
            [_] => Ok(Shape::features(self.out_features)),
            [tokens, _] => Ok(Shape::matrix(tokens, self.out_features)),
            _ => Err(format!("needs features or tokens, gets {input}; put 'flatten' before it")),
        }
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let (inputs, outputs) = (input.last(), self.out_features);
        TensorSpec::weight_and_bias(&[outputs, inputs], inputs, outputs)
    }

    fn multiply_adds(&self, input: Shape) -> usize {
        input.len() * self.out_features
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept { input: true, ..Kept::default() }
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, tensors: &[Value]) -> Value {
        match tensors {
            // Gemm multiplies matrices alone.
            _ if input.sizes().len() == 1 => {
                let transposed = ("transB", Attribute::Int(1));
                graph.call("Gemm", &[&[x], tensors].concat(), [transposed])
            }
            &[weight, bias] => graph.linear(x, [weight, bias]),
            _ => panic!("a weight and a bias"),
        }
    }

    fn pytorch(&self, input: Shape) -> Module {
        Module::from(format!("nn.Linear({}, {})", input.last(), self.out_features))
    }
}

impl<T: Scalar> Pass<T> for Linear {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, .. } = io;
        let (weight, bias) = parameters.split_at(self.out_features * input.last());
        forward(primitives, x, [weight, bias], y);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, x, parameters, dy, dparameters, dx, .. } = io;
        let (dw, db) = dparameters.split_at_mut(self.out_features * input.last());
        let weight = &parameters[..dw.len()];
        backward(primitives, LinearBackward { x, weight, dy, dw, db, dx });
    }

    /// Y = (W·Xᵀ)ᵀ + b, which transposes X and not the larger W.
    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let shape = tape.shape(x).to_vec();
        let [ref before @ .., features] = shape[..] else { panic!("x is a batch") };
        let rows = tape.reshape(x, &[before.iter().product(), features]);
        let columns = tape.transpose(rows);
        let products = tape.matmul(tensors[0], columns);
        let products = tape.transpose(products);
        let y = tape.add(products, tensors[1]);
        tape.reshape(y, &[before, &[self.out_features]].concat())
    }
}

/// Operands of the backward pass of linear outputs, for R rows of inputs.
#[derive(Debug)]
pub struct LinearBackward<'a, T = f32> {
    /// Input of the forward pass, (R, F).
    pub x: &'a [T],
    /// Weight, (O, F).
    pub weight: &'a [T],
    /// Gradient of the output, (R, O).
    pub dy: &'a [T],
    /// Gradient of the weight, to be written, (O, F).
    pub dw: &'a mut [T],
    /// Gradient of the bias, to be written, (O).
    pub db: &'a mut [T],
    /// Gradient of the input, to be written, (R, F), if it is wanted.
    pub dx: Option<&'a mut [T]>,
}

/// Writes the outputs Y = X·Wᵀ + b for `x` (R, F), weight (O, F) and bias (O) to `y` (R, O).
pub fn forward<T: Scalar>(
    primitives: &mut dyn Primitives<T>,
    x: &[T],
    [weight, bias]: [&[T]; 2],
    y: &mut [T],
) {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let x = Matrix::new(x, x.len() / inputs, inputs);
    let weight = Matrix::new(weight, outputs, inputs);
    primitives.multiply(x, weight.transposed(), Some(bias), y);
}

/// Overwrites the gradients of linear outputs.
pub fn backward<T: Scalar>(primitives: &mut dyn Primitives<T>, io: LinearBackward<'_, T>) {
    let LinearBackward { x, weight, dy, dw, db, dx } = io;
    let (outputs, inputs) = (db.len(), weight.len() / db.len());
    let rows = x.len() / inputs;
    let own = share_of(outputs).next_multiple_of(COLUMNS);
    primitives.share(
        dy.len(),
        db.chunks_mut(own).enumerate(),
        #[inline(always)]
        |(item, db)| {
            db.fill(T::zero());
            for dy in dy.chunks_exact(outputs) {
                db.iter_mut().zip(&dy[item * own..]).for_each(|(db, &dy)| *db += dy);
            }
        },
    );
    let dy = Matrix::new(dy, rows, outputs);
    primitives.multiply(dy.transposed(), Matrix::new(x, rows, inputs), None, dw);
    if let Some(dx) = dx {
        primitives.multiply(dy, Matrix::new(weight, outputs, inputs), None, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Output of a layer for one image.
    fn forward(layer: &Linear, x: &[f32], parameters: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; layer.out_features];
        let input = Shape::features(x.len());
        layer.forward(&mut Reference, Forward::new(input, x, parameters, &mut y));
        y
    }

    #[test]
    fn a_product_with_a_column_is_the_published_one() {
        let layer = Linear { out_features: 2 };
        assert_eq!(forward(&layer, &[1., 2.], &[1., 2., 3., 4., 0., 0.]), [5., 11.]);
    }

    #[test]
    fn a_perceptron_takes_the_published_step() {
        let layer = Linear { out_features: 1 };
        let (x, parameters) = ([1., 2.], [0.5, -0.3, 0.2]);
        let z = forward(&layer, &x, &parameters);
        assert!((z[0] - 0.1).abs() < 1e-6, "{z:?}");

        let (mut dparameters, mut dx) = ([f32::NAN; 3], [f32::NAN; 2]);
        let io = Backward {
            input: Shape::features(2),
            x: &x,
            y: &z,
            parameters: &parameters,
            kept_bytes: &[],
            kept_floats: &[],
            scratch: &mut [],
            training: Training::default(),
            dy: &[0.3],
            dparameters: &mut dparameters,
            dx: Some(&mut dx),
        };
        layer.backward(&mut Reference, io);
        for ((parameter, gradient), expected) in
            parameters.into_iter().zip(dparameters).zip([0.47, -0.36, 0.17])
        {
            let stepped = parameter - 0.1 * gradient;
            assert!((stepped - expected).abs() < 1e-6, "{stepped} {expected}");
        }
        assert!((dx[0] - 0.15).abs() < 1e-6 && (dx[1] + 0.09).abs() < 1e-6, "{dx:?}");
    }
}
