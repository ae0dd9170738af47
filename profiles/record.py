#!/usr/bin/env python3
"""Runs what the documents report, keeps the raw output here, and splices the tables.

    MNIST_DATA=DIR profiles/record.py accuracy [STAGE …]
                                                  ten seeds of the default recipe → README.md, OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py networks [NAME …]
                                                  five seeds of each network with a name → README.md
    MNIST_DATA=DIR profiles/record.py transcript  what the main command prints → README.md
    profiles/record.py synthetic                  one seed on the synthetic digits → README.md
    MNIST_DATA=DIR profiles/record.py ladder      bench stages --record, also without background → OPTIMIZATIONS.md
    profiles/record.py scaling                    what costs more, and how much → OPTIMIZATIONS.md
    profiles/record.py saving                     what writing a checkpoint costs → OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py profiles    flamegraphs of every stage → OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py profiling   what profiles cost, and pprof beside perf → docs/PROFILING.md
    profiles/record.py compare [--epochs 1|10] [--rounds N]
                                                  other frameworks on the same job → OPTIMIZATIONS.md, README.md
    profiles/record.py compare --networks [NAME …]
                                                  steps of other networks, ours and PyTorch's → OPTIMIZATIONS.md
    profiles/record.py splice                     only the tables, from the records that are there

Needs Python 3.9 or newer and nothing else. A record is the JSON lines of the program and what says where
and when it ran.
"""

import datetime
import gzip
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import plot
import profiling
import program
import reliability
from program import PROGRAM, ROOT

