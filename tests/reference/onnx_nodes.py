"""Writes onnx_nodes.json: those node tests of the ONNX project that this program can compute.

    python onnx_nodes.py [--output onnx_nodes.json]

The package onnx makes its tests in memory: a node, which is an operator with attributes, its inputs, and the outputs to
be expected. A test of one of OPERATORS either becomes a case of a layer, a primitive, the loss or an optimizer, or gets
a reason why it does not apply. README.md says what is converted on the way.
"""

import argparse
import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

from render import render

LAYER_NORM_EPSILON = 1e-6
BATCH_NORM_EPSILON = 1e-5
# A larger case would fill the file, and would show nothing that a smaller one does not.
MOST_NUMBERS = 20_000
# Number of a step after which Adam's corrections of its moments have no effect any more.
LATE_STEP = 1_000_001

EXPANDED = "the operator written out in other operators; the test itself stands under its own name"
FORMAT = "another number format than f32"
AXES = "three axes of positions"
DILATION = "windows with gaps (dilations)"
ONE_END = "padding at one end of an axis alone, or windows beyond the end (auto_pad, ceil_mode)"
COUNTS_PADDING = "an average that counts the padding (count_include_pad)"
PAST = "keys and values of earlier tokens"
MASK = "scores with a mask"
SOFTCAP = "scores with a bound (softcap)"
RANDOM = "drops at random, by ONNX's own generator"
TANH = "gelu by tanh"
FOUR_AXES = "an image with four axes"
PEEPHOLES = "gates that see the cell (peepholes)"
BOTH = "two directions in one layer"
NO_SOFTMAX = "negative logarithm of a probability without the softmax"
WEIGHTS = "classes with weights"
IGNORED = "labels to be ignored"
LARGE = "applies, but has too many numbers for the file"


class DoesNotApply(Exception):
    """Reason why this program cannot compute a test."""


def refuse(condition, reason):
    """Gives the reason if the condition holds."""
    if condition:
        raise DoesNotApply(reason)


class Node:
    """Node of a test, with its attributes, and its inputs and outputs by their names in the operator's definition."""

    def __init__(self, test):
        (node,) = test.model.graph.node
        self.operator = node.op_type
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        ((inputs, outputs),) = test.data_sets
        self.inputs = place(node.input, inputs)
        self.outputs = place(node.output, outputs)

    def get(self, attribute, default=None):
        """Value of an attribute, or what the definition says without it."""
        value = self.attributes.get(attribute, default)
        return value.decode() if isinstance(value, bytes) else value

    def factor(self, attribute, default):
        """Value of an attribute of format f32, as it was written."""
        return float(str(np.float32(self.get(attribute, default))))

    def input(self, index, default=None):
        """Input of an index, or the default where there is none."""
        found = self.inputs[index] if index < len(self.inputs) else None
        return default if found is None else found

    def axis(self, default):
        """Attribute `axis`, counted from the front."""
        axis = self.get("axis", default)
        return axis + self.inputs[0].ndim if axis < 0 else axis

    def all_but(self, *compared):
        """Names of the outputs that are not compared, because this program does not have them."""
        names = OUTPUTS.get(self.operator, ("Y",))
        return [name for name, value in zip(names, self.outputs) if value is not None and name not in compared]


# Names of the outputs in the definitions of the operators that have several.
OUTPUTS = {
    "Attention": ("Y", "present_key", "present_value", "qk_matmul_output"),
    "BatchNormalization": ("Y", "running_mean", "running_var"),
    "Dropout": ("output", "mask"),
    "LayerNormalization": ("Y", "Mean", "InvStdDev"),
    "LSTM": ("Y", "Y_h", "Y_c"),
}


def place(names, values):
    """Values at the places of their names; a name that is empty has no value."""
    values = iter(values)
    return [next(values) if name else None for name in names]


def numbers(values):
    """Numbers of an array in one list, each with as many digits as f32 needs. NaN, not to be compared, becomes null."""
    values = np.asarray(values).astype(np.float32).flatten()
    return [None if np.isnan(value) else float(str(value)) for value in values]


