"""What `profiles/record.py compare` runs: mnist-train and its peers on one job, first their losses, then their times.

README.md here says what the peers are and what is compared.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time


PEERS = pathlib.Path(__file__).resolve().parent
SEED = 1
BATCH_SIZE = 64
# The losses: epochs of five steps, the last one short, so that the schedule and short batches are compared too.
CURVE_EPOCHS, CURVE_IMAGES = 10, 300
CURVE_STEPS = CURVE_EPOCHS * -(-CURVE_IMAGES // BATCH_SIZE)
# Of each mean loss, absolute, and of each tensor's L2 norm after the last step, relative.
TOLERANCES = {"f32": (1e-4, 1e-4), "bf16": (3e-2, 3e-2)}
# Of the mean loss of each epoch that is timed.
EPOCH_TOLERANCES = {"f32": 3e-3, "bf16": 2e-2}
# What takes a minute and more an epoch is timed on fewer images.
SLOW_IMAGES = 6400
# The records, by their epochs: how many rounds are timed, and how many before them warm up and do not count.
ROUNDS = {1: (3, 1), 10: (2, 0)}
# The networks whose steps are timed, on these images in these rounds, after one that does not count.
NETWORKS = ["default", "lenet5", "mlp", "conv1d", "lstm", "attention", "deep", "resnet"]
NETWORK_IMAGES, NETWORK_ROUNDS = 6400, 3
# Of a network, fewer losses are compared. With batch normalization, the bias of a convolution has no gradient but
# rounding error, which Adam makes as large as any other, and after more steps the programs choose differently in relu.
# The running statistics of the initial weights have seen one step, which a run of ours has not. PyTorch's batch
# normalization with channels_last differs from its own without, with which ours agrees.
CHANNELS_LAST_TOLERANCES = 3e-3, 1e-3
NETWORK_CURVE_EPOCHS = 2
# Others may use this share of the machine before a run counts as contended.
CONTENTION = 0.05
PATIENCE_SECONDS = 60

AVX2_ONLY = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
# glibc then keeps the memory of a step for the next one. Otherwise it may give it back to the kernel, which has to clear
# it anew.
KEPT_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_TOP_PAD_": str(64 << 20),
}
# What a row needs of the CPU, and what is said if the CPU does not have it.
UNMET = {
    "avx512f": "without AVX-512 it would repeat another row",
    "avx512_bf16": "the CPU does not have avx512_bf16",
}

class Contestant:
    """One row: how it is called, what runs it, what it computes in, and in which records it is."""

    def __init__(
        self, name, title, flags, peer=None, precision="f32", environment=None, needs=None, slow=False, epochs=(1,),
        tolerances=None,
    ):
        self.name, self.title, self.flags, self.peer = name, title, flags, peer
        self.precision, self.environment, self.needs = precision, environment or {}, needs
        self.slow, self.epochs, self.tolerances = slow, epochs, tolerances or TOLERANCES[precision]

    def command(self, program, data, inputs, model, epochs, threads, images, evaluate):
        """The whole command line."""
        common = ["--data", data, "--epochs", str(epochs), "--batch-size", str(BATCH_SIZE), "--threads", str(threads)]
        if images:
            common += ["--max-samples", str(images)]
        if self.peer is None:
            quiet = ["--json", "--quiet", "--seed", str(SEED), "--model", model]
            return [program, *quiet, *common, *self.flags, *([] if evaluate else ["--no-eval"])]
        if self.peer in ("pytorch", "jax"):
            runner = [PEERS / self.peer / ".venv" / "bin" / "python", PEERS / self.peer / "train.py"]
        else:
            runner = [PEERS / self.peer / "target" / "release" / f"peer-{self.peer}"]
        return [*runner, *common, "--weights", inputs.weights, "--order", inputs.order(images, epochs), *self.flags]


# The first row is what every other one is compared with.
CONTESTANTS = [
    Contestant("ours", "mnist-train, default stage", [], epochs=(1, 10)),
    Contestant("ours-avx2", "mnist-train, default stage held to AVX2", ["--isa", "avx2"], needs="avx512f"),
    Contestant("ours-bf16", "mnist-train, bf16", ["--stage", "bf16"], precision="bf16", needs="avx512_bf16"),
    Contestant("ours-gemm", "mnist-train, gemm", ["--stage", "gemm"]),
    Contestant("pytorch-eager", "PyTorch eager", ["--variant", "eager"], "pytorch"),
    Contestant(
        "pytorch-best", "PyTorch best", ["--variant", "best"], "pytorch", environment=KEPT_HEAP, epochs=(1, 10)
    ),
    Contestant(
        "pytorch-best-avx2", "PyTorch best held to AVX2", ["--variant", "best"], "pytorch",
        environment={**KEPT_HEAP, **AVX2_ONLY}, needs="avx512f",
    ),
    Contestant(
        "pytorch-bf16", "PyTorch best + bf16 autocast", ["--variant", "bf16"], "pytorch", "bf16",
        environment=KEPT_HEAP, needs="avx512_bf16",
    ),
    Contestant("jax", "JAX jit", [], "jax", environment=KEPT_HEAP, epochs=(1, 10)),
    Contestant("burn", "burn, flex backend", [], "burn", environment=KEPT_HEAP, slow=True),
    Contestant("candle", "candle", [], "candle", environment=KEPT_HEAP, slow=True),
]


def network_contestants(text):
    """The rows of the network `text`: ours, and PyTorch with both layouts of images."""
    normalized = CHANNELS_LAST_TOLERANCES if "batchnorm" in text else None
    return [
        Contestant("ours", "mnist-train, default stage", ["--arch", text]),
        *(
            Contestant(
                f"pytorch-{variant}", f"PyTorch {variant}", ["--variant", variant, "--arch", text], "pytorch",
                environment=KEPT_HEAP, tolerances=tolerances,
            )
            for variant, tolerances in (("best", normalized), ("planes", None))
        ),
    ]


class Inputs:
    """Files that every contestant starts from: initial weights and the order of the images."""

    def __init__(self, folder, program, data, train_images, flags=()):
        self.folder, self.train_images = pathlib.Path(folder), train_images
        self.weights = self.folder / "initial.safetensors"
        # One step at a learning rate that no f32 weight can feel leaves the initial weights in the checkpoint.
        still = ["--lr", "1e-30", "--min-lr", "0", "--epochs", "1", "--max-samples", str(BATCH_SIZE), "--no-eval"]
        job = ["--seed", str(SEED), "--data", data, "--stage", "gemm", *flags]
        command = [program, "--json", "--quiet", *job, *still]
        subprocess.run([*command, "--model", self.weights], check=True, stdout=subprocess.DEVNULL)

    def order(self, images, epochs):
        path = self.folder / f"order-{images}-{epochs}"
        if not path.exists():
            # In a process of its own: the memory of a parent counts in the peak of its children.
            code = f"import order; order.write({str(path)!r}, {images or self.train_images}, {SEED}, {epochs})"
            subprocess.run([sys.executable, "-c", code], cwd=PEERS, check=True)
        return path


def cpu_seconds():
    """(idle, busy) seconds of all processors since they started, waiting for the hypervisor counted as busy."""
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    rate = os.sysconf("SC_CLK_TCK")
    idle = ticks[3] + ticks[4]
    return idle / rate, (sum(ticks) - idle) / rate


def wait_for_quiet():
    """Until others leave the machine alone, though not for ever."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        idle, busy = cpu_seconds()
        time.sleep(1)
        idle, busy = (after - before for after, before in zip(cpu_seconds(), (idle, busy)))
        if busy <= CONTENTION * (idle + busy):
            return


