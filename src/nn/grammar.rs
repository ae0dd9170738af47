//! The network language: `conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10`.
//!
//! The text of a network lists its layers in their order, separated by commas; white space is
//! ignored. The text of a layer is the name of its kind, a number if the kind needs one, and
//! letters with numbers for further settings: `conv32k5p2` is a convolution with 32 output
//! channels, a kernel of side 5 and a padding of 2. A network that is displayed and parsed again is
//! the same network.

use super::elementwise::Elementwise;
use super::layer::Layer;
use super::relu::Relu;
use super::settings::Settings;
use super::sigmoid::Sigmoid;
use super::{conv2d, flatten, linear, maxpool2d};

/// Kind of layer: a row of the table [`LAYERS`], which the parser and the tests go through.
pub struct LayerKind {
    /// Name of the kind, with which the text of a layer begins.
    pub name: &'static str,
    /// Example of the text of a layer of this kind.
    pub example: &'static str,
    /// Parser of the settings, which follow the name.
    parse: fn(&mut Settings) -> Result<Box<dyn Layer>, String>,
}

/// Table of all kinds of layers.
pub static LAYERS: [LayerKind; 6] = [
    LayerKind { name: "conv", example: "conv8k3s2p1", parse: conv2d::parse },
    LayerKind { name: "maxpool", example: "maxpool3s2", parse: maxpool2d::parse },
    LayerKind { name: "relu", example: "relu", parse: |_| Ok(Box::new(Elementwise(Relu))) },
    LayerKind {
        name: "sigmoid",
        example: "sigmoid",
        parse: |_| Ok(Box::new(Elementwise(Sigmoid))),
    },
    LayerKind { name: "flatten", example: "flatten", parse: |_| Ok(Box::new(flatten::Flatten)) },
    LayerKind { name: "fc", example: "fc10", parse: linear::parse },
];

/// Layer that `text` describes.
///
/// # Errors
/// The problem with the text, as the end of a sentence that begins with the text.
pub fn layer(text: &str) -> Result<Box<dyn Layer>, String> {
    let fitting = LAYERS.iter().filter(|kind| text.starts_with(kind.name));
    let Some(kind) = fitting.max_by_key(|kind| kind.name.len()) else {
        let names: Vec<_> = LAYERS.iter().map(|kind| kind.name).collect();
        return Err(format!("is no layer; there are {}", names.join(", ")));
    };
    let mut settings = Settings::read(&text[kind.name.len()..])?;
    let layer = (kind.parse)(&mut settings)?;
    settings.finish()?;
    Ok(layer)
}

/// Texts of the layers of the network `text`, without white space.
pub fn split(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.split(',').map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_layer_is_displayed_as_it_is_written() {
        for kind in &LAYERS {
            assert_eq!(layer(kind.example).unwrap().to_string(), kind.example);
            assert_eq!(layer(kind.example).unwrap().word(), kind.name);
        }
        assert_eq!(layer("conv8k3s1p0").unwrap().to_string(), "conv8k3");
        assert_eq!(layer("maxpool2s2").unwrap().to_string(), "maxpool2");
    }

    #[test]
    fn a_text_that_is_no_layer_says_why() {
        for (text, problem) in [
            ("", "is no layer; there are conv, maxpool, relu, sigmoid, flatten, fc"),
            ("dense128", "is no layer"),
            ("conv8", "needs a kernel side: k3"),
            ("conv8k", "needs a number after 'k'"),
            ("convk3", "needs the number of output channels after its name"),
            ("conv8k3k5", "'k' is given twice"),
            ("conv8k3q1", "takes no 'q'"),
            ("fc0", "the number of outputs is at least 1"),
            ("fc9999999", "needs a number up to 1048576 after the name"),
            ("maxpool2s0", "the number after 's' is at least 1"),
            ("maxpool17", "a window has at most 16 rows"),
            ("relu2", "takes no number 2"),
        ] {
            let found = layer(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
