"""MNIST as distributed: IDX files of unsigned bytes, gzipped or not."""

import gzip
import struct
from pathlib import Path

import numpy as np


def read_idx(path):
    """The array of one IDX file of u8 with any number of dimensions; `path`.gz is read where `path` is absent."""
    path = Path(path)
    content = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    zeros, kind, rank = struct.unpack_from(">HBB", content)
    if (zeros, kind) != (0, 8):
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(directory, split):
    """Images u8 [N, 28, 28] and labels i64 [N] of a split, "train" or "t10k", as tensors of PyTorch."""
    import torch  # Not above, because read_idx is for programs without PyTorch too.

    images = read_idx(Path(directory) / f"{split}-images-idx3-ubyte")
    labels = read_idx(Path(directory) / f"{split}-labels-idx1-ubyte")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))
