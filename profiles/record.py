#!/usr/bin/env python3
"""Runs what the documents report, keeps the raw output here, and splices the tables.

    MNIST_DATA=DIR profiles/record.py accuracy    five seeds of the default recipe → README.md
    profiles/record.py synthetic                  one seed on the synthetic digits → README.md
    MNIST_DATA=DIR profiles/record.py ladder      every stage on the same images → OPTIMIZATIONS.md
    profiles/record.py splice                     only the tables, from the records that are there

Needs Python 3.9 or newer and nothing else. A record is the JSON lines of the runs and a machine.json
that says where and when they ran.
"""

import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROFILES = ROOT / "profiles"
PROGRAM = ROOT / "target" / "release" / "mnist-train"
SEEDS = range(1, 6)
LADDER_IMAGES = 1920
LADDER_ROUNDS = 5
# Rounding grows over 30 steps of Adam; a stage that computes something else is far off.
LOSS_TOLERANCE = 1e-3


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def machine():
    """What a reader needs to judge a figure."""
    lscpu = output_of("lscpu")
    cpu = re.search(r"Model name:\s*(.*)", lscpu)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu.group(1) if cpu else platform.processor(),
        "threads": os.cpu_count(),
        "features": json.loads(output_of(PROGRAM, "stages", "--json"))["machine"]["features"],
        "lscpu": lscpu.splitlines(),
        "kernel": platform.release(),
        "rustc": output_of("rustc", "--version"),
        "commit": output_of("git", "describe", "--always", "--dirty"),
        "load_average": round(os.getloadavg()[0], 2),
    }


def run(record, name, *flags):
    """Runs the program and keeps its JSON lines as profiles/<record>/<name>.jsonl."""
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "ckpt.bin"
        command = [PROGRAM, "--json", "--quiet", "--model", model, *flags]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    path = PROFILES / record / f"{name}.jsonl"
    # The path of a temporary file says nothing to a reader.
    path.write_text(lines.replace(str(model), "ckpt.bin"))
    print(f"{path.relative_to(ROOT)}: {lines.splitlines()[-1]}", flush=True)


def record_accuracy():
    for seed in SEEDS:
        run("accuracy", f"seed-{seed}", "--epochs", "10", "--seed", str(seed))


def record_synthetic():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "data", "synthetic", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        run("synthetic", "seed-1", "--epochs", "10", "--seed", "1", "--data", folder)


def rungs(stages):
    """Each stage on one thread, and on all where it uses them: (stage, threads, name of the record)."""
    for stage in stages:
        for threads in sorted({1, os.cpu_count() if stage["multithreaded"] else 1}):
            yield stage["name"], threads, f"{stage['name']}-{threads}-threads"


def record_ladder():
    ladder = list(rungs(json.loads(output_of(PROGRAM, "stages", "--json"))["stages"]))
    for number in range(LADDER_ROUNDS):
        # Interleaved, every other round backwards, so that a drifting machine favours nobody.
        for stage, threads, name in ladder[:: 1 if number % 2 == 0 else -1]:
            flags = ["--epochs", "1", "--no-eval", "--max-samples", str(LADDER_IMAGES)]
            run("ladder", f"{name}-{number}", *flags, "--stage", stage, "--threads", str(threads))