def layer(text, x, y, parameters=(), training=False, not_compared=()):
    """Case of the layer `text` on the images `x`. Of `y`, NaN is not compared."""
    flat = np.concatenate([np.ravel(p) for p in parameters]) if parameters else np.zeros(0)
    indices = np.flatnonzero(flat)
    sparse = {"length": flat.size, "indices": indices.tolist(), "values": numbers(flat[indices])}
    return {
        "by": "layer",
        "layer": text,
        "input": list(x.shape[1:]),
        "training": training,
        "x": numbers(x),
        "parameters": sparse if 4 * indices.size < flat.size else numbers(flat),
        "y": numbers(y),
        "not_compared": list(not_compared),
    }


def elementwise(text):
    """Maker of the case of a layer that works element by element."""

    def case(node):
        refuse(node.get("approximate", "none") != "none", TANH)
        x, y = node.inputs[0], node.outputs[0]
        images = x if x.ndim > 1 else x[None]
        return layer(text, images, y)

    return case


def softmax(node):
    """The axis goes to the end."""
    x, y = (np.moveaxis(value, node.axis(-1), -1) for value in (node.inputs[0], node.outputs[0]))
    return layer("softmax", x, y)


def dropout(node):
    """Dropout that drops nothing."""
    ratio = float(str(node.input(1, np.float32(node.get("ratio", 0.5)))))
    training = bool(node.input(2, False))
    refuse(training and ratio > 0, RANDOM)
    case = elementwise(f"dropout{ratio:g}")(node)
    return case | {"training": training, "not_compared": node.all_but("output")}


def flatten(node):
    """The axes before `axis` count images."""
    x, axis = node.inputs[0], node.axis(1)
    refuse(x.ndim - axis > 3, FOUR_AXES)
    return layer("flatten", x.reshape(-1, *x.shape[axis:]), node.outputs[0])


def batch_norm(node):
    """Another ε is the layer's ε for images of another scale."""
    x, weight, bias, mean, variance = node.inputs
    scale = math.sqrt(BATCH_NORM_EPSILON / node.factor("epsilon", 1e-5))
    parameters = [weight, bias, mean * scale, variance * scale**2]
    training = bool(node.get("training_mode", 0))
    return layer("batchnorm", x * scale, node.outputs[0], parameters, training, node.all_but("Y"))


def layer_norm(node):
    """The normalized axes become one, and those between it and the images become tokens. As for ε, see batch_norm."""
    x, weight, bias = node.inputs
    axis = node.axis(-1)
    features = math.prod(x.shape[axis:])
    tokens = [math.prod(x.shape[1:axis])] if axis > 1 else []
    images = x.reshape(-1, *tokens, features)
    scale = math.sqrt(LAYER_NORM_EPSILON / node.factor("epsilon", 1e-5))
    return layer("layernorm", images * scale, node.outputs[0], [weight, bias], not_compared=node.all_but("Y"))


def windows(node, kernel):
    """Window along each axis, as [kernel, stride, padding], rows before columns."""
    x, y = node.inputs[0], node.outputs[0]
    axes = len(kernel)
    refuse(axes > 2, AXES)
    refuse(any(step != 1 for step in node.get("dilations", [1])), DILATION)
    strides = node.get("strides", [1] * axes)
    pads = node.get("pads", [0] * 2 * axes)
    if node.get("auto_pad", "NOTSET").startswith("SAME"):
        sizes = zip(x.shape[2:], y.shape[2:], kernel, strides)
        missing = [max((out - 1) * s + k - length, 0) for length, out, k, s in sizes]
        refuse(any(count % 2 for count in missing), ONE_END)
        pads = [count // 2 for count in missing] * 2
    refuse(pads[:axes] != pads[axes:], ONE_END)
    outputs = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(x.shape[2:], kernel, strides, pads)]
    refuse(outputs != list(y.shape[2:]), ONE_END)
    return [list(window) for window in zip(kernel, strides, pads)]


