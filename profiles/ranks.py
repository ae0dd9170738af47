"""Training by several ranks: what it costs here, a model of what it costs, and what the model says of clusters."""

import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from markdown import table
from program import PROGRAM, ROOT, TARGET

RECORD = ROOT / "profiles" / "ranks"
EXCHANGE = "exchange.jsonl"
ROUNDS = 3
# Jobs, their flags, and how many training images keep them busy for about a second. Each way to share has the default
# network; a network with few weights for its work is shared by images too.
JOBS = {
    "rows of cells": (["--max-samples", "25600"], "live, the default network"),
    "images": (["--stage", "tiled", "--max-samples", "6400"], "tiled, the default network"),
    "images, lenet5": (["--arch", "lenet5", "--max-samples", "12800"], "tiled, lenet5"),
}
RANKS = [2, 4]
BATCH = 64
# Time that each exchange is made to wait, to check the model.
DELAYS = [100, 300, 1000]
# Most ranks of each way: parts of the tree of rows, and parts of a batch with --accumulate 64.
MOST = {"rows of cells": 8, "images": 64, "images, lenet5": 64}
ROWS = 14
# Latency in seconds and bytes a second, one way. Latencies are those of the adapters alone where their maker gives no
# other, so they are the best case; bytes a second are the rates of the lines.
NETWORKS = {
    "10 GbE, TCP": (20e-6, 1.25e9),
    "100 GbE, RoCE": (0.8e-6, 12.5e9),
    "InfiniBand HDR": (0.6e-6, 25e9),
}
SOURCES = (
    "Latencies: 20 µs between applications over 10 GbE and TCP "
    "([Hurwitz and Feng 2003](http://www.hoti.org/archive/Hoti11_program/abstracts/24.html)), below 0.8 µs for an adapter of "
    "100 GbE ([ConnectX-6 EN product brief](https://studylib.net/doc/25573930/pb-connectx-6-en-card)), below 0.6 µs for one of "
    "InfiniBand HDR ([ConnectX-6 manual](https://docs.nvidia.com/networking/display/ConnectX6EN/Introduction)); the bytes a "
    "second are the rates of the lines, 10, 100 and 200 Gb/s."
)


def launched(count, command, **variables):
    """`command` by `count` processes of this machine."""
    if count == 1:
        return command, {**os.environ, **variables}
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    version = subprocess.run(["mpirun", "--version"], check=True, capture_output=True, text=True).stdout
    flags = ["--oversubscribe", "--bind-to", "none"] if "Open MPI" in version else []
    return ["mpirun", *flags, "-n", str(count), *command], {**os.environ, **allowed, **variables}


def run(program, name, count, threads, flags, **variables):
    """Trains an epoch and keeps its JSON lines."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [*flags, "--epochs", "1", "--no-eval", "--threads", str(threads), "--model", f"{folder}/ckpt.bin"]
        command, environment = launched(count, [str(program), "--json", "--quiet", *flags], **variables)
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    (RECORD / f"{name}.jsonl").write_text(lines.replace(f"{folder}/", ""))
    print(f"{name}: {lines.splitlines()[-1]}", flush=True)


def points():
    """Name, number of ranks and of threads, images of a batch and delay of every measurement of a job."""
    yield "alone-1", 1, 1, BATCH, 0
    yield "alone-2", 1, 2, BATCH, 0
    for count in RANKS:
        yield f"strong-{count}", count, 1, BATCH, 0
        yield f"weak-{count}", count, 1, BATCH * count, 0
    for delay in DELAYS:
        yield f"delay-{delay}", 2, 1, BATCH, delay


def build():
    """The program with MPI, and the measurement of exchanges; the program without it is built again at the end."""
    cargo = ["cargo", "build", "--release", "--locked", "--features", "mpi", "--target-dir", TARGET]
    subprocess.run([*cargo, "--bins", "--example", "exchange"], cwd=ROOT, check=True)


def record():
    """Needs an empty folder of the record, and MNIST_DATA."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "mnist-train"
        exchange = pathlib.Path(folder) / "exchange"
        shutil.copy(PROGRAM, program)
        shutil.copy(TARGET / "release" / "examples" / "exchange", exchange)
        command, environment = launched(2, [str(exchange)])
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        (RECORD / EXCHANGE).write_text(lines)
        for number in range(ROUNDS):
            measurements = [(job, *point) for job in JOBS for point in points()]
            for job, name, count, threads, batch, delay in measurements[:: 1 if number % 2 == 0 else -1]:
                flags = [*JOBS[job][0], "--batch-size", str(batch)]
                # One process has the parts of several, so that it does the same work.
                if job != "rows of cells":
                    flags += ["--accumulate", "8"]
                file = f"{job.replace(', ', '-').replace(' ', '-')}-{name}-{number}"
                run(program, file, count, threads, flags, MNIST_EXCHANGE_DELAY=str(delay))