def run(path, command, environment):
    """Runs `command`, keeps its JSON lines at `path` with a last line of our own, and returns them all."""
    load, (_, busy), began = os.getloadavg()[0], cpu_seconds(), time.monotonic()
    with open(path, "w") as file, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=file, stderr=errors, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        others = max(0.0, cpu_seconds()[1] - busy - usage.ru_utime - usage.ru_stime)
        if process.returncode != 0:
            errors.seek(0)
            lines = errors.read().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"exit code {process.returncode}")
        measured = {
            "event": "process", "seconds": round(seconds, 4), "peak_rss_bytes": usage.ru_maxrss * 1024,
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "load_average_before": round(load, 2),
            "share_of_others": round(others / seconds / os.cpu_count(), 4),
        }
        file.write(json.dumps(measured) + "\n")
    return events(path)


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def one(lines, kind):
    return next(line for line in lines if line["event"] == kind)


def stages(program):
    """The machine as the program sees it, and what each stage is."""
    return json.loads(subprocess.run([program, "stages", "--json"], check=True, capture_output=True).stdout)


def available(program, wanted):
    """The contestants among `wanted` that can run here, and what is said of the others."""
    features = stages(program)["machine"]["features"]
    ready, left_out = {}, {}
    for contestant in wanted:
        reason = UNMET[contestant.needs] if contestant.needs and contestant.needs not in features else None
        if not reason and contestant.peer:
            if contestant.peer not in ready:
                print(f"setting {contestant.peer} up", flush=True)
                made = subprocess.run(
                    ["make", "-C", PEERS, contestant.peer], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
                lines = [line for line in made.stderr.splitlines() if line.strip() and not line.startswith("make")]
                ready[contestant.peer] = None if made.returncode == 0 else (lines or ["make failed"])[-1].strip()
            reason = ready[contestant.peer] and f"it could not be set up: {ready[contestant.peer]}"
        if reason:
            left_out[contestant.title] = reason
            print(f"{contestant.title}: left out, {reason}", flush=True)
    return [contestant for contestant in wanted if contestant.title not in left_out], left_out


def official_images(program, data):
    """How many images there are to train on."""
    command = [program, "data", "--json", "--data", data]
    files = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["files"]
    if any(file["status"] != "mnist" for file in files):
        sys.exit(f"{data} does not hold the official MNIST: set MNIST_DATA, or run make data")
    return files[0]["count"]


def tensors(path):
    """The values of a safetensors file of f32, by name."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, struct.unpack_from(f"<{(end - begin) // 4}f", content, 8 + length + begin)


def norms(model):
    """L2 norms of the weights and biases in a checkpoint of ours."""
    code = (
        "import compare, json, pathlib, sys; print(json.dumps({name: sum(x * x for x in values) ** 0.5"
        " for name, values in compare.tensors(pathlib.Path(sys.argv[1])) if not name.startswith('adam.')}))"
    )
    # In a process of its own, as above.
    command = [sys.executable, "-c", code, model]
    return json.loads(subprocess.run(command, cwd=PEERS, check=True, capture_output=True, text=True).stdout)


def compare_curves(folder, contestants, left_out, program, data, inputs, threads, epochs=CURVE_EPOCHS, without=()):
    """Runs the first steps of everyone; leaves those that agree, and ends with an error if one does not. The norms of
    tensors whose names end with one of `without` are not compared."""
    steps = epochs * -(-CURVE_IMAGES // BATCH_SIZE)
    reference, agreeing, wrong = None, [], []
    for contestant in contestants:
        path, model = folder / f"{contestant.name}-curve.jsonl", inputs.folder / f"{contestant.name}.bin"
        command = contestant.command(program, data, inputs, model, epochs, threads, CURVE_IMAGES, False)
        try:
            lines = run(path, command, environment(contestant, threads))
        except (RuntimeError, OSError) as error:
            path.unlink(missing_ok=True)
            left_out[contestant.title] = f"it does not run: {error}"
            print(f"{contestant.title}: left out, {left_out[contestant.title]}", flush=True)
            continue
        curve = [line["loss"] for line in lines if line["event"] == "epoch"]
        sizes = one(lines, "done").get("norms") or norms(model)
        if contestant.peer is None:
            with open(path, "a") as file:
                file.write(json.dumps({"event": "norms", "norms": sizes}) + "\n")
            clean(path, model)
        if reference is None:
            reference = curve, sizes
        losses = [abs(a - b) for a, b in zip(curve, reference[0])]
        compared = {name: value for name, value in reference[1].items() if not name.endswith(tuple(without))}
        sizes_apart = [abs(sizes[name] / value - 1) for name, value in compared.items()]
        # max() can lose what is not a number.
        loss, norm = (math.nan if any(map(math.isnan, values)) else max(values) for values in (losses, sizes_apart))
        allowed_loss, allowed_norm = contestant.tolerances
        good = len(curve) == epochs and loss <= allowed_loss and norm <= allowed_norm
        (agreeing if good else wrong).append(contestant)
        print(
            f"{contestant.title}: losses of {steps} steps differ by up to {loss:.1e} (allowed {allowed_loss:g}), "
            f"norms of the weights by {norm:.1e} (allowed {allowed_norm:g})", flush=True,
        )
    if not agreeing or agreeing[0].name != CONTESTANTS[0].name:
        sys.exit(f"{CONTESTANTS[0].title}, which the others are compared with, does not run")
    if wrong:
        titles = ", ".join(contestant.title for contestant in wrong)
        sys.exit(f"another training, so its time means nothing: {titles}")
    return agreeing


def environment(contestant, threads):
    """candle asks the first variable, and the second keeps a user's setting out."""
    return {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), **contestant.environment}