def by_window(primitive, node, axes, parameters=(), places=()):
    """Case of a primitive with windows, for what has no text in the network language."""
    return {
        "by": "window",
        "primitive": primitive,
        "input": list(node.inputs[0].shape[1:]),
        "rows": axes[0],
        "columns": axes[1],
        "x": numbers(node.inputs[0]),
        "parameters": numbers(np.concatenate([np.ravel(p) for p in parameters])) if parameters else [],
        "y": numbers(node.outputs[0]),
        "places": list(places),
    }


def convolution(node):
    """Convolution; without a bias, the bias is 0."""
    x, weight = node.inputs[:2]
    axes = windows(node, weight.shape[2:])
    parameters = [weight, node.input(2, np.zeros(len(weight)))]
    if any(axis != axes[0] for axis in axes):
        return by_window("convolve", node, axes, parameters)
    k, s, p = axes[0]
    return layer(f"conv{len(weight)}k{k}s{s}p{p}", x, node.outputs[0], parameters)


def pooling(word, primitive):
    """Maker of the case of max or of average pooling."""

    def case(node):
        axes = windows(node, node.get("kernel_shape"))
        padded = any(padding for _, _, padding in axes)
        refuse(word == "avgpool" and padded and node.get("count_include_pad", 0), COUNTS_PADDING)
        k, s, p = axes[0]
        has_text = all(axis == axes[0] for axis in axes) and p <= k // 2
        if len(node.outputs) > 1:
            return by_window(primitive, node, axes, places=argmax(node, axes))
        if not has_text:
            return by_window(primitive, node, axes)
        return layer(f"{word}{k}s{s}p{p}", node.inputs[0], node.outputs[0])

    return case


def argmax(node, axes):
    """Places of the maxima in their windows, from their places in the image, which ONNX gives."""
    _, _, height, width = node.inputs[0].shape
    (_, row_stride, row_padding), (kernel, column_stride, column_padding) = axes
    for (*_, i, j), place_in_image in np.ndenumerate(node.outputs[1]):
        if node.get("storage_order", 0):
            column, row = divmod(int(place_in_image), height)
        else:
            row, column = divmod(int(place_in_image), width)
        m, k = row - i * row_stride + row_padding, column - j * column_stride + column_padding
        yield m * kernel + k


def product(a, b, c, y, transposed=(False, False)):
    """Case of y = c + a·b for several matrices, (count, rows, columns) each."""
    count, rows, columns = y.shape
    return {
        "by": "product",
        "count": count,
        "rows": rows,
        "inner": a.shape[1] if transposed[0] else a.shape[2],
        "columns": columns,
        "transposed": list(transposed),
        "a": numbers(a),
        "b": numbers(b),
        "c": numbers(c),
        "y": numbers(y),
    }


def gemm(node):
    """A linear layer, if its bias is a row and its input is not transposed. The factors go into weight and bias."""
    a, b = node.inputs[:2]
    y = node.outputs[0]
    b = b * node.factor("alpha", 1.0)
    c = node.input(2, np.zeros(1)) * node.factor("beta", 1.0)
    if node.get("transA", 0) or c.shape == y.shape:
        transposed = [bool(node.get(name, 0)) for name in ("transA", "transB")]
        return product(a[None], b[None], np.broadcast_to(c, y.shape), y[None], transposed)
    weight = b if node.get("transB", 0) else b.T
    return layer(f"fc{len(weight)}", a, y, [weight, np.broadcast_to(c.ravel(), len(weight))])


def matmul(node):
    """The axes before the last two count products, and a vector is a matrix."""
    a, b = node.inputs
    y = node.outputs[0]
    a = a[None] if a.ndim == 1 else a
    b = b[:, None] if b.ndim == 1 else b
    count = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(m, count + m.shape[-2:]).reshape(-1, *m.shape[-2:]) for m in (a, b))
    y = y.reshape(len(a), a.shape[1], b.shape[2])
    return product(a, b, np.zeros(y.shape), y)


