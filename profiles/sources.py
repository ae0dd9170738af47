"""What four other projects measure, our command for each row, and our last figure: the tables of docs/SOURCES.md."""

import re
import sys
import typing

import figures
from figures import Missing, batches, layers, limits, phases, tape, widths
from markdown import table
from program import ROOT


class Row(typing.NamedTuple):
    """Row of a table of docs/SOURCES.md."""

    number: str
    what: str  # what the other project measures or promises
    command: str
    # Words, or what makes them of the results.
    figure: typing.Union[typing.Callable[[dict], str], str]


EASYROBOT = [
    Row("0.1", "Conv2D forward, 8×64×32×32 to 128 channels, 3×3", "`mnist-train bench layers conv2d`",
        layers("conv2d", passes=["forward"])),
    Row("0.2", "Conv2D backward", "`mnist-train bench layers conv2d`", layers("conv2d", passes=["backward"])),
    Row("0.3", "Conv1D forward, 8×64×256 to 128 channels, 3", "`mnist-train bench layers conv1d`",
        layers("conv1d", passes=["forward"])),
    Row("0.4", "Conv1D backward", "`mnist-train bench layers conv1d`", layers("conv1d", passes=["backward"])),
    Row("0.5", "MaxPool2D, 4×32×16×16, 2×2", "`mnist-train bench layers maxpool`", layers("maxpool")),
    Row("0.6", "AvgPool2D, 4×32×16×16, 2×2", "`mnist-train bench layers avgpool`", layers("avgpool")),
    Row("0.7", "Dense, 32×256 to 512", "`mnist-train bench layers dense`", layers("dense")),
    Row("0.8", "Softmax, 32×128", "`mnist-train bench layers softmax`", layers("softmax")),
    Row("0.9", "LSTM, one step of 16×128, 256 hidden; EasyRobot has no backward pass", "`mnist-train bench layers lstm`",
        layers("lstm")),
    Row("0.10", "Dropout of one half, 32×512", "`mnist-train bench layers dropout`", layers("dropout")),
    Row("0.11", "ReLU, sigmoid and tanh backward, 32×512, without allocations",
        "`mnist-train bench layers relu sigmoid tanh`",
        layers("relu", "sigmoid", "tanh", passes=["backward"], allocations=True)),
    Row("0.12", "Columns: duration, allocations, bytes, speed-up, change",
        "`mnist-train bench layers --baseline OLD`, with OLD another build or a record",
        "No figure: the columns are time, allocations and their bytes, speed relative to naive, and change against OLD"),
    Row("0.13", "Results and scratch memory that are allocated once", "`mnist-train bench layers`",
        figures.layer_allocations),
    Row("0.14", "Techniques: permutation of axes, windows' indices kept for the backward pass, fewer copies",
        "`mnist-train bench stages`",
        "No figure of its own: every technique here is a stage, and OPTIMIZATIONS.md has their times"),
    Row("0.15", "Training tests of layers", "`mnist-train gradcheck`",
        "No figure: it passes or exits with 1. `cargo test --test gradcheck` has every kind of layer and mistakes that it "
        "must find"),
]

