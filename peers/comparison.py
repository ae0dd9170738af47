"""What the records of compare.py say, as tables and sentences."""

import itertools
import json
import statistics
import sys

from compare import (
    BATCH_SIZE, CHANNELS_LAST_TOLERANCES, CONTENTION, CONTESTANTS, CURVE_IMAGES, CURVE_STEPS, EPOCH_TOLERANCES, TOLERANCES,
    before, events, one,
)

# Who is also compared with which of ours: the same instruction set, the same format.
PAIRS = [("pytorch-best-avx2", "ours-avx2"), ("pytorch-bf16", "ours-bf16")]
# Seconds that the timeline of the C program nn_c reports for this many epochs of its first version.
NN_C_SECONDS, NN_C_EPOCHS = 1556.7, 10


def spread(values, digits):
    """Median ± median absolute deviation."""
    median = statistics.median(values)
    return f"{median:{digits}} ± {statistics.median(abs(value - median) for value in values):{digits}}"


def training(lines):
    """Seconds of the steps."""
    return one(lines, "done")["train_seconds"]


def start_to_end(lines):
    """Seconds of the whole process."""
    return one(lines, "process")["seconds"]


def evaluation(lines):
    """Images a second. Ours evaluates after every epoch, a peer after the last one."""
    evaluations = sum("test_correct" in line for line in lines if line["event"] == "epoch") or 1
    done = one(lines, "done")
    return evaluations * done["test_total"] / done["eval_seconds"]


