#!/usr/bin/env python3
"""Runs what the documents report, keeps the raw output here, and splices the tables. `mnist-train report splice` makes
the tables of the program's own records; this script makes those of other programs.

    MNIST_DATA=DIR profiles/record.py accuracy [STAGE …]
                                                  ten seeds of the default recipe → README.md, OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py networks [NAME …]
                                                  five seeds of each network with a name → README.md
    profiles/record.py datasets                   five seeds on Fashion-MNIST and on synthetic letters → OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py recipe NAME [STAGE]
                                                  what a named recipe reaches, and how fast → RECORDS.md;
                                                  SEEDS=1001..1020 for fewer or more seeds than forty
    MNIST_DATA=DIR profiles/record.py tuning NAME what was tried around it, on the last 5,000 training images, or as
                                                  many as VALIDATION=N says → RECORDS.md
    MNIST_DATA=DIR profiles/record.py small-networks
                                                  ten seeds of networks of 946 to 1,609,290 parameters → RECORDS.md
    MNIST_DATA=DIR profiles/record.py pictures    test images as pictures that people make → docs/PREDICT.md
    MNIST_DATA=DIR profiles/record.py transcript  what the main command prints → README.md
    profiles/record.py synthetic                  one seed on the synthetic digits → README.md
    MNIST_DATA=DIR profiles/record.py ladder      bench stages --record, also without background → OPTIMIZATIONS.md
    profiles/record.py scaling                    what costs more, and how much → OPTIMIZATIONS.md
    MNIST_DATA=DIR profiles/record.py ranks       training by several ranks; needs MPI → docs/CLUSTER.md
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

import figures
import instructions
import pictures
import plot
import profiling
import program
import ranks
import reliability
import sources
from program import PROGRAM, ROOT

PROFILES = ROOT / "profiles"
sys.path.insert(0, str(ROOT / "peers"))
import compare  # noqa: E402
import comparison  # noqa: E402
SEEDS = "1..10"
# A stage whose products a library computes, two exact stages of our own, and the stage that is not exact.
ACCURACY_STAGES = ["gemm", "sparse", "live", "bf16"]
# Networks with a name, in the order of their table, and for how many epochs each is trained.
NETWORKS = {
    "default": 10, "lenet5": 10, "mlp": 10, "deep": 10, "resnet": 5, "small": 5, "medium": 5, "large": 5,
    "conv1d": 10, "lstm": 10, "attention": 10,
}
NETWORK_SEEDS = "1..5"
# Rows of the comparison that README.md shows: the default, and the fastest f32 variants of two frameworks.
README_ROWS = ["ours", "pytorch-best", "jax"]
# Epochs in which stages that leave zeros out are measured again.
LATER_EPOCHS = [2, 9]
# Where Debian's package dataset-fashion-mnist has its files.
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
SCALING_ROUNDS = 3
SAVING_ROUNDS = 7
SAVING_EPOCHS = 5
# Records whose tables the program makes.
OF_THE_PROGRAM = [
    "accuracy", "networks", "datasets", "recipe", "tuning", "small-networks", "transcript", "synthetic", "ladder",
    "scaling", "saving", "profiles",
]
# Documents with these records.
DOCUMENTS = ["README.md", "OPTIMIZATIONS.md", "RECORDS.md"]
# Networks of the track of small networks, and how they are trained: by the recipe for 99.3 %, but longer, and with
# initial weights that every network can have.
SMALL_NETWORKS = [
    "conv8k5s2p2,batchnorm,relu,maxpool2,conv8k3p1,batchnorm,relu,globalavgpool,fc10",
    "conv4k5s2p2,batchnorm,relu,maxpool2,flatten,fc10",
    "conv8k5s2p2,batchnorm,relu,conv16k3s2p1,batchnorm,relu,maxpool2,flatten,fc10",
    "conv8k5s2p2,batchnorm,relu,conv16k3s2p1,batchnorm,relu,flatten,fc10",
    "conv16k5p2,relu,maxpool2,flatten,fc16,relu,fc10",
    "lenet5",
    "mlp",
    "conv32k5p2,relu,maxpool2,flatten,fc128,relu,fc10",
    "conv32k5p2,relu,maxpool2,flatten,fc256,relu,fc10",
]
SMALL_FLAGS = [
    "--recipe", "99.3", "--epochs", "5", "--t-max", "5", "--init", "pytorch", "--init-scale", "fc1=1", "--freeze-conv", "0",
    "--eval-every", "5",
]
# What was tried around each recipe: seeds, flags of all runs, and values of one flag each. The value of the recipe is among
# them, but for 99.5, whose runs are long, even with a third of its epochs, only among those of the first flag.
TUNING = {
    "99": ("1..10", "", [
        "--lr 8e-3,11e-3,14e-3", "--warmup 0,0.16,0.32", "--init patches,pytorch,he", "--freeze-conv 0,0.2,0.4",
        "--label-smoothing 0,0.15,0.3", "--augment none,shift,affine", "--beta1 0.7,0.8,0.9",
        "--init-scale fc1=1 --init-scale fc1=2 --init-scale fc1=4", "--batch-size 64,96,128", "--l2 0,1e-4",
    ]),
    "99.5": ("1..4", "--epochs 24 --t-max 24", [
        "--augment affine,elastic", "--lr 1.5e-3,6e-3", "--label-smoothing 0,0.2", "--weight-decay 0.01,0.2",
        "--batch-size 64,256",
    ]),
}


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


def sweep(record, seeds, *flags):
    """Records a training with each of the seeds anew, as profiles/<record>/seed-<seed>.jsonl."""
    describe(record)
    subprocess.run([PROGRAM, "sweep", "--seeds", seeds, "--out", PROFILES / record, *flags], check=True)


def record_accuracy(stages):
    """Of each stage anew; the others' records stay."""
    for stage in stages or ACCURACY_STAGES:
        sweep(f"accuracy/{stage}", SEEDS, "--epochs", "10", "--stage", stage)


