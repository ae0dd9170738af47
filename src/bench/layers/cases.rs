//! The table of the layers that `bench layers` measures: every kind of layer that computes something.

use crate::nn::layer::Layer;
use crate::nn::shape::Shape;

/// Layer that is measured, a row of [`CASES`].
#[derive(Debug, PartialEq)]
pub struct LayerCase {
    /// Name of the row, a value of the command's argument.
    pub name: &'static str,
    /// Text of the layer in the network language.
    pub layer: &'static str,
    /// Shape of one image's input.
    pub input: &'static [usize],
    /// Number of images, N.
    pub batch: usize,
    /// Times of a forward and a backward pass in milliseconds that EasyRobot's report of its layers
    /// has for this shape; `None` if the report has none.
    pub source_ms: [Option<f64>; 2],
}

impl LayerCase {
    pub(in crate::bench) const fn new(
        name: &'static str,
        layer: &'static str,
        input: &'static [usize],
        batch: usize,
    ) -> Self {
        Self { name, layer, input, batch, source_ms: [None; 2] }
    }

    const fn with_source(self, forward_ms: f64, backward_ms: Option<f64>) -> Self {
        Self { source_ms: [Some(forward_ms), backward_ms], ..self }
    }
}

/// Table of all layers to measure.
pub static CASES: [LayerCase; 45] = [
    // The shapes of EasyRobot's report.
    LayerCase::new("conv2d", "conv128k3p1", &[64, 32, 32], 8)
        .with_source(1_457.734_861, Some(7_708.476_288)),
    LayerCase::new("conv1d", "conv1d128k3p1", &[64, 256], 8)
        .with_source(125.889_948, Some(536.800_186)),
    LayerCase::new("maxpool", "maxpool2", &[32, 16, 16], 4).with_source(0.347_776, Some(0.503_01)),
    LayerCase::new("avgpool", "avgpool2", &[32, 16, 16], 4).with_source(0.319_708, Some(0.304_431)),
    LayerCase::new("dense", "fc512", &[256], 32).with_source(27.103_371, Some(35.165_76)),
    LayerCase::new("softmax", "softmax", &[128], 32).with_source(0.137_88, Some(0.120_86)),
    LayerCase::new("relu", "relu", &[512], 32),
    LayerCase::new("sigmoid", "sigmoid", &[512], 32),
    LayerCase::new("tanh", "tanh", &[512], 32),
    LayerCase::new("dropout", "dropout0.5", &[512], 32).with_source(3.674_632, Some(0.064_089)),
    LayerCase::new("lstm", "lstm256", &[1, 128], 16).with_source(24.007_12, None),
    // The kinds that the report lacks, at shapes of the networks with a name.
    LayerCase::new("gelu", "gelu", &[16, 128], 64),
    LayerCase::new("batchnorm", "batchnorm", &[32, 28, 28], 64),
    LayerCase::new("layernorm", "layernorm", &[16, 64], 64),
    LayerCase::new("attention", "attn4", &[16, 64], 64),
    LayerCase::new("pos", "pos", &[16, 64], 64),
    LayerCase::new("patches", "patches7", &[1, 28, 28], 64),
    LayerCase::new("globalavgpool", "globalavgpool", &[64, 7, 7], 64),
    LayerCase::new("globalmaxpool", "globalmaxpool", &[64, 7, 7], 64),
    LayerCase::new("mean", "mean", &[16, 64], 64),
    LayerCase::new("last", "last", &[28, 128], 64),
    // The default network.
    LayerCase::new("default-conv1", "conv32k5p2", &[1, 28, 28], 64),
    LayerCase::new("default-relu1", "relu", &[32, 28, 28], 64),
    LayerCase::new("default-maxpool1", "maxpool2", &[32, 28, 28], 64),
    LayerCase::new("default-fc1", "fc128", &[6272], 64),
    LayerCase::new("default-relu2", "relu", &[128], 64),
    LayerCase::new("default-fc2", "fc10", &[128], 64),
    // Convolutions and linear layers of the networks with a name.
    LayerCase::new("lenet5-conv1", "conv6k5p2", &[1, 28, 28], 64),
    LayerCase::new("lenet5-conv2", "conv16k5", &[6, 14, 14], 64),
    LayerCase::new("lenet5-fc1", "fc120", &[400], 64),
    LayerCase::new("mlp-fc1", "fc128", &[784], 64),
    LayerCase::new("deep-conv2", "conv64k3p1", &[32, 14, 14], 64),
    LayerCase::new("resnet-conv1", "conv16k3p1", &[1, 28, 28], 64),
    LayerCase::new("resnet-conv2", "conv16k3p1", &[16, 14, 14], 64),
    LayerCase::new("resnet-conv5", "conv32k3p1", &[32, 7, 7], 64),
    LayerCase::new("signal-conv1", "conv1d64k3p1", &[28, 28], 64),
    LayerCase::new("signal-conv2", "conv1d128k3p1", &[64, 14], 64),
    LayerCase::new("lstm-lstm1", "lstm128", &[28, 28], 64),
    LayerCase::new("attention-fc1", "fc64", &[16, 49], 64),
    LayerCase::new("attention-fc2", "fc128", &[16, 64], 64),
    // Convolutions of other common sizes.
    LayerCase::new("conv-32-32", "conv32k3p1", &[32, 28, 28], 64),
    LayerCase::new("conv-64-128", "conv128k3p1", &[64, 7, 7], 64),
    LayerCase::new("conv-16-20", "conv20k3p1", &[16, 14, 14], 64),
    LayerCase::new("conv-20-50", "conv50k5", &[20, 12, 12], 64),
    LayerCase::new("conv-3-32", "conv32k3p1", &[3, 32, 32], 64),
];

