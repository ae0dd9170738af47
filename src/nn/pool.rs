//! The window of the pooling layers.

use std::fmt;

use super::layer::Module;
use super::primitives::pooling::Pooling;
use super::primitives::window::Window;
use super::settings::Settings;
use super::shape::Shape;
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Window of a pooling layer. On an image it is square; on a signal it has one row.
#[derive(Debug, Clone, Copy)]
pub struct Pool(pub Window);

impl Pool {
    /// Window in `settings`. Its stride is its side unless another is given.
    ///
    /// # Errors
    /// The setting that is missing or not valid.
    pub fn read(settings: &mut Settings) -> Result<Self, String> {
        let kernel = settings.count("window side")?;
        let stride = settings.letter('s')?.unwrap_or(kernel);
        let padding = settings.letter_or_zero('p').unwrap_or(0);
        if padding > kernel / 2 {
            return Err(format!("the padding is at most half of the window, {}", kernel / 2));
        }
        Ok(Self(Window { kernel, stride, padding }))
    }

    /// Sizes of the pooling for an input of shape `input`.
    pub fn on(&self, input: Shape) -> Pooling {
        let rows = if input.sizes().len() == 3 { self.0 } else { Window::ONE };
        Pooling { input: input.as_image(), rows, columns: self.0 }
    }

    /// Shape of the output for an input of shape `input`.
    ///
    /// # Errors
    /// The input that the pooling needs, when it cannot take an input of this shape.
    pub fn output(&self, input: Shape) -> Result<Shape, String> {
        let smallest = self.0.kernel - 2 * self.0.padding;
        let needs = |what: &str| Err(format!("needs at least {what}, gets {input}"));
        let output = self.on(input).output();
        match *input.sizes() {
            [_] => Err(format!("needs an image or a signal, gets {input}")),
            _ if !output.is_empty() => Ok(match *input.sizes() {
                [channels, _] => Shape::matrix(channels, output.width),
                _ => output.into(),
            }),
            [_, _] => needs(&format!("a signal of length {smallest}")),
            _ => needs(&format!("{smallest}x{smallest} pixels")),
        }
    }

    /// Output of `operator`, a pooling of ONNX, for `x` (N, `input`).
    pub fn onnx(&self, graph: &mut Graph, operator: &str, input: Shape, x: Value) -> Value {
        let Window { kernel, stride, padding } = self.0;
        graph.slide(operator, &[x], input.sizes().len() - 1, [kernel, stride, padding])
    }

    /// Module of PyTorch for an input of shape `input`; `class` is the name of its class without the
    /// number of axes, and `option` a further argument of a pooling with padding.
    pub fn pytorch(&self, class: &str, input: Shape, option: &str) -> Module {
        let Window { kernel, stride, padding } = self.0;
        let axes = input.sizes().len() - 1;
        let mut text = format!("nn.{class}{axes}d({kernel}");
        if stride != kernel {
            text += &format!(", stride={stride}");
        }
        if padding != 0 {
            text += &format!(", padding={padding}{option}");
        }
        Module::from(text + ")")
    }
}

/// Shape of the output of a pooling over all positions: (C, H, W) → (C), or (C, L) → (C).
///
/// # Errors
/// When the input has no positions.
pub fn global_output(input: Shape) -> Result<Shape, String> {
    match *input.sizes() {
        [channels, _, ..] => Ok(Shape::features(channels)),
        _ => Err(format!("needs an image or a signal, gets {input}")),
    }
}

/// Module of PyTorch of a pooling over all positions for an input of shape `input`; `class` is the name
/// of its class without the number of axes.
pub fn global_pytorch(class: &str, input: Shape) -> Module {
    let axes = input.sizes().len() - 1;
    Module::from(format!("nn.Sequential(nn.{class}{axes}d(1), nn.Flatten())"))
}

/// Output of a pooling over all P positions of `x` (N, C, …), recorded on `tape`. `pool` pools a
/// tensor (N, C, P) over its last axis.
pub fn record_global<T: Scalar>(
    tape: &mut Tape<T>,
    x: Var,
    pool: fn(&mut Tape<T>, Var) -> Var,
) -> Var {
    let [images, channels, ref positions @ ..] = *tape.shape(x) else { panic!("x is a batch") };
    let positions = positions.iter().product();
    let maps = tape.reshape(x, &[images, channels, positions]);
    let pooled = pool(tape, maps);
    tape.reshape(pooled, &[images, channels])
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { kernel, stride, padding } = self.0;
        write!(f, "{kernel}")?;
        if stride != kernel {
            write!(f, "s{stride}")?;
        }
        if padding != 0 { write!(f, "p{padding}") } else { Ok(()) }
    }
}
