"""Writes layers/<kind>.json for each kind of layer: what PyTorch's module of this kind computes.

    python layers.py [KIND ...]

Without a KIND, it writes every file. README.md has the inputs and the form of a file. A new kind of layer is a row of
CASES. Everything runs in f64.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import formula
from goldens import numbers
from modules import Function, Lstm, Position, SelfAttention, patches
from render import render

FIRST_SEED = 1000
SEEDS_PER_CASE = 20


@dataclass
class Case:
    """A layer on a batch, and the module that does the same."""

    layer: str
    """Text of the layer in the network language."""
    module: nn.Module
    """Module whose parameters and buffers are, in this order and with these names, the tensors of the layer."""
    input: tuple[int, ...]
    """Shape of one image's input."""
    images: int = 3
    training: bool = True
    scale: float = 1.0
    """Power of two by which the input is multiplied."""


CASES = {
    "conv": [
        Case("conv3k3s2p1", nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 7, 6)),
        Case("conv2k3p1", nn.Conv2d(3, 2, 3, padding=1), (3, 3, 4), images=5),
    ],
    "maxpool": [
        Case("maxpool3s2p1", nn.MaxPool2d(3, stride=2, padding=1), (2, 7, 8)),
        Case("maxpool2", nn.MaxPool1d(2), (3, 7), images=5),
        Case("maxpool4s3p2", nn.MaxPool1d(4, stride=3, padding=2), (2, 11)),
    ],
    "avgpool": [
        Case("avgpool3s2p1", nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 7, 8)),
        Case("avgpool2", nn.AvgPool1d(2, count_include_pad=False), (3, 7), images=5),
        Case("avgpool5s3p2", nn.AvgPool1d(5, stride=3, padding=2, count_include_pad=False), (2, 11)),
    ],
    "globalavgpool": [
        Case("globalavgpool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 5, 7)),
        Case("globalavgpool", nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()), (4, 9), images=5),
    ],
    "globalmaxpool": [
        Case("globalmaxpool", nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()), (3, 5, 7)),
        Case("globalmaxpool", nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()), (4, 9), images=5),
    ],
    "relu": [
        Case("relu", nn.ReLU(), (2, 3, 5)),
        Case("relu", nn.ReLU(), (7,), images=5, scale=4.0),
    ],
    "sigmoid": [
        Case("sigmoid", nn.Sigmoid(), (2, 3, 5), scale=8.0),
        Case("sigmoid", nn.Sigmoid(), (3, 7), images=5),
    ],
    "tanh": [
        Case("tanh", nn.Tanh(), (2, 3, 5), scale=4.0),
        Case("tanh", nn.Tanh(), (3, 7), images=5),
    ],
    "gelu": [
        Case("gelu", nn.GELU(), (2, 3, 5), scale=4.0),
        Case("gelu", nn.GELU(), (3, 7), images=5),
    ],
    "softmax": [
        Case("softmax", nn.Softmax(-1), (10,), scale=8.0),
        Case("softmax", nn.Softmax(-1), (2, 3, 5), images=5),
    ],
    # The masks of PyTorch are its own, so dropout is compared where it drops nothing.
    "dropout": [
        Case("dropout0.5", nn.Dropout(0.5), (3, 5), training=False),
        Case("dropout0", nn.Dropout(0.0), (3, 5)),
    ],
    # With a momentum of 1, the running statistics after a pass are those of the batch.
    "batchnorm": [
        Case("batchnorm", nn.BatchNorm2d(3, momentum=1.0), (3, 5, 7)),
        Case("batchnorm", nn.BatchNorm1d(7, momentum=1.0), (7,), images=5, scale=4.0),
        Case("batchnorm", nn.BatchNorm1d(3, momentum=1.0), (3, 7)),
        Case("batchnorm", nn.BatchNorm2d(3), (3, 5, 7), training=False),
        Case("batchnorm", nn.BatchNorm1d(7), (7,), images=1, training=False),
    ],
    "layernorm": [
        Case("layernorm", nn.LayerNorm(9, eps=1e-6), (9,), images=5, scale=4.0),
        Case("layernorm", nn.LayerNorm(7, eps=1e-6), (3, 7)),
    ],
    "fc": [
        Case("fc5", nn.Linear(9, 5), (9,), images=5),
        Case("fc4", nn.Linear(7, 4), (3, 7)),
    ],
    "conv1d": [
        Case("conv1d3k3s2p1", nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 9)),
        Case("conv1d4k4p1", nn.Conv1d(3, 4, 4, padding=1), (3, 6), images=5),
    ],
    "patches": [
        Case("patches3", patches(3), (2, 6, 9)),
        Case("patches2", patches(2), (1, 4, 4), images=5),
    ],
    "pos": [
        Case("pos", Position(4, 3), (4, 3)),
        Case("pos", Position(1, 5), (1, 5), images=5),
    ],
    "attn": [
        Case("attn2", SelfAttention(6, 2, batch_first=True), (5, 6)),
        Case("attn4", SelfAttention(8, 4, batch_first=True), (3, 8), images=5),
        Case("attn1", SelfAttention(3, 1, batch_first=True), (4, 3), scale=4.0),
    ],
    "lstm": [
        Case("lstm4", Lstm(3, 4, batch_first=True), (5, 3)),
        Case("lstm2", Lstm(6, 2, batch_first=True), (3, 6), images=5, scale=4.0),
        Case("lstm3", Lstm(4, 3, batch_first=True), (1, 4)),
    ],
    "last": [
        Case("last", Function(lambda x: x[:, -1]), (4, 3)),
        Case("last", Function(lambda x: x[:, -1]), (1, 5), images=5),
    ],
    "mean": [
        Case("mean", Function(lambda x: x.mean(1)), (4, 3)),
        Case("mean", Function(lambda x: x.mean(1)), (7, 2), images=5),
    ],
}


