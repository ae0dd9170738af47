#!/usr/bin/env python3
"""Writes MNIST once more, with the training images in another order: the last 5,000 or so are by people who wrote none
of those before them, as the test images are. In the order of MNIST, nearly all writers of the last 5,000 also wrote
images before them.

    MNIST_DATA=DIR profiles/writers.py LABELS FOLDER [FOLD]

LABELS is qmnist-train-labels-idx2-int.gz of QMNIST (https://github.com/facebookresearch/qmnist), in which Yadav and
Bottou (2019) found the writer of each training image. FOLD is 0, the default, to 9: each has other writers at the end. Then
`mnist-train --data FOLDER --validation N --no-eval`, with the N that this script prints, trains and validates.

Needs Python 3.9 or newer and nothing else.
"""

import gzip
import os
import pathlib
import random
import sys

# Least number of images at the end of each of the two series of writers: clerks, and pupils of a high school.
OF_A_SERIES = 2500


def read(name):
    folder = pathlib.Path(os.environ["MNIST_DATA"])
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()


def main(labels, target, fold=0):
    target = pathlib.Path(target)
    if target.exists():
        sys.exit(f"{target}: is there already: name a new folder")
    content = gzip.decompress(pathlib.Path(labels).read_bytes())
    images, digits = read("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte")
    count = len(digits) - 8
    # Big-endian 32-bit integers, eight for each image: class, series, writer, and five others.
    rows = [content[12 + 32 * n : 44 + 32 * n] for n in range(count)]
    if content[:12] != bytes([0, 0, 12, 2]) + count.to_bytes(4, "big") + bytes([0, 0, 0, 8]) or any(
        row[3] != digit for row, digit in zip(rows, digits[8:])
    ):
        sys.exit(f"{labels}: these are not QMNIST's labels of the training images in {os.environ['MNIST_DATA']}")
    by_writer = {}
    for n, row in enumerate(rows):
        by_writer.setdefault((row[4:8], row[8:12]), []).append(n)
    last = set()
    for series in {series for series, _ in by_writer}:
        writers = sorted(writer for writer in by_writer if writer[0] == series)
        random.Random(0).shuffle(writers)
        folds = [[]]
        for writer in writers:
            if len(folds[-1]) >= OF_A_SERIES:
                folds.append([])
            folds[-1] += by_writer[writer]
        last.update(folds[fold])
    order = [n for n in range(count) if n not in last] + sorted(last)
    target.mkdir(parents=True)
    pixels = (len(images) - 16) // count
    reordered = b"".join(images[16 + pixels * n : 16 + pixels * (n + 1)] for n in order)
    (target / "train-images-idx3-ubyte").write_bytes(images[:16] + reordered)
    (target / "train-labels-idx1-ubyte").write_bytes(digits[:8] + bytes(digits[8 + n] for n in order))
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]:
        (target / name).write_bytes(read(name))
    print(f"{target}: --validation {len(last)}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or "MNIST_DATA" not in os.environ:
        sys.exit(__doc__)
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
