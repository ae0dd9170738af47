#!/usr/bin/env python3
"""Tries for a long time to break what must not break, and keeps here what came of it.

    profiles/reliability.py kills [N]         SIGKILL a run at N moments (200), resume it each time
    profiles/reliability.py faults            fail every call by which a checkpoint is written; needs strace
    profiles/reliability.py fuzz [MINUTES] [TARGET …]
                                              each reader, or those named, on bytes that a fuzzer makes up (30);
                                              needs cargo-fuzz and nightly Rust
    profiles/reliability.py unsafe [TOOL …]   tests under tools that notice what unsafe code does wrong:
                                              miri, address, thread, memcheck; needs nightly Rust and Valgrind
    profiles/reliability.py cpus              training on emulated CPUs that lack vectors; needs qemu-x86_64

`profiles/record.py splice` puts the counts into README.md. A record is written when all went well, and only then.
"""

import datetime
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import shutil
import subprocess
import sys
import tempfile
import time
import typing

from program import PROGRAM, ROOT, build, commit, synthetic_digits

RECORDS = ROOT / "profiles" / "reliability"
TARGETS = ("idx", "gzip", "picture", "checkpoint", "network")
# CPUs that have AVX2 at most, and not even that, and what is trained with there.
EMULATED = {"Haswell": "avx2", "Nehalem": "portable"}
# Saving takes most of the time of such a run, so that most kills come while a file is being replaced.
SHORT = ["--max-samples", "64", "--batch-size", "16", "--no-eval", "--json", "--offline"]


class Tool(typing.NamedTuple):
    """What notices wrong unsafe code while tests run."""

    name: str
    version: str  # the shell's command that says it, and fails where something is missing
    remedy: str
    cargo: typing.List[str]
    environment: typing.Dict[str, str]
    flags: typing.List[str]
    runs: typing.List[typing.List[str]]  # what `cargo test` gets beyond that


HOST = "x86_64-unknown-linux-gnu"
NIGHTLY = ["cargo", "+nightly"]
INSTALL = "rustup toolchain install nightly --component miri,rust-src"
SOURCE = 'test -d "$(rustc +nightly --print sysroot)/lib/rustlib/src"'
# Downloads have no unsafe code of ours, and what samples call stacks reads them where a tool sees no right to.
FLAGS = ["--locked", "--no-default-features"]
TOOLS = {
    # Every access and every rule of the language, in an interpreter: AVX2 at most, and no step of a stage in minutes.
    "miri": Tool(
        "Miri", f"cargo +nightly miri --version && {SOURCE}", INSTALL, [*NIGHTLY, "miri"],
        {"RUSTFLAGS": "-Ctarget-feature=+avx2,+fma", "MIRIFLAGS": "-Zmiri-disable-isolation"}, FLAGS,
        [["--lib", "--", "simd::", "team::"]],
    ),
    # Every access to memory, at nearly full speed and in all vectors that the CPU has; and leaks.
    "address": Tool(
        "AddressSanitizer", "rustc +nightly --version", INSTALL, NIGHTLY,
        {"RUSTFLAGS": "-Zsanitizer=address", "ASAN_OPTIONS": "exitcode=99"}, [*FLAGS, "--target", HOST],
        [
            ["--lib", "--test", "layers", "--test", "stages", "--test", "bf16"],
            # The program itself, whose allocator is its own.
            ["--test", "cli", "--", "trained", "three_epochs_are_one_epoch_and_two_more"],
        ],
    ),
    # Threads that touch the same memory in no order; the standard library must be built for it.
    "thread": Tool(
        "ThreadSanitizer", f"rustc +nightly --version && {SOURCE}", INSTALL, NIGHTLY,
        # It does not understand fences; under this name crossbeam, which rayon uses, does without.
        {"RUSTFLAGS": "-Zsanitizer=thread --cfg=crossbeam_sanitize_thread"}, [*FLAGS, "--target", HOST, "-Zbuild-std"],
        [
            ["--lib", "--", "team::", "training::"],
            ["--test", "stages", "--", "any_number_of_threads"],
        ],
    ),
    # Besides, what is read before it is written. It knows no AVX-512, and neither does a program that it runs.
    "memcheck": Tool(
        "Valgrind's memcheck", "valgrind --version", "install Valgrind", ["cargo"],
        {
            f"CARGO_TARGET_{HOST.upper().replace('-', '_')}_RUNNER":
            "valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full "
            "--show-leak-kinds=definite --errors-for-leak-kinds=definite",
        },
        FLAGS,
        # The other tests of stages take too long at its speed. Valgrind makes a fork of the vfork that programs are
        # started by, and so nobody hears that one cannot be.
        [
            ["--lib", "--test", "layers", "--", "--skip", "a_process_that_fails_always_has_a_reason"],
            ["--test", "stages", "--", "fused_and_parallel", "a_state_comes_back"],
        ],
    ),
}