def clean(path, model):
    """The path of a temporary file says nothing to a reader."""
    path.write_text(path.read_text().replace(str(model), "ckpt.bin"))


def options_of(arguments):
    """What a recording is asked to do."""
    parser = argparse.ArgumentParser(prog="profiles/record.py compare")
    parser.add_argument("--epochs", type=int, choices=ROUNDS, help="record these epochs alone [default: all of them]")
    rounds = ", ".join(f"{count} for --epochs {epochs}" for epochs, (count, _) in ROUNDS.items())
    parser.add_argument("--rounds", type=int, help=f"timed rounds [default: {rounds}]")
    parser.add_argument("--max-samples", type=int, help="a trial on the first N images")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[c.name for c in CONTESTANTS[1:]],
                        help="a trial of these rows alone, and the first")
    parser.add_argument("--networks", nargs="*", metavar="NETWORK", choices=NETWORKS,
                        help="record steps of these networks, or of all with a name, and nothing else")
    options = parser.parse_args(arguments)
    options.trial = options.max_samples is not None or options.only is not None
    return options


def record(folder, program, data, epochs, options):
    """Compares losses, then times rounds of `epochs` epochs; keeps the lines of every run in `folder`."""
    count, warm_ups = ROUNDS[epochs]
    count = options.rounds or count
    threads, program, data = stages(program)["machine"]["threads"], str(program), str(data)
    names = [CONTESTANTS[0].name, *(options.only or [c.name for c in CONTESTANTS])]
    wanted, left_out = available(program, [c for c in CONTESTANTS if c.name in names and epochs in c.epochs])
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Inputs(scratch, program, data, official_images(program, data))
        contestants = compare_curves(folder, wanted, left_out, program, data, inputs, threads)
        plan = {
            "epochs": epochs, "rounds": count, "warm_ups": warm_ups, "threads": threads,
            "train_images": options.max_samples or inputs.train_images,
            "contestants": [
                {"name": c.name, "title": c.title, "precision": c.precision, "environment": c.environment,
                 "flags": c.flags, "images": images_of(c, options, inputs)}
                for c in contestants
            ],
            "left_out": left_out,
        }
        (folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
        time_rounds(folder, contestants, inputs, program, data, plan, options.trial)


def record_network(folder, program, data, name, options):
    """Compares losses on the network `name`, then times steps; keeps the lines of every run in `folder`."""
    threads, program, data = stages(program)["machine"]["threads"], str(program), str(data)
    command = [program, "summary", "--json", "--arch", name]
    text = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["architecture"]
    wanted, left_out = available(program, network_contestants(text))
    with tempfile.TemporaryDirectory() as scratch:
        # Each program draws its own masks, so losses are compared without dropout, which has no parameters.
        plain = re.sub(r"dropout[0-9.]+,", "", text)
        inputs = Inputs(scratch, program, data, official_images(program, data), ["--arch", plain])
        without = [".bias", ".running_mean", ".running_var"] if "batchnorm" in text else []
        agreeing = compare_curves(
            folder, network_contestants(plain), left_out, program, data, inputs, threads, NETWORK_CURVE_EPOCHS, without
        )
        names = [contestant.name for contestant in agreeing]
        contestants = [contestant for contestant in wanted if contestant.name in names]
        plan = {
            "network": name, "architecture": text, "epochs": 1, "rounds": options.rounds or NETWORK_ROUNDS,
            "warm_ups": 1, "threads": threads, "train_images": NETWORK_IMAGES,
            "contestants": [
                {"name": c.name, "title": c.title, "precision": c.precision, "environment": c.environment,
                 "flags": c.flags, "images": NETWORK_IMAGES}
                for c in contestants
            ],
            "left_out": left_out,
        }
        (folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
        time_rounds(folder, contestants, inputs, program, data, plan, options.trial)


def time_rounds(folder, contestants, inputs, program, data, plan, is_trial):
    """Times the rounds of `plan`; keeps the lines of every run in `folder`."""
    epochs, count, warm_ups, threads = (plan[field] for field in ("epochs", "rounds", "warm_ups", "threads"))
    images = {row["name"]: row["images"] for row in plan["contestants"]}
    # The rounds up to 0 warm the files and the machine up, and do not count. The first row runs once more before
    # each other one: the machine's moods last seconds.
    first, *others = contestants
    for number in range(1 - warm_ups, count + 1):
        turns = others[:: 1 if number % 2 else -1]
        pairs = [((first, before(first.name, number, c.name)), (c, f"{c.name}-{number}")) for c in turns]
        for contestant, name in itertools.chain(*pairs):
            path = folder / f"{name}.jsonl" if number > 0 else inputs.folder / "warm-up.jsonl"
            model = inputs.folder / f"{name}.bin"
            limit = None if images[contestant.name] == inputs.train_images else images[contestant.name]
            command = contestant.command(program, data, inputs, model, epochs, threads, limit, True)
            if not is_trial:
                wait_for_quiet()
            try:
                lines = run(path, command, environment(contestant, threads))
            except RuntimeError as error:
                sys.exit(f"{contestant.title}: {error}")
            clean(path, model)
            model.unlink(missing_ok=True)
            seconds, process = one(lines, "done")["train_seconds"], one(lines, "process")
            contended = ", contended" if process["share_of_others"] > CONTENTION else ""
            print(f"round {number}, {contestant.title}: {seconds:.3f} s{contended}", flush=True)


def before(first, number, name):
    """What the record is called of the first row's run before that of `name`."""
    return f"{first}-{number}-{name}"


def images_of(contestant, options, inputs):
    images = options.max_samples or inputs.train_images
    return min(images, SLOW_IMAGES) if contestant.slow else images
