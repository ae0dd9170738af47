"""Evaluates a checkpoint of mnist-train with PyTorch alone, on the test images of an IDX directory.

    python check_checkpoint.py MODEL DATA_DIR [--expect N]

Prints one line of JSON. Exits 1 if the file is not such a checkpoint or, with --expect, if the number of correct
predictions is another. Adam's moments (`adam.m.*`, `adam.v.*`) and whatever else the file holds are ignored.
"""

import argparse
import json
import sys
from pathlib import Path

import safetensors
from safetensors.torch import load_file

import idx
import network
from network import TENSORS


def load_weights(path):
    """The six tensors of a checkpoint; exits with one line saying what is wrong with it."""
    try:
        tensors = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        sys.exit(f"{path}: {error}")
    for name, (shape, _) in TENSORS.items():
        if name not in tensors:
            sys.exit(f"{path}: tensor {name} is missing")
        found = tuple(tensors[name].shape)
        if found != shape:
            sys.exit(f"{path}: {name} has shape {list(found)}, expected {list(shape)}")
    return {name: tensors[name] for name in TENSORS}


def main():
    """Loads, evaluates, prints, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--expect", type=int, metavar="N", help="number of correct predictions to insist on")
    arguments = parser.parse_args()
    weights = load_weights(arguments.model)
    model = network.Network()
    model.load_state_dict(weights)
    images, labels = idx.load(arguments.data_dir, "t10k")
    correct, loss = network.evaluate(model, images, labels)
    report = {"correct": correct, "total": len(labels), "loss": loss, "weights_sha256": network.weights_sha256(weights)}
    print(json.dumps(report))
    if arguments.expect not in (None, correct):
        sys.exit(f"{arguments.model}: {correct} of {len(labels)} correct, expected {arguments.expect}")


if __name__ == "__main__":
    main()
