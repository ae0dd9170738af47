"""What profiling costs, and whether it can be believed: the sampler's gate, pprof beside perf, and the price of what
profiles ask of a program."""

import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import perf
from markdown import table
from program import PROGRAM, ROOT, TARGET

RECORD = ROOT / "profiles" / "profiling" / "profiling.json"
# Programs that differ from the shipped one in what profiles ask for, and what an answer costs.
WITHOUT_TABLES = "without tables of what was inlined"
WITH_INLINED_ENTRIES = "with entry points that may be inlined"
WITH_FRAME_POINTERS = "with frame pointers"
# Stages, and images that keep each busy for about half a second or more.
IMAGES = {
    "naive": 320, "im2col": 1280, "gemm": 6400, "tiled": 6400, "fused": 12800, "parallel": 12800, "sparse": 12800, "live": 12800,
    "bf16": 12800,
}
ROUNDS = 12
# Stages whose pprof is put beside perf.
COMPARED = ["naive", "fused"]
TOP = 3


def build(folder, source=ROOT, **environment):
    command = ["cargo", "build", "--release", "--locked"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder), **environment}
    subprocess.run(command, cwd=source, check=True, env=environment)
    return folder / "release" / "mnist-train"


def variants():
    """The shipped program and the others, built."""
    perf.build()
    return {
        "shipped": PROGRAM,
        WITHOUT_TABLES: build(TARGET / "without-tables", CARGO_PROFILE_RELEASE_DEBUG="none"),
        WITH_INLINED_ENTRIES: build_with_inlined_entries(),
        WITH_FRAME_POINTERS: perf.PROGRAM,
    }


def build_with_inlined_entries():
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "source"
        ignored = shutil.ignore_patterns("target", ".git", "found", ".venv")
        shutil.copytree(ROOT, copy, ignore=ignored)
        entries = 0
        for file in [*(copy / "src" / "stages").rglob("*.rs"), copy / "src" / "engine" / "phases.rs"]:
            text, count = re.subn(r"#\[inline\(never\)\]", "", file.read_text())
            file.write_text(text)
            entries += count
        if entries == 0:
            sys.exit("error: no function is kept out of line")
        return build(TARGET / "inlined-entries", copy)


def seconds(program, stage):
    """Of one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--epochs", "1", "--max-samples", str(IMAGES[stage]), "--no-eval", "--json", "--quiet", "--offline"]
        command = [program, *flags, "--stage", stage, "--model", f"{folder}/model"]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(event["seconds"] for event in map(json.loads, lines.splitlines()) if event["event"] == "epoch")


def stages():
    listed = json.loads(subprocess.run([PROGRAM, "stages", "--json"], check=True, capture_output=True).stdout)
    return [stage["name"] for stage in listed["stages"] if "unmet" not in stage]


def costs():
    """The seconds of each program by each stage, in rounds in which every program has its turn."""
    programs = variants()
    times = {stage: {name: [] for name in programs} for stage in stages()}
    for number in range(ROUNDS):
        for stage in times:
            for name in list(programs)[:: 1 if number % 2 == 0 else -1]:
                times[stage][name].append(seconds(programs[name], stage))
    return {"seconds": times, "bytes": {name: program.stat().st_size for name, program in programs.items()}}


def gate():
    """What the gate of the sampler printed, and that it passed."""
    command = ["cargo", "test", "--locked", "--test", "sampler", "--", "--nocapture", "--test-threads", "1"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [line for line in lines if re.match(r"(test .* \.\.\. )?\w+ threads: |\d+ threads: |test ", line)]


def entry_shares(folded):
    """Percent of all samples of each function that a phase calls, and of each phase that calls none."""
    samples = {}
    for line in folded.read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        entry = (stack.split(";") + [""])[2] or stack.split(";")[1]
        samples[entry] = samples.get(entry, 0) + int(count)
    return {entry: 100 * count / sum(samples.values()) for entry, count in samples.items()}, sum(samples.values())


def beside_perf(stage):
    """The shares of entry points as pprof and as perf see them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM, "--profile", "--stage", stage, "--profile-out", folder, "--offline"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        by_pprof, pprof_samples = entry_shares(next(pathlib.Path(folder).glob("*.folded")))
    perf.record(stage)
    by_perf, perf_samples = entry_shares(perf.FOLDER / f"{stage}.folded")
    top = sorted(by_pprof, key=by_pprof.get, reverse=True)[:TOP]
    return {
        "samples": {"pprof": pprof_samples, "perf": perf_samples},
        "top_by_perf": sorted(by_perf, key=by_perf.get, reverse=True)[:TOP],
        "percent": {entry: {"pprof": by_pprof[entry], "perf": by_perf.get(entry, 0)} for entry in top},
    }