def measured(job, name):
    """Medians over the rounds, of a step: seconds, seconds in exchanges, number of exchanges, bytes sent."""
    steps = []
    for number in range(ROUNDS):
        path = RECORD / f"{job.replace(', ', '-').replace(' ', '-')}-{name}-{number}.jsonl"
        done = json.loads(path.read_text().splitlines()[-1])
        ranks = done.get("ranks", {"exchange_seconds": 0, "exchanges": 0, "sent_bytes": 0})
        keys = ["exchange_seconds", "exchanges", "sent_bytes"]
        steps.append([done["train_seconds"] / done["steps"], *(ranks[key] / done["steps"] for key in keys)])
    return [statistics.median(values) for values in zip(*steps)], [seconds for seconds, *_ in steps]


def line():
    """Latency in seconds and bytes a second of an exchange here: those of the smallest message, and the time that the
    largest one adds to it."""
    rows = [json.loads(text) for text in (RECORD / EXCHANGE).read_text().splitlines()]
    latency = rows[0]["seconds"]["median"]
    return latency, rows[-1]["bytes"] / (rows[-1]["seconds"]["median"] - latency)


def model(job):
    """Function that predicts the seconds of a step, from the number of ranks, the latency and the bytes a second.

    A step computes s + p / R seconds: what every rank computes, and what they share. Both follow from one process with
    one thread and from what each of two ranks computes between its exchanges. Each of the log₂ R rounds of an exchange
    takes its latency and its bytes. Ranks also wait for each other, as long as two of them do here beyond that.
    """
    (alone, *_), _ = measured(job, "alone-1")
    (two, exchanging, exchanges, sent), _ = measured(job, "strong-2")
    # Two ranks have twice the caches, so what they share can look larger than all there is.
    shared = min(alone, 2 * (alone - (two - exchanging)))
    own = alone - shared
    latency_here, rate_here = line()
    waiting = max(0, exchanging - exchanges * latency_here - sent / rate_here)

    def seconds(count, latency, rate):
        if count == 1:
            return alone
        # The rows of the rank that has most of them.
        part = math.ceil(ROWS / count) / ROWS if job == "rows of cells" else 1 / count
        return own + part * shared + waiting + math.log2(count) * (exchanges * latency + sent / rate)

    return seconds


def tables():
    """What was measured, the check of the model, and what it predicts."""
    rows = []
    for job in JOBS:
        (base, *_), _ = measured(job, "alone-1")
        for name, count, threads, batch, delay in points():
            if delay:
                continue
            (seconds, waiting, exchanges, sent), rounds = measured(job, name)
            spread = statistics.median(abs(1 / one - 1 / seconds) for one in rounds)
            rows.append([
                job, f"{count} × {threads}", batch, f"{1 / seconds:.0f} ± {spread:.0f}",
                f"{batch / BATCH * base / seconds:.2f}×", f"{100 * waiting / seconds:.0f} %" if count > 1 else "–",
                f"{exchanges:.0f}" if count > 1 else "–", f"{sent:,.0f}" if count > 1 else "–",
            ])
    heading = ["shared by", "ranks × threads", "images of a batch", "steps a second", "images a second over one thread",
               "time in exchanges", "exchanges of a step", "bytes sent in a step"]
    text = table(heading, rows)
    latency, rate = line()
    threads = json.loads((RECORD / "machine.json").read_text())["threads"]
    text += (
        f"\nStages: {'; '.join(f'{job}: {stage}' for job, (_, stage) in JOBS.items())}. Median of {ROUNDS} interleaved rounds ± "
        f"median absolute deviation; all ranks share the {threads} threads of one machine. Time in exchanges is that of rank 0 and includes waiting for the "
        "other ranks.\n"
    )
    sizes = [json.loads(text) for text in (RECORD / EXCHANGE).read_text().splitlines()]
    text += "\n" + table(
        ["bytes each way", "exchange between 2 ranks here, median", "least"],
        [[f"{one['bytes']:,}", f"{1e6 * one['seconds']['median']:.1f} µs", f"{1e6 * one['seconds']['min']:.1f} µs"] for one in sizes],
    )
    text += (
        f"\nThe model takes {1e6 * latency:.1f} µs and {rate / 1e9:.1f} GB/s from this table. With a delay in each exchange, it "
        "predicts:\n\n"
    )
    rows = []
    for job in JOBS:
        predicted = model(job)
        for delay in DELAYS:
            (seconds, *_), _ = measured(job, f"delay-{delay}")
            by_model = predicted(2, latency + delay / 1e6, rate)
            rows.append([job, f"{delay:,} µs", f"{1 / by_model:.0f}", f"{1 / seconds:.0f}", f"{by_model / seconds:.2f}"])
    text += table(["shared by", "delay", "steps a second, predicted", "measured", "seconds predicted over measured"], rows)
    text += "\nSteps a second that it predicts for R ranks, each with a core like one of these:\n\n"
    counts = [2**k for k in range(7)]
    rows = []
    for job in JOBS:
        predicted = model(job)
        for network, (alpha, beta) in {"this machine's memory": (latency, rate), **NETWORKS}.items():
            rates = [1 / predicted(count, alpha, beta) if count <= MOST[job] else None for count in counts]
            best = max(range(len(counts)), key=lambda index: rates[index] or 0)
            rows.append([job, network, *(f"{one:.0f}" if one else "–" for one in rates), counts[best]])
    text += table(["shared by", "network", *(f"R = {count}" for count in counts), "fastest R"], rows)
    return text + f"\n{SOURCES}\n"
