//! The network language: `conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10`.
//!
//! The text of a network lists its layers in their order, separated by commas; white space is
//! ignored. The text of a layer is the name of its kind, a number if the kind needs one, and
//! letters with numbers for further settings: `conv32k5p2` is a convolution with 32 output
//! channels, a kernel of side 5 and a padding of 2. `res(…)` is a residual block around a list of
//! layers f: it computes x + f(x). Blocks may contain blocks. A network that is displayed and parsed
//! again is the same network.

use super::channels::Channels;
use super::elementwise::Elementwise;
use super::flatten::Flatten;
use super::gelu::Gelu;
use super::last::Last;
use super::layer::Layer;
use super::mean::Mean;
use super::pos::Position;
use super::relu::Relu;
use super::rows::Rows;
use super::settings::Settings;
use super::sigmoid::Sigmoid;
use super::tanh::Tanh;
use super::view::View;
use super::{
    attention, avgpool, batchnorm, conv1d, conv2d, dropout, globalavgpool, globalmaxpool,
    layernorm, linear, lstm, maxpool, patches, softmax,
};

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
pub static LAYERS: [LayerKind; 24] = [
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
        name: "avgpool",
        example: "avgpool2s1p1",
        idea: "average of each 2x2 pixels: stride 1 (else 2), padding 1 (else 0)",
        parse: avgpool::parse,
    },
    LayerKind {
        name: "globalavgpool",
        example: "globalavgpool",
        idea: "average of each channel",
        parse: |_| Ok(Box::new(globalavgpool::GlobalAveragePool)),
    },
    LayerKind {
        name: "globalmaxpool",
        example: "globalmaxpool",
        idea: "largest of each channel",
        parse: |_| Ok(Box::new(globalmaxpool::GlobalMaxPool)),
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
        name: "tanh",
        example: "tanh",
        idea: "hyperbolic tangent of each element",
        parse: |_| Ok(Box::new(Elementwise(Tanh))),
    },
    LayerKind {
        name: "gelu",
        example: "gelu",
        idea: "x times the normal distribution function of x, of each element",
        parse: |_| Ok(Box::new(Elementwise(Gelu))),
    },
    LayerKind {
        name: "softmax",
        example: "softmax",
        idea: "exp(x)/sum of exp(x) along the last axis",
        parse: |_| Ok(Box::new(softmax::Softmax)),
    },
    LayerKind {
        name: "dropout",
        example: "dropout0.5",
        idea: "each element 0 with the probability 0.5, in training",
        parse: dropout::parse,
    },
    LayerKind {
        name: "batchnorm",
        example: "batchnorm",
        idea: "each channel normalized over the batch, then scaled and shifted",
        parse: |_| Ok(Box::new(batchnorm::BatchNorm)),
    },
    LayerKind {
        name: "layernorm",
        example: "layernorm",
        idea: "the last axis normalized, then scaled and shifted",
        parse: |_| Ok(Box::new(layernorm::LayerNorm)),
    },
    LayerKind {
        name: "flatten",
        example: "flatten",
        idea: "an image or tokens as features",
        parse: |_| Ok(Box::new(View(Flatten))),
    },
    LayerKind {
        name: "fc",
        example: "fc10",
        idea: "linear, 10 features out; of each token, if there are tokens",
        parse: linear::parse,
    },
    LayerKind {
        name: "channels",
        example: "channels",
        idea: "rows of an image as channels of a signal",
        parse: |_| Ok(Box::new(View(Channels))),
    },
    LayerKind {
        name: "conv1d",
        example: "conv1d8k3s2p1",
        idea: "convolution of a signal: settings as of conv",
        parse: conv1d::parse,
    },
    LayerKind {
        name: "rows",
        example: "rows",
        idea: "rows of an image as tokens",
        parse: |_| Ok(Box::new(View(Rows))),
    },
    LayerKind {
        name: "patches",
        example: "patches7",
        idea: "patches of 7x7 pixels as tokens",
        parse: patches::parse,
    },
    LayerKind {
        name: "pos",
        example: "pos",
        idea: "adds a learned embedding of each token's position",
        parse: |_| Ok(Box::new(Position)),
    },
    LayerKind {
        name: "attn",
        example: "attn4",
        idea: "self-attention of the tokens, 4 heads",
        parse: attention::parse,
    },
    LayerKind {
        name: "lstm",
        example: "lstm128",
        idea: "LSTM over the tokens, 128 units",
        parse: lstm::parse,
    },
    LayerKind {
        name: "last",
        example: "last",
        idea: "the last token as features",
        parse: |_| Ok(Box::new(Last)),
    },
    LayerKind {
        name: "mean",
        example: "mean",
        idea: "the mean of the tokens as features",
        parse: |_| Ok(Box::new(Mean)),
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
        assert_eq!(layer("avgpool3s3p0").unwrap().to_string(), "avgpool3");
        assert_eq!(layer("dropout0.10").unwrap().to_string(), "dropout0.1");
        assert_eq!(layer("dropout0").unwrap().to_string(), "dropout0");
    }

    #[test]
    fn a_text_that_is_no_layer_says_why() {
        for (text, problem) in [
            ("", "is no layer; there are conv, maxpool, avgpool, globalavgpool, "),
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
            ("avgpool3p2", "the padding is at most half of the window, 1"),
            ("dropout", "needs a number from 0 to less than 1 after the name, like 0.5"),
            ("dropout1", "needs a number from 0 to less than 1 after the name, like 0.5"),
            ("relu2", "takes no number 2"),
            ("conv1d8", "needs a kernel side: k3"),
            ("patches", "needs the number of pixels on a patch's side after its name"),
            ("attn0", "the number of heads is at least 1"),
            ("lstm", "needs the number of units after its name"),
            ("last2", "takes no number 2"),
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
