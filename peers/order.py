"""The order in which mnist-train shows the images of an epoch, as src/random.rs and src/data/batches.rs draw it."""

import array
import hashlib
import struct
import sys

MASK = (1 << 64) - 1


def stream(seed, purpose, index):
    """Xoshiro256++ words from the state SHA-256(seed, index, purpose)."""
    key = struct.pack("<QQ", seed, index) + purpose.encode()
    a, b, c, d = struct.unpack("<4Q", hashlib.sha256(key).digest())
    while True:
        total = (a + d) & MASK
        yield (((total << 23 | total >> 41) & MASK) + a) & MASK
        shifted = (b << 17) & MASK
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = (d << 45 | d >> 19) & MASK


def below(words, bound):
    """Uniform in 0..bound (Lemire 2019, section 4)."""
    threshold = ((1 << 32) - bound) % bound
    while True:
        product = (next(words) & 0xFFFFFFFF) * bound
        if product & 0xFFFFFFFF >= threshold:
            return product >> 32


def epoch_order(count, seed, epoch):
    order = array.array("I", range(count))
    words = stream(seed, "epoch order", epoch)
    for last in range(count - 1, 0, -1):
        other = below(words, last + 1)
        order[last], order[other] = order[other], order[last]
    return order


def write(path, count, seed, epochs):
    """Little-endian u32, one epoch after the other."""
    with open(path, "wb") as file:
        for epoch in range(epochs):
            order = epoch_order(count, seed, epoch)
            if sys.byteorder == "big":
                order.byteswap()
            file.write(order.tobytes())
