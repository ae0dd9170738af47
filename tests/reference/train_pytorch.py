"""The recipe of mnist-train in PyTorch, to compare accuracies.

    python train_pytorch.py DATA_DIR [--seed 1] [--epochs 10]

Starts from PyTorch's default initialisation. Loss and accuracy of an epoch are running means over the predictions
made before each update, as mnist-train reports them.
"""

import argparse
import time

import torch
from torch.nn import functional as F

import idx
import network
from network import BATCH


def train_epoch(model, optimizer, images, labels):
    """One pass over the shuffled data; (mean loss, fraction correct)."""
    loss_sum, correct = 0.0, 0
    for batch in torch.randperm(len(labels)).split(BATCH):
        target = labels[batch]
        logits = model(network.to_pixels(images[batch]))
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(batch)
        correct += int((logits.argmax(1) == target).sum())
    return loss_sum / len(labels), correct / len(labels)


def main():
    """Trains, printing a line an epoch, then counts the test images it gets right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    model = network.Network()
    optimizer = network.adam(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=1e-5)
    images, labels = idx.load(arguments.data_dir, "train")
    for epoch in range(arguments.epochs):
        rate, began = schedule.get_last_lr()[0], time.perf_counter()
        loss, accuracy = train_epoch(model, optimizer, images, labels)
        schedule.step()
        seconds = time.perf_counter() - began
        print(f"epoch {epoch}: loss={loss:.4f} accuracy={accuracy:.2%} lr={rate:.4e} {seconds:.1f} s", flush=True)
    images, labels = idx.load(arguments.data_dir, "t10k")
    correct, loss = network.evaluate(model, images, labels)
    print(f"test: {correct} of {len(labels)} correct, loss={loss:.4f}")


if __name__ == "__main__":
    main()
