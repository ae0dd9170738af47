"""How many test images a model classifies correctly if they come as pictures, in forms that people make."""

import gzip
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import typing
import zlib

from markdown import table as markdown_table
from program import PROGRAM, ROOT

RECORD = ROOT / "profiles" / "pictures" / "pictures.json"
EPOCHS = 10
SEED = 1
# The first test images, as many of them as become pictures.
IMAGES = 1000
SIDE = 28
INVERTED = bytes(255 - grey for grey in range(256))
# In place of the digit that the model sees in a picture, where the model sees none.
BLANK = "-"
SURE, UNSURE = ".?"


class Form(typing.NamedTuple):
    """What is made of an image, whose rows are bytes: scaled, put on paper, and inverted."""

    title: str
    side: int = SIDE
    # Columns and rows of the paper, and the left and the upper edge of the image on it.
    paper: typing.Optional[typing.Tuple[int, int]] = None
    at: typing.Tuple[int, int] = (0, 0)
    inverted: bool = False

    def of(self, image):
        rows = scaled(image, self.side)
        if self.paper:
            (columns, height), (left, top) = self.paper, self.at
            rows = [bytes(left) + row + bytes(columns - left - self.side) for row in rows]
            below = height - top - self.side
            rows = [bytes(columns)] * top + rows + [bytes(columns)] * below
        return [row.translate(INVERTED) for row in rows] if self.inverted else rows


FORMS = {
    "plain": Form("as it is, 28×28"),
    "shifted": Form("shifted by 4 pixels to the right and down, on 40×40", paper=(40, 40), at=(10, 10)),
    "half": Form("scaled to half, 14×14", side=14),
    "larger": Form("scaled to one and a half, 42×42", side=42),
    "inverted": Form("dark on bright, 28×28", inverted=True),
    "enlarged": Form("enlarged to 280×280", side=280),
    "photo": Form("enlarged to 224×224, dark on bright, off the centre of 400×300", 224, (400, 300), (150, 12), True),
}

# Images of an IDX file that have the size of the network's input are not prepared.
UNPREPARED = {
    "idx": ("the image itself", lambda rows: rows),
    "idx-shifted": (
        "shifted by 4 pixels to the right and down, cut to 28×28",
        lambda rows: [bytes(SIDE)] * 4 + [bytes(4) + row[:-4] for row in rows[:-4]],
    ),
    "idx-inverted": ("dark on bright", lambda rows: [row.translate(INVERTED) for row in rows]),
}


def shares(to):
    """For each of `to` pixels the pixels of a side of an image that it covers, each with its share."""
    length = SIDE / to
    for index in range(to):
        start, end = index * length, (index + 1) * length
        # A pixel that is covered by an error of rounding alone is not covered.
        covered = range(int(start + 1e-9), int(end - 1e-9) + 1)
        parts = [(pixel, min(pixel + 1, end) - max(pixel, start)) for pixel in covered]
        yield [(pixel, 1.0 if len(parts) == 1 else part / length) for pixel, part in parts]


def scaled(image, side):
    """The rows of `image`, scaled; a pixel is the mean of the area that it covers."""
    if side == SIDE:
        return image
    covered = list(shares(side))
    wide = [[sum(share * row[pixel] for pixel, share in pixels) for pixels in covered] for row in image]
    rows = []
    for index, pixels in enumerate(covered):
        if index > 0 and len(pixels) == 1 and pixels == covered[index - 1]:
            # Both lie in the same row of the image.
            rows.append(rows[-1])
        else:
            rows.append(bytes(round(sum(share * wide[row][x] for row, share in pixels)) for x in range(side)))
    return rows


def png(rows):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    # Eight bits of grey, not interlaced; each row is stored as it is.
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def events(*command):
    lines = subprocess.run([PROGRAM, *command, "--json"], check=True, capture_output=True, text=True).stdout
    return list(map(json.loads, lines.splitlines()))


def stored(name, header):
    """The content of a file of the test set, behind a header of so many bytes."""
    plain = pathlib.Path(os.environ["MNIST_DATA"]) / name
    packed = plain.with_name(f"{name}.gz")
    return (plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes()))[header:]


def idx(images):
    return struct.pack(">IIII", 0x803, len(images), SIDE, SIDE) + b"".join(b"".join(rows) for rows in images)


def predicted(model, *files):
    """The digit that the model sees in each picture and whether it is unsure, each as a text."""
    seen = events("predict", "--model", model, "--top", "1", *files)
    digits = "".join(str(one["predictions"][0]["class"]) if one["predictions"] else BLANK for one in seen)
    unsure = "".join(UNSURE if one["unsure"] else SURE for one in seen)
    return {"predicted": digits, "unsure": unsure}


def record():
    """Trains the default network and shows it the test images in each form."""
    pixels = stored("t10k-images-idx3-ubyte", 16)[:IMAGES * SIDE * SIDE]
    rows = [pixels[start:][:SIDE] for start in range(0, len(pixels), SIDE)]
    images = [rows[start:][:SIDE] for start in range(0, len(rows), SIDE)]
    labels = "".join(map(str, stored("t10k-labels-idx1-ubyte", 8)[:IMAGES]))
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "ckpt.bin"
        done = events("--epochs", str(EPOCHS), "--seed", str(SEED), "--model", model)[-1]
        whole = events("eval", "--model", model)[-1]
        forms = {}
        for name, (_, changed) in UNPREPARED.items():
            file = pathlib.Path(folder) / name
            file.write_bytes(idx(list(map(changed, images))))
            forms[name] = predicted(model, file)
        files = [pathlib.Path(folder) / f"{number}.png" for number in range(IMAGES)]
        for name, form in FORMS.items():
            for file, image in zip(files, images):
                file.write_bytes(png(form.of(image)))
            forms[name] = predicted(model, *files)
    facts = {
        **{name: done[name] for name in ("stage", "weights_sha256")},
        "epochs": EPOCHS, "seed": SEED,
        "eval": {"correct": whole["correct"], "total": whole["total"]},
        "labels": labels,
        "forms": forms,
    }
    RECORD.write_text(json.dumps(facts, indent=1) + "\n")


def table():
    facts = json.loads(RECORD.read_text())
    labels, rows = facts["labels"], []
    titles = [("IDX, not prepared", name, title) for name, (title, _) in UNPREPARED.items()]
    titles += [("PNG", name, form.title) for name, form in FORMS.items()]
    for file, name, title in titles:
        seen = list(zip(facts["forms"][name]["predicted"], facts["forms"][name]["unsure"], labels))
        right = sum(digit == label for digit, _, label in seen)
        unsure = sum(mark == UNSURE for _, mark, _ in seen)
        wrong = sum(digit != label and mark == SURE for digit, mark, label in seen)
        blank = sum(digit == BLANK for digit, _, _ in seen)
        rows.append([file, title, f"{right:,}", unsure, wrong, blank])
    heading = ["file", "form", "correct", "unsure", "wrong and not unsure", "blank"]
    return (
        f"The first {len(labels):,} test images of MNIST, classified by the default network after {facts['epochs']} epochs "
        f"with seed {facts['seed']}. According to `eval`, this network classifies {facts['eval']['correct']:,} of all "
        f"{facts['eval']['total']:,} test images correctly.\n\n{markdown_table(heading, rows)}"
    )
