//! The kernels of the convolution layers.

use std::fmt;

use super::layer::Module;
use super::primitives::window::Window;
use super::settings::Settings;
use super::shape::Shape;
use crate::onnx::{Graph, Value};

/// Number and window of the kernels of a convolution layer. On an image, the window is square; on a
/// signal, it has one row.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    /// Number of output channels, O.
    pub out_channels: usize,
    /// Window under each kernel: side K, stride S, and P zeros on each side of the axis.
    pub window: Window,
}

impl Kernels {
    /// Kernels in `settings`: the number after the name, k, s and p.
    ///
    /// # Errors
    /// The setting that is missing or not valid.
    pub fn read(settings: &mut Settings) -> Result<Self, String> {
        let out_channels = settings.count("output channels")?;
        let kernel = settings.letter('k')?.ok_or("needs a kernel side: k3")?;
        let stride = settings.letter('s')?.unwrap_or(1);
        let padding = settings.letter_or_zero('p').unwrap_or(0);
        Ok(Self { out_channels, window: Window { kernel, stride, padding } })
    }

    /// Shortest axis without padding on which a window has a place.
    pub fn smallest(&self) -> usize {
        self.window.kernel.saturating_sub(2 * self.window.padding).max(1)
    }

    /// Output of the convolution of `x` (N, C, …), which has `axes` axes after the channels, with the
    /// weight and the bias in `tensors`.
    pub fn onnx(&self, graph: &mut Graph, x: Value, tensors: &[Value], axes: usize) -> Value {
        let Window { kernel, stride, padding } = self.window;
        graph.slide("Conv", &[&[x], tensors].concat(), axes, [kernel, stride, padding])
    }

    /// Module of PyTorch of this `class` for an input of shape `input`.
    pub fn pytorch(&self, class: &str, input: Shape) -> Module {
        let Self { out_channels, window: Window { kernel, stride, padding } } = self;
        let mut text = format!("nn.{class}({}, {out_channels}, {kernel}", input.sizes()[0]);
        if *stride != 1 {
            text += &format!(", stride={stride}");
        }
        if *padding != 0 {
            text += &format!(", padding={padding}");
        }
        Module::from(text + ")")
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { out_channels, window: Window { kernel, stride, padding } } = self;
        write!(f, "{out_channels}k{kernel}")?;
        if *stride != 1 {
            write!(f, "s{stride}")?;
        }
        if *padding != 0 { write!(f, "p{padding}") } else { Ok(()) }
    }
}