def tensors(module):
    """Tensors of the layer: name -> parameter or buffer. A counter of batches is none."""
    buffers = {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    return dict(module.named_parameters()) | buffers


def golden(seed, case):
    """The case as JSON. Input, output gradient and tensors take the streams `seed`, `seed` + 1, `seed` + 2 and on."""
    module = case.module.double().train(case.training)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for index, (name, tensor) in enumerate(tensors(module).items()):
            values = formula.signed_units(seed + 2 + index, tuple(tensor.shape))
            if name.endswith("running_var"):
                values = values + np.float32(1.5)
            tensor.copy_(torch.from_numpy(values))
    x = formula.signed_units(seed, (case.images, *case.input)) * np.float32(case.scale)
    x = torch.from_numpy(x).double().requires_grad_()
    y = module(x)
    result = {
        "layer": case.layer,
        "input": list(case.input),
        "images": case.images,
        "seed": seed,
        "scale": case.scale,
        "training": case.training,
        "y": numbers(y.detach().flatten(), 9),
    }
    if case.training:
        dy = torch.from_numpy(formula.signed_units(seed + 1, tuple(y.shape))).double()
        dx, *gradients = torch.autograd.grad(y, [x, *parameters.values()], dy)
        found = dict(zip(parameters, gradients))
        # A running statistic has no gradient: the pass has replaced it by the statistic of the batch.
        found = {name: found.get(name, tensor.detach()) for name, tensor in tensors(module).items()}
        result["dx"] = numbers(dx.flatten(), 9)
        result["gradients"] = {name: numbers(value.flatten(), 9) for name, value in found.items()}
    return result


def main():
    """Computes every case of the kinds that were asked for, and writes their files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", metavar="KIND", nargs="*")
    kinds = parser.parse_args().kinds or list(CASES)
    if unknown := set(kinds) - set(CASES):
        sys.exit(f"there are no cases of {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = Path(__file__).with_name("layers")
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        cases = [golden(FIRST_SEED + SEEDS_PER_CASE * k, case) for k, case in enumerate(CASES[kind])]
        (folder / f"{kind}.json").write_text(render(cases) + "\n")


if __name__ == "__main__":
    main()