def events(record, name, kind):
    lines = (PROFILES / record / f"{name}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def footer(record):
    facts = json.loads((PROFILES / record / "machine.json").read_text())
    features = " ".join(facts["features"])
    return (
        f"\n{facts['cpu']}, {facts['threads']} threads, {features}; {facts['kernel']}, {facts['rustc']}, "
        f"commit {facts['commit']}, {facts['date']}, load average at the start {facts['load_average']}. "
        f"Raw record: [profiles/{record}](profiles/{record}).\n"
    )


def accuracy_table():
    rows, counts = [], []
    for seed in SEEDS:
        done = events("accuracy", f"seed-{seed}", "done")[0]
        last = events("accuracy", f"seed-{seed}", "epoch")[-1]
        counts.append(done["test_correct"])
        rows.append(
            f"| {seed} | {done['test_correct']:,} | {last['loss']:.4f} | {100 * last['train_accuracy']:.2f} % "
            f"| `{done['weights_sha256'][:16]}…` |\n"
        )
    return (
        "| seed | correct of 10,000 | last loss | last train accuracy | weights SHA-256 |\n"
        "|---|---|---|---|---|\n" + "".join(rows) +
        f"| median | {statistics.median(counts):,} | | | |\n"
        + footer("accuracy")
    )


def synthetic_table():
    rows = [
        f"| {epoch['epoch']} | {epoch['loss']:.4f} | {100 * epoch['train_accuracy']:.2f} % "
        f"| {epoch['test_correct']:,} of {epoch['test_total']:,} |\n"
        for epoch in events("synthetic", "seed-1", "epoch")
        if epoch["epoch"] in (0, 4, 9)
    ]
    return (
        "| epoch | loss | train accuracy | test, SYNTHETIC |\n|---|---|---|---|\n" + "".join(rows)
        + footer("synthetic")
    )


def ladder_table():
    stages = json.loads((PROFILES / "ladder" / "stages.json").read_text())["stages"]
    rows, first, before, naive_loss = [], None, None, None
    for stage, threads, name in rungs(stages):
        rounds = [events("ladder", f"{name}-{number}", "epoch")[0] for number in range(LADDER_ROUNDS)]
        hashes = {
            events("ladder", f"{name}-{number}", "done")[0]["weights_sha256"] for number in range(LADDER_ROUNDS)
        }
        naive_loss = naive_loss or rounds[0]["loss"]
        if len(hashes) > 1 or abs(rounds[0]["loss"] - naive_loss) > LOSS_TOLERANCE:
            sys.exit(f"{name}: the rounds differ, or the loss {rounds[0]['loss']} is not naive's {naive_loss}")
        speeds = [epoch["images_per_second"] for epoch in rounds]
        median = statistics.median(speeds)
        spread = statistics.median(abs(speed - median) for speed in speeds)
        over = lambda other: f"{median / other:.1f}×" if other else "–"
        rows.append(f"| {stage} | {threads} | {median:,.0f} ± {spread:,.0f} | {over(first)} | {over(before)} |\n")
        first, before = first or median, median
    return (
        "| stage | threads | images/s (median ± MAD) | over the first row | over the row above |\n"
        "|---|---|---|---|---|\n" + "".join(rows) +
        f"\nOne epoch of {LADDER_IMAGES:,} MNIST images, {LADDER_ROUNDS} interleaved rounds; every round of a row "
        f"gave the same weights, and every loss is naive's to {LOSS_TOLERANCE:g}.\n" + footer("ladder")
    )


def splice(document, name, table):
    """Replaces what stands between the markers of `name`."""
    path = ROOT / document
    markers = re.compile(rf"(<!-- BEGIN {name}:[^>]*-->\n).*?(<!-- END {name} -->)", re.DOTALL)
    text, count = markers.subn(lambda match: match[1] + "\n" + table + "\n" + match[2], path.read_text())
    if count != 1:
        sys.exit(f"{document}: expected one pair of markers for {name}, found {count}")
    path.write_text(text)


def main():
    task = sys.argv[1] if len(sys.argv) == 2 else ""
    recorders = {"accuracy": record_accuracy, "synthetic": record_synthetic, "ladder": record_ladder}
    if task in recorders:
        if task != "synthetic" and "MNIST_DATA" not in os.environ:
            sys.exit("set MNIST_DATA to the folder of the real MNIST")
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        (PROFILES / task).mkdir(exist_ok=True)
        (PROFILES / task / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")
        (PROFILES / task / "stages.json").write_text(output_of(PROGRAM, "stages", "--json") + "\n")
        recorders[task]()
    elif task != "splice":
        sys.exit(__doc__)
    if task in ("accuracy", "splice"):
        splice("README.md", "accuracy", accuracy_table())
    if task in ("synthetic", "splice"):
        splice("README.md", "synthetic", synthetic_table())
    if task in ("ladder", "splice"):
        splice("OPTIMIZATIONS.md", "ladder", ladder_table())


if __name__ == "__main__":
    main()
