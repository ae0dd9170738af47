"""What the Python peers share: arguments, files, and the lines they print. README.md here has the schema."""

import argparse
import gzip
import json
import math
import struct
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

# The recipe, the same for every peer; batch size and epochs are arguments.
LEARNING_RATE, MIN_LEARNING_RATE, T_MAX = 1e-3, 1e-5, 20
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
L2 = 1e-4


def arguments(variants, eval_batch):
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors file with the initial weights")
    parser.add_argument("--order", type=Path, required=True, help="little-endian u32, epochs x images")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--max-samples", type=int, help="train on the first N images only")
    parser.add_argument("--eval-batch", type=int, default=eval_batch)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--arch", help="layers of another network, where the peer can build it")
    return parser.parse_args()


def read_idx(path):
    content = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def load_split(folder, split, count=None):
    """Pixels u8 [N, 28, 28] and labels u8 [N] of the first `count` images."""
    return tuple(
        read_idx(folder / f"{split}-{kind}")[:count] for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )


class Run:
    """The inputs of one run, and the lines that it prints."""

    def __init__(self, args):
        self.args = args
        self.images, self.labels = load_split(args.data, "train", args.max_samples)
        self.test_images, self.test_labels = load_split(args.data, "t10k")
        # A checkpoint has Adam's moments as well; a peer starts from its own zeros.
        tensors = load_file(args.weights).items()
        self.weights = {name: value for name, value in tensors if not name.startswith("adam.")}
        self.orders = np.fromfile(args.order, "<u4").reshape(-1, len(self.labels))
        self.train_seconds = 0.0

    def learning_rate(self, epoch):
        half = 0.5 * (LEARNING_RATE - MIN_LEARNING_RATE)
        return MIN_LEARNING_RATE + half * (1 + math.cos(math.pi * epoch / T_MAX))

    def start(self, versions):
        args = self.args
        self.emit(
            "start", versions=versions, variant=args.variant, threads=args.threads, batch_size=args.batch_size,
            train_images=len(self.labels), test_images=len(self.test_labels),
        )

    def epoch(self, epoch, losses, seconds):
        """`losses` has one mean loss for each step."""
        sizes = [
            min(self.args.batch_size, len(self.labels) - first)
            for first in range(0, len(self.labels), self.args.batch_size)
        ]
        self.train_seconds += seconds
        self.emit(
            "epoch", epoch=epoch, lr=self.learning_rate(epoch), seconds=seconds,
            images_per_second=len(self.labels) / seconds,
            loss=float(np.dot(np.asarray(losses, np.float64), sizes) / len(self.labels)),
        )

    def done(self, weights, correct, eval_seconds):
        """`weights` has all tensors; only their L2 norms are printed."""
        norms = {name: float(np.linalg.norm(np.asarray(value, np.float64))) for name, value in weights.items()}
        self.emit(
            "done", train_seconds=self.train_seconds, eval_seconds=eval_seconds, eval_batch=self.args.eval_batch,
            test_correct=int(correct), test_total=len(self.test_labels), norms=norms,
        )

    @staticmethod
    def emit(event, **fields):
        print(json.dumps({"event": event, **fields}), flush=True)


now = time.perf_counter