def record():
    facts = {"gate": gate(), **costs(), "beside_perf": {stage: beside_perf(stage) for stage in COMPARED}}
    RECORD.write_text(json.dumps(facts, indent=1) + "\n")


def ratio(ones, others):
    """Median and interval of the rounds' ratios of two programs; inconclusive if a sign test at 5 % decides nothing."""
    ratios = sorted(one / other for one, other in zip(ones, others))
    # The largest k at which fewer than k of the rounds on one side would be a chance of at most 2.5 %.
    rounds, chance, k = len(ratios), 0, 0
    while (chance := chance + math.comb(rounds, k) / 2**rounds) <= 0.025:
        k += 1
    low, high = (ratios[k - 1], ratios[rounds - k]) if k else (0, math.inf)
    text = f"{statistics.median(ratios):.2f}× ({low:.2f}–{high:.2f})"
    return text if low > 1 or high < 1 else f"inconclusive ({low:.2f}–{high:.2f})"


def tables():
    """What the record says."""
    facts = json.loads(RECORD.read_text())
    gate = "".join(f"{line}\n" for line in facts["gate"])
    text = f"The gate, as `cargo test --test sampler -- --nocapture --test-threads 1` printed it:\n\n```text\n{gate}```\n\n"

    rows = []
    for stage, one in facts["beside_perf"].items():
        for entry, percent in one["percent"].items():
            rows.append([stage, f"`{entry}`", *(f"{percent[tool]:.1f} %" for tool in ("pprof", "perf"))])
    counts = ", ".join(
        f"{stage} {one['samples']['pprof']:,} and {one['samples']['perf']:,}"
        for stage, one in facts["beside_perf"].items()
    )
    agree = all(list(one["percent"]) == one["top_by_perf"] for one in facts["beside_perf"].values())
    order = "Both list the same functions in the same order." if agree else "Their orders differ."
    text += f"The entry points with the most samples, by pprof and by perf. {order} Samples: {counts}.\n\n"
    text += table(["stage", "function", "pprof", "perf"], rows)

    others = [name for name in facts["bytes"] if name != "shipped"]
    rows = [
        [stage, *(ratio(times["shipped"], times[name]) for name in others[:2]),
         ratio(times[others[2]], times["shipped"])]
        for stage, times in facts["seconds"].items()
    ]
    rounds = len(next(iter(facts["seconds"].values()))["shipped"])
    text += (
        f"\nThe ratios of the times of an epoch: medians over {rounds} interleaved rounds, with their 95 % interval by the "
        "sign test. The first two columns compare the shipped program with a program that lacks what the column names, "
        "the last column compares the program for perf with the shipped one. By chance, one in twenty such intervals "
        "leaves 1 out.\n\n"
    )
    text += table(["stage", "tables of what was inlined", "entry points out of line", "frame pointers"], rows)
    megabytes = lambda name: f"{facts['bytes'][name] / 1e6:.1f} MB"
    sizes = f"The program's file has {megabytes('shipped')}, {megabytes(WITHOUT_TABLES)} {WITHOUT_TABLES}.\n"
    return f"{text}\n{sizes}"
