//! Networks that have a name.

use super::architecture::Architecture;
use crate::data::classes;
use crate::data::dataset::{ImageFormat, MOST_ROWS};
use crate::nn::shape::Shape;

/// Network with a name, a row of [`PRESETS`].
#[derive(Debug)]
pub struct Preset {
    /// Name of the network, a value of `--arch`.
    pub name: &'static str,
    /// Text of the network.
    pub text: &'static str,
    /// What the network is, on one line.
    pub idea: &'static str,
}

/// Table of the networks that have a name.
pub static PRESETS: [Preset; 11] = [
    Preset {
        name: "default",
        text: "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10",
        idea: "the network without --arch",
    },
    Preset {
        name: "lenet5",
        text: "conv6k5p2,relu,maxpool2,conv16k5,relu,maxpool2,flatten,fc120,relu,fc84,relu,fc10",
        idea: "LeNet-5 (LeCun et al. 1998) with relu and max pooling",
    },
    Preset {
        name: "mlp",
        text: "flatten,fc128,relu,fc10",
        idea: "one hidden layer, as in the C program",
    },
    Preset {
        name: "deep",
        text: "conv32k3p1,batchnorm,relu,maxpool2,conv64k3p1,batchnorm,relu,maxpool2,\
               flatten,dropout0.5,fc10",
        idea: "two convolutions with batch normalization, 51,000 parameters",
    },
    Preset {
        name: "resnet",
        text: "conv16k3p1,batchnorm,relu,maxpool2,\
               res(conv16k3p1,batchnorm,relu,conv16k3p1,batchnorm),relu,\
               conv32k3p1,batchnorm,relu,maxpool2,\
               res(conv32k3p1,batchnorm,relu,conv32k3p1,batchnorm),relu,conv64k3p1,batchnorm,relu,\
               res(conv64k3p1,batchnorm,relu,conv64k3p1,batchnorm),relu,globalavgpool,fc10",
        idea: "three residual blocks (He et al. 2016)",
    },
    Preset {
        name: "small",
        text: "conv32k5p2,relu,maxpool2,flatten,fc256,relu,fc10",
        idea: "the default network with 256 hidden units",
    },
    Preset {
        name: "medium",
        text: "conv32k5p2,relu,maxpool2,flatten,fc512,relu,fc10",
        idea: "the default network with 512 hidden units",
    },
    Preset {
        name: "large",
        text: "conv32k5p2,relu,maxpool2,flatten,fc1024,relu,fc10",
        idea: "the default network with 1024 hidden units",
    },
    Preset {
        name: "conv1d",
        text: "channels,conv1d64k3p1,relu,maxpool2,conv1d128k3p1,relu,maxpool2,flatten,fc10",
        idea: "convolutions along the rows of the image",
    },
    Preset {
        name: "lstm",
        text: "rows,lstm128,last,fc10",
        idea: "an LSTM that reads the image row by row",
    },
    Preset {
        name: "attention",
        text: "patches7,fc64,pos,\
               res(layernorm,attn4),res(layernorm,fc128,gelu,fc64),\
               res(layernorm,attn4),res(layernorm,fc128,gelu,fc64),\
               layernorm,mean,fc10",
        idea: "two pre-norm transformer blocks on patches of the image",
    },
];

/// Network for `images` that `text` names or describes. It classifies: its output is features. A
/// network with a name has an output for each class of the images; a text says how many it has.
///
/// # Errors
/// The first layer that is not valid: its number, its text, and the problem.
pub fn network(text: &str, images: ImageFormat) -> Result<Architecture, String> {
    let ImageFormat { rows, columns, classes } = images;
    let named = PRESETS.iter().find(|preset| preset.name == text).map(|preset| {
        let (layers, _) = preset.text.rsplit_once(',').expect("a network has several layers");
        format!("{layers},fc{classes}")
    });
    let image = Shape::image(1, rows, columns);
    let network = Architecture::parse(named.as_deref().unwrap_or(text), image);
    let network = network.map_err(|problem| {
        if text.chars().any(|c| c == ',' || c == '(' || c.is_ascii_digit()) {
            return problem;
        }
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        format!("{problem}; networks with a name are {}", names.join(", "))
    })?;
    let output = network.output();
    match *output.sizes() {
        _ if ends_with_softmax(&network) => {
            Err("the last layer must not be softmax: the loss has it, softmax cross-entropy".into())
        }
        _ if network.parameter_count() == 0 => Err("the network has nothing to train".into()),
        [2..=classes::MOST] => Ok(network),
        [_] => Err(format!(
            "the last layer must have 2 to {} outputs, one a class, has {output}",
            classes::MOST
        )),
        _ => Err(format!(
            "the last layer must have an output for each class, makes {output}; end with \
             'flatten,fc10'"
        )),
    }
}

