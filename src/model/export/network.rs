//! A network with its weights as one ONNX model.

use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, little_endian};
use crate::onnx::Graph;

/// Name of the model's input, f32 (N, C, H, W): pixels divided by 255.
const INPUT: &str = "image";
/// Name of the model's output, f32 (N, classes).
const OUTPUT: &str = "logits";

/// Bytes of the ONNX model of a network of this `architecture` with these `parameters`, and with these
/// `facts` as its metadata. Its initializers are the tensors of the network, and nothing else.
pub fn model(
    architecture: &Architecture,
    parameters: &Parameters,
    facts: &[(&str, String)],
) -> Vec<u8> {
    let (mut graph, mut x) = Graph::new(INPUT, architecture.input().sizes());
    let tensors = parameters.iter();
    let tensors: Vec<_> = tensors
        .map(|(spec, values)| graph.tensor(&spec.name, &spec.shape, little_endian(values)))
        .collect();
    let (mut tensors, mut open) = (tensors.as_slice(), Vec::new());
    for (index, placed) in architecture.layers().iter().enumerate() {
        open.extend(architecture.blocks_from(index).map(|_| x));
        let count = placed.layer.tensors(placed.input).len();
        let own = tensors.split_off(..count).expect("a value for each tensor");
        graph.enter(&placed.name);
        x = placed.layer.onnx(&mut graph, placed.input, x, own);
        for _ in architecture.blocks_to(index) {
            graph.enter("res");
            x = graph.call("Add", &[x, open.pop().expect("the block has a beginning")], []);
        }
    }
    graph.into_model(x, OUTPUT, architecture.output().sizes(), facts)
}