def lstm(node):
    """The gates have another order. A pass over the reversed tokens is a pass in reverse."""
    x, weight_ih, weight_hh = node.inputs[:3]
    refuse(node.input(7) is not None, PEEPHOLES)
    refuse(node.get("direction", "forward") == "bidirectional", BOTH)
    units = node.get("hidden_size")
    bias_ih, bias_hh = np.split(node.input(3, np.zeros((1, 8 * units)))[0], 2)
    to_ifgo = lambda tensor: np.concatenate([np.split(tensor, 4)[gate] for gate in (0, 2, 3, 1)])
    parameters = [to_ifgo(tensor) for tensor in (weight_ih[0], weight_hh[0], bias_ih, bias_hh)]
    batch_first = bool(node.get("layout", 0))
    x = x if batch_first else x.swapaxes(0, 1)
    if node.get("direction", "forward") == "reverse":
        x = x[:, ::-1]
    of_all, of_last = node.outputs[:2]
    y = np.full((*x.shape[:2], units), np.nan)
    y[:, -1] = of_last.reshape(-1, units)
    if of_all is not None:
        y = (of_all if batch_first else of_all.transpose(2, 0, 1, 3)).reshape(y.shape)
    return layer(f"lstm{units}", x, y, parameters, not_compared=node.all_but("Y", "Y_h"))


def attention(node):
    """Self-attention of tokens that contain queries, keys and values, which the input projection takes out of them.

    The layer has more heads than ONNX's, so that the features of the token have room, and the queries may be fewer than
    the keys. What comes out for other heads and queries is not compared.
    """
    refuse(node.input(4) is not None, PAST)
    refuse(node.input(3) is not None or node.input(6) is not None, MASK)
    refuse(node.get("is_causal", 0) or any("window" in name for name in node.attributes), MASK)
    refuse(node.get("softcap", 0), SOFTCAP)
    q, k, v = node.inputs[:3]
    y = node.outputs[0]
    if q.ndim == 3:
        heads, shared = node.get("q_num_heads"), node.get("kv_num_heads")
        q, k, v, y = (
            values.reshape(*values.shape[:2], count, -1).swapaxes(1, 2)
            for values, count in ((q, heads), (k, shared), (v, shared), (y, heads))
        )
    images, heads, queries, size = q.shape
    _, shared, tokens, value_size = v.shape
    q, k, v, y = (values.swapaxes(1, 2).reshape(images, values.shape[2], -1) for values in (q, k, v, y))
    first_key, first_value = q.shape[2], q.shape[2] + k.shape[2]
    head = max(size, value_size)
    all_heads = max(heads, math.ceil((first_value + v.shape[2]) / head))
    features = all_heads * head
    x = np.zeros((images, tokens, features))
    x[:, :queries, :first_key] = q
    x[:, :, first_key:first_value] = k
    x[:, :, first_value : first_value + v.shape[2]] = v
    # The layer divides the scores by the root of its heads' size.
    scale = node.factor("scale", 0) or 1 / math.sqrt(size)
    projections, out = np.zeros((3, features, features)), np.zeros((features, features))
    for i in range(heads):
        of_kv = i * shared // heads
        for j in range(size):
            projections[0, i * head + j, i * size + j] = scale * math.sqrt(head)
            projections[1, i * head + j, first_key + of_kv * size + j] = 1
        for j in range(value_size):
            projections[2, i * head + j, first_value + of_kv * value_size + j] = 1
            out[i * value_size + j, i * head + j] = 1
    expected = np.full(x.shape, np.nan)
    expected[:, :queries, : y.shape[2]] = y
    parameters = [projections, np.zeros(3 * features), out, np.zeros(features)]
    return layer(f"attn{all_heads}", x, expected, parameters, not_compared=node.all_but("Y"))


def cross_entropy(node):
    """The axis of the classes goes to the end, and the axes before it count images."""
    refuse(node.input(2) is not None, WEIGHTS)
    refuse("ignore_index" in node.attributes, IGNORED)
    rows = lambda values: np.moveaxis(values, 1, -1)
    return {
        "by": "loss",
        "classes": node.inputs[0].shape[1],
        "reduction": node.get("reduction", "mean"),
        "logits": numbers(rows(node.inputs[0])),
        "labels": node.inputs[1].flatten().tolist(),
        "loss": numbers(node.outputs[0]),
        "log_probabilities": [numbers(rows(values)) for values in node.outputs[1:]],
    }


def negative_log_likelihood(_):
    """This program has the loss together with the softmax."""
    raise DoesNotApply(NO_SOFTMAX)


