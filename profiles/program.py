"""The program as it is shipped: built, and asked what it can do here."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
PROGRAM = TARGET / "release" / "mnist-train"


def build():
    """Into TARGET, whatever folder the environment names: what is measured is what has just been built."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", TARGET], cwd=ROOT, check=True)


def commit():
    """What was built, and whether more than records and documents has been changed since."""
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    changed = git("diff", "--name-only", "HEAD", "--", ".", ":!*.md", ":!profiles/*/*")
    return git("rev-parse", "--short", "HEAD").strip() + ("-dirty" if changed else "")


def stages():
    """The machine as the program sees it, and what each stage is."""
    return json.loads(subprocess.run([PROGRAM, "stages", "--json"], check=True, capture_output=True).stdout)


def synthetic_digits(folder):
    """64 synthetic digits to train on, one batch of the default recipe."""
    draw = [PROGRAM, "data", "synthetic", "--images", "64", "--out", folder / "digits"]
    subprocess.run(draw, check=True, stdout=subprocess.DEVNULL)
    return ["--data", str(folder / "digits")]
