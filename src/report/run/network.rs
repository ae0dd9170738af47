//! The trained network for the scripts of a page, `templates/network.js` and `templates/pad.js`.

use serde::Serialize;

use super::pictures::base64;
use super::result::{CHECKED, RunReport};
use crate::model::parameters::little_endian;

/// Source of the forward passes.
const NETWORK: &str = include_str!("../../../templates/network.js");
/// Source of the pad.
const PAD: &str = include_str!("../../../templates/pad.js");
/// Most bytes of weights that a page contains, as f32.
const MOST_BYTES: usize = 32 << 20;

/// Network as `templates/network.js` takes it.
#[derive(Serialize)]
struct Description<'a> {
    /// Shape of an image, (C, H, W).
    input: &'a [usize],
    classes: Vec<String>,
    layers: Vec<Layer<'a>>,
    /// Residual blocks, each as its first layer and the layer after it.
    blocks: Vec<[usize; 2]>,
    tests: Tests,
}

/// Layer of the network.
#[derive(Serialize)]
struct Layer<'a> {
    kind: String,
    /// Text of the layer after its kind.
    settings: String,
    input: &'a [usize],
    output: &'a [usize],
    /// First of the layer's parameters, and the one after the last.
    parameters: [usize; 2],
}

/// Images with which the page checks itself.
#[derive(Serialize)]
struct Tests {
    /// Pixels in base64, (N, H, W).
    images: String,
    /// Logits of the program, (N, classes).
    logits: Vec<Vec<f32>>,
}

/// Reason why the page has no pad, if it has none.
pub fn unmet(report: &RunReport<'_>) -> Option<String> {
    let bytes = 4 * report.parameters.values().len();
    let channels = report.architecture.input().as_image().channels;
    if bytes > MOST_BYTES {
        let (found, most) = (bytes >> 20, MOST_BYTES >> 20);
        let why = "and a page contains weights of at most";
        return Some(format!("The weights of this network have {found} MiB, {why} {most} MiB"));
    }
    (channels > 1)
        .then(|| format!("This network takes images with {channels} channels, not of ink"))
}

/// Description of the network as JSON that may stand in an element of a page.
pub fn description(report: &RunReport<'_>) -> String {
    let network = report.architecture;
    let layers = network.layers().iter().map(|placed| {
        let kind = placed.layer.word();
        let text = placed.layer.to_string();
        let settings = text.strip_prefix(&kind).unwrap_or_default().into();
        let parameters = [placed.parameters.start, placed.parameters.end];
        let (input, output) = (placed.input.sizes(), placed.output.sizes());
        Layer { kind, settings, input, output, parameters }
    });
    let count = CHECKED.min(report.test.split.len());
    let images: Vec<u8> =
        (0..count).flat_map(|index| report.test.split.image(index)).copied().collect();
    let input = network.input();
    let description = Description {
        input: input.sizes(),
        classes: (0..report.classes()).map(|class| report.class(class)).collect(),
        layers: layers.collect(),
        blocks: network.blocks().iter().map(|block| [block.start, block.end]).collect(),
        tests: Tests {
            images: base64(&images),
            logits: report.logits.chunks(report.classes()).map(<[f32]>::to_vec).collect(),
        },
    };
    let json = serde_json::to_string(&description).expect("plain data");
    // A name of a class must not end the element.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Weights in base64, as little-endian f32 in canonical order.
pub fn weights(report: &RunReport<'_>) -> String {
    base64(&little_endian(report.parameters.values()))
}

/// Source of both scripts.
pub fn script() -> String {
    format!("{NETWORK}\n{PAD}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::grammar::{LAYERS, LayerKind};

    #[test]
    fn the_script_has_a_forward_pass_for_every_kind_of_layer() {
        let (_, table) = NETWORK.split_once("const LAYERS = {\n").unwrap();
        let (table, _) = table.split_once("\n};").unwrap();
        let names: Vec<_> = table
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split([':', ',']).next())
            .collect();
        for LayerKind { name, .. } in &LAYERS {
            assert!(names.contains(name), "templates/network.js has no '{name}'");
        }
    }

    #[test]
    fn the_scripts_may_stand_in_a_page() {
        for forbidden in ["]]>", "</script", "<!--", "http:", "https:"] {
            assert!(!script().contains(forbidden), "{forbidden}");
        }
    }
}