TENFLOWERS = [
    Row("1.1", "Least operations a second of six computations", "`mnist-train bench budget`", limits(
        "add 1000, with gradients", "mul 1000, with gradients", "relu 10000, with gradients",
        "sigmoid 10000, with gradients", "matmul 100x100, with gradients", "784-128-10, batch 32, with gradients")),
    Row("1.2", "Operations: arithmetic, products, activations, reductions", "`mnist-train bench autograd`",
        figures.operations),
    Row("1.3", "Sizes from 10 to 10,000 elements", "`mnist-train bench autograd --filter softmax`",
        tape("softmax 10", "softmax 100", "softmax 1000", "softmax 10000")),
    Row("1.4", "A network and a convolution", "`mnist-train bench autograd --filter 784-128-10`, "
        "`mnist-train bench autograd --filter conv8k3`",
        tape("784-128-10, batch 32", "conv8k3, batch 8")),
    Row("1.5", "Gradients added up over parts of a batch", "`mnist-train bench autograd --filter ' in '`",
        tape("batch 32 in 1", "batch 32 in 4", "batch 128 in 4", "batch 128 in 32")),
    Row("1.6", "Work of the tape itself", "`mnist-train bench autograd`", figures.bookkeeping),
    Row("1.7", "Memory of a deep and of a wide graph", "`mnist-train bench autograd --filter 20`",
        tape("deep, 20 x add and tanh", "wide, 20 branches", text=figures.bytes_of_both)),
    Row("1.8", "Memory by number of elements", "`mnist-train bench autograd --filter add`",
        tape("add 100", "add 1000", "add 10000", text=figures.bytes_of_both)),
    Row("1.9", "Cost of gradients relative to the forward pass", "`mnist-train bench autograd --filter 1000`",
        tape("add 1000", "mul 1000", "relu 1000", "sigmoid 1000", text=figures.overhead)),
    Row("1.10", "Batches of 1, 8, 32 and 128, 784 to 10", "`mnist-train bench autograd --filter 784-10`",
        tape(*(f"784-10, batch {size}" for size in (1, 8, 32, 128)))),
    Row("1.11", "Chains of 5, 10, 20 and 50 operations", "`mnist-train bench autograd --filter chain`",
        tape(*(f"chain of {length}" for length in (5, 10, 20, 50)))),
    Row("1.12", "Settings of criterion: samples, warm-up, noise", "`mnist-train bench autograd --rounds 10`",
        figures.rounds),
    Row("1.13", "Flags of the script: all, category, configuration, baseline, summary, output",
        "`mnist-train bench all --out DIR`, `mnist-train bench autograd --filter TEXT --baseline OLD --csv FILE`",
        "No figure: the report is the summary. A configuration is another build, which is OLD; there is no GPU code"),
    Row("1.14", "Metrics: operations a second, time, memory, scaling", "`mnist-train bench autograd --json`",
        "No figure of its own: docs/JSON.md lists the fields. Elements a second are not printed; `elements` and the time "
        "give them"),
    Row("1.15", "Continuous integration", "`mnist-train bench all --quick --out DIR`",
        "No figure: `.ci/run` does so. The exit code is 5 if a limit is not met, and DIR is what to keep; there is no "
        "workflow file of a particular service"),
    Row("1.16", "Practices: warm-up, repetition, fixed inputs, unusual shapes", "`cargo test --test layers`",
        "No figure: unusual shapes are tested and not timed; the smallest on the tape have 10 elements"),
]

NEURALLAYERS = [
    Row("2.1", "Throughput, batches of 1 to 128", "`mnist-train bench infer`", batches(1, 4, 8, 16, 32, 64, 128)),
    Row("2.2", "Latency", "`mnist-train bench infer`", batches(1, 64, text=figures.latency)),
    Row("2.3", "Networks of 128 to 1,024 hidden units, batches of 32", "`mnist-train bench infer`",
        widths(128, 256, 512, 1024)),
    Row("2.4", "FP32 against FP16", "`mnist-train bench infer`", figures.formats),
    Row("2.5", "A prediction in less than 1 ms", "`mnist-train bench infer`", batches(1, text=figures.real_time)),
    Row("2.6", "Sample on an RTX 3090: 1,245, 8,932, 18,456 and 22,134 samples/s in batches of 1, 16, 64 and 128, of "
        "another network; its program does not run, so nobody can repeat it",
        "`mnist-train bench infer`", batches(1, 16, 64, 128)),
    Row("2.7", "Memory of predictions", "`mnist-train bench memory`", figures.memory("inference")),
    Row("2.8", "Memory of training: forward, backward, gradients, peak", "`mnist-train bench memory`",
        figures.memory_parts),
    Row("2.9", "Memory layer by layer", "`mnist-train bench memory`", figures.memory_layers),
    Row("2.10", "Training relative to inference, and memory of a sample", "`mnist-train bench memory`",
        figures.memory_ratio),
    Row("2.11", "Two reports in Markdown and four plots of 300 dpi", "`mnist-train bench all --out DIR`",
        "No figure: the files have the same names. `cargo test --test report` reads them"),
    Row("2.12", "Reports of a small, a medium and a large model, metrics of one's own",
        "`mnist-train bench infer --arch small`, also `medium` and `large`; `mnist-train bench memory --arch small`",
        lambda results: f"{widths(256, 512, 1024)(results)}; a metric of one's own is a `Suite` in Rust, not a flag"),
    Row("2.13", "Rules: training takes 2 to 3 times as much memory, and memory grows linearly with the batch",
        "`mnist-train bench memory`", figures.memory_line),
]

