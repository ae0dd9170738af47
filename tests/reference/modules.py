"""PyTorch modules of the layers of the network language, and of whole networks.

A network is a module whose parameters and buffers have the names, shapes and layouts of a checkpoint's tensors.
"""

import re

import torch
from torch import nn


class Position(nn.Module):
    """Learned embedding of each token's position, added to the token."""

    def __init__(self, tokens, features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tokens, features))

    def forward(self, x):
        """Tokens with their embedding."""
        return x + self.weight


class SelfAttention(nn.MultiheadAttention):
    """Attention whose queries, keys and values are all made of x."""

    def forward(self, x):
        """Output for the tokens x."""
        return super().forward(x, x, x, need_weights=False)[0]


class Lstm(nn.LSTM):
    """LSTM that gives its outputs for all tokens, without the state after the last one."""

    def forward(self, x):
        """Outputs for the tokens x."""
        return super().forward(x)[0]


class Function(nn.Module):
    """Layer without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        """Output of the function for x."""
        return self.function(x)


def convolution(kind, shape, count, letters):
    """Convolution of images or of signals."""
    padding, stride = letters.get("p", 0), letters.get("s", 1)
    return kind(shape[0], count, letters["k"], stride=stride, padding=padding)


def pooling(kinds, shape, count, letters, **options):
    """Pooling of images or of signals, by the second or the first of `kinds`."""
    kind = kinds[len(shape) - 2]
    return kind(count, stride=letters.get("s", count), padding=letters.get("p", 0), **options)


def patches(side):
    """Patches of `side` rows and columns as tokens."""
    unfold = nn.Unfold(side, stride=side)
    return Function(lambda x: unfold(x).transpose(1, 2))


# Word of a layer -> its module for an input of a shape, the number after the word, and the letters with numbers.
MODULES = {
    "conv": lambda shape, count, letters: convolution(nn.Conv2d, shape, int(count), letters),
    "conv1d": lambda shape, count, letters: convolution(nn.Conv1d, shape, int(count), letters),
    "maxpool": lambda shape, count, letters: pooling((nn.MaxPool1d, nn.MaxPool2d), shape, int(count), letters),
    "avgpool": lambda shape, count, letters: pooling(
        (nn.AvgPool1d, nn.AvgPool2d), shape, int(count), letters, count_include_pad=False
    ),
    "globalavgpool": lambda shape, *_: Function(lambda x: x.flatten(2).mean(2)),
    "globalmaxpool": lambda shape, *_: Function(lambda x: x.flatten(2).amax(2)),
    "relu": lambda *_: nn.ReLU(),
    "sigmoid": lambda *_: nn.Sigmoid(),
    "tanh": lambda *_: nn.Tanh(),
    "gelu": lambda *_: nn.GELU(),
    "softmax": lambda *_: nn.Softmax(-1),
    "dropout": lambda shape, rate, _: nn.Dropout(float(rate)),
    "flatten": lambda *_: nn.Flatten(),
    "fc": lambda shape, count, _: nn.Linear(shape[-1], int(count)),
    "batchnorm": lambda shape, *_: (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0]),
    "layernorm": lambda shape, *_: nn.LayerNorm(shape[-1], eps=1e-6),
    "rows": lambda *_: Function(lambda x: x.flatten(1, 2)),
    "channels": lambda *_: Function(lambda x: x.flatten(1, 2)),
    "patches": lambda shape, side, _: patches(int(side)),
    "pos": lambda shape, *_: Position(*shape),
    "attn": lambda shape, heads, _: SelfAttention(shape[-1], int(heads), batch_first=True),
    "lstm": lambda shape, units, _: Lstm(shape[-1], int(units), batch_first=True),
    "last": lambda *_: Function(lambda x: x[:, -1]),
    "mean": lambda *_: Function(lambda x: x.mean(1)),
}


def layer(text, shape):
    """Word of the layer `text`, and its module for an input of this shape."""
    word = max((word for word in MODULES if text.startswith(word)), key=len)
    number, letters = re.fullmatch(r"([0-9.]*)((?:[a-z][0-9]+)*)", text[len(word) :]).groups()
    letters = {letter: int(value) for letter, value in re.findall(r"([a-z])([0-9]+)", letters)}
    return word, MODULES[word](shape, number, letters)


class Network(nn.Module):
    """Network that `text` describes, for images of the shape `shape`."""

    def __init__(self, text, shape):
        super().__init__()
        self.steps = []
        """Names of the modules in their order, and `(` and `)` around residual blocks."""
        counts = {}
        for token in re.findall(r"res\(|\)|[^,()]+", text.replace(" ", "")):
            if token in ("res(", ")"):
                self.steps.append(token[-1])
                continue
            word, module = layer(token, shape)
            has_tensors = any(True for _ in module.parameters())
            if has_tensors:
                counts[word] = counts.get(word, 0) + 1
            name = f"{word}{counts[word]}" if has_tensors else f"step{len(self.steps)}"
            self.add_module(name, module)
            self.steps.append(name)
            with torch.no_grad():
                shape = tuple(module.eval()(torch.zeros(2, *shape)).shape[1:])
            module.train()

    def forward(self, x):
        """Logits (N, classes) of the images x."""
        inputs = []
        for step in self.steps:
            if step == "(":
                inputs.append(x)
            elif step == ")":
                x = x + inputs.pop()
            else:
                x = self.get_submodule(step)(x)
        return x
