"""Numbers that any language can reproduce bit for bit: hashed counters, no random generator and no files.

Everything is arithmetic modulo 2^32 until the one division and the one multiplication that README.md spells out.
"""

import numpy as np

IMAGE_STREAM = 100
LABEL_STREAM = 101


def mix(x):
    """The integer hash of every stream, on an array of uint32, whose arithmetic wraps."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def words(stream, count):
    """The first `count` 32-bit words of a stream: word i is mix(i + 0x9E3779B9 * (stream + 1))."""
    offset = np.uint32(0x9E3779B9 * (stream + 1) % 2**32)
    return mix(np.arange(count, dtype=np.uint32) + offset)


def signed_units(stream, shape):
    """f32 values 2u - 1 in [-1, 1), where u is the upper 24 bits of a word over 2^24; all of it exact in f32."""
    u = (words(stream, int(np.prod(shape))) >> np.uint32(8)).astype(np.float32) / np.float32(2**24)
    return (np.float32(2) * u - np.float32(1)).reshape(shape)


def parameters(shapes, fan_ins):
    """Tensor t is stream t times its bound, 1 / sqrt(fan_in) computed in f64 and rounded to f32: one f32 product."""
    bounds = [np.float32(1 / np.sqrt(np.float64(fan_in))) for fan_in in fan_ins]
    return [signed_units(t, shape) * bound for t, (shape, bound) in enumerate(zip(shapes, bounds))]


def images(count):
    """u8 images [count, 28, 28], three pixels in four background."""
    x = words(IMAGE_STREAM, count * 784)
    ink = (x >> np.uint32(8)) & np.uint32(255)
    return np.where(x & np.uint32(3) == 0, ink, 0).astype(np.uint8).reshape(count, 28, 28)


def labels(count):
    """Labels 0..=9 [count]."""
    return (words(LABEL_STREAM, count) % np.uint32(10)).astype(np.uint8)
