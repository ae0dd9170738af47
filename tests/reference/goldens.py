"""Writes goldens.json: what PyTorch computes for inputs that the Rust tests can rebuild from formula.py alone.

    python goldens.py DATA_DIR [--output goldens.json]

DATA_DIR holds MNIST. Everything runs on one thread with deterministic kernels, once in f32 (the goldens) and once
in f64 (how far f32 itself is from the truth, which is what the tests' tolerances are measured against).

Relu and max pooling choose, and a choice closer than rounding parts two right programs. From image MNIST_FIRST on that
does not show: over the ten batches no hidden unit comes closer to 0 than 3.4e-5, and in the pooling windows of the
first batch, whose gradients are recorded, no two best elements are closer than 2.0e-6. (From image 0 on it is 1.5e-7
and 9.6e-9.)
"""

import argparse
import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import formula
import idx
import network
from network import BATCH, LEARNING_RATE, TENSORS
from render import render

FORMULA_BATCHES = [BATCH] * 9 + [37]
MNIST_BATCHES = [BATCH] * 10
MNIST_FIRST = 5760
SAMPLES = 24
LAYER_STREAM = 200
LAYER_BATCH = 5

# name, layer, [input, weight, bias] shapes without the batch, geometry, True for an input full of ties
LAYER_CASES = [
    ("k5 s1 p2, one channel", "conv2d", [(1, 7, 6), (2, 1, 5, 5), (2,)], {"stride": 1, "padding": 2}),
    ("k3 s2 p0", "conv2d", [(3, 9, 7), (4, 3, 3, 3), (4,)], {"stride": 2, "padding": 0}),
    ("k5 s2 p1, last padded column unread", "conv2d", [(2, 11, 8), (3, 2, 5, 5), (3,)], {"stride": 2, "padding": 1}),
    ("k1 s1 p0", "conv2d", [(2, 5, 4), (3, 2, 1, 1), (3,)], {"stride": 1, "padding": 0}),
    ("k2 s2, even sides", "max_pool2d", [(2, 4, 6)], {"kernel_size": 2, "stride": 2}),
    ("k2 s2, odd sides round down", "max_pool2d", [(2, 5, 7)], {"kernel_size": 2, "stride": 2}),
    ("k3 s2, overlapping", "max_pool2d", [(2, 7, 9)], {"kernel_size": 3, "stride": 2}),
    ("k2 s2, ties", "max_pool2d", [(2, 6, 6)], {"kernel_size": 2, "stride": 2}, True),
    ("k3 s2, overlapping, ties", "max_pool2d", [(2, 7, 7)], {"kernel_size": 3, "stride": 2}, True),
    ("7 to 4", "linear", [(7,), (4, 7), (4,)], {}),
]


def train(images, labels, batches, dtype):
    """Trains from the formula's parameters, one step a batch, and returns tensors of what happened on the way."""
    model = network.Network().to(dtype)
    start = formula_state(dtype)
    model.load_state_dict(start)
    optimizer = network.adam(model)
    parameters = dict(model.named_parameters())
    losses, correct, logits, gradients = [], [], None, None
    for x, y in zip(images.split(batches), labels.split(batches)):
        output = model(network.to_pixels(x, dtype))
        loss = F.cross_entropy(output, y)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        correct.append(int((output.argmax(1) == y).sum()))
        if gradients is None:
            logits = output.detach()
            gradients = {name: p.grad.clone() for name, p in parameters.items()}
        optimizer.step()
    moments = {name: optimizer.state[p] for name, p in parameters.items()}
    return {
        "losses": torch.stack(losses),
        "correct": correct,
        "logits": logits,
        "gradients": gradients,
        "parameters": {name: p.detach() for name, p in parameters.items()},
        "changes": {name: p.detach() - start[name] for name, p in parameters.items()},
        "exp_avg": {name: moments[name]["exp_avg"] for name in TENSORS},
        "exp_avg_sq": {name: moments[name]["exp_avg_sq"] for name in TENSORS},
    }


def formula_state(dtype):
    """The formula's parameters as a state dict; in f64 they are the same f32 values, widened."""
    shapes, fan_ins = zip(*TENSORS.values())
    values = formula.parameters(shapes, fan_ins)
    return {name: torch.from_numpy(value).to(dtype) for name, value in zip(TENSORS, values)}