PROFILES = ROOT / "profiles"
sys.path.insert(0, str(ROOT / "peers"))
import compare  # noqa: E402
import comparison  # noqa: E402
SEEDS = range(1, 11)
# A stage whose products a library computes, two exact stages of our own, and the stage that is not exact.
ACCURACY_STAGES = ["gemm", "sparse", "live", "bf16"]
# Networks with a name, in the order of their table, and for how many epochs each is trained.
NETWORKS = {
    "default": 10, "lenet5": 10, "mlp": 10, "deep": 10, "resnet": 5, "small": 5, "medium": 5, "large": 5,
    "conv1d": 10, "lstm": 10, "attention": 10,
}
NETWORK_SEEDS = range(1, 6)
# Rows of the comparison that README.md shows: the default, and the fastest f32 variants of two frameworks.
README_ROWS = ["ours", "pytorch-best", "jax"]
# Epochs in which stages that leave zeros out are measured again.
LATER_EPOCHS = [2, 9]
# Where Debian's package dataset-fashion-mnist has its files.
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
SCALING_ROUNDS = 3
SAVING_ROUNDS = 7
SAVING_EPOCHS = 5
# Folder of each record that does not have the name of its command.
FOLDERS = {"profiles": "flamegraphs"}
# For each parameter of a step with one pass over the weights: w read forward; w, m and v read and written backward.
WEIGHT_BYTES = 7 * 4
# Said below every table with such ratios.
RATIOS = "A ratio is the median of the ratios within rounds, not the quotient of two medians in the table"


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def utc(unix_seconds):
    moment = datetime.datetime.fromtimestamp(unix_seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def machine():
    """What a reader needs to judge a figure."""
    lscpu = output_of("lscpu")
    cpu = re.search(r"Model name:\s*(.*)", lscpu)
    seen = program.stages()["machine"]
    return {
        "date": utc(time.time()),
        "cpu": cpu.group(1) if cpu else platform.processor(),
        "threads": seen["threads"],
        "features": seen["features"],
        "topology": seen["topology"],
        "lscpu": lscpu.splitlines(),
        "kernel": platform.release(),
        "rustc": output_of("rustc", "--version"),
        "commit": program.commit(),
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


def describe(record):
    """Begins a record anew, with what a reader needs to judge it."""
    folder = PROFILES / record
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_facts(folder, machine())


def write_facts(folder, facts):
    (folder / "machine.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "stages.json").write_text(json.dumps(program.stages()) + "\n")


def record_accuracy(stages):
    """Of each stage anew; the others' records stay."""
    for stage in stages or ACCURACY_STAGES:
        record = f"accuracy/{stage}"
        describe(record)
        for seed in SEEDS:
            run(record, f"seed-{seed}", "--epochs", "10", "--seed", str(seed), "--stage", stage)


def record_networks(names):
    """Of each network anew; the others' records stay."""
    for name in names or NETWORKS:
        record = f"networks/{name}"
        describe(record)
        for seed in NETWORK_SEEDS:
            epochs = str(NETWORKS[name])
            run(record, f"seed-{seed}", "--epochs", epochs, "--t-max", epochs, "--seed", str(seed), "--arch", name)


def networks_table():
    names = [name for name in NETWORKS if (PROFILES / "networks" / name).exists()]
    rows = []
    for name in names:
        start = events(f"networks/{name}", "seed-1", "start")[0]
        done = [events(f"networks/{name}", f"seed-{seed}", "done")[0] for seed in NETWORK_SEEDS]
        correct = [one["test_correct"] for one in done]
        rows.append([
            name, f"`{start['architecture']}`", f"{start['parameters']:,}", done[0]["stage"], start["epochs"],
            f"{statistics.median(correct):,}", f"{min(correct):,} to {max(correct):,}",
        ])
    heading = ["name", "layers", "parameters", "stage", "epochs", "correct, median", "least to most"]
    return (
        "Correct of the 10,000 test images by the default recipe, whose learning rate falls to the end of the run "
        f"(`--t-max` is the number of epochs), for {len(NETWORK_SEEDS)} seeds:\n\n"
        + table(heading, rows) + shared_footer([f"networks/{name}" for name in names])
    )


def record_transcript():
    describe("transcript")
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "run", "--release", "--manifest-path", ROOT / "Cargo.toml", "--", "--epochs", "10"]
        lines = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    (PROFILES / "transcript" / "stdout.txt").write_text(lines)


def transcript():
    lines = (PROFILES / "transcript" / "stdout.txt").read_text()
    return f"```text\n$ cargo run --release -- --epochs 10\n{lines}```\n" + footer("transcript")


def record_synthetic():
    describe("synthetic")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "data", "synthetic", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        run("synthetic", "seed-1", "--epochs", "10", "--seed", "1", "--data", folder)


def record_ladder():
    with tempfile.TemporaryDirectory() as folder:
        # Both, before the first one changes what git sees.
        records, images = pathlib.Path(folder) / "records", pathlib.Path(folder) / "images"
        records.mkdir()
        images.mkdir()
        bench = [PROGRAM, "bench", "stages"]
        subprocess.run([*bench, "--record", records / "bench.json"], check=True)
        remove_background(pathlib.Path(os.environ["MNIST_DATA"]), images)
        on_images = ["--stage", "parallel,sparse,live", "--data", images]
        subprocess.run([*bench, *on_images, "--record", records / "no-background.json"], check=True)
        for epoch in LATER_EPOCHS:
            at = ["--stage", "sparse,live", "--epoch", str(epoch)]
            subprocess.run([*bench, *at, "--record", records / f"epoch-{epoch}.json"], check=True)
        if FASHION.is_dir():
            on_clothes = ["--stage", "parallel,sparse,live", "--data", FASHION]
            subprocess.run([*bench, *on_clothes, "--record", records / "fashion.json"], check=True)
        else:
            print(f"{FASHION} is not there: no record of Fashion-MNIST", file=sys.stderr)
        shutil.copytree(records, PROFILES / "ladder", dirs_exist_ok=True)


def remove_background(source, target):
    """The images of `source` with 1 for every pixel of 0."""
    for file in json.loads(output_of(PROGRAM, "data", "--data", str(source), "--json"))["files"]:
        path = pathlib.Path(file["path"])
        content = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
        if "images" in file["name"]:
            content = content[:16] + content[16:].replace(b"\0", b"\1")
        (target / file["name"]).write_bytes(content)


def record_saving():
    """Training that saves after every epoch, against training that saves at the end."""
    describe("saving")
    for number in range(SAVING_ROUNDS):
        for every in [1, SAVING_EPOCHS][:: 1 if number % 2 == 0 else -1]:
            flags = ["--epochs", SAVING_EPOCHS, "--checkpoint-every", every, "--no-eval"]
            run("saving", f"every-{every}-{number}", *map(str, flags))


def record_profiles():
    with tempfile.TemporaryDirectory() as folder:
        facts = machine()
        # Before git sees a change, because the page has the commit.
        subprocess.run([PROGRAM, "--profile", "--profile-out", folder], check=True)
        write_facts(pathlib.Path(folder), facts)
        shutil.rmtree(PROFILES / "flamegraphs", ignore_errors=True)
        shutil.copytree(folder, PROFILES / "flamegraphs")


def record_profiling():
    describe("profiling")
    profiling.record()


def multiply_adds(channels=32, hidden=128):
    """Of an image, by the fused engine: 25 taps for the four pixels of a cell and backward for the largest of them,
    and three products with each weight of the linear layers."""
    return channels * 14 * 14 * (25 * 4 + 25 + 3 * hidden) + 3 * 10 * hidden


class Sweep(typing.NamedTuple):
    """What is varied, and what an epoch would cost, in any unit, if arithmetic alone cost time."""

    label: str
    flag: str
    values: list
    # Of runs that vary something else; and where the line of `cost` begins.
    usual: int
    base: int
    ideal: str
    cost: typing.Callable


def sweeps_on(cores):
    """What is varied on a machine of that many cores."""
    return {
        "threads": Sweep("threads", "--threads", sorted({1, 2, cores // 2, cores} - {0}), cores, 1,
                         "1 / threads", lambda threads: 1 / threads),
        "batch": Sweep("images of a batch", "--batch-size", [8, 16, 32, 64, 128, 256, 512], 64, 64, "constant",
                       lambda images: 1),
        "images": Sweep("training images", "--data", [60_000, 120_000, 240_000, 420_000, 600_000], 60_000,
                        60_000, "proportional", lambda images: images),
        "channels": Sweep("channels", "--channels", [16, 32, 64, 128], 32, 32, "dense multiply-adds",
                          lambda channels: multiply_adds(channels=channels)),
        "hidden": Sweep("hidden units", "--hidden", [64, 128, 256, 512], 128, 128, "dense multiply-adds",
                        lambda hidden: multiply_adds(hidden=hidden)),
    }


def record_scaling():
    describe("scaling")
    sweeps = sweeps_on(program.stages()["machine"]["threads"])
    with tempfile.TemporaryDirectory() as folder:
        for images in sweeps["images"].values:
            draw = ["data", "synthetic", "--images", str(images), "--out", f"{folder}/{images}"]
            subprocess.run([PROGRAM, *draw], check=True, stdout=subprocess.DEVNULL)
        points = {point(name, sweep, value): (name, value) for name, sweep in sweeps.items() for value in sweep.values}
        for number in range(SCALING_ROUNDS):
            for record, (name, value) in list(points.items())[:: 1 if number % 2 == 0 else -1]:
                flags = {"--data": sweeps["images"].usual, sweeps[name].flag: value}
                flags["--data"] = f"{folder}/{flags['--data']}"
                words = [str(word) for pair in flags.items() for word in pair]
                run("scaling", f"{record}-{number}", "--epochs", "1", "--no-eval", *words)


def point(name, sweep, value):
    """The name of a record; all sweeps share the one in which nothing is unusual."""
    return "usual" if value == sweep.usual else f"{name}-{value}"


def events(record, name, kind):
    lines = (PROFILES / record / f"{name}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def contended(share):
    """What to say of the share of the machine that other processes used."""
    return f", other processes used {100 * share:.0f} % of the processors" if share is not None else ""


def footer(record, facts=None, root=""):
    """Where a record was made and where it is, for a document from which `root` leads to the repository's."""
    facts = facts or facts_of(record)
    return f"\n{computer(facts)}; {origin(record, facts, root)}.\n"


def facts_of(record):
    return json.loads((PROFILES / record / "machine.json").read_text())


def computer(facts):
    features = " ".join(facts["features"])
    topology = facts.get("topology")
    counted = lambda count, noun: f"{count} {noun}{'' if count == 1 else 's'}"  # noqa: E731
    where = "" if not topology else (
        f", {counted(topology['cores'], 'core')}, {counted(topology['l3_caches'], 'L3 cache')}"
        f"{', virtual machine' if topology['virtual_machine'] else ''}"
    )
    threads = f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"
    return f"{facts['cpu']}, {threads}{where}, {features}; {facts['kernel']}, {facts['rustc']}"


def origin(record, facts, root=""):
    return (
        f"commit {facts['commit']}, {facts['date']}, load average at the start {facts['load_average']}"
        f"{contended(facts.get('share_of_others'))}: [profiles/{record}]({root}profiles/{record})"
    )


def accuracy_table():
    stages = [stage for stage in ACCURACY_STAGES if (PROFILES / "accuracy" / stage).exists()]
    done = {
        stage: [events(f"accuracy/{stage}", f"seed-{seed}", "done")[0] for seed in SEEDS] for stage in stages
    }
    counts = {stage: [one["test_correct"] for one in done[stage]] for stage in stages}
    products = [done[stage][0]["products"] for stage in stages]
    rows = [[seed, *(f"{counts[stage][index]:,}" for stage in stages)] for index, seed in enumerate(SEEDS)]
    rows.append(["**median**", *(f"**{statistics.median(counts[stage]):,}**" for stage in stages)])
    spread = lambda values: f"{statistics.mean(values):,.1f} ± {statistics.stdev(values):.1f}"
    rows.append(["mean ± standard deviation", *(spread(counts[stage]) for stage in stages)])
    heading = ["seed", *(f"{stage} (multiplies {product})" for stage, product in zip(stages, products))]
    return (
        "Correct of the 10,000 test images, after ten epochs:\n\n" + table(heading, rows)
        + shared_footer([f"accuracy/{stage}" for stage in stages])
    )


def shared_footer(records):
    """One for all that were made on the same computer."""
    facts = {record: facts_of(record) for record in records}
    computers = dict.fromkeys(map(computer, facts.values()))
    origins = lambda where: [origin(record, facts[record]) for record in records if computer(facts[record]) == where]
    return "".join(f"\n{where}; {'; '.join(origins(where))}.\n" for where in computers)


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


def digits(value):
    """Three significant digits, but whole from 100 on and at most three decimals."""
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:,.{decimals}f}"


def over(speedup):
    """How many times as fast, and the interval."""
    if speedup is None:
        return "–"
    interval = f"{digits(speedup['low'])}–{digits(speedup['high'])}"
    if speedup["inconclusive"]:
        return f"inconclusive ({interval})"
    return f"{digits(speedup['median'])}× ({interval})"


def table(heading, rows):
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def bench():
    return json.loads((PROFILES / "ladder" / "bench.json").read_text())


def bench_footer(record):
    facts = record["environment"]
    own = {key: record.get(key) for key in ("commit", "share_of_others")}
    return footer("ladder", {**facts, **own, "date": utc(facts["unix_seconds"])})


def ladder_table(record):
    heading = (
        "stage, threads|ms a step|s an epoch|images/s|over naive|over the stage before|over 1 thread|GFLOP/s"
        "|of peak|dense-equivalent|allocations a step|peak RSS, MB"
    )
    rows = []
    for row in record["rows"]:
        step, epoch = row["step_ms"], row["epoch_seconds"]
        rows.append([
            f"{row['stage']}, {row['threads']}",
            f"{digits(step['median'])} ± {digits(step['mad'])}, min {digits(step['min'])}",
            f"{digits(epoch['median'])} ± {digits(epoch['mad'])}",
            f"{row['images_per_second']:,.0f}",
            *(over(row.get(key)) for key in ("over_naive", "over_previous", "over_one_thread")),
            digits(row["gflops"]),
            share(row),
            digits(row["dense_equivalent_gflops"]),
            digits(row["allocations_per_step"]),
            f"{row['peak_rss_bytes'] / 1e6:.0f}" if "peak_rss_bytes" in row else "–",
        ])
    scaled = ", ".join(
        f"{row['stage']} {row['round_images']:,}" for row in record["rows"]
        if row["threads"] == 1 and row["round_images"] < record["train_images"] // 2
    )
    return table(heading.split("|"), rows) + (
        f"\n{record['repeats']} interleaved rounds on {record['dataset']}, batches of "
        f"{record['recipe']['batch_size']}: median ± median absolute deviation. {RATIOS}; brackets hold its 95 % interval. *Over the "
        "stage before* compares equal numbers of threads, or takes one thread of the stage before if it uses no more. "
        "Before anything was timed, ten losses of each stage agreed with the losses of naive, to "
        f"{deviations(record)}. The time of an epoch is scaled from the images of a round, of which the slower stages "
        f"have few: {scaled}. All tensors of a step, each read or written once, have "
        f"{record['tensor_bytes_per_step'] / 1e6:.0f} MB.\n" + bench_footer(record)
    )


def deviations(record):
    """The largest of each format."""
    largest = {}
    for row in record["rows"]:
        largest[row["precision"]] = max(largest.get(row["precision"], 0), row["loss_deviation"])
    return ", ".join(f"{deviation:.0e} in {precision}" for precision, deviation in largest.items())


def share(row):
    precision = "" if row["precision"] == "f32" else f" {row['precision']}"
    return f"{100 * row['peak_share']:.1f} % {row['peak_isa']}{precision}" if "peak_share" in row else "–"


def phase_name(phase):
    return {"linear_update": "linear dW + Adam", "optimizer": "Adam"}.get(phase, phase.replace("_", " "))


def chapter_table(record, stage):
    """What `stage` gains, and where the time of a step goes."""
    rows = [row for row in record["rows"] if row["stage"] == stage]
    phases = [phase_name(phase["phase"]) for phase in rows[0]["phases"]]
    heading = ["threads", "a step, ms", "over the stage before", "of peak", *phases, "waiting"]
    cells = [
        [row["threads"], digits(row["step_ms"]["median"]), over(row.get("over_previous")), share(row)]
        + [digits(phase["thread_ms"]) for phase in row["phases"]] + [digits(row["waiting_thread_ms"])]
        for row in rows
    ]
    return table(heading, cells) + (
        f"\n{RATIOS}. The time of a phase, in ms, is summed over the threads; it is measured in extra steps, whose clock "
        "costs a few percent.\n"
    )


def profile_line(record, before):
    """What the profile of the stage `before` shows, for the chapter that begins with it."""
    profile = next(one for one in record["stages"] if one["stage"] == before)
    of_all = lambda samples: f"{100 * samples / profile['samples']:.0f} %"
    phases = sorted(profile["phases"], key=lambda phase: -phase["samples"])[:4]
    phases = ", ".join(f"{phase_name(phase['phase'])} {of_all(phase['samples'])}" for phase in phases)
    functions = ", ".join(f"`{one['function']}` {of_all(one['samples'])}" for one in profile["top_functions"][:3])
    threads = f"{profile['threads']} thread" + ("s" if profile["threads"] > 1 else "")
    graph = f"profiles/flamegraphs/{profile['flamegraph']}"
    return (
        f"[![Flamegraph of {before}]({graph})]({graph})\n\n"
        f"The profile of {before} on {threads} has {profile['samples']:,} samples. Phases: {phases}. Innermost functions: "
        f"{functions}.\n"
    )


def splice_profiles():
    record = json.loads((PROFILES / "flamegraphs" / "profiles.json").read_text())
    names = {stage["name"]: stage["predecessor"] for stage in stage_table() if "predecessor" in stage}
    profiled = {profile["stage"] for profile in record["stages"]}
    for stage, before in names.items():
        if before in profiled:
            splice("OPTIMIZATIONS.md", f"profile {stage}", profile_line(record, before))


def stage_table():
    return json.loads((PROFILES / "flamegraphs" / "stages.json").read_text())["stages"]


def limits_table(record):
    """What the machine allows the stages with one pass over the weights, and where the last f32 one's time goes."""
    one_pass = [
        row for row in record["rows"]
        if "peak_gflops" in row and any(phase["phase"] == "linear_update" for phase in row["phases"])
    ]
    if not one_pass:
        return "No stage of the record has one pass over the weights.\n"
    traffic, cells = WEIGHT_BYTES * record["parameters"], []
    for row in one_pass:
        # In an array like that of weights and moments, which is the first.
        rate = next(
            stream["gbytes_per_second"] for stream in record["streams"] if stream["threads"] == row["threads"]
        )
        step = row["step_ms"]["median"]
        arithmetic, memory = row["flops_per_step"] / row["peak_gflops"] / 1e6, traffic / rate / 1e6
        cells.append([
            f"{row['stage']}, {row['threads']}", digits(row["flops_per_step"] / 1e6), digits(arithmetic),
            digits(traffic / 1e6), digits(memory), digits(step), f"{step / max(arithmetic, memory):.2f}×",
        ])
    heading = "stage, threads|MFLOP a step|at the peak, ms|MB of w, m, v|at that rate, ms|a step, ms|over the longer"
    text = table(heading.split("|"), cells)

    last = [row for row in one_pass if row["precision"] == "f32"][-1]
    total, peak = last["phases_step_ms"] * last["threads"], last["peak_gflops"] / last["threads"]
    cells = []
    for phase in last["phases"]:
        time, flops = phase["thread_ms"], phase["flops"]
        work = [digits(flops / 1e6), f"{100 * flops / time / 1e6 / peak:.0f} %"] if flops else ["–", "–"]
        cells.append([phase_name(phase["phase"]), digits(time), f"{100 * time / total:.0f} %", *work])
    waiting = last["waiting_thread_ms"]
    cells.append(["waiting", digits(waiting), f"{100 * waiting / total:.0f} %", "–", "–"])
    heading = [f"{last['stage']}, {last['threads']}", "ms of all threads", "of the time", "MFLOP", "of peak"]
    return f"{text}\n{table(heading, cells)}"


def roofline_table(record):
    counts = sorted({peak["threads"] for peak in record["peaks"]})
    rates = {}
    for peak in record["peaks"]:
        rates.setdefault(f"{peak['isa']} {peak['precision']}, GFLOP/s", []).append(peak["gflops"])
    for stream in record["streams"]:
        name = f"{stream['array_bytes'] // 10**6} MB read and written, GB/s"
        rates.setdefault(name, []).append(stream["gbytes_per_second"])
    for handover in record.get("handovers", []):
        rates.setdefault("an empty round of the team, µs", []).append(handover["microseconds"])
    heading = ["limit", *(f"{count} thread{'s' if count > 1 else ''}" for count in counts)]
    return table(heading, [[name, *map(digits, rate)] for name, rate in rates.items()]) + bench_footer(record)


def no_background_line():
    record = json.loads((PROFILES / "ladder" / "no-background.json").read_text())

    def speedups(stage):
        of_stage = [row for row in record["rows"] if row["stage"] == stage]
        counts = [f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}" for row in of_stage]
        return ", ".join(f"on {count} {over(row['over_previous'])}" for count, row in zip(counts, of_stage))

    return (
        f"On images without a pixel of 0 (MNIST with 1 for every 0, {record['repeats']} interleaved rounds), the speed of "
        f"sparse relative to parallel is: {speedups('sparse')}; of live relative to sparse: {speedups('live')}.\n"
    )


def epochs_table(ladder):
    """What live gains over sparse as zeros grow."""
    cells = []
    for epoch in [0, *LATER_EPOCHS]:
        name = PROFILES / "ladder" / f"epoch-{epoch}.json"
        rows = (json.loads(name.read_text()) if epoch else ladder)["rows"]
        for sparse, live in zip(*([row for row in rows if row["stage"] == stage] for stage in ("sparse", "live"))):
            products = [
                sum(phase["flops"] for phase in row["phases"] if phase["phase"] == "linear_forward")
                for row in (live, sparse)
            ]
            cells.append([
                epoch, live["threads"], f"{100 * products[0] / products[1]:.0f} %", digits(sparse["step_ms"]["median"]),
                digits(live["step_ms"]["median"]), over(live["over_previous"]),
            ])
    heading = "epoch|threads|live activations|sparse, ms a step|live, ms a step|live over sparse"
    return table(heading.split("|"), cells) + (
        "\nThe epoch counts from 0, and the epochs before it were trained. *Live activations* are a share of those that see "
        "ink and of the virtual rows.\n"
    )


def fashion_table(ladder):
    """The stages that leave zeros out on the digits of MNIST and on the clothes of Fashion-MNIST."""
    path = PROFILES / "ladder" / "fashion.json"
    records = {"MNIST": ladder, **({"Fashion-MNIST": json.loads(path.read_text())} if path.exists() else {})}
    stages = ("parallel", "sparse", "live")
    cells = []
    for name, record in records.items():
        for threads in sorted({row["threads"] for row in record["rows"] if row["stage"] == "live"}):
            rows = [
                next(row for row in record["rows"] if (row["stage"], row["threads"]) == (stage, threads))
                for stage in stages
            ]
            times = [digits(row["step_ms"]["median"]) for row in rows]
            cells.append([name, threads, *times, *(over(row["over_previous"]) for row in rows[1:])])
    heading = ["images", "threads", *(f"{stage}, ms a step" for stage in stages), "sparse over parallel", "live over sparse"]
    return table(heading, cells)


def saving_line():
    seconds = {
        every: [
            events("saving", f"every-{every}-{number}", "done")[0]["train_seconds"] for number in range(SAVING_ROUNDS)
        ]
        for every in (1, SAVING_EPOCHS)
    }
    ratios = sorted(often / seldom - 1 for often, seldom in zip(seconds[1], seconds[SAVING_EPOCHS]))
    percent = lambda value: f"{100 * value:+.1f} %"
    verdict = "Inconclusive, less than the noise of the machine: " if ratios[0] < 0 < ratios[-1] else ""
    return verdict + (
        f"{'saving' if verdict else 'Saving'} after each of {SAVING_EPOCHS} epochs changes the time of training by {percent(statistics.median(ratios))} "
        f"relative to saving at the end alone. This is the median of {SAVING_ROUNDS} interleaved rounds, whose changes lie "
        f"between {percent(ratios[0])} and {percent(ratios[-1])}.\n" + footer("saving")
    )


def scaling_table():
    """A picture and a table for each sweep."""
    text = ""
    sweeps = sweeps_on(facts_of("scaling")["threads"])
    for name, sweep in sweeps.items():
        label, _, values, _, base_value, ideal, cost = sweep
        points, rows = [], []
        for value in values:
            records = [f"{point(name, sweep, value)}-{number}" for number in range(SCALING_ROUNDS)]
            seconds = [events("scaling", record, "epoch")[0]["seconds"] for record in records]
            median = statistics.median(seconds)
            deviation = statistics.median(abs(one - median) for one in seconds)
            points.append((value, median, deviation))
            done = [events("scaling", record, "done")[0] for record in records]
            load = statistics.median(one["load_seconds"] for one in done)
            memory = statistics.median(one["peak_rss_bytes"] for one in done) / 1e6
            rows.append([f"{value:,}", f"{digits(median)} ± {digits(deviation)}", digits(load), digits(memory)])
        base = next(median for value, median, _ in points if value == base_value)
        line = lambda value: base * cost(value) / cost(base_value)
        for row, (value, median, _) in zip(rows, points):
            row.insert(2, f"{median / line(value):.2f}×")
        heading = [label, "s an epoch", f"over {ideal}", "loading, s", "peak RSS, MB"]
        title = f"Cost of an epoch against {label}"
        text += f"![{title}](profiles/scaling/{name}.svg)\n\n{table(heading, rows)}\n"
        picture = plot.svg(title, label, "seconds an epoch", points, line, ideal)
        (PROFILES / "scaling" / f"{name}.svg").write_text(picture)
    start = events("scaling", "usual-0", "start")[0]
    usual = ", ".join(f"{sweep.usual:,} {sweep.label}" for name, sweep in sweeps.items() if name != "threads")
    return text + (
        f"Stage {start['stage']} on synthetic digits, one epoch; {usual} and all threads unless varied. "
        f"{SCALING_ROUNDS} interleaved rounds, median ± median absolute deviation.\n" + footer("scaling")
    )


def record_compare(arguments):
    """A record for each number of epochs. A trial runs in a folder that goes away, and only prints its table."""
    data = os.environ.get("MNIST_DATA") or ROOT / "data"
    options = compare.options_of(arguments)
    if options.networks is not None:
        record_compared_networks(data, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        for epochs in [options.epochs] if options.epochs else compare.ROUNDS:
            part = pathlib.Path(folder) / f"epochs-{epochs}"
            part.mkdir()
            write_facts(part, machine())
            compare.record(part, PROGRAM, data, epochs, options)
            if not options.trial:
                shutil.rmtree(PROFILES / "compare" / part.name, ignore_errors=True)
                shutil.copytree(part, PROFILES / "compare" / part.name)
        if options.trial:
            print("\n" + whole_comparison(list(comparisons(pathlib.Path(folder)))))
        else:
            splice_compare()


def record_compared_networks(data, options):
    """A record for each network, of the time of a step."""
    for name in options.networks or compare.NETWORKS:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            part = pathlib.Path(folder) / name
            part.mkdir()
            write_facts(part, machine())
            compare.record_network(part, PROGRAM, data, name, options)
            shutil.rmtree(PROFILES / "compare" / "networks" / name, ignore_errors=True)
            shutil.copytree(part, PROFILES / "compare" / "networks" / name)
    splice_compare()


def comparisons(folder, names=None):
    """The records in `folder`: those of `names`, or else of numbers of epochs, fewest first."""
    for name in names or [f"epochs-{epochs}" for epochs in compare.ROUNDS]:
        part = folder / name
        if part.exists():
            facts = json.loads((part / "machine.json").read_text())
            # A virtual machine may hide the name of the model, but not its numbers.
            lines = [line.split(":", 1) for line in facts["lscpu"] if re.match("(CPU family|Model):", line)]
            numbers = ", ".join(f"{name.removeprefix('CPU ').lower()} {value.strip()}" for name, value in lines)
            yield comparison.Record(part, f"{facts['cpu']} ({numbers})" if numbers else facts["cpu"])


def whole_comparison(records):
    return "\n".join([comparison.table(records), comparison.caption(records), comparison.remarks(records)])


def splice_compare():
    """The whole comparison into OPTIMIZATIONS.md; a sentence and a few rows into README.md."""
    networks = list(comparisons(PROFILES / "compare" / "networks", compare.NETWORKS))
    if networks:
        made = shared_footer([f"compare/networks/{record.plan['network']}" for record in networks])
        splice("OPTIMIZATIONS.md", "compare networks", comparison.networks(networks) + made)
    records = list(comparisons(PROFILES / "compare"))
    if not records:
        return
    made = shared_footer([f"compare/epochs-{record.plan['epochs']}" for record in records])
    few = f"{comparison.table(records, README_ROWS)}\n{comparison.caption(records)}"
    if records[-1].plan["epochs"] == comparison.NN_C_EPOCHS:
        splice("README.md", "headline", comparison.headline(records[-1]))
    splice("README.md", "compare", few + made)
    splice("OPTIMIZATIONS.md", "compare", whole_comparison(records) + made)


def splice(document, name, table):
    """Replaces the text between the markers of `name`."""
    path = ROOT / document
    markers = re.compile(rf"(<!-- BEGIN {name}:[^>]*-->\n).*?(<!-- END {name} -->)", re.DOTALL)
    text, count = markers.subn(lambda match: match[1] + "\n" + table + "\n" + match[2], path.read_text())
    if count != 1:
        sys.exit(f"{document}: expected one pair of markers for {name}, found {count}")
    path.write_text(text)


def main():
    task, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if "MNIST_DATA" in os.environ:
        os.environ["MNIST_DATA"] = os.path.abspath(os.environ["MNIST_DATA"])
    os.chdir(ROOT)
    recorders = {
        "accuracy": lambda: record_accuracy(arguments),
        "networks": lambda: record_networks(arguments),
        "transcript": record_transcript,
        "synthetic": record_synthetic,
        "ladder": record_ladder,
        "scaling": record_scaling,
        "saving": record_saving,
        "profiles": record_profiles,
        "profiling": record_profiling,
        "compare": lambda: record_compare(arguments),
    }
    if task not in [*recorders, "splice"] or arguments and task not in ("accuracy", "networks", "compare"):
        sys.exit(__doc__)
    if task in ("accuracy", "networks", "transcript", "ladder", "profiles", "profiling") and "MNIST_DATA" not in os.environ:
        sys.exit("set MNIST_DATA to the folder of the real MNIST")
    if task == "accuracy" and not set(arguments) <= set(ACCURACY_STAGES):
        sys.exit(f"the table has the stages {', '.join(ACCURACY_STAGES)}")
    if task == "networks" and not set(arguments) <= set(NETWORKS):
        sys.exit(f"the table has the networks {', '.join(NETWORKS)}")
    if task in recorders:
        program.build()
        recorders[task]()
    is_there = lambda name: task == name or task == "splice" and (PROFILES / FOLDERS.get(name, name)).exists()
    if is_there("accuracy"):
        for document in ("README.md", "OPTIMIZATIONS.md"):
            splice(document, "accuracy", accuracy_table())
    if is_there("networks"):
        splice("README.md", "networks", networks_table())
    if is_there("transcript"):
        splice("README.md", "transcript", transcript())
    if is_there("synthetic"):
        splice("README.md", "synthetic", synthetic_table())
    if is_there("ladder"):
        record = bench()
        splice("OPTIMIZATIONS.md", "ladder", ladder_table(record))
        recorded = {row["stage"] for row in record["rows"]}
        for stage in (one["name"] for one in program.stages()["stages"]):
            known = stage in recorded
            text = chapter_table(record, stage) if known else "The CPU of the record above cannot run this stage.\n"
            splice("OPTIMIZATIONS.md", f"chapter {stage}", text)
        splice("OPTIMIZATIONS.md", "roofline", roofline_table(record))
        splice("OPTIMIZATIONS.md", "limits", limits_table(record))
        splice("OPTIMIZATIONS.md", "no background", no_background_line())
        splice("OPTIMIZATIONS.md", "epochs", epochs_table(record))
        splice("OPTIMIZATIONS.md", "fashion", fashion_table(record))
    if is_there("saving"):
        splice("OPTIMIZATIONS.md", "saving", saving_line())
    if is_there("scaling"):
        splice("OPTIMIZATIONS.md", "scaling", scaling_table())
    if is_there("profiles"):
        splice_profiles()
    if is_there("profiling"):
        splice("docs/PROFILING.md", "profiling", profiling.tables(table) + footer("profiling", root="../"))
    if task == "splice" and (PROFILES / "compare").exists():
        splice_compare()
    if task == "splice" and (PROFILES / "reliability").exists():
        splice("README.md", "reliability", reliability.table())


if __name__ == "__main__":
    main()