GUIDE = [
    Row("3.1", "Limits for a new tensor, a product, a gradient, a step and softmax", "`mnist-train bench budget`", limits(
        "a tape with a leaf of 1000x1000", "product of 1000x500 and 500x200", "product, relu, mean, with gradients",
        "step of the default network", "softmax of 1000 x 10000")),
    Row("3.2", "A second table of limits, twice as long", "`mnist-train bench budget`",
        "No figure of its own: the stricter limit counts, see 3.1"),
    Row("3.3", "Sample: 2.34, 45.2 and 234 ms for a tensor, a product and a step, means where ours are medians",
        "`mnist-train bench budget`",
        limits("a tape with a leaf of 1000x1000", "product of 1000x500 and 500x200", "step of the default network")),
    Row("3.4", "A regression is twice the time", "`mnist-train bench layers --baseline OLD --max-regress 2`",
        "No figure: the exit code is 5 after a regression. `cargo test --test gate` makes regressions that it must find"),
    Row("3.5", "Limits of memory by size of the network", "`mnist-train bench budget`", limits(
        "10K parameters, memory", "100K parameters, memory", "1M parameters, memory", "bytes of a batch of 64 above 1")),
    Row("3.6", "Limits of training and of a prediction by size of the network", "`mnist-train bench budget`", limits(
        *(f"{size} parameters, {what}" for size in ("1K", "10K", "100K", "1M") for what in ("training", "one image")))),
    Row("3.7", "Size of the batch and learning rate by size of the network", "`mnist-train --batch-size 32 --lr 0.01`",
        "No figure: the table is advice without a measurement, so the program does not choose a learning rate by it"),
    Row("3.8", "Size of the batch by the memory", "`mnist-train --batch-size auto`",
        "No figure: it depends on the machine. `cargo test --test validation a_size_of_the_batches_is_chosen_and_kept`"),
    Row("3.9", "Data in memory, in batches, streamed, distributed", "`mnist-train data`",
        "No figure: images stay in memory, a byte for each pixel. Streaming and distribution of data are not built, because "
        "sets of 28×28 images fit into memory; docs/CLUSTER.md has training by several machines"),
    Row("3.10", "Gradients clipped to a norm of 10, and a warning above it", "`mnist-train --arch lstm --clip-norm 10`",
        "No figure: `cargo test --test options a_gradient_is_clipped_to_the_norm_and_reported_before`, "
        "`cargo test --test validation a_large_gradient_is_reported_once_unless_it_is_clipped`"),
    Row("3.11", "Stable softmax, and numbers that are not finite",
        "`cargo test --test stages a_step_that_leaves_a_weight_that_is_not_finite_has_no_loss`",
        "No figure: such a run ends with exit code 4"),
    Row("3.12", "LayerNorm and attention", "`mnist-train bench layers layernorm attention`",
        layers("layernorm", "attention")),
    Row("3.13", "Activations computed again to save memory", "`mnist-train --arch resnet --checkpoint-activations 4`",
        "No figure: `cargo test --test options activations_that_are_computed_again_change_no_bit`, "
        "`cargo test --test options fewer_kept_activations_take_less_memory`"),
    Row("3.14", "Updates in place, gradients set to zero, memory allocated once, f32",
        "`mnist-train bench ablations`, `cargo test --test cli a_step_of_all_stages_but_gemm_allocates_nothing`",
        lambda results: f"{figures.advice(results)}; allocations of a step: {figures.step_allocations(results)}"),
    Row("3.15", "A monitor of times and of memory", "`mnist-train bench stages`, `mnist-train --profile`",
        phases("live")),
    Row("3.16", "Memory given back at once, and cost of small batches", "`mnist-train bench memory`, "
        "`mnist-train bench budget`", figures.kept_bytes),
    Row("3.17", "Embedding, linear layers and Adam in its tests", "`mnist-train bench layers pos dense mlp-fc1`, "
        "`mnist-train bench stages --stage naive`",
        lambda results: f"{layers('pos', 'dense', 'mlp-fc1')(results)}; {phases('naive', 'optimizer')(results)}"),
]

TABLES = {"EasyRobot": EASYROBOT, "TenfloweRS": TENFLOWERS, "NeuralLayers": NEURALLAYERS, "guide": GUIDE}


def check_tests(row):
    """Every test that a row names must be there."""
    for file, test in re.findall(r"`cargo test --test (\w+)(?: (\w+))?`", f"{row.command} {row.figure}"):
        path = ROOT / "tests" / f"{file}.rs"
        if not path.exists() or test and f"fn {test}(" not in path.read_text():
            raise Missing(f"there is no test {file} {test}".rstrip())


def cells(row, results):
    check_tests(row)
    if isinstance(row.figure, str):
        figure = row.figure
    else:
        figure = row.figure(results) if results else "not recorded yet"
    return [row.number, row.what, row.command, figure]


def tables(results):
    """Tables by the names of their markers. A row that finds nothing ends the program."""
    texts, problems = {}, []
    for name, rows in TABLES.items():
        lines = []
        for row in rows:
            try:
                lines.append(cells(row, results))
            except Missing as missing:
                problems.append(f"error: docs/SOURCES.md, row {row.number}: {missing}")
        texts[name] = table(["row", "what is measured or promised", "our command", "last figure"], lines)
    if problems:
        sys.exit("\n".join(problems))
    return texts
