//! The network language: `conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10`.
//!
//! The text of a network lists its layers in their order, separated by commas; white space is
//! ignored. The text of a layer is the name of its kind, a number if the kind needs one, and
//! letters with numbers for further settings: `conv32k5p2` is a convolution with 32 output
//! channels, a kernel of side 5 and a padding of 2. `res(…)` is a residual block around a list of
//! layers f: it computes x + f(x). Blocks may contain blocks. A network that is displayed and parsed
//! again is the same network.

use super::elementwise::Elementwise;
use super::layer::Layer;
use super::relu::Relu;
use super::settings::Settings;
use super::sigmoid::Sigmoid;
use super::{conv2d, flatten, linear, maxpool};

/// Kind of layer: a row of the table [`LAYERS`], which the parser and the tests go through.
pub struct LayerKind {
    /// Name of the kind, with which the text of a layer begins.
    pub name: &'static str,
    /// Example of the text of a layer of this kind.
    pub example: &'static str,
    /// What the example does, on one line.
    pub idea: &'static str,
    /// Parser of the settings, which follow the name.
    parse: fn(&mut Settings) -> Result<Box<dyn Layer>, String>,
}

/// Table of all kinds of layers.
pub static LAYERS: [LayerKind; 6] = [
    LayerKind {
        name: "conv",
        example: "conv8k3s2p1",
        idea: "convolution: 8 channels out, kernel 3x3, stride 2 (else 1), padding 1 (else 0)",
        parse: conv2d::parse,
    },
    LayerKind {
        name: "maxpool",
        example: "maxpool3s2p1",
        idea: "largest of each 3x3 pixels: stride 2 (else 3), padding 1 (else 0)",
        parse: maxpool::parse,
    },
    LayerKind {
        name: "relu",
        example: "relu",
        idea: "max(0, x) of each element",
        parse: |_| Ok(Box::new(Elementwise(Relu))),
    },
    LayerKind {
        name: "sigmoid",
        example: "sigmoid",
        idea: "1/(1 + exp(-x)) of each element",
        parse: |_| Ok(Box::new(Elementwise(Sigmoid))),
    },
    LayerKind {
        name: "flatten",
        example: "flatten",
        idea: "an image or tokens as features",
        parse: |_| Ok(Box::new(flatten::Flatten)),
    },
    LayerKind {
        name: "fc",
        example: "fc10",
        idea: "linear, 10 features out; of each token, if there are tokens",
        parse: linear::parse,
    },
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

/// Part of the text of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text of a layer.
    Layer(String),
    /// `res(`, the beginning of a residual block.
    Open,
    /// `)`, the end of the residual block that was begun last.
    Close,
}

/// Largest number of residual blocks inside one another.
const MOST_DEPTH: usize = 16;
/// Largest number of layers of a network.
const MOST_LAYERS: usize = 1000;

/// Parts of the network `text`, without white space. The ends of blocks fit their beginnings.
///
/// # Errors
/// The layer after which a parenthesis does not fit, or a limit of the language.
pub fn parts(text: &str) -> Result<Vec<Part>, String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (mut parts, mut layers, mut depth) = (Vec::new(), 0, 0);
    let mut rest = text.as_str();
    loop {
        if let Some(inside) = rest.strip_prefix("res(") {
            depth += 1;
            if depth > MOST_DEPTH {
                return Err(format!("more than {MOST_DEPTH} blocks 'res(' inside one another"));
            }
            parts.push(Part::Open);
            rest = inside;
            continue;
        }
        layers += 1;
        if layers > MOST_LAYERS {
            return Err(format!("more than {MOST_LAYERS} layers"));
        }
        let end = rest.find(['(', ')', ',']).unwrap_or(rest.len());
        parts.push(Part::Layer(rest[..end].into()));
        rest = &rest[end..];
        while let Some(after) = rest.strip_prefix(')') {
            if depth == 0 {
                return Err(format!("after layer {layers}: ')' without 'res('"));
            }
            depth -= 1;
            parts.push(Part::Close);
            rest = after;
        }
        match rest.chars().next() {
            None if depth > 0 => return Err(format!("after layer {layers}: ')' is missing")),
            None => return Ok(parts),
            Some(',') => rest = &rest[1..],
            Some('(') => {
                return Err(format!("after layer {layers}: '(' may stand only after 'res'"));
            }
            Some(_) => return Err(format!("after layer {layers}: a comma is missing")),
        }
    }
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
            ("conv1.5k3", "needs a whole number up to 1048576 after the name"),
            ("conv8k3q1", "takes no 'q'"),
            ("fc0", "the number of outputs is at least 1"),
            ("fc9999999", "needs a whole number up to 1048576 after the name"),
            ("maxpool2s0", "the number after 's' is at least 1"),
            ("maxpool17", "a window has at most 16 rows"),
            ("relu2", "takes no number 2"),
        ] {
            let found = layer(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }

    #[test]
    fn blocks_are_parts_and_their_parentheses_must_fit() {
        let layer = |text: &str| Part::Layer(text.into());
        let found = parts("res( relu,res(fc2) ), fc3");
        let expected = [
            Part::Open,
            layer("relu"),
            Part::Open,
            layer("fc2"),
            Part::Close,
            Part::Close,
            layer("fc3"),
        ];
        assert_eq!(found.unwrap(), expected);
        assert_eq!(parts("").unwrap(), [layer("")]);
        assert_eq!(parts("relu,").unwrap(), [layer("relu"), layer("")]);
        for (text, problem) in [
            ("relu)", "after layer 1: ')' without 'res('"),
            ("fc2,res(relu", "after layer 2: ')' is missing"),
            ("fc2(relu)", "after layer 1: '(' may stand only after 'res'"),
            ("res(relu)fc2", "after layer 1: a comma is missing"),
            (&"res(".repeat(10_000), "more than 16 blocks 'res(' inside one another"),
            (&"relu,".repeat(10_000), "more than 1000 layers"),
        ] {
            assert_eq!(parts(text).unwrap_err(), problem);
        }
    }
}
