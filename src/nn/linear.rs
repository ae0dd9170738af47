//! A fully connected layer.
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

use super::gradients::Gradients;
use super::tensor_view::TensorView;
use crate::nn::geometry::Linear;

/// # Shapes
/// x (N, F) · weight (O, F) · bias (O) → y (N, O).
pub fn forward(linear: &Linear, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let Linear { in_features, out_features } = *linear;
    let weight = TensorView::new(weight, [out_features, in_features]);
    assert_eq!(x.len() / in_features, y.len() / out_features);
    for (x, y) in x.chunks_exact(in_features).zip(y.chunks_exact_mut(out_features)) {
        let x = TensorView::new(x, [in_features]);
        for (o, y) in y.iter_mut().enumerate() {
            let mut sum = bias[o];
            for f in 0..in_features {
                sum += x.get([f]) * weight.get([o, f]);
            }
            *y = sum;
        }
    }
}

/// # Shapes
/// x (N, F) · weight (O, F) · dy (N, O) → dW like weight, db (O), dX like x.
pub fn backward(linear: &Linear, x: &[f32], weight: &[f32], dy: &[f32], gradients: Gradients<'_>) {
    let Linear { in_features, out_features } = *linear;
    let weight = TensorView::new(weight, [out_features, in_features]);
    let Gradients { weight: dw, bias: db, input: mut dx } = gradients.cleared();
    assert_eq!(x.len() / in_features, dy.len() / out_features);
    let mut dw = TensorView::new(dw, [out_features, in_features]);
    let samples = x.chunks_exact(in_features).zip(dy.chunks_exact(out_features));
    for (n, (x, dy)) in samples.enumerate() {
        let x = TensorView::new(x, [in_features]);
        let mut dx = dx
            .as_deref_mut()
            .map(|dx| TensorView::new(&mut dx[n * in_features..][..in_features], [in_features]));
        for (o, &dy) in dy.iter().enumerate() {
            db[o] += dy;
            for f in 0..in_features {
                *dw.at([o, f]) += dy * x.get([f]);
                if let Some(dx) = &mut dx {
                    *dx.at([f]) += dy * weight.get([o, f]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_a_column_is_the_published_one() {
        let linear = Linear { in_features: 2, out_features: 2 };
        let mut y = [f32::NAN; 2];
        forward(&linear, &[1., 2.], &[1., 2., 3., 4.], &[0., 0.], &mut y);
        assert_eq!(y, [5., 11.]);
    }

    #[test]
    fn a_perceptron_takes_the_published_step() {
        let linear = Linear { in_features: 2, out_features: 1 };
        let mut z = [f32::NAN];
        forward(&linear, &[1., 2.], &[0.5, -0.3], &[0.2], &mut z);
        assert!((z[0] - 0.1).abs() < 1e-6, "{z:?}");

        let (mut dw, mut db, mut dx) = ([f32::NAN; 2], [f32::NAN], [f32::NAN; 2]);
        let gradients = Gradients { weight: &mut dw, bias: &mut db, input: Some(&mut dx) };
        backward(&linear, &[1., 2.], &[0.5, -0.3], &[0.3], gradients);
        let stepped = [0.5 - 0.1 * dw[0], -0.3 - 0.1 * dw[1], 0.2 - 0.1 * db[0]];
        for (found, expected) in stepped.into_iter().zip([0.47, -0.36, 0.17]) {
            assert!((found - expected).abs() < 1e-6, "{stepped:?}");
        }
        assert!((dx[0] - 0.15).abs() < 1e-6 && (dx[1] + 0.09).abs() < 1e-6, "{dx:?}");
    }
}
