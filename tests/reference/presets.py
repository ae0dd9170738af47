"""Writes presets.json: the losses of ten training steps of the networks that have a name.

    python presets.py [--output presets.json]

Weights, images and labels are formula.py's, so the Rust tests compute them too. Everything runs on one thread with
deterministic kernels, in f64 (the goldens) and in f32 (the scale of the tests' tolerances).

Relu chooses, and a choice closer than rounding parts two right programs. This shows in `resnet`, which has 1.4 million
inputs of relu in ten steps. From image 16 on, none of them is closer to 0 than 4.0e-6; from image 0 on it is 6.2e-7.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import formula
import modules
import network
from goldens import numbers
from network import L2, LEARNING_RATE
from render import render

# The networks of src/model/presets.rs, without those that are the default's with other sizes. `deep` is without its
# dropout, because the masks of PyTorch are its own.
PRESETS = {
    "default": "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10",
    "lenet5": "conv6k5p2,relu,maxpool2,conv16k5,relu,maxpool2,flatten,fc120,relu,fc84,relu,fc10",
    "mlp": "flatten,fc128,relu,fc10",
    "deep": "conv32k3p1,batchnorm,relu,maxpool2,conv64k3p1,batchnorm,relu,maxpool2,flatten,fc10",
    "resnet": (
        "conv16k3p1,batchnorm,relu,maxpool2,res(conv16k3p1,batchnorm,relu,conv16k3p1,batchnorm),relu,"
        "conv32k3p1,batchnorm,relu,maxpool2,res(conv32k3p1,batchnorm,relu,conv32k3p1,batchnorm),relu,"
        "conv64k3p1,batchnorm,relu,res(conv64k3p1,batchnorm,relu,conv64k3p1,batchnorm),relu,globalavgpool,fc10"
    ),
    "conv1d": "channels,conv1d64k3p1,relu,maxpool2,conv1d128k3p1,relu,maxpool2,flatten,fc10",
    "lstm": "rows,lstm128,last,fc10",
    "attention": (
        "patches7,fc64,pos,res(layernorm,attn4),res(layernorm,fc128,gelu,fc64),"
        "res(layernorm,attn4),res(layernorm,fc128,gelu,fc64),layernorm,mean,fc10"
    ),
}

# First image of a network, if it is not image 0.
FIRST_IMAGE = {"resnet": 16}

# Number of images of each of ten batches. The first three hold all images; the later ones are the same again.
BATCHES = [4, 4, 3] * 3 + [4]
ROUND = 3

NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def tensors(model):
    """(name, tensor, offset, scale) of each tensor of a checkpoint; its elements are offset + scale * (2u - 1)."""
    for name, tensor in model.state_dict().items():
        module = model.get_submodule(name.rpartition(".")[0])
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_mean"):
            yield name, tensor, 0.0, 0.0
        elif name.endswith("running_var"):
            yield name, tensor, 1.0, 0.0
        elif isinstance(module, NORMALIZATIONS) and name.endswith("weight"):
            yield name, tensor, 1.0, 0.25
        elif tensor.dim() == 1:
            yield name, tensor, 0.0, 0.125
        else:
            fan_in = int(np.prod(tensor.shape[1:]))
            yield name, tensor, 0.0, float(np.float32(np.sqrt(np.float64(3 / fan_in))))


def start(text):
    """Network with the parameters of the formula, and a description of them."""
    model = modules.Network(text, (1, 28, 28))
    description = []
    with torch.no_grad():
        for stream, (name, tensor, offset, scale) in enumerate(tensors(model)):
            values = formula.signed_units(stream, tuple(tensor.shape)) * np.float32(scale) + np.float32(offset)
            tensor.copy_(torch.from_numpy(values))
            description.append({"name": name, "offset": offset, "scale": float(f"{scale:.9g}")})
    return model, description


def adam(model):
    """Adam of the default recipe. L2 applies to the factors of products and to the table of positions."""
    is_normalization = lambda name: isinstance(model.get_submodule(name.rpartition(".")[0]), NORMALIZATIONS)
    decays = lambda name, p: p.dim() > 1 and not is_normalization(name)
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": L2},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)


def train(text, first_image, dtype):
    """Loss of each batch before its update."""
    model = start(text)[0].to(dtype).train()
    optimizer = adam(model)
    count = first_image + sum(BATCHES[:ROUND])
    images, labels = (torch.from_numpy(values(count)[first_image:]) for values in (formula.images, formula.labels))
    images = network.to_pixels(images, dtype).split(BATCHES[:ROUND])
    labels = labels.long().split(BATCHES[:ROUND])
    losses = []
    for step in range(len(BATCHES)):
        loss = F.cross_entropy(model(images[step % ROUND]), labels[step % ROUND])
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
    return torch.stack(losses)


def golden(name, text):
    """Case of a network."""
    first_image = FIRST_IMAGE.get(name, 0)
    single, double = (train(text, first_image, dtype) for dtype in (torch.float32, torch.float64))
    return {
        "network": text,
        "first_image": first_image,
        "tensors": start(text)[1],
        "losses": numbers(double),
        "f32_from_f64": float(f"{float((single.double() - double).abs().max()):.3g}"),
    }


def main():
    """Trains every network twice and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("presets.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    goldens = {
        "torch": torch.__version__,
        "learning_rate": LEARNING_RATE,
        "batches": BATCHES,
        "presets": {name: golden(name, text) for name, text in PRESETS.items()},
    }
    arguments.output.write_text(render(goldens) + "\n")


if __name__ == "__main__":
    main()
