"""Trains networks for a moment, exports them, and runs them in other programs, which must give the same logits.

    python check_export.py PROGRAM DATA_DIR [--all] [--format onnx|safetensors]

ONNX models must pass onnx.checker. ONNX's own evaluator and onnxruntime must give the logits of the test file beside the
model, and onnxruntime must classify as many test images correctly as PROGRAM does. Of weights as safetensors, PyTorch
must load each one. In both formats, the script beside the model must run and agree. With --all, these are all networks
with a name, and networks with every kind of layer; else five of them. Exits 1 at the first disagreement.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import idx

NAMED = ["default", "lenet5", "lstm", "attention", "resnet"]
"""Networks with a name that are always checked."""

OF_LAYERS = [
    "conv4k3s2p1,relu,avgpool3s2p1,conv6k2p2,sigmoid,maxpool3s1p1,globalavgpool,fc10",
    "conv8k3,batchnorm,gelu,avgpool2,globalmaxpool,batchnorm,tanh,fc10",
    "channels,conv1d8k3s2p1,batchnorm,relu,avgpool3s1p1,maxpool3s2,globalmaxpool,fc10",
    "channels,conv1d8k3,tanh,globalavgpool,layernorm,fc10",
    "rows,fc16,batchnorm,lstm12,layernorm,lstm7,mean,fc10,res(softmax)",
    "conv2k3p1,patches4,fc24,pos,attn3,res(layernorm,res(attn1,dropout0.1),gelu),last,dropout0.2,fc10",
    "patches7,pos,softmax,flatten,layernorm,fc10,dropout0.5",
]
"""Networks that have every kind of layer, with other settings than those above."""

TOLERANCE = 1e-5
"""Largest accepted difference of two logits, relative to the largest logit."""


def run(*arguments):
    """Output of a command; if it fails, its errors are shown, and this program ends."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def in_help(program):
    """Names of the networks, and kinds of layers, that the help lists."""
    layers, networks = run(program, "help", "summary").split("\nNetworks with a name:\n")
    kinds = re.findall(r"^  ([a-z]+(?:1d)?)[0-9a-z.]*  ", layers.split(":\n", 1)[-1], re.MULTILINE)
    return re.findall(r"^  (\w+) ", networks, re.MULTILINE), kinds


def agree(found, expected, what):
    """Ends this program unless the logits `found` are those that are expected. Returns the largest difference."""
    difference, largest = np.abs(found - expected).max(), np.abs(expected).max()
    if found.shape != expected.shape or not difference <= TOLERANCE * largest:
        sys.exit(f"{what}: logits differ by {difference:.1e}, the largest is {largest:.4g}")
    return difference


def check_onnx(path, test, images, labels):
    """Checks the ONNX model at `path`. Returns the differences, and the number of images classified correctly."""
    import onnx
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    assert [(imported.domain, imported.version) for imported in model.opset_import] == [("", 17)]
    assert model.producer_name == "mnist-train" and model.metadata_props
    [evaluated] = ReferenceEvaluator(model).run(None, {"image": test["images"]})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], {"image": test["images"]})
    differences = [
        agree(evaluated, test["logits"], f"{path} in ONNX's evaluator"),
        agree(logits, test["logits"], f"{path} in onnxruntime"),
    ]
    # The number of images of a call is free: here it is another than above, and another for the last call.
    batches = [images[start : start + 768] for start in range(0, len(images), 768)]
    predicted = [session.run(["logits"], {"image": batch})[0].argmax(1) for batch in batches]
    return differences, int((np.concatenate(predicted) == labels).sum())


def check(program, data, network, form, split):
    """Checks one network, and prints a line about it."""
    with tempfile.TemporaryDirectory() as folder:
        model, exported = Path(folder) / "ckpt.bin", Path(folder) / f"model.{form}"
        flags = ["--data", data, "--json"]
        short = ["--epochs", "1", "--max-samples", "2560", "--no-eval"]
        run(program, "--arch", network, *short, "--model", model, *flags)
        written = json.loads(run(program, "export", model, "--out", exported, *flags))
        test = load_file(written["test_file"])
        line = f"{network}: largest logit {np.abs(test['logits']).max():.3g}"
        if form == "onnx":
            (evaluator, runtime), correct = check_onnx(str(exported), test, *split)
            expected = json.loads(run(program, "eval", model, *flags))["correct"]
            if correct != expected:
                sys.exit(f"{network}: onnxruntime classifies {correct} images correctly, mnist-train {expected}")
            line += f", differences {evaluator:.1e} (evaluator) and {runtime:.1e} (onnxruntime), {correct} correct"
        print(f"{line}; script: {run(sys.executable, written['script']).strip()}", flush=True)


def main():
    """Checks each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--all", action="store_true", help="all networks with a name, and every kind of layer")
    parser.add_argument("--format", choices=("onnx", "safetensors"), default="onnx")
    arguments = parser.parse_args()
    networks = NAMED
    if arguments.all:
        names, kinds = in_help(arguments.program)
        networks = names + OF_LAYERS
        if missing := [kind for kind in kinds if not re.search(rf"\b{kind}[0-9]|\b{kind}\b", ",".join(OF_LAYERS))]:
            sys.exit(f"no network has {', '.join(missing)}")
    images = idx.read_idx(arguments.data_dir / "t10k-images-idx3-ubyte")[:, None].astype(np.float32) / np.float32(255)
    labels = idx.read_idx(arguments.data_dir / "t10k-labels-idx1-ubyte")
    for network in networks:
        check(arguments.program, arguments.data_dir, network, arguments.format, (images, labels))


if __name__ == "__main__":
    main()