/// Row of the table called `name`.
///
/// # Errors
/// The names that there are, if this is none of them.
pub fn named(name: &str) -> Result<&'static LayerCase, String> {
    CASES.iter().find(|case| case.name == name).ok_or_else(|| {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Line that gives a convolution of `batch` images of shape `input` to benchdnn, the benchmark of
/// oneDNN, like `mb8ic64ih32oc128oh32kh3ph1n"conv2d"`; `None` if `layer` is no convolution.
pub fn benchdnn(name: &str, layer: &dyn Layer, input: Shape, batch: usize) -> Option<String> {
    let word = layer.word();
    if !["conv", "conv1d"].contains(&&*word) {
        return None;
    }
    let output = layer.output(input).expect("a layer of the table takes its input");
    let sides = |prefix: char, shape: Shape| match *shape.sizes() {
        [channels, length] => format!("{prefix}c{channels}{prefix}w{length}"),
        [channels, height, width] if height == width => {
            format!("{prefix}c{channels}{prefix}h{height}")
        }
        [channels, height, width] => {
            format!("{prefix}c{channels}{prefix}h{height}{prefix}w{width}")
        }
        _ => unreachable!("a convolution takes no features"),
    };
    // The text of the layer has the settings that are not benchdnn's defaults, in its order.
    let text = layer.to_string();
    let settings = text[word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    let side = if input.sizes().len() == 2 { 'w' } else { 'h' };
    let letters = settings.chars().flat_map(|c| match c {
        'a'..='z' => vec![c, side],
        digit => vec![digit],
    });
    let settings: String = letters.collect();
    Some(format!("mb{batch}{}{}{settings}n\"{name}\"", sides('i', input), sides('o', output)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::nn::grammar::{self, LAYERS};

    #[test]
    fn every_kind_of_layer_that_computes_is_in_the_table_under_a_name_of_its_own() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        let here: BTreeSet<_> =
            CASES.iter().map(|case| grammar::layer(case.layer).unwrap().word()).collect();
        let computing = LAYERS.iter().map(|kind| grammar::layer(kind.example).unwrap());
        let computing = computing.filter(|layer| !layer.is_view()).map(|layer| layer.word());
        assert_eq!(here, computing.collect());
    }

    #[test]
    fn a_convolution_has_the_line_of_benchdnn() {
        for (name, line) in [
            ("conv2d", Some("mb8ic64ih32oc128oh32kh3ph1n\"conv2d\"")),
            ("conv1d", Some("mb8ic64iw256oc128ow256kw3pw1n\"conv1d\"")),
            ("lenet5-conv2", Some("mb64ic6ih14oc16oh10kh5n\"lenet5-conv2\"")),
            ("dense", None),
        ] {
            let case = named(name).unwrap();
            let layer = grammar::layer(case.layer).unwrap();
            let input = Shape::of(case.input).unwrap();
            assert_eq!(benchdnn(name, layer.as_ref(), input, case.batch).as_deref(), line);
        }
        let strided = grammar::layer("conv8k3s2p1").unwrap();
        let line = benchdnn("strided", strided.as_ref(), Shape::image(2, 9, 8), 3);
        assert_eq!(line.unwrap(), "mb3ic2ih9iw8oc8oh5ow4kh3sh2ph1n\"strided\"");
    }
}
