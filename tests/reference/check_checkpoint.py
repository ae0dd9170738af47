"""Evaluates a checkpoint of mnist-train with PyTorch alone, on the test images of an IDX directory.

    python check_checkpoint.py MODEL DATA_DIR [--expect N]

Prints one line of JSON. The network follows from the text in the file. Exits 1 if the file is not such a checkpoint or, with --expect, if the number of correct
predictions is another. Adam's moments (`adam.m.*`, `adam.v.*`) and whatever else the file holds are ignored.
"""

import argparse
import json
import sys
from pathlib import Path

import safetensors

import idx
import modules
import network


def load(path):
    """The network of a checkpoint with its weights; exits with one line saying what is wrong with the file."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("mnist-train", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        sys.exit(f"{path}: {error}")
    if metadata is None:
        sys.exit(f"{path}: has no metadata of mnist-train")
    model = modules.Network(metadata["architecture"], tuple(metadata["input"]))
    # PyTorch's counter of batches is no tensor of a checkpoint.
    names = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    if missing := [name for name in names if name not in tensors]:
        sys.exit(f"{path}: tensor {missing[0]} is missing")
    weights = {name: tensors[name] for name in names}
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        sys.exit(f"{path}: {' '.join(str(error).split())}")
    return model.eval(), weights


def main():
    """Loads, evaluates, prints, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--expect", type=int, metavar="N", help="number of correct predictions to insist on")
    arguments = parser.parse_args()
    model, weights = load(arguments.model)
    images, labels = idx.load(arguments.data_dir, "t10k")
    correct, loss = network.evaluate(model, images, labels)
    report = {"correct": correct, "total": len(labels), "loss": loss, "weights_sha256": network.weights_sha256(weights)}
    print(json.dumps(report))
    if arguments.expect not in (None, correct):
        sys.exit(f"{arguments.model}: {correct} of {len(labels)} correct, expected {arguments.expect}")


if __name__ == "__main__":
    main()
