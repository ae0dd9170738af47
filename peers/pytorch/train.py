"""The job in PyTorch: eager (its defaults), best (channels_last, fused Adam, denormals flushed to zero), planes (best
without channels_last), or bf16 (best under autocast)."""

import contextlib
import platform
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

PEERS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PEERS), str(PEERS.parent / "tests" / "reference")]
import modules  # noqa: E402
from common import BETA1, BETA2, EPS, L2, Run, arguments, now  # noqa: E402


class Network(nn.Module):
    def __init__(self, channels_last):
        super().__init__()
        self.channels_last = channels_last
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.fc1 = nn.Linear(6272, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, pixels):
        x = F.max_pool2d(F.relu(self.conv1(pixels)), 2)
        # Flattened as it lies in memory, which copies nothing; `channels_last_columns` is the other half of it.
        x = (x.permute(0, 2, 3, 1) if self.channels_last else x).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


def channels_last_columns(weights):
    """The weights with the columns of fc1 in the order of a channels-last map."""
    columns = torch.from_numpy(weights["fc1.weight"]).reshape(128, 32, 14, 14).permute(0, 2, 3, 1).reshape(128, 6272)
    return {**weights, "fc1.weight": columns.numpy()}


def main():
    args = arguments(["eager", "best", "planes", "bf16"], eval_batch=64)
    tuned = args.variant != "eager"
    channels_last = args.variant in ("best", "bf16")
    if tuned:
        # Before PyTorch starts threads, because a thread inherits the setting of the one that starts it.
        if not torch.set_flush_denormal(True):
            sys.exit("this CPU cannot flush denormals")
    torch.set_num_threads(args.threads)
    run = Run(args)
    run.start({
        "torch": torch.__version__, "python": platform.python_version(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    })
    weights = run.weights
    if args.arch:
        model = modules.Network(args.arch, (1, 28, 28))
    else:
        model = Network(channels_last)
        weights = channels_last_columns(weights) if channels_last else weights
    # What is missing counts batches, and nothing depends on it.
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(value) for name, value in weights.items()}, strict=False
    )
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        sys.exit(f"other weights than the network's: {missing} {unexpected}")
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    # Matrices and kernels decay; biases and gains are vectors.
    groups = [
        {"params": [p for p in model.parameters() if (p.ndim > 1) == decays], "weight_decay": L2 if decays else 0.0}
        for decays in (True, False)
    ]
    optimizer = torch.optim.Adam(groups, betas=(BETA1, BETA2), eps=EPS, **({"fused": True} if tuned else {}))
    precision = contextlib.nullcontext
    if args.variant == "bf16":
        precision = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731

    def to_pixels(images):
        pixels = images.unsqueeze(1).float().div_(255)
        return pixels.contiguous(memory_format=torch.channels_last) if channels_last else pixels

    def step(images, labels):
        with precision():
            loss = F.cross_entropy(model(to_pixels(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    images, labels = torch.from_numpy(run.images), torch.from_numpy(run.labels).long()
    for epoch in range(args.epochs):
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate(epoch)
        order = torch.from_numpy(run.orders[epoch].astype("int64"))
        began = now()
        losses = [step(images[batch], labels[batch]) for batch in order.split(args.batch_size)]
        run.epoch(epoch, losses, now() - began)

    model.eval()
    images, labels = torch.from_numpy(run.test_images), torch.from_numpy(run.test_labels).long()
    with torch.inference_mode(), precision():
        model(to_pixels(images[: args.eval_batch]))
        began = now()
        correct = sum(
            int((model(to_pixels(x)).argmax(1) == y).sum())
            for x, y in zip(images.split(args.eval_batch), labels.split(args.eval_batch))
        )
        seconds = now() - began
    values = {name: value for name, value in model.state_dict().items() if name in run.weights}
    run.done({name: value.numpy() for name, value in values.items()}, correct, seconds)


if __name__ == "__main__":
    main()
