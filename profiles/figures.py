"""Figures of the report in profiles/suite, which `mnist-train bench all --out profiles/suite` writes, as words."""

import json

from markdown import digits
from program import ROOT

RECORD = ROOT / "profiles" / "suite" / "results.json"


class Missing(LookupError):
    """What is to be shown is not there."""


def results():
    """The results of the recorded report by their kind; None if there is none."""
    if not RECORD.exists():
        return None
    lines = map(json.loads, RECORD.read_text().splitlines())
    return {line.pop("event"): line for line in lines}


def rows_of(results, kind, *fields):
    if kind not in results:
        raise Missing(f"{RECORD.name} has no {kind}")
    found = results[kind]
    for field in fields:
        found = found[field]
    return found


def find(rows, **wanted):
    """The last of the rows with these values: that on all threads."""
    found = [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
    if not found:
        raise Missing(f"there is no row with {wanted}")
    return found[-1]


def time(ms):
    return f"{digits(1e6 * ms)} ns" if ms < 1e-3 else f"{digits(1e3 * ms)} µs" if ms < 1 else f"{digits(ms)} ms"


def allocations_of(count):
    return f"{digits(count) if count else 'no'} allocations"


def megabytes(count):
    return f"{digits(count / 1e6)} MB"


# Each function below makes words of the results, or makes such a function for the rows with these names.

def layers(*names, passes=("forward", "backward"), allocations=False):
    """Times of the fastest row of layers, beside those of EasyRobot where it has some."""

    def one(results, name):
        layer = find(rows_of(results, "bench_layers", "layers"), name=name)
        source, words = layer.get("source_ms") or {}, []
        for each in passes:
            find(layer["rows"], **{"pass": each})
            of_pass = [row for row in layer["rows"] if row["pass"] == each]
            fastest = min(of_pass, key=lambda row: row["call_ms"]["median"])
            text = f"{each} {time(fastest['call_ms']['median'])}"
            if allocations:
                text += f", {allocations_of(fastest['allocations_per_call'])}"
            if source.get(each):
                text += f" (EasyRobot {time(source[each])})"
            words.append(text)
        return (f"{name}: " if len(names) > 1 else "") + ", ".join(words)

    return lambda results: "; ".join(one(results, name) for name in names)


def layer_allocations(results):
    rows = [row for layer in rows_of(results, "bench_layers", "layers") for row in layer["rows"]]
    most = max(row["allocations_per_call"] for row in rows if row["stage"] == "tiled")
    return f"tiled: {allocations_of(most)} in a pass of any layer"


def step_allocations(results):
    counts = {row["stage"]: row["allocations_per_step"] for row in rows_of(results, "bench", "rows")}
    return ", ".join(f"{stage} {digits(count) if count else 'none'}" for stage, count in counts.items())


def both(row):
    return time(row["forward_backward"]["call_ms"]["median"])


def overhead(row):
    return f"{both(row)}, {digits(row['over_forward']['median'])} × the forward pass"


def bytes_of_both(row):
    count = lambda part: f"{row[part]['allocated_bytes_per_call'] / 1e3:,.0f} KB"
    return f"{count('forward_backward')}, forward alone {count('forward')}, {both(row)}"


def tape(*names, text=both):
    """Computations on the tape with their gradients."""

    def figure(results):
        rows = rows_of(results, "bench_autograd", "rows")
        return "; ".join(f"{name}: {text(find(rows, name=name))}" for name in names)

    return figure


def operations(results):
    rows = [row for row in rows_of(results, "bench_autograd", "rows") if row["group"] == "operations"]
    names = {row["name"].split()[0] for row in rows}
    slowest = max(rows, key=lambda row: row["forward_backward"]["call_ms"]["median"])
    return f"{len(names)} operations in {len(rows)} rows, the slowest {slowest['name']}: {both(slowest)}"


def bookkeeping(results):
    rows = rows_of(results, "bench_autograd", "bookkeeping")
    return "; ".join(f"{row['name']}: {time(row['call_ms']['median'])}" for row in rows)


def rounds(results):
    number = rows_of(results, "bench_autograd", "rounds")
    return f"{number} interleaved rounds, of which ARCHITECTURE.md tells; not criterion"


def amount(unit, value):
    if unit == "milliseconds":
        return time(value)
    if unit == "bytes":
        return megabytes(value)
    return f"{digits(value)}{ {'per_second': '/s', 'seconds': ' s', 'ratio': ''}[unit]}"


def limits(*names):
    """What was measured, and by which factor it keeps the other project's limit."""

    def one(results, name):
        row = find(rows_of(results, "bench_budget", "rows"), name=name)
        kept = "met" if row["factor"] >= 1 else "NOT met"
        limit = amount(row["unit"], row["limit"])
        return f"{name}: {amount(row['unit'], row['value'])} ({limit} {kept}, factor {digits(row['factor'])})"

    return lambda results: "; ".join(one(results, name) for name in names)


def prediction(row):
    return f"{row['images_per_second']:,.0f} images/s"


def latency(row):
    p50, p95, p99 = (time(row["latency"][f"{name}_ms"]) for name in ("p50", "p95", "p99"))
    return f"p50 {p50}, p95 {p95}, p99 {p99}"


def real_time(row):
    p99 = row["latency"]["p99_ms"]
    return f"p99 {time(p99)}, {'under' if p99 < 1 else 'NOT under'} 1 ms"


def batches(*sizes, text=prediction):
    """Predictions of batches on all threads."""

    def figure(results):
        rows = rows_of(results, "bench_infer", "rows")
        return "; ".join(f"{size}: {text(find(rows, batch_size=size))}" for size in sizes)

    return figure


def widths(*sizes):
    def figure(results):
        rows = rows_of(results, "bench_infer", "widths")
        return "; ".join(f"{size}: {prediction(find(rows, hidden=size))}" for size in sizes)

    return figure


def formats(results):
    infer = rows_of(results, "bench_infer")
    words = [
        f"{row['precision']}: {prediction(row)}, {row['test_correct']:,} of {infer['test_images']:,} correct"
        for row in infer["precisions"]
    ]
    if "without_bf16" in infer:
        words.append(f"bf16 was not measured: {infer['without_bf16']}")
    return "; ".join(words)


def memory(kind):
    def figure(results):
        row = find(rows_of(results, "bench_memory", "rows"), batch_size=64)
        return f"batch 64: {megabytes(row[kind]['live_bytes'])}, peak {megabytes(row[kind]['peak_bytes'])}"

    return figure


def memory_parts(results):
    found = rows_of(results, "bench_memory")
    parts = ", ".join(f"{part}s {megabytes(found[f'{part}_bytes'])}" for part in ("parameter", "gradient", "moment"))
    activations = find(found["rows"], batch_size=64)["activation_bytes"]
    return f"{parts}; {memory('training')(results)}, of which activations {megabytes(activations)}"


def memory_layers(results):
    rows = rows_of(results, "bench_memory", "layers")
    largest = max(rows, key=lambda row: row["output_bytes_per_image"])
    size = f"{largest['output_bytes_per_image']:,} bytes an image"
    return f"{len(rows)} layers, the largest output {largest['name']}: {size}"


def memory_ratio(results):
    row = find(rows_of(results, "bench_memory", "rows"), batch_size=64)
    training = row["training"]["live_bytes"]
    ratio = digits(training / row["inference"]["live_bytes"])
    return f"batch 64: training {ratio} × inference, {digits(training / 64e6)} MB an image"


def memory_line(results):
    line = rows_of(results, "bench_memory", "training_fit")
    return (
        f"training: {megabytes(line['intercept'])} and {digits(line['slope'] / 1e3)} KB an image, "
        f"R² {line['r_squared']:.4f}"
    )


def kept_bytes(results):
    kept = f"{rows_of(results, 'bench_memory', 'kept_bytes'):,} bytes stay allocated after an engine has gone"
    return f"{kept}; {limits('time an image, batch of 1 to 64')(results)}"


def advice(results):
    rows = rows_of(results, "bench_ablations", "rows")
    return "; ".join(f"{row['name']}: {digits(row['over_otherwise']['median'])} × as fast as otherwise" for row in rows)


def phases(stage, *wanted):
    """Times of phases of a step, summed over the threads; of all if none is named."""

    def figure(results):
        row = find(rows_of(results, "bench", "rows"), stage=stage)
        names = wanted or [phase["phase"] for phase in row["phases"]]
        times = (f"{name.replace('_', ' ')} {time(find(row['phases'], phase=name)['thread_ms'])}" for name in names)
        return f"{stage}: {', '.join(times)}"

    return figure