def sample_indices(size):
    """Row-major indices spread evenly from the first element to the last."""
    count = min(SAMPLES, size)
    return [k * (size - 1) // (count - 1) for k in range(count)]


def numbers(tensor, digits=None):
    """A tensor as nested lists; 9 digits give an f32 back exactly, f64 is shown with 12."""
    digits = digits or (9 if tensor.dtype == torch.float32 else 12)
    if tensor.dim() > 1:
        return [numbers(row, digits) for row in tensor]
    return [float(f"{value:.{digits}g}") for value in tensor.tolist()]


def norm(tensor):
    """L2 norm, summed in f64."""
    return float(f"{float(tensor.double().norm()):.12g}")


def samples(tensor):
    """The elements of a tensor at its sample indices."""
    return numbers(tensor.flatten()[sample_indices(tensor.numel())])


def describe(run):
    """One formula run as JSON."""
    return {
        "losses": numbers(run["losses"]),
        "correct": run["correct"],
        "logits": numbers(run["logits"]),
        "first_gradients": {
            name: {"norm": norm(gradient), "samples": samples(gradient)} for name, gradient in run["gradients"].items()
        },
        "after": {
            name: {
                "norm": norm(value),
                "change_norm": norm(run["changes"][name]),
                "exp_avg_norm": norm(run["exp_avg"][name]),
                "exp_avg_sq_norm": norm(run["exp_avg_sq"][name]),
                "samples": samples(value),
            }
            for name, value in run["parameters"].items()
        },
    }


def distance(single, double):
    """How far an f32 run is from the f64 run: largest difference, or |a - b| / |b| over a whole tensor."""

    def largest(a, b):
        return float(f"{float((a.double() - b).abs().max()):.3g}")

    def relative(key):
        pairs = {name: (single[key][name].double(), double[key][name]) for name in TENSORS}
        return {name: float(f"{float((a - b).norm() / b.norm()):.3g}") for name, (a, b) in pairs.items()}

    return {
        "losses_max_abs": largest(single["losses"], double["losses"]),
        "logits_max_abs": largest(single["logits"], double["logits"]),
        "first_gradients_relative": relative("gradients"),
        "changes_relative": relative("changes"),
        "parameters_max_abs": {
            name: largest(single["parameters"][name], double["parameters"][name]) for name in TENSORS
        },
    }


def formula_section():
    """Ten steps on the formula's images, the last on a batch of 37."""
    count = sum(FORMULA_BATCHES)
    images, labels = formula.images(count), formula.labels(count)
    data = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    single, double = (train(*data, FORMULA_BATCHES, dtype) for dtype in (torch.float32, torch.float64))
    return {
        "batches": FORMULA_BATCHES,
        "learning_rate": LEARNING_RATE,
        "inputs": {
            "weights_sha256": network.weights_sha256(formula_state(torch.float32)),
            "pixels_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
            "labels_sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
        },
        "sample_indices": {name: sample_indices(int(np.prod(shape))) for name, (shape, _) in TENSORS.items()},
        "f32": describe(single),
        "f64": describe(double),
        "f32_from_f64": distance(single, double),
    }


def mnist_section(directory):
    """Ten steps on 640 training images of MNIST from MNIST_FIRST on, in file order, from the formula's parameters."""
    images, labels = idx.load(directory, "train")
    window = slice(MNIST_FIRST, MNIST_FIRST + sum(MNIST_BATCHES))
    data = images[window], labels[window]
    runs = {name: train(*data, MNIST_BATCHES, getattr(torch, name)) for name in ("float32", "float64")}
    single, double = runs["float32"], runs["float64"]

    def brief(run):
        return {
            "losses": numbers(run["losses"]),
            "correct": run["correct"],
            "first_gradient_norms": {name: norm(gradient) for name, gradient in run["gradients"].items()},
        }

    return {
        "first_image": MNIST_FIRST,
        "batches": MNIST_BATCHES,
        "learning_rate": LEARNING_RATE,
        "f32": brief(single),
        "f64": brief(double),
        "f32_from_f64": distance(single, double),
    }


def layer_case(stream, name, layer, shapes, geometry, ties=False):
    """One layer in f64: its output and all its gradients, where operands and output gradient are formula values.

    Input, weight, bias and output gradient take the streams `stream` + 0, 1, 2 and 3. With `ties` the input is
    floored to -2, -1, 0 and 1.
    """
    shapes = [(LAYER_BATCH, *shapes[0]), *shapes[1:]]
    values = [formula.signed_units(stream + k, shape) for k, shape in enumerate(shapes)]
    if ties:
        values[0] = np.floor(2 * values[0])
    operands = [torch.from_numpy(value).double().requires_grad_() for value in values]
    output = getattr(F, layer)(*operands, **geometry)
    d_output = torch.from_numpy(formula.signed_units(stream + 3, output.shape)).double()
    gradients = torch.autograd.grad(output, operands, d_output)
    operand_names = ["input", "weight", "bias"]
    return {
        "name": name,
        "layer": layer,
        "stream": stream,
        **geometry,
        "ties": ties,
        **{f"{operand}_shape": list(shape) for operand, shape in zip(operand_names, shapes)},
        "output_shape": list(output.shape),
        "output": numbers(output.detach().flatten(), 9),
        **{f"d_{operand}": numbers(g.flatten(), 9) for operand, g in zip(operand_names, gradients)},
    }


def main():
    """Computes every section and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("goldens.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    goldens = {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        },
        "formula": formula_section(),
        "mnist": mnist_section(arguments.data_dir),
        "layers": [layer_case(LAYER_STREAM + 10 * k, *case) for k, case in enumerate(LAYER_CASES)],
    }
    arguments.output.write_text(render(goldens) + "\n")


if __name__ == "__main__":
    main()