class Record:
    """What one folder holds: the plan and, for each row, its runs and the runs of the first row before them."""

    def __init__(self, folder, cpu):
        self.cpu = cpu
        self.plan = json.loads((folder / "plan.json").read_text())
        self.folder = folder
        self.epochs = f"{self.plan['epochs']} epoch" + ("s" if self.plan["epochs"] > 1 else "")
        self.rows = {row["name"]: row for row in self.plan["contestants"]}
        self.first, *others = self.rows
        rounds = range(1, self.plan["rounds"] + 1)
        read = lambda name: events(folder / f"{name}.jsonl")  # noqa: E731
        self.runs = {name: [read(f"{name}-{number}") for number in rounds] for name in others}
        self.firsts = {name: [read(before(self.first, number, name)) for number in rounds] for name in others}
        self.runs[self.first] = self.firsts[self.first] = list(itertools.chain(*self.firsts.values()))
        for row in self.rows.values():
            # A timed run that learnt something else is not a result. With dropout, each learns something else.
            if self.whole(row["name"]) and "dropout" not in self.plan.get("architecture", ""):
                check_losses(row, self.runs[row["name"]], self.runs[self.first][0])

    def title(self, name):
        stage = one(self.runs[self.first][0], "start")["stage"]
        return self.rows[name]["title"].replace("default stage", f"{stage} (default)")

    def whole(self, name):
        """Whether the row was timed on all the images."""
        return self.rows[name]["images"] == self.plan["train_images"]

    def ratios(self, name, seconds, other=None):
        """Of `seconds` per image, to the run of the first row right before, or of `other` in the same round."""
        rate = lambda lines: seconds(lines) / one(lines, "start")["train_images"]  # noqa: E731
        return [rate(a) / rate(b) for a, b in zip(self.runs[name], self.runs[other] if other else self.firsts[name])]

    def cell(self, name, seconds):
        """Median, MAD and, of all rows but the first, the ratio."""
        if name not in self.rows or seconds is start_to_end and not self.whole(name):
            return "–"
        scale = self.plan["train_images"] / self.rows[name]["images"]
        times = spread([seconds(lines) * scale for lines in self.runs[name]], ".3g")
        return times if name == self.first else f"{times} ({spread(self.ratios(name, seconds), '.2f')})"

    def compared_steps(self):
        """Number of steps whose losses were compared before anything was timed."""
        curve = [line for line in events(self.folder / f"{self.first}-curve.jsonl") if line["event"] == "epoch"]
        return len(curve) * -(-CURVE_IMAGES // BATCH_SIZE)

    def median(self, name, value):
        return statistics.median(value(lines) for lines in self.runs[name])

    def correct(self, name):
        """Test images that were classified correctly after the last epoch."""
        return self.median(name, lambda lines: one(lines, "done")["test_correct"])

    def protocol(self):
        """How the record was made, and how quiet the machine was."""
        plan, shares = self.plan, [one(lines, "process")["share_of_others"] for of in self.runs.values() for lines in of]
        return (
            f"{self.epochs} on {self.cpu}, {plan['threads']} threads: {plan['rounds']} interleaved rounds"
            f"{' after one that does not count' if plan['warm_ups'] else ''}; other processes used more than "
            f"{100 * CONTENTION:.0f} % of the processors in {sum(share > CONTENTION for share in shares)} of the "
            f"{len(shares)} runs."
        )


def table(records, names=None):
    """The rows `names`, or all rows."""
    last = records[-1]
    heading = ["who", "format"]
    for record in records:
        heading += [f"{record.epochs}: training, s", "start to end, s"]
    heading += [f"correct after {last.epochs}", "evaluation, images/s", "peak RSS, MB"]
    lines = [heading, ["---"] * len(heading)]
    for name in names or [contestant.name for contestant in CONTESTANTS]:
        having = [record for record in records if name in record.rows]
        if not having:
            continue
        times = [record.cell(name, seconds) for record in records for seconds in (training, start_to_end)]
        rss = having[0].median(name, lambda lines: one(lines, "process")["peak_rss_bytes"]) / 1e6
        lines.append([
            having[0].title(name), having[0].rows[name]["precision"], *times,
            f"{last.correct(name):,.0f}" if last in having and last.whole(name) else "–",
            f"{having[0].median(name, evaluation):,.0f}", f"{rss:,.0f}",
        ])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def caption(records):
    """What the columns are, and how the records were made."""
    return " ".join([
        f"An epoch has {records[-1].plan['train_images']:,} MNIST images in batches of {BATCH_SIZE}. A time is the median "
        "± the median absolute deviation; in brackets is the ratio to a run of the first row right before, which is the "
        "median of the ratios within rounds, not the quotient of two medians in the table.",
        *(record.protocol() for record in records),
    ]) + "\n"


def remarks(records):
    """What else a reader has to know of the whole table."""
    curves = {precision: f"{loss:g}" for precision, (loss, _) in TOLERANCES.items()}
    notes = [
        "*Training* is the steps alone. *Start to end* is the whole process with loading and evaluating, and in PyTorch and "
        "JAX also importing and compiling. mnist-train evaluates and saves after every epoch; the others evaluate once and "
        "save nothing. Evaluation and peak RSS are those of the shorter runs. Before anything was timed, the losses of "
        f"{CURVE_STEPS} steps from the same weights agreed with the first row's within {curves['f32']}, in bf16 within "
        f"{curves['bf16']}."
    ]
    left_out, versions = {}, {}
    for record in records:
        for name, row in record.rows.items():
            if not record.whole(name):
                notes.append(f"The time of {row['title']} was measured on {row['images']:,} images and scaled.")
        for name, other in PAIRS:
            if name in record.rows and other in record.rows:
                ratio = spread(record.ratios(name, training, other), ".2f")
                notes.append(f"Training takes {ratio} times as long in {record.title(name)} as in {record.title(other)}.")
        left_out.update(record.plan["left_out"])
        for runs in record.runs.values():
            versions.update(one(runs[0], "start").get("versions", {}))
    notes += [f"{title} is not there: {reason}." for title, reason in left_out.items()]
    versions = [f"{name} {version}" for name, version in versions.items() if version[:1].isdigit()]
    return " ".join([*notes, f"Versions: {', '.join(versions)}."]) + "\n"


def headline(record):
    """What the runs of NN_C_EPOCHS epochs say."""
    first, best = record.first, "pytorch-best"
    text = (
        f"**{record.epochs} of MNIST take {record.cell(first, start_to_end)} s** on {record.cpu} with {record.plan['threads']} "
        f"threads, from the start of the program to the saved model, which classifies {record.correct(first):,.0f} of the "
        f"{one(record.runs[first][0], 'done')['test_total']:,} test images correctly. "
    )
    if best in record.rows:
        seconds = spread([start_to_end(lines) for lines in record.runs[best]], ".3g")
        ratio = spread(record.ratios(best, start_to_end), ".2f")
        text += f"PyTorch at its best takes {seconds} s on the same machine, {ratio} times as long. "
    return text + (
        f"The C program nn_c, whose timeline of optimizations this project continues, reports {NN_C_SECONDS:,} s for "
        f"{record.epochs} before its first optimization, on another machine.\n"
    )


def networks(records):
    """What a step of each network takes, ours and PyTorch's."""
    plan = records[0].plan
    variants = ["pytorch-best", "pytorch-planes"]
    heading = ["network", "stage", "a step, ms", "PyTorch best, ms", "PyTorch planes, ms", "PyTorch's faster over ours"]
    lines = [heading, ["---"] * len(heading)]
    for record in records:
        steps = -(-record.plan["train_images"] // BATCH_SIZE)
        step = lambda lines: 1000 * training(lines) / steps  # noqa: E731
        ratios = min((record.ratios(name, training) for name in variants), key=statistics.median)
        lines.append([
            f"`{record.plan['network']}`", one(record.runs[record.first][0], "start")["stage"],
            *(spread([step(lines) for lines in record.runs[name]], ".3g") for name in [record.first, *variants]),
            spread(ratios, ".2f"),
        ])
    rows = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    versions = one(records[0].runs[variants[0]][0], "start")["versions"]
    steps = " or ".join(str(count) for count in sorted({record.compared_steps() for record in records}))
    texts = [record.plan["architecture"] for record in records]
    exceptions = ""
    if any("batchnorm" in text for text in texts):
        exceptions += f", of *best* with batch normalization within {CHANNELS_LAST_TOLERANCES[0]:g}"
    if any("dropout" in text for text in texts):
        exceptions += "; dropout was left out for this"
    return rows + (
        f"\nA step is forward and backward pass, and Adam, on {BATCH_SIZE} images; a run has {plan['train_images']:,} images. "
        f"{records[0].cpu}, {plan['threads']} threads, {plan['rounds']} interleaved rounds after one that does not count: "
        "median ± median absolute deviation. *best* is PyTorch with channels_last and fused Adam, *planes* is best without "
        f"channels_last. Before anything was timed, the losses of {steps} steps from the same weights agreed within "
        f"{TOLERANCES['f32'][0]:g}{exceptions}. PyTorch {versions['torch']}.\n"
    )


def check_losses(row, runs, expected):
    """Each epoch must have the mean loss that it has in the run `expected`."""
    losses = lambda lines: [line["loss"] for line in lines if line["event"] == "epoch"]  # noqa: E731
    for lines in runs:
        if len(losses(lines)) != len(losses(expected)):
            sys.exit(f"{row['title']}: {len(losses(lines))} epochs, expected {len(losses(expected))}")
        for epoch, (loss, wanted) in enumerate(zip(losses(lines), losses(expected))):
            if not abs(loss - wanted) <= EPOCH_TOLERANCES[row["precision"]]:
                sys.exit(f"{row['title']}: mean loss {loss:.4f} of epoch {epoch}, expected {wanted:.4f}")
