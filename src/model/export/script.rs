//! The scripts beside an exported model, which run it in another program.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::architecture::Architecture;
use crate::nn::layer::Module;

/// Largest difference between two logits that the scripts accept, relative to the largest logit of all
/// images: two programs add up in different orders.
pub const TOLERANCE: f64 = 1e-5;

/// End of the first line of every script, by which one is recognized.
const SIGNATURE: &str = "Written by mnist-train export.\"\"\"";

/// Whether `bytes` are a script of an export.
pub fn is_written_here(bytes: &[u8]) -> bool {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    first.trim_ascii_end().ends_with(SIGNATURE.as_bytes())
}

/// Script that runs an ONNX model in onnxruntime.
pub fn of_onnxruntime() -> String {
    format!(
        r#""""Compares onnxruntime with mnist-train on test images. {SIGNATURE}
import sys
from pathlib import Path

import numpy
import onnxruntime
from safetensors.numpy import load_file

model = Path(__file__).with_suffix("")
test = load_file(f"{{model}}.test.safetensors")
session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
[logits] = session.run(["logits"], {{"image": test["images"]}})
difference, largest = numpy.abs(logits - test["logits"]).max(), numpy.abs(test["logits"]).max()
print(f"largest difference {{difference:.1e}}, largest logit {{largest:.4g}}")
sys.exit(not difference <= {TOLERANCE:e} * largest)
"#
    )
}

/// Script that runs the weights of a network of this `architecture` in PyTorch.
pub fn of_pytorch(architecture: &Architecture) -> String {
    let Network { modules, classes } = Network::of(architecture);
    let has_blocks = !architecture.blocks().is_empty();
    let (import, residual, load) =
        if has_blocks { ("import re\n", RESIDUAL, LOAD_WITH_BLOCKS) } else { ("", "", LOAD) };
    let classes = classes.iter().chain([&residual]).filter(|class| !class.is_empty());
    let mut classes: String = classes.map(|class| format!("\n\n{class}")).collect();
    classes += if classes.is_empty() { "" } else { "\n" };
    format!(
        r#""""Compares PyTorch with mnist-train on test images. {SIGNATURE}
{import}import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
{classes}
network = nn.Sequential(OrderedDict(
{modules}))
model = Path(__file__).with_suffix("")
{load}test = load_file(f"{{model}}.test.safetensors")
with torch.no_grad():
    logits = network.eval()(test["images"])
difference, largest = (logits - test["logits"]).abs().max(), test["logits"].abs().max()
print(f"largest difference {{difference:.1e}}, largest logit {{largest:.4g}}")
sys.exit(not difference <= {TOLERANCE:e} * largest)
"#
    )
}

/// Lines of the script that load the weights.
const LOAD: &str = "network.load_state_dict(load_file(model))\n";

/// The same for a network with residual blocks, whose names PyTorch puts in front of their layers.
const LOAD_WITH_BLOCKS: &str = "\
names = {re.sub(r\"res\\d+\\.\", \"\", name): name for name in network.state_dict()}
weights = {names[name]: tensor for name, tensor in load_file(model).items()}
network.load_state_dict(weights)
";

/// Class of a residual block.
const RESIDUAL: &str = "\
class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)
";

/// Modules of a network.
struct Network {
    /// Lines with the modules, each with its name, as arguments of a call.
    modules: String,
    /// Classes of the modules that PyTorch does not have, each once.
    classes: Vec<&'static str>,
}

impl Network {
    fn of(architecture: &Architecture) -> Self {
        let (mut modules, mut classes) = (String::new(), Vec::new());
        let (mut counts, mut blocks, mut depth) = (BTreeMap::new(), 0, 1);
        for (index, placed) in architecture.layers().iter().enumerate() {
            for _ in architecture.blocks_from(index) {
                blocks += 1;
                _ = writeln!(modules, "{}res{blocks}=Residual(OrderedDict(", indent(depth));
                depth += 1;
            }
            let Module { expression, class } = placed.layer.pytorch(placed.input);
            if !classes.contains(&class) {
                classes.push(class);
            }
            // Layers without tensors have no number in the network, and modules need names of their own.
            let mut name = placed.name.clone();
            if placed.parameters.is_empty() {
                let count = counts.entry(name.clone()).or_insert(0);
                *count += 1;
                name += &count.to_string();
            }
            _ = writeln!(modules, "{}{name}={expression},", indent(depth));
            for _ in architecture.blocks_to(index) {
                depth -= 1;
                _ = writeln!(modules, "{})),", indent(depth));
            }
        }
        Self { modules, classes }
    }
}

/// Beginning of a line at this `depth` of calls.
fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}
