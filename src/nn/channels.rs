//! The layer that turns an image with one channel into a signal: (1, H, W) → (C = H, L = W).
//!
//! A row of the image is a channel of the signal, and a column is a place along it. The shape is that
//! of [`rows`](super::rows); only its meaning differs: the layers after it slide along the columns.

use super::rows::Rows;
use super::shape::Shape;
use super::view::Reshape;

/// Rule of the layer `channels`: (1, H, W) → a signal of length W with H channels.
#[derive(Debug)]
pub struct Channels;

impl Reshape for Channels {
    const WORD: &'static str = "channels";
    const PYTORCH: &'static str = "nn.Flatten(1, 2)";

    fn output(input: Shape) -> Result<Shape, String> {
        Rows::output(input)
    }
}
