//! The layer that cuts an image into square patches, each of which is a token (Dosovitskiy et al.
//! 2021, section 3.1): (C, H, W) → (H/K · W/K, C·K·K).
//!
//! # Definition
//! The patches lie side by side, without overlap, and follow each other row by row. Inside a token,
//! the values have the order of PyTorch's `unfold`: channel, row, column.
//!
//! ```text
//! y[n, i·(W/K) + j, c·K·K + m·K + k] = x[n, c, i·K + m, j·K + k]
//! ```
//!
//! # Backward
//! Every pixel has exactly one place in y, from which it gets its gradient:
//!
//! ```text
//! dx[n, c, i·K + m, j·K + k] = dy[n, i·(W/K) + j, c·K·K + m·K + k]
//! ```

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::primitives::{Primitives, share_of};
use super::settings::Settings;
use super::shape::{ImageShape, Shape};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `patchesK`: (C, H, W) → (H/K · W/K, C·K·K).
#[derive(Debug)]
pub struct Patches {
    /// Side of a patch in pixels, K.
    pub side: usize,
}

/// Class of PyTorch's module.
const CLASS: &str = "\
class Patches(nn.Unfold):
    def forward(self, x):
        return super().forward(x).transpose(1, 2)
";

/// Patches with the side in `settings`.
///
/// # Errors
/// When the side is missing or 0.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Patches { side: settings.count("pixels on a patch's side")? }))
}

impl Patches {
    /// Calls `copy(pixels, values)` for each row of each patch of `images` images: K neighbouring
    /// elements begin at `pixels` in x, and at `values` in y.
    fn for_each_row(&self, input: Shape, images: usize, mut copy: impl FnMut(usize, usize)) {
        let ImageShape { channels, height, width } = input.as_image();
        let mut values = 0;
        for n in 0..images {
            for top in (0..height).step_by(self.side) {
                for left in (0..width).step_by(self.side) {
                    for c in 0..channels {
                        for h in top..top + self.side {
                            copy(((n * channels + c) * height + h) * width + left, values);
                            values += self.side;
                        }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Patches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "patches{}", self.side)
    }
}

impl Layer for Patches {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        let side = self.side;
        match *input.sizes() {
            [channels, height, width] if height % side == 0 && width % side == 0 => {
                let patches = (height / side) * (width / side);
                Ok(Shape::matrix(patches, channels * side * side))
            }
            [_, _, _] => Err(format!("needs sides that are multiples of {side}, gets {input}")),
            _ => Err(format!("needs an image, gets {input}")),
        }
    }

    fn kept(&self, _: Shape) -> Kept {
        Kept::default()
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, _: &[Value]) -> Value {
        let (side, ImageShape { channels, height, width }) = (self.side, input.as_image());
        let (rows, columns) = (height / side, width / side);
        // (N, C, H/K, K, W/K, K) → (N, H/K, W/K, C, K, K)
        let cut = graph.reshape(x, &[channels, rows, side, columns, side]);
        let patches = graph.transpose(cut, &[0, 2, 4, 1, 3, 5]);
        graph.reshape(patches, &[rows * columns, channels * side * side])
    }

    fn pytorch(&self, _: Shape) -> Module {
        Module { expression: format!("Patches({0}, stride={0})", self.side), class: CLASS }
    }
}

impl<T: Scalar> Pass<T> for Patches {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, y, .. } = io;
        let own = share_of(input.images_in(x.len())) * input.len();
        primitives.share(x.len(), x.chunks(own).zip(y.chunks_mut(own)), |(x, y)| {
            self.for_each_row(input, input.images_in(x.len()), |pixels, values| {
                y[values..][..self.side].copy_from_slice(&x[pixels..][..self.side]);
            });
        });
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, dy, dx: Some(dx), .. } = io else { return };
        let own = share_of(input.images_in(dx.len())) * input.len();
        primitives.share(dy.len(), dy.chunks(own).zip(dx.chunks_mut(own)), |(dy, dx)| {
            self.for_each_row(input, input.images_in(dx.len()), |pixels, values| {
                dx[pixels..][..self.side].copy_from_slice(&dy[values..][..self.side]);
            });
        });
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, _: &[Var], _: Training) -> Var {
        let side = self.side;
        let [images, channels, height, width] = tape.shape(x).try_into().expect("x is images");
        let (rows, columns) = (height / side, width / side);
        let shape = [images, rows * columns, channels * side * side];
        tape.gather(x, shape, |[n, patch, value]| {
            let (i, j) = (patch / columns, patch % columns);
            let (c, m, k) = (value / (side * side), value / side % side, value % side);
            Some(((n * channels + c) * height + i * side + m) * width + j * side + k)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    #[test]
    fn values_have_the_order_of_unfold() {
        // Both channels of a 2×4 image, in patches of 2×2.
        let x: Vec<f32> = (0..16).map(|value| value as f32).collect();
        let mut y = [f32::NAN; 16];
        let layer = Patches { side: 2 };
        layer.forward(&mut Reference, Forward::new(Shape::image(2, 2, 4), &x, &[], &mut y));
        let first = [0., 1., 4., 5., 8., 9., 12., 13.];
        let second = [2., 3., 6., 7., 10., 11., 14., 15.];
        assert_eq!((&y[..8], &y[8..]), (&first[..], &second[..]));
    }

    #[test]
    fn sides_must_be_whole_patches() {
        let output = |input| Patches { side: 7 }.output(input);
        assert_eq!(output(Shape::image(1, 28, 28)), Ok(Shape::matrix(16, 49)));
        assert_eq!(output(Shape::image(3, 7, 14)), Ok(Shape::matrix(2, 147)));
        let problem = output(Shape::image(1, 28, 27)).unwrap_err();
        assert_eq!(problem, "needs sides that are multiples of 7, gets 1x28x27");
        assert_eq!(output(Shape::features(49)).unwrap_err(), "needs an image, gets 49");
    }
}
