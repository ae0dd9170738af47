"""The network and its training recipe in PyTorch, with tensor names and shapes as checkpoints hold them."""

import hashlib

import torch
from torch import nn
from torch.nn import functional as F

# Name -> (shape, fan-in of its layer), in canonical order.
TENSORS = {
    "conv1.weight": ((32, 1, 5, 5), 25),
    "conv1.bias": ((32,), 25),
    "fc1.weight": ((128, 6272), 6272),
    "fc1.bias": ((128,), 6272),
    "fc2.weight": ((10, 128), 128),
    "fc2.bias": ((10,), 128),
}

BATCH = 64
LEARNING_RATE = 1e-3
L2 = 1e-4


class Network(nn.Module):
    """conv 5x5 pad 2 -> relu -> maxpool 2x2 -> flatten (channel-major) -> linear -> relu -> linear."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.fc1 = nn.Linear(6272, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, pixels):
        """Logits [N, 10] of pixels [N, 1, 28, 28]."""
        features = F.max_pool2d(F.relu(self.conv1(pixels)), 2).flatten(1)
        return self.fc2(F.relu(self.fc1(features)))


def adam(network):
    """Adam with coupled L2 on the weights alone: `weight_decay` adds L2 * weight to the batch-averaged gradient."""
    named = list(network.named_parameters())
    weights = [p for name, p in named if name.endswith(".weight")]
    biases = [p for name, p in named if name.endswith(".bias")]
    groups = [{"params": weights, "weight_decay": L2}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.Adam(groups, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)


def to_pixels(images, dtype=torch.float32):
    """u8 images [N, 28, 28] as pixels / 255 [N, 1, 28, 28]."""
    return images.unsqueeze(1).to(dtype) / 255


@torch.no_grad()
def evaluate(network, images, labels, batch=500):
    """(correct predictions, mean cross-entropy) of a whole dataset."""
    correct, loss = 0, 0.0
    for x, y in zip(images.split(batch), labels.split(batch)):
        logits = network(to_pixels(x))
        correct += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return correct, loss / len(labels)


def weights_sha256(state):
    """SHA-256 over the little-endian f32 bytes of the tensors in `state`, which are in canonical order."""
    digest = hashlib.sha256()
    for tensor in state.values():
        digest.update(tensor.numpy().astype("<f4").tobytes())
    return digest.hexdigest()