def optimizer(node, recipe, step, slots):
    """Case of one step. After the rate and the count of steps, the inputs are all weights, all gradients, all slots."""
    rate, (kinds, after) = node.inputs[0], (2 + slots, 1 + slots)
    count = (len(node.inputs) - 2) // kinds
    of = lambda values, kind, i: numbers(values[kind * count + i])
    before = node.inputs[2:]
    tensors = [
        {
            "w": of(before, 0, i),
            "g": of(before, 1, i),
            "slots": [of(before, 2 + slot, i) for slot in range(slots)],
            "w_after": of(node.outputs, 0, i),
            "slots_after": [of(node.outputs, slot, i) for slot in range(1, after)],
        }
        for i in range(count)
    ]
    recipe = recipe | {"l2": node.factor("norm_coefficient", 0)}
    return {"by": "optimizer", "recipe": recipe, "lr": float(str(rate)), "step": step, "tensors": tensors}


def adam(node):
    """Step 0 of ONNX has no correction of the moments, like a late step of this program."""
    assert node.inputs[1] == 0 and not node.get("norm_coefficient_post", 0)
    betas = {"beta1": node.factor("alpha", 0.9), "beta2": node.factor("beta", 0.999)}
    return optimizer(node, {"optimizer": "adam", **betas, "eps": node.factor("epsilon", 0)}, LATE_STEP, 2)


def momentum(node):
    """Step 0 of ONNX takes the whole gradient, like every step of this program."""
    assert node.inputs[1] == 0
    settings = {"momentum": node.factor("alpha", 0), "nesterov": node.get("mode") == "nesterov"}
    return optimizer(node, {"optimizer": "sgd", **settings}, 1, 1)


# Operator -> its maker, which gives the case, or raises the reason why there is none.
OPERATORS = {
    "Adam": adam,
    "Attention": attention,
    "AveragePool": pooling("avgpool", "average_pool"),
    "BatchNormalization": batch_norm,
    "Conv": convolution,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gelu": elementwise("gelu"),
    "Gemm": gemm,
    "GlobalAveragePool": elementwise("globalavgpool"),
    "GlobalMaxPool": elementwise("globalmaxpool"),
    "LSTM": lstm,
    "LayerNormalization": layer_norm,
    "MatMul": matmul,
    "MaxPool": pooling("maxpool", "max_pool"),
    "Momentum": momentum,
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "Relu": elementwise("relu"),
    "Sigmoid": elementwise("sigmoid"),
    "Softmax": softmax,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "Tanh": elementwise("tanh"),
}


def case(test):
    """Case of a test of one node."""
    node = Node(test)
    formats = {value.dtype for value in node.inputs if value is not None and value.dtype.kind not in "bi"}
    refuse(formats != {np.dtype(np.float32)}, FORMAT)
    found = OPERATORS[node.operator](node)
    refuse(sum(len(values) for values in found.values() if isinstance(values, list)) > MOST_NUMBERS, LARGE)
    return found


def main():
    """Sorts the tests into those that apply and those that do not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("onnx_nodes.json"))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    tests = {test.name: test for test in collect_testcases(None)}
    is_single = lambda test: len(test.model.graph.node) == 1
    operators = {name: test.model.graph.node[0].op_type for name, test in tests.items() if is_single(test)}
    operators = {name: operator for name, operator in operators.items() if operator in OPERATORS}
    selected, applying, not_applying = dict.fromkeys(OPERATORS, 0), {}, {}
    for name, test in sorted(tests.items()):
        operator = operators.get(re.sub(r"_expanded(_ver\d+)?$", "", name))
        if operator is None:
            continue
        selected[operator] += 1
        try:
            refuse(name not in operators, EXPANDED)
            applying[name] = case(test)
        except DoesNotApply as reason:
            not_applying[name] = str(reason)
    goldens = {"onnx": onnx.__version__, "tests": len(tests), "selected": selected}
    goldens |= {"applying": applying, "not_applying": not_applying}
    arguments.output.write_text(render(goldens) + "\n")


if __name__ == "__main__":
    main()