/// Network that `text` describes, for images of the shape `input` (C, H, W); a file names both, so
/// neither is trusted.
///
/// # Errors
/// When the program reads no images of this shape, and the errors of [`network`].
pub fn network_for(text: &str, input: [usize; 3]) -> Result<Architecture, String> {
    match input {
        [1, rows @ 1..=MOST_ROWS, columns @ 1..=MOST_ROWS] => {
            network(text, ImageFormat { rows, columns, ..ImageFormat::MNIST })
        }
        _ => Err(format!(
            "its images have the shape {input:?} (C, H, W), and are read with one channel and at \
             most {MOST_ROWS}×{MOST_ROWS} pixels"
        )),
    }
}

/// Whether the output of `network` is the output of a layer softmax.
fn ends_with_softmax(network: &Architecture) -> bool {
    let last = network.layers().len() - 1;
    let is_in_a_block = network.blocks().iter().any(|block| block.contains(&last));
    network.layers()[last].layer.word() == "softmax" && !is_in_a_block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mnist_cnn::MnistCnn;

    #[test]
    fn every_preset_has_ten_classes_and_its_own_name() {
        for (index, preset) in PRESETS.iter().enumerate() {
            assert!(PRESETS[..index].iter().all(|other| other.name != preset.name));
            let architecture = network(preset.name, ImageFormat::MNIST).unwrap();
            assert_eq!(architecture.to_string(), preset.text);
            assert_eq!(architecture.classes(), 10, "{preset:?}");
            assert_eq!(network(preset.text, ImageFormat::MNIST).unwrap(), architecture);
        }
        assert_eq!(
            network("default", ImageFormat::MNIST).unwrap(),
            MnistCnn::default().architecture()
        );
    }

    #[test]
    fn a_network_with_a_name_has_an_output_for_each_class() {
        let letters = ImageFormat { classes: 26, ..ImageFormat::MNIST };
        for preset in &PRESETS {
            assert_eq!(network(preset.name, letters).unwrap().classes(), 26, "{preset:?}");
        }
        assert_eq!(network("flatten,fc10", letters).unwrap().classes(), 10);
        let large = ImageFormat { rows: 64, columns: 40, classes: 3 };
        assert_eq!(network("lenet5", large).unwrap().format(), large);
    }

    #[test]
    fn a_network_that_does_not_classify_is_refused() {
        for (text, problem) in [
            ("conv8k3", "the last layer must have an output for each class, makes 8x26x26"),
            ("flatten,fc1", "the last layer must have 2 to 1000 outputs, one a class, has 1"),
            ("flatten", "the network has nothing to train"),
            ("fc28,flatten", "layer 1 'fc28': needs features or tokens, gets 1x28x28"),
            ("lenet", "layer 1 'lenet': is no layer; there are conv, "),
            ("lenet", "; networks with a name are default, lenet5, mlp, "),
            ("flatten,fc10,softmax", "the last layer must not be softmax: the loss has it"),
            ("flatten,fc", "layer 2 'fc': needs the number of outputs after its name"),
        ] {
            let found = network(text, ImageFormat::MNIST).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
        assert!(network("flatten,fc10,softmax,fc10", ImageFormat::MNIST).is_ok());
        assert!(network("flatten,fc10,res(softmax)", ImageFormat::MNIST).is_ok());
    }
}
