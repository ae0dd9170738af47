#!/usr/bin/env python3
"""Looks at one stage with Linux perf, without asking for more rights than you have.

    profiles/perf.py record [STAGE]     samples → target/perf/STAGE.data, a flamegraph → target/perf/STAGE.svg
    profiles/perf.py report [STAGE]     the hottest functions of what was recorded, without preparation
    profiles/perf.py annotate [STAGE]   the hottest instructions of the hottest function

STAGE defaults to the fastest exact one. MNIST_DATA names the images, else those in data/ are taken.
"""

import collections
import json
import os
import re
import subprocess
import sys

from program import ROOT, TARGET

PROGRAM = TARGET / "profiling" / "mnist-train"
FOLDER = TARGET / "perf"
SECONDS = 10
# Percent of the samples from which on a function or an instruction is listed.
SHOWN = 0.5
# Walking by frame pointers is cheap, and right where a program has them. The mangling makes the name of a closure part
# of the name of the function that calls it: all kernels run as closures in a function of one name.
FLAGS = "-C force-frame-pointers=yes -C symbol-mangling-version=v0"


def build():
    flags = f"{os.environ.get('RUSTFLAGS', '')} {FLAGS}".strip()
    command = ["cargo", "build", "--profile", "profiling", "--target-dir", TARGET]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "RUSTFLAGS": flags})


def default_stage():
    stages = json.loads(subprocess.run([PROGRAM, "stages", "--json"], check=True, capture_output=True).stdout)
    return next(stage["name"] for stage in stages["stages"] if stage["default"])


def perf(*arguments, **options):
    return subprocess.run(["perf", *map(str, arguments)], text=True, **options)


def event():
    """The cycles of the CPU where they can be counted, else the kernel's clock."""
    try:
        counted = perf("stat", "-e", "cycles:u", "true", capture_output=True)
    except FileNotFoundError:
        sys.exit("error: there is no perf: install it, on Debian with 'apt install linux-perf'")
    if counted.returncode == 0 and "<not" not in counted.stderr:
        return "cycles:u"
    allowed = perf("record", "-q", "-e", "cpu-clock:u", "-o", "/dev/null", "true", capture_output=True)
    if allowed.returncode != 0:
        sys.exit("error: perf may not look at your processes: 'sysctl kernel.perf_event_paranoid=2' as root lets it")
    print("no hardware counters here: the kernel's clock is sampled instead", flush=True)
    return "cpu-clock:u"


def record(stage):
    sampled = event()
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = FOLDER / f"{stage}.data"
    # What the job does not say has its default.
    run = [PROGRAM, "capped-run", json.dumps({"stage": stage}), "--seconds", SECONDS, "--offline"]
    recorded = perf("record", "-q", "-e", sampled, "-F", 997, "--call-graph", "fp", "-o", data, "--", *run, cwd=ROOT)
    if recorded.returncode != 0:
        sys.exit(f"error: perf could not record stage {stage}, as it says above")
    # Without periods, which would count as so many samples.
    fields = "comm,tid,time,event,ip,sym,dso"
    script = subprocess.Popen(["perf", "script", "-F", fields, "-i", data], stdout=subprocess.PIPE)
    name = sampled if sampled.startswith("cycles") else f"{sampled}, no hardware counters"
    out = FOLDER / f"{stage}.svg"
    draw = [PROGRAM, "perf-flamegraph", "--stage", stage, "--event", name, "--out", out]
    drawn = subprocess.run(draw, stdin=script.stdout)
    if drawn.returncode != 0 or script.wait() != 0:
        sys.exit(f"error: no flamegraph of stage {stage}, as said above")


def recorded(stage):
    data = FOLDER / f"{stage}.data"
    if not data.exists():
        sys.exit(f"error: {data} does not exist: 'make perf-record STAGE={stage}' records it")
    return data


def report(stage):
    """The flamegraph as a table, in which parts of a kernel count for the kernel."""
    samples = collections.Counter()
    for line in recorded(stage).with_suffix(".folded").read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        _, phase, *functions = stack.split(";")
        samples[phase, functions[-1] if functions else "–"] += int(count)
    print(f"percent of {samples.total():,} samples, phase, function without the functions it calls\n")
    for (phase, function), count in samples.most_common():
        if (share := 100 * count / samples.total()) >= SHOWN:
            print(f"{share:>6.2f}  {phase:<16}  {function}")


def annotate(stage):
    data = recorded(stage)
    script = perf("script", "-F", "ip,sym", "-i", data, capture_output=True, check=True).stdout
    # Training goes through the function of a phase, preparation does not.
    stacks = [stack for stack in script.split("\n\n") if "::phases::frames::" in stack]
    symbols = collections.Counter(stack.split(maxsplit=1)[1].splitlines()[0].strip() for stack in stacks)
    [(symbol, count)] = symbols.most_common(1)
    listing = perf("annotate", "--stdio", "-i", data, "-s", symbol, capture_output=True, check=True).stdout
    listing = listing.split("Percent |")[1]
    print(f"{100 * count / len(stacks):.2f} % of training: {symbol}\n")
    print(f"percent of it, instruction, line of source; what takes less than {SHOWN} % is left out\n")
    source = ""
    for line in listing.splitlines():
        share = re.match(r"\s*(\d+\.\d+)\s*:\s*[0-9a-f]+:\s*(.*)", line)
        if not share:
            source = re.sub(r"^\s*:\s*\d*\s*", "", line).strip() or source
        elif float(share[1]) >= SHOWN:
            print(f"{share[1]:>6}  {share[2].split('<')[0].strip():<56}  {source}")


def main():
    actions = {"record": record, "report": report, "annotate": annotate}
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    if sys.argv[1] == "record":
        build()
    elif not PROGRAM.exists():
        sys.exit("error: nothing was recorded yet: 'make perf-record' does")
    stage = sys.argv[2] if len(sys.argv) == 3 else default_stage()
    actions[sys.argv[1]](stage)


if __name__ == "__main__":
    main()
