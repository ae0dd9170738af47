#!/usr/bin/env python3
"""Opens pages of `mnist-train report` in headless Chromium.

    profiles/page.py check PROGRAM DATA      draws on the page of each network by mouse, finger and keys,
                                             and compares its answers with those of the program
    profiles/page.py picture PROGRAM DATA    trains the default network, and writes profiles/report/page.png

DATA is a folder with MNIST. Exit code 3: there is no Chromium, so nothing was checked.
"""

import base64
import gzip
import json
import math
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

NETWORKS = ["default", "lenet5", "lstm", "attention", "resnet"]
# Every kind of layer that the networks with a name do not have.
OTHER_LAYERS = [
    "conv8k3s2p1,sigmoid,avgpool3s2p1,tanh,softmax,flatten,layernorm,fc10",
    "channels,conv1d16k3s2p1,avgpool2,maxpool3s2p1,res(gelu,dropout0.5),globalmaxpool,fc10",
]
# Largest difference of logits, relative to the largest logit of an image.
TOLERANCE = 1e-4
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome"]
PICTURE = Path(__file__).parent / "report" / "page.png"

# Draws on the pad by its own events, and leaves what the page then sees and answers in the page.
# Only a pointer of the browser itself can be captured.
DRAW = """
pad.setPointerCapture = () => {};
const box = () => pad.getBoundingClientRect();
const point = (kind, pointerType, [x, y]) => pad.dispatchEvent(new PointerEvent(kind, {
  pointerType, pointerId: 1, button: kind === "pointermove" ? -1 : 0,
  clientX: box().left + x * box().width, clientY: box().top + y * box().height }));
const line = (pointerType, places) => places.forEach((place, at) => {
  point(at === 0 ? "pointerdown" : "pointermove", pointerType, place);
  if (at === places.length - 1) point("pointerup", pointerType, place);
});
const press = (key, times = 1) => {
  for (let time = 0; time < times; time++) pad.dispatchEvent(new KeyboardEvent("keydown", { key }));
};
const three = [[.3,.2],[.5,.15],[.65,.25],[.6,.4],[.45,.47],[.62,.52],[.68,.68],[.55,.82],[.3,.78]];
"""
CHECK = """
const found = [];
const keep = how => {
  const { logits } = classify();
  found.push({ how, png: pad.toDataURL("image/png"), logits: [...logits] });
};
line("mouse", three); keep("mouse");
press("Escape");
line("touch", [[.35,.15],[.34,.5],[.66,.5]]); line("touch", [[.62,.12],[.6,.55],[.58,.9]]); keep("finger");
press("Escape"); pad.focus(); press("ArrowUp", 9); press(" "); press("ArrowDown", 18); press(" "); keep("keys");
check();
const result = document.createElement("pre");
result.id = "found";
result.textContent = JSON.stringify({ found, difference: Number(document.getElementById("agreement").dataset.difference) });
document.body.append(result);
"""


def browser():
    """Path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def chromium(page, *flags):
    """Standard output of Chromium on a page."""
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--virtual-time-budget=20000", *flags, page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def with_script(page, script):
    """Copy of a page that runs `script` after its own."""
    text = page.read_text()
    copy = page.with_suffix(".drawn.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    return copy


def few(data, folder):
    """Writes the first images of a dataset: 640 for training and 200 for tests."""
    for part, count in [("train", 640), ("t10k", 200)]:
        for kind, axes in [("images", 3), ("labels", 1)]:
            name = f"{part}-{kind}-idx{axes}-ubyte"
            packed = data / f"{name}.gz"
            content = gzip.open(packed).read() if packed.exists() else (data / name).read_bytes()
            start = 4 + 4 * axes
            size = math.prod(struct.unpack(f">{axes}I", content[4:start])[1:])
            header = content[:4] + struct.pack(">I", count) + content[8:start]
            (folder / name).write_bytes(header + content[start:start + count * size])


def logarithms(probabilities):
    """Logarithms of probabilities, which are logits but for a constant, with the mean 0."""
    values = [math.log(max(probability, 1e-38)) for probability in probabilities]
    return [value - sum(values) / len(values) for value in values]


def compare(program, network, folder):
    """Largest difference between the page of a network and the program, of test images and drawings."""
    model, page = folder / "model", folder / "page.html"
    run(program, "--data", folder, "--arch", network, "--epochs", 2, "--model", model, "--quiet")
    run(program, "report", "--data", folder, "--model", model, "--out", page)
    dump = chromium(with_script(page, DRAW + CHECK), "--dump-dom")
    result = re.search(r'<pre id="found">(.*?)</pre>', dump, re.S)
    if result is None:
        sys.exit(f"{network}: the page has no result")
    result = json.loads(result[1])
    differences = [result["difference"]]
    for drawing in result["found"]:
        picture = folder / "drawing.png"
        picture.write_bytes(base64.b64decode(drawing["png"].split(",")[1]))
        answer = json.loads(run(program, "predict", picture, "--model", model, "--json", "--top", 10))
        classes = sorted(answer["predictions"], key=lambda one: one["class"])
        expected = logarithms([one["probability"] for one in classes])
        mean = sum(drawing["logits"]) / len(drawing["logits"])
        largest = max(map(abs, expected))
        differences += [abs(logit - mean - one) / largest
                        for logit, one in zip(drawing["logits"], expected, strict=True)]
    return max(differences)


def check(program, data):
    failed = False
    for network in NETWORKS + OTHER_LAYERS:
        with tempfile.TemporaryDirectory() as folder:
            few(data, Path(folder))
            difference = compare(program, network, Path(folder))
        failed |= not difference <= TOLERANCE
        print(f"{network}: largest difference {difference:.1e} of the largest logit", flush=True)
    sys.exit(f"a page differs from the program by more than {TOLERANCE}" if failed else 0)


def picture(program, data):
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model, page = Path(folder) / "ckpt.bin", Path(folder) / "report.html"
        run(program, "--data", data, "--model", model, "--quiet")
        run(program, "report", "--data", data, "--model", model, "--out", page)
        drawn = with_script(page, DRAW + 'line("mouse", three);')
        chromium(drawn, "--window-size=1000,1060", f"--screenshot={PICTURE}")
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ["check", "picture"]:
        sys.exit(__doc__)
    if browser() is None:
        print("there is no Chromium", file=sys.stderr)
        sys.exit(3)
    {"check": check, "picture": picture}[sys.argv[1]](str(Path(sys.argv[2]).resolve()), Path(sys.argv[3]))