def record(name, facts):
    RECORDS.mkdir(exist_ok=True)
    facts["date"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    facts["commit"] = commit()
    (RECORDS / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts))


def weights(lines):
    return json.loads(lines.splitlines()[-1])["weights_sha256"]


def kills(count):
    build()
    moments = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # A run that is never killed, and how long it takes.
        train = [PROGRAM, *SHORT, *synthetic_digits(folder), "--epochs", "400"]
        began = time.monotonic()
        undisturbed = subprocess.run([*train, "--model", folder / "whole"], check=True, capture_output=True)
        duration = time.monotonic() - began
        expected, done, runs, unsaved = weights(undisturbed.stdout), 0, 0, 0
        while done < count:
            runs += 1
            model = folder / f"killed-{runs}"
            while done < count:
                resume = ["--resume"] if model.exists() else []
                run = subprocess.Popen(
                    [*train, "--model", model, *resume], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
                time.sleep(moments.uniform(0, duration / 8))
                run.send_signal(signal.SIGKILL)
                said = run.communicate()[1].decode()
                if run.returncode == 0:
                    break
                if run.returncode != -signal.SIGKILL:
                    sys.exit(f"after {done} kills, exit code {run.returncode}: {said}")
                done += 1
                unsaved += not model.exists()
            finish = [*train, "--model", model, *(["--resume"] if model.exists() else [])]
            last = subprocess.run(finish, check=True, capture_output=True)
            if weights(last.stdout) != expected or model.read_bytes() != (folder / "whole").read_bytes():
                sys.exit(f"run {runs} did not end as if it had never been killed")
        left = sorted(path.name for path in folder.iterdir())
        if left != sorted(["digits", "whole", *(f"killed-{number}" for number in range(1, runs + 1))]):
            sys.exit(f"left behind: {left}")
    record("kills", {
        "kills": done, "runs": runs, "kills_before_the_first_save": unsaved, "seed": 1, "weights_sha256": expected,
    })


def faults():
    build()
    if shutil.which("strace") is None:
        sys.exit("strace is not there")
    injected = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "model"
        train = [PROGRAM, *SHORT, *synthetic_digits(folder), "--model", model, "--threads", "1"]
        states = []
        for arguments in (["1", "--seed", "2"], ["1"], ["2", "--resume"], ["3", "--resume"]):
            subprocess.run([*train, "--epochs", *arguments], check=True, capture_output=True)
            states.append(model.read_bytes())
        other, start, *_ = states
        # What the file may hold afterwards: what it held, or the state after a whole epoch.
        whole = {hashlib.sha256(state).hexdigest() for state in states[1:]}
        calls = [
            ("openat", "EACCES"), ("openat", "EMFILE"), ("write", "ENOSPC"), ("write", "EIO"), ("fsync", "EIO"),
            ("rename", "EIO"), ("rename", "ENOSPC"),
        ]
        # A run that goes on with its model, and one over the model of another, which is kept.
        for run, before in (["--resume"], start), ([], other):
            for call, error in calls if run else [*calls, ("linkat", "EPERM")]:
                for number in range(1, 100):
                    case = f"{call} {number} failing with {error}" + (" over another model" if not run else "")
                    said = inject(call, error, number, [*train, "--epochs", "3", *run], model, before, whole, case)
                    if said is None:
                        if number == 1:
                            sys.exit(f"{case}: nothing was injected: this system calls it otherwise")
                        break
                    injected[case] = said.replace(str(folder), "FOLDER")
        injected["a full disk"] = full_disk(folder, start, whole)
    record("faults", {"faults": len(injected), "said": injected})


def inject(call, error, number, train, model, before, whole, case):
    """Lets one call fail while `before` is replaced; what the program says, or None if there was no such call."""
    for left in [*model.parent.glob("model.*"), *model.parent.glob(".model.*")]:
        left.unlink()
    model.write_bytes(before)
    log = model.with_name("strace")
    trace = ["strace", "-f", "-qq", "-o", log, "-P", model, "-P", model.with_name(".model.mnist-train.tmp")]
    trace += ["-P", model.parent]
    trace += ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
    run = subprocess.run([*trace, *train], capture_output=True, text=True, timeout=60)
    injected = next((line for line in log.read_text().splitlines() if "(INJECTED)" in line), None)
    if injected is None:
        return None
    way_around = None
    if call == "linkat":
        way_around = "a copy is kept"
    elif error == "EACCES" and f'"{model.parent}"' in injected:
        way_around = "a folder that may not be read is not flushed"
    fails = way_around is None
    said = run.stderr
    if run.returncode != fails or fails and ("error: " not in said.splitlines()[-1] or re.search(r"\bsaved\b", said)):
        sys.exit(f"{case}: exit code {run.returncode}: {run.stderr}")
    now = model.read_bytes()
    if now != before and hashlib.sha256(now).hexdigest() not in whole:
        sys.exit(f"{case}: neither the old checkpoint nor the new one")
    left = {path.name: path.read_bytes() for path in model.parent.iterdir() if path.name.lstrip(".").startswith("model.")}
    # What could not be given its name stands beside it.
    if call == "rename" and hashlib.sha256(left.pop("model.unsaved", b"")).hexdigest() not in whole:
        sys.exit(f"{case}: the new checkpoint is lost")
    # The model of another run is there in any case, and under one name.
    kept = {"model.previous": before} if "--resume" not in train and now != before else {}
    if left != kept:
        sys.exit(f"{case}: left behind {sorted(left)}, expected {sorted(kept)}")
    return run.stderr.splitlines()[-1] if fails else way_around


def full_disk(folder, start, whole):
    """Saves where there is room for one checkpoint and not for two; what the program says."""
    disk = folder / "disk"
    disk.mkdir()
    model = disk / "model"
    (folder / "start").write_bytes(start)
    script = 'mount -t tmpfs -o size=12m tmpfs "$1" && cp "$2" "$1/model" && shift 2 && "$@"; code=$?'
    script += f'; ls -A "{disk}" >&2; cp "{model}" "{folder}/after"; exit $code'
    train = [PROGRAM, *SHORT, "--data", folder / "digits", "--model", model, "--epochs", "3", "--resume"]
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", disk, folder / "start"]
    run = subprocess.run([*mount, *train], capture_output=True, text=True, timeout=60)
    *said, error, left = run.stderr.splitlines()
    after = hashlib.sha256((folder / "after").read_bytes()).hexdigest()
    if run.returncode != 1 or left != "model" or after not in whole or "no space left" not in error:
        sys.exit(f"a full disk: exit code {run.returncode}: {run.stderr}")
    return error.replace(str(folder), "FOLDER")


def fuzz(minutes, targets):
    for target in targets:
        # What a run has found is where the next begins; what stands in the repository is read by the tests.
        found, corpus = ROOT / "fuzz" / "found" / target, ROOT / "fuzz" / "corpus" / target
        found.mkdir(parents=True, exist_ok=True)
        # Most of the time is to be spent on the beginning of a file.
        flags = [f"-max_total_time={round(60 * minutes)}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"]
        run = subprocess.run(
            ["cargo", "+nightly", "fuzz", "run", target, found, corpus, "--", *flags, "-print_final_stats=1"],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace",
        )
        if run.returncode != 0:
            sys.exit(run.stderr[-4000:])
        stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", run.stderr))
        edges, features = re.findall(r"cov: (\d+) ft: (\d+)", run.stderr)[-1]
        record(f"fuzz-{target}", {
            "target": target,
            "minutes": minutes,
            "executions": int(stats["number_of_executed_units"]),
            "edges_covered": int(edges),
            "features_covered": int(features),
            "inputs_found": int(stats["new_units_added"]),
            "slowest_input_seconds": int(stats["slowest_unit_time_sec"]),
            "peak_rss_mb": int(stats["peak_rss_mb"]),
            "crashes": 0,
        })


def version(tool):
    said = subprocess.run(tool.version, shell=True, cwd=ROOT, capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(f"{tool.name} is not there, `{tool.version}` fails: {tool.remedy}")
    return said.stdout.strip()


def watch(name):
    """Runs what the tool called `name` is to look at, and keeps what ran."""
    tool = TOOLS[name]
    # Every tool compiles everything anew.
    environment = {**os.environ, **tool.environment, "CARGO_TARGET_DIR": str(ROOT / "target" / "unsafe" / name)}

    def cargo(*arguments):
        command = [*tool.cargo, *arguments]
        run = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"{tool.name}: {' '.join(command)}: exit code {run.returncode}\n{run.stdout[-4000:]}")
        return " ".join(command), run.stdout

    # The widest vectors that tests find under the tool, and so use.
    detected = cargo("test", *tool.flags, "--lib", "--", "--nocapture", "the_detected_set_is_available")[1]
    instructions = re.search(r"instructions: (.*)", detected)[1]
    runs = []
    for arguments in tool.runs:
        command, output = cargo("test", *tool.flags, *arguments)
        results = re.findall(r"^test result: ok\. (\d+) passed.* finished in ([\d.]+)s$", output, re.MULTILINE)
        tests, seconds = sum(int(count) for count, _ in results), sum(float(time) for _, time in results)
        if tests == 0:
            sys.exit(f"{tool.name}: {command}: no test ran")
        runs.append({"command": command, "tests": tests, "seconds": round(seconds)})
    record(f"unsafe-{name}", {
        "tool": tool.name,
        "version": version(tool),
        "environment": tool.environment,
        "instructions": instructions,
        "runs": runs,
        "tests": sum(run["tests"] for run in runs),
        "findings": 0,
    })


def cpus():
    """Falls back where a CPU lacks vectors, says so, and ends with the bits of `--isa`."""
    if shutil.which("qemu-x86_64") is None:
        sys.exit("qemu-x86_64 is not there: install qemu-user")
    build()
    seen = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        train = [PROGRAM, *SHORT, *synthetic_digits(folder), "--epochs", "1"]
        for cpu, isa in EMULATED.items():
            native = subprocess.run([*train, "--isa", isa, "--model", folder / isa], check=True, capture_output=True)
            emulator = ["qemu-x86_64", "-cpu", cpu]
            emulated = subprocess.run([*emulator, *train, "--model", folder / cpu], capture_output=True, text=True)
            if emulated.returncode != 0:
                sys.exit(f"{cpu}: exit code {emulated.returncode}: {emulated.stderr}")
            start = json.loads(emulated.stdout.splitlines()[0])
            if start["isa"] != isa or weights(emulated.stdout) != weights(native.stdout):
                sys.exit(f"{cpu}: trained with {start['isa']} to other weights than --isa {isa}")
            bf16 = [*emulator, *train, "--stage", "bf16", "--model", folder / "bf16"]
            refused = subprocess.run(bf16, capture_output=True, text=True)
            if refused.returncode != 2:
                sys.exit(f"{cpu}: bf16 ended with {refused.returncode}: {refused.stderr}")
            seen[cpu] = {"isa": isa, "weights_sha256": weights(native.stdout), "bf16": refused.stderr.splitlines()[-1]}
    version = subprocess.run(["qemu-x86_64", "--version"], check=True, capture_output=True, text=True).stdout
    record("cpus", {"emulator": version.splitlines()[0], "cpus": seen})


def table():
    """What the README says of the records that are there."""
    cases = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", (ROOT / "docs" / "FAULTS.md").read_text(), re.MULTILINE)
    held = sum("::" in tests for _, tests in cases)
    others = "; the table says why the others have none" if held < len(cases) else ""
    rows = [("cases of docs/FAULTS.md", f"{held} of {len(cases)} have tests{others}")]
    load = lambda name: json.loads((RECORDS / f"{name}.json").read_text())
    there = {path.stem for path in RECORDS.glob("*.json")}
    if "kills" in there:
        facts = load("kills")
        rows.append((
            "kills", f"{facts['kills']} at random moments of {facts['runs']} runs, each of which ended with the bits of "
            f"one that was never killed ({facts['date']})",
        ))
    if "faults" in there:
        facts = load("faults")
        rows.append((
            "injected faults", f"{facts['faults']}, failing system calls of the running program and a full disk; every "
            f"time an error or a way around it, and the old checkpoint or the new one ({facts['date']})",
        ))
    for target in TARGETS:
        if f"fuzz-{target}" in there:
            facts = load(f"fuzz-{target}")
            rows.append((
                f"fuzzing, {target}", f"{facts['executions']:,} executions in {facts['minutes']:g} minutes, "
                f"{facts['edges_covered']:,} edges, {facts['crashes']} crashes ({facts['date']})",
            ))
    if "cpus" in there:
        facts = load("cpus")
        on = " and ".join(f"{cpu} with {one['isa']}" for cpu, one in facts["cpus"].items())
        rows.append(("emulated CPUs", f"{on}: the bits of the same instructions on a real one ({facts['date']})"))
    for name, tool in TOOLS.items():
        if f"unsafe-{name}" in there:
            facts = load(f"unsafe-{name}")
            rows.append((
                f"unsafe code, {tool.name}", f"{facts['tests']} tests, {facts['findings']} findings; vectors up to "
                f"{facts['instructions']} ({facts['date']})",
            ))
    lines = "".join(f"| {what} | {count} |\n" for what, count in rows)
    return f"| what | last record |\n|---|---|\n{lines}\nRaw record: [profiles/reliability](profiles/reliability).\n"


def main():
    task, *rest = sys.argv[1:] or [""]
    if task == "kills" and len(rest) <= 1:
        kills(int(*rest or [200]))
    elif task == "faults" and not rest:
        faults()
    elif task == "cpus" and not rest:
        cpus()
    elif task == "fuzz" and set(rest[1:]) <= set(TARGETS):
        fuzz(float(rest[0] if rest else 30), rest[1:] or TARGETS)
    elif task == "unsafe" and set(rest) <= set(TOOLS):
        names = rest or list(TOOLS)
        # What is missing is to be known before hours of work.
        for name in names:
            version(TOOLS[name])
        for name in names:
            watch(name)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
