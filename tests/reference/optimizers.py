"""Writes optimizers.json: weights and slots after each of some steps of PyTorch's optimizers.

    python optimizers.py [--output optimizers.json]

Every case starts from the same weights, in f64, and gets the gradients g(t, i) = cos(3 t + 5 i) · w_i + sin(7 t + i) / 2,
which a test computes too. The learning rate is halved after the third step, because a schedule changes it in a run.
"""

import argparse
import json
import math
from pathlib import Path

import torch

START = [0.5, -1.25, 0.01, 2.0]
STEPS = 6
LEARNING_RATE = 0.05

# name, PyTorch's optimizer, settings by the names of the recipe, PyTorch's settings, {PyTorch's state: our slot}
ADAM = {"exp_avg": "adam.m", "exp_avg_sq": "adam.v"}
SGD = {"momentum_buffer": "sgd.v"}
CASES = [
    ("adam", torch.optim.Adam, {"l2": 0.1}, {"weight_decay": 0.1}, ADAM),
    ("adamw", torch.optim.AdamW, {"l2": 0.0, "weight_decay": 0.3}, {"weight_decay": 0.3}, ADAM),
    ("sgd", torch.optim.SGD, {"l2": 0.1}, {"weight_decay": 0.1}, {}),
    ("sgd", torch.optim.SGD, {"l2": 0.1, "momentum": 0.9}, {"weight_decay": 0.1, "momentum": 0.9}, SGD),
    (
        "sgd",
        torch.optim.SGD,
        {"l2": 0.1, "momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.1, "momentum": 0.9, "nesterov": True},
        SGD,
    ),
]


def case(optimizer, settings, constructor, of_pytorch, slots):
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    rule = constructor([w], lr=LEARNING_RATE, **of_pytorch)
    weights, state = [], {slot: [] for slot in slots.values()}
    for t in range(1, STEPS + 1):
        rule.param_groups[0]["lr"] = LEARNING_RATE if t <= 3 else LEARNING_RATE / 2
        gradient = [math.cos(3 * t + 5 * i) * w[i].item() + math.sin(7 * t + i) / 2 for i in range(len(START))]
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        rule.step()
        weights.append(w.tolist())
        for name, slot in slots.items():
            state[slot].append(rule.state[w][name].tolist())
    return {"recipe": {"optimizer": optimizer, **settings}, "weights": weights, "slots": state}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "optimizers.json")
    arguments = parser.parse_args()
    cases = [case(name, ours, constructor, theirs, slots) for name, constructor, ours, theirs, slots in CASES]
    goldens = {"torch": torch.__version__, "start": START, "learning_rate": LEARNING_RATE, "cases": cases}
    arguments.output.write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