def record_networks(names):
    """Of each network anew; the others' records stay."""
    for name in names or NETWORKS:
        epochs = str(NETWORKS[name])
        sweep(f"networks/{name}", NETWORK_SEEDS, "--epochs", epochs, "--t-max", epochs, "--arch", name)


def record_datasets():
    """The default network on Fashion-MNIST, and on the letters that the program draws."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "data", "synthetic", "--letters", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        for name, flags in [("fashion", ["--dataset", "fashion"]), ("synthetic-letters", ["--data", folder])]:
            sweep(f"datasets/{name}", NETWORK_SEEDS, "--epochs", "10", "--t-max", "10", *flags)


def record_recipe(arguments):
    """Adds to the record of the day, so that more seeds can be added with the same commit."""
    name, stage = arguments[0], arguments[1:]
    folder = PROFILES / "records" / "-".join([utc(time.time())[:10], name, *stage])
    facts = folder / "machine.json"
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_facts(folder, machine())
    elif json.loads(facts.read_text())["commit"] != program.commit():
        sys.exit(f"{folder}: was begun with another commit: move it away")
    flags = ["--stage", *stage] if stage else []
    seeds = ["--seeds", os.environ["SEEDS"]] if "SEEDS" in os.environ else []
    subprocess.run([PROGRAM, "records", name, "--out", folder, *flags, *seeds], check=True)


def draw_recipes():
    """Accuracy over seconds of every run of the newest record of each recipe by an exact stage."""
    runs = {}
    folders = [path.parent for path in (PROFILES / "records").glob("*/runs.jsonl")]
    for folder in sorted(folders, key=lambda folder: json.loads((folder / "machine.json").read_text())["date"]):
        lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
        starts = {line["recipe"]: line["start"] for line in lines if line["event"] == "record_start"}
        if any(start["products"] != "f32" for start in starts.values()):
            continue
        named = {name: [] for name in starts}
        for line in lines:
            if line["event"] == "record_run":
                named[line["recipe"]].append((line["clock_seconds"], 100 * line["test_correct"] / line["test_total"]))
        # The recipe of a record is its last one; the recipes before it have records of their own.
        recipe = list(named)[-1]
        runs[recipe] = named[recipe]
        if recipe == "99":
            runs["one epoch"] = named["one epoch"]
    if not runs:
        return
    marks = [float(name) for name in runs if name != "one epoch"]
    groups = [
        ("one epoch of the default" if name == "one epoch" else f"--recipe {name}", sorted(dots))
        for name, dots in runs.items()
    ]
    picture = plot.cloud(
        "Accuracy on the test images, a dot for each seed", "seconds, from the images in memory to the last prediction",
        "accuracy", groups, marks,
    )
    (PROFILES / "recipes.svg").write_text(picture)


def record_tuning(name):
    describe(f"tuning/{name}")
    seeds, always, flags = TUNING[name]
    validation = os.environ.get("VALIDATION", "5000")
    for changes in flags:
        words = changes.split()
        keep_sweep(f"tuning/{name}/{words[0][2:]}.jsonl", "--recipe", name, "--validation", validation, "--no-eval",
                   "--seeds", seeds, *always.split(), *words)


def record_small_networks():
    describe("small-networks")
    networks = [word for network in SMALL_NETWORKS for word in ("--arch", network)]
    keep_sweep("small-networks/sweep.jsonl", "--seeds", SEEDS, *SMALL_FLAGS, *networks)


def keep_sweep(record, *flags):
    """Keeps the JSON lines of a sweep, which has a line for each run and one with the means."""
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM, "sweep", "--json", "--quiet", "--out", folder, *flags]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    # The path of a temporary file says nothing to a reader.
    (PROFILES / record).write_text(lines.replace(folder, "sweep"))
    print(record, flush=True)


def record_pictures():
    describe("pictures")
    pictures.record()


def record_transcript():
    describe("transcript")
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "run", "--release", "--manifest-path", ROOT / "Cargo.toml", "--", "--epochs", "10"]
        lines = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    (PROFILES / "transcript" / "stdout.txt").write_text(lines)


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


def record_ranks():
    ranks.build()
    describe("ranks")
    ranks.record()
    program.build()


def point(name, sweep, value):
    """The name of a record; all sweeps share the one in which nothing is unusual."""
    return "usual" if value == sweep.usual else f"{name}-{value}"


def events(record, name, kind):
    lines = (PROFILES / record / f"{name}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def footer(record, root=""):
    """Where a record was made and where it is, for a document from which `root` leads to the repository's."""
    facts = facts_of(record)
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
        f"commit {facts['commit']}, {facts['date']}, load average at the start {facts['load_average']}: "
        f"[profiles/{record}]({root}profiles/{record})"
    )


