"""The job in JAX: one jit-compiled step with donated state, NHWC. A scan over the epoch is many times slower, because
XLA's convolution on the CPU is not the fast one inside a loop."""

import os
import platform
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from common import BETA1, BETA2, EPS, L2, Run, arguments, now  # noqa: E402


def main():
    args = arguments(["jit"], eval_batch=500)
    # XLA takes as many threads as the process may use, so this comes before it is loaded.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    from jax import numpy as jnp
    from jax import lax

    run = Run(args)
    run.start({"jax": jax.__version__, "python": platform.python_version()})

    def logits_of(w, images):
        x = images.astype(jnp.float32)[..., None] / 255
        x = lax.conv_general_dilated(x, w["conv1.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + w["conv1.bias"])
        # Equal maxima of a window share its gradient here, and elsewhere the first takes it. Exactly equal ones
        # see equal pixels, so the sum is the same.
        x = x.reshape(-1, 14, 2, 14, 2, 32).max((2, 4)).reshape(-1, 6272)
        x = jax.nn.relu(x @ w["fc1.weight"] + w["fc1.bias"])
        return x @ w["fc2.weight"] + w["fc2.bias"]

    def loss_of(w, images, labels):
        scores = jax.nn.log_softmax(logits_of(w, images))
        return -jnp.take_along_axis(scores, labels[:, None], 1).mean()

    def step(state, images, labels, batch, lr):
        w, m, v, t = state
        loss, grad = jax.value_and_grad(loss_of)(w, images[batch], labels[batch])
        t = t + 1
        step_size, root = lr / (1 - BETA1**t), jnp.sqrt(1 - BETA2**t)
        new_w, new_m, new_v = {}, {}, {}
        for name in w:
            g = grad[name] + L2 * w[name] if name.endswith(".weight") else grad[name]
            new_m[name] = m[name] + (1 - BETA1) * (g - m[name])
            new_v[name] = BETA2 * v[name] + (1 - BETA2) * g * g
            new_w[name] = w[name] - step_size * new_m[name] / (jnp.sqrt(new_v[name]) / root + EPS)
        return (new_w, new_m, new_v, t), loss

    def correct_of(w, images, labels):
        return (logits_of(w, images).argmax(1) == labels).sum()

    # Layouts that suit the products: channels last, and matrices as x @ w takes them.
    def load(name, value):
        if name == "conv1.weight":
            return value.transpose(2, 3, 1, 0)
        if name == "fc1.weight":
            return value.reshape(128, 32, 14, 14).transpose(2, 3, 1, 0).reshape(6272, 128)
        return value.T if name == "fc2.weight" else value

    w = {name: jnp.asarray(load(name, value)) for name, value in run.weights.items()}
    zeros = lambda: {name: jnp.zeros_like(value) for name, value in w.items()}  # noqa: E731
    state = (w, zeros(), zeros(), jnp.float32(0))
    images, labels = jnp.asarray(run.images), jnp.asarray(run.labels.astype(np.int32))
    orders = run.orders.astype(np.int32)
    def batches_of(order):
        return [jnp.asarray(order[first : first + args.batch_size]) for first in range(0, len(order), args.batch_size)]

    # One program for full batches, another for the short last one, both compiled before the clock starts.
    jitted = jax.jit(step, donate_argnums=0)
    compiled = {
        len(batch): jitted.lower(state, images, labels, batch, jnp.float32(0)).compile()
        for batch in batches_of(orders[0])[:: max(1, len(labels) // args.batch_size)]
    }
    for epoch in range(args.epochs):
        lr, losses = jnp.float32(run.learning_rate(epoch)), []
        began = now()
        for batch in batches_of(orders[epoch]):
            state, loss = compiled[len(batch)](state, images, labels, batch, lr)
            losses.append(loss)
        losses = [float(loss) for loss in jax.block_until_ready(losses)]
        run.epoch(epoch, losses, now() - began)

    w = state[0]
    count = len(run.test_labels)
    batches = [slice(first, min(first + args.eval_batch, count)) for first in range(0, count, args.eval_batch)]
    images, labels = run.test_images, run.test_labels.astype(np.int32)
    evaluate = jax.jit(correct_of)
    for batch in (batches[0], batches[-1]):
        evaluate(w, images[batch], labels[batch]).block_until_ready()
    began = now()
    correct = sum(int(evaluate(w, images[batch], labels[batch])) for batch in batches)
    run.done({name: np.asarray(value) for name, value in w.items()}, correct, now() - began)


if __name__ == "__main__":
    main()
