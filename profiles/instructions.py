#!/usr/bin/env python3
"""Counts the instructions of a training step, which are the same however busy a machine is.

    profiles/instructions.py           count them by Valgrind, and compare them with the record; the exit code is 5 if a
                                       stage has more than 1 % more or less of them
    profiles/instructions.py record    count them, and keep them as the record

The stages run on one thread, with AVX2 where they have a choice, on digits that the program draws. So the record holds
on every machine with AVX2, as long as the program is built by the same rustc. What callgrind wrote stays in
target/instructions; callgrind_annotate shows it by functions. `profiles/record.py splice` puts the record into
OPTIMIZATIONS.md.
"""

import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import markdown
import program
from program import PROGRAM, ROOT, TARGET

RECORD = ROOT / "profiles" / "instructions" / "record.json"
FOLDER = TARGET / "instructions"
# Largest change, as a share of the record, that needs no explanation.
LARGEST_CHANGE = 0.01
# One thread, because waiting threads spin. One checkpoint, at the end, however many epochs there are.
TRAIN = ["--threads", "1", "--checkpoint-every", "2", "--no-eval", "--quiet", "--offline"]


def valgrind(*arguments):
    try:
        run = subprocess.run(["valgrind", *map(str, arguments)], capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit("error: there is no valgrind: install it, on Debian with 'apt install valgrind'")
    if run.returncode != 0:
        sys.exit(f"error: valgrind {' '.join(map(str, arguments))}: exit code {run.returncode}\n{run.stderr[-2000:]}")
    return run


def stages():
    """The stages that can run under Valgrind, which shows the program a CPU without AVX-512."""
    seen = json.loads(valgrind("--quiet", "--tool=none", PROGRAM, "stages", "--json").stdout)
    features = seen["machine"]["features"]
    if "avx2" not in features or "avx512f" in features:
        sys.exit(f"error: the counts are those of AVX2, and under Valgrind this CPU has {' '.join(features) or 'none'}")
    for stage in seen["stages"]:
        if "unmet" in stage:
            print(f"{stage['name']} is left out, under Valgrind it cannot run: {stage['unmet']}")
        else:
            yield stage["name"]


def instructions(stage, data, epochs):
    """Number of instructions of a whole run, in which an epoch is one step."""
    out = FOLDER / f"{stage}-{epochs}.out"
    with tempfile.TemporaryDirectory() as folder:
        train = ["--stage", stage, "--epochs", epochs, *TRAIN, *data, "--model", pathlib.Path(folder) / "model"]
        said = valgrind("--tool=callgrind", f"--callgrind-out-file={out}", PROGRAM, *train).stderr
    return int(re.search(r"Collected : (\d+)", said)[1])


def count():
    """Each stage, and the number of instructions of its second step: what a run has more than one without that step."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = program.synthetic_digits(pathlib.Path(folder))
        # To read them takes more instructions than most steps.
        for test_file in pathlib.Path(folder).glob("digits/t10k-*"):
            test_file.unlink()
        for stage in stages():
            yield stage, instructions(stage, data, 2) - instructions(stage, data, 1)


def tools():
    """Versions of what builds and of what counts."""
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout
    return {"rustc": rustc.strip(), "valgrind": valgrind("--version").stdout.strip()}


def record(versions):
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": program.commit(),
        **versions,
        "instructions_per_step": {},
    }
    for stage, now in count():
        print(f"{stage:<10}{now:>16,}", flush=True)
        facts["instructions_per_step"][stage] = now
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(facts, indent=1) + "\n")


def compare(versions):
    """Prints the changes since the record; the stages that have changed."""
    facts = json.loads(RECORD.read_text())
    recorded = facts["instructions_per_step"]
    for tool, version in versions.items():
        if version != facts[tool]:
            print(f"the record is of {facts[tool]}, this is {version}: a change may be that of the tool")
    print(f"{'stage':<10}{'recorded':>16}{'now':>16}{'change':>12}")
    changed = []
    for stage, now in count():
        before = recorded.get(stage)
        change = now / before - 1 if before else None
        words = (f"{before:,}", f"{100 * change:+.2f} %") if before else ("–", "–")
        print(f"{stage:<10}{words[0]:>16}{now:>16,}{words[1]:>12}", flush=True)
        if change is None or abs(change) > LARGEST_CHANGE:
            changed.append(stage)
    return changed


def table():
    """What OPTIMIZATIONS.md says of the record."""
    facts = json.loads(RECORD.read_text())
    counted = facts["instructions_per_step"]
    rows = [
        [stage, f"{number / 1e6:,.1f}", f"{markdown.digits(counted['naive'] / number)} times as many"]
        for stage, number in counted.items()
    ]
    return (
        markdown.table(["stage", "million instructions a step", "naive has"], rows)
        + "\nThe second step on 64 synthetic digits, one thread, AVX2 where a stage has a choice. "
        f"{facts['valgrind']}, {facts['rustc']}; commit {facts['commit']}, {facts['date']}: "
        "[profiles/instructions](profiles/instructions).\n"
    )


def main():
    if sys.argv[1:] not in ([], ["record"]):
        sys.exit(__doc__)
    # What is missing is to be known before minutes of work.
    versions = tools()
    if sys.argv[1:] == ["record"]:
        program.build()
        record(versions)
        return
    if not RECORD.exists():
        sys.exit(f"error: {RECORD} does not exist: 'profiles/instructions.py record' makes it")
    program.build()
    if changed := compare(versions):
        remedy = "explain it, then record with 'profiles/instructions.py record'"
        print(f"{', '.join(changed)}: regressed or improved: {remedy}")
        sys.exit(5)


if __name__ == "__main__":
    main()