def shared_footer(records):
    """One for all that were made on the same computer."""
    facts = {record: facts_of(record) for record in records}
    computers = dict.fromkeys(map(computer, facts.values()))
    origins = lambda where: [origin(record, facts[record]) for record in records if computer(facts[record]) == where]
    return "".join(f"\n{where}; {'; '.join(origins(where))}.\n" for where in computers)


def draw_scaling():
    """A picture of each sweep."""
    for name, sweep in sweeps_on(facts_of("scaling")["threads"]).items():
        label, _, values, _, base_value, ideal, cost = sweep
        points = []
        for value in values:
            records = [f"{point(name, sweep, value)}-{number}" for number in range(SCALING_ROUNDS)]
            seconds = [events("scaling", record, "epoch")[0]["seconds"] for record in records]
            median = statistics.median(seconds)
            points.append((value, median, statistics.median(abs(one - median) for one in seconds)))
        base = next(median for value, median, _ in points if value == base_value)
        line = lambda value: base * cost(value) / cost(base_value)  # noqa: E731
        picture = plot.svg(f"Cost of an epoch against {label}", label, "seconds an epoch", points, line, ideal)
        (PROFILES / "scaling" / f"{name}.svg").write_text(picture)


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


def sources_footer(results):
    """Where the figures of docs/SOURCES.md were made."""
    if not results:
        return "No report is recorded yet.\n"
    facts = results["bench_layers"]["environment"]
    return f"{computer(facts)}; {utc(facts['unix_seconds'])}: [profiles/suite](../profiles/suite).\n"


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
        "datasets": record_datasets,
        "recipe": lambda: record_recipe(arguments),
        "tuning": lambda: record_tuning(arguments[0]),
        "small-networks": record_small_networks,
        "pictures": record_pictures,
        "transcript": record_transcript,
        "synthetic": record_synthetic,
        "ladder": record_ladder,
        "scaling": record_scaling,
        "ranks": record_ranks,
        "saving": record_saving,
        "profiles": record_profiles,
        "profiling": record_profiling,
        "compare": lambda: record_compare(arguments),
    }
    if task not in [*recorders, "splice"] or arguments and task not in (
        "accuracy", "networks", "recipe", "tuning", "compare"
    ):
        sys.exit(__doc__)
    on_mnist = (
        "accuracy", "networks", "recipe", "tuning", "small-networks", "pictures", "transcript", "ladder", "profiles",
        "profiling", "ranks",
    )
    if task in on_mnist and "MNIST_DATA" not in os.environ:
        sys.exit("set MNIST_DATA to the folder of the real MNIST")
    if task == "accuracy" and not set(arguments) <= set(ACCURACY_STAGES):
        sys.exit(f"the table has the stages {', '.join(ACCURACY_STAGES)}")
    if task == "recipe" and not arguments or task == "tuning" and arguments[:1] not in [[name] for name in TUNING]:
        sys.exit(__doc__)
    if task == "networks" and not set(arguments) <= set(NETWORKS):
        sys.exit(f"the table has the networks {', '.join(NETWORKS)}")
    program.build()
    if task in recorders:
        recorders[task]()
    if task in ("scaling", "splice"):
        draw_scaling()
    if task in ("recipe", "splice"):
        draw_recipes()
    if task in OF_THE_PROGRAM or task == "splice":
        subprocess.run([PROGRAM, "report", "splice", *DOCUMENTS], check=True)
    if task in ("pictures", "splice"):
        splice("docs/PREDICT.md", "pictures", pictures.table() + footer("pictures", root="../"))
    if task in ("ranks", "splice"):
        splice("docs/CLUSTER.md", "ranks", ranks.tables() + footer("ranks", root="../"))
    if task in ("profiling", "splice"):
        splice("docs/PROFILING.md", "profiling", profiling.tables() + footer("profiling", root="../"))
    if task == "splice":
        splice_compare()
        splice("README.md", "reliability", reliability.table())
        splice("OPTIMIZATIONS.md", "instructions", instructions.table())
        results = figures.results()
        for name, text in sources.tables(results).items():
            splice("docs/SOURCES.md", f"sources {name}", text)
        splice("docs/SOURCES.md", "sources machine", sources_footer(results))


if __name__ == "__main__":
    main()
