// The pad: a digit is drawn by mouse, finger or keys, prepared as `mnist-train predict` prepares a
// picture, and classified by the network of this page.

/** Smallest difference between paper and the strongest ink of a picture that is not blank. */
const LEAST_CONTRAST = 32;
/** Width of the pen, and steps of the pen by keys, in pixels of the pad. */
const PEN = 20, STEP = 10, SMALL_STEP = 2;
/** Number of classes that are listed. */
const SHOWN = 10;

const data = JSON.parse(document.getElementById("description").textContent);
const [, imageHeight, imageWidth] = data.input;
let network = null;

/** The trained network; its weights are decoded when they are needed first. */
function trained() {
  network ??= networkOf(data, document.getElementById("weights").textContent.trim());
  return network;
}

// Preparation of a picture: src/data/picture/normalize.rs, step by step and in the same arithmetic.

/** Ink of every pixel, its distance from the grey of the paper at the border; null if it is blank. */
function inkOf(grey, rows, columns) {
  const width = Math.max(1, Math.floor(Math.min(rows, columns) / 28));
  let innerSum = 0, innerCount = 0, borderSum = 0;
  grey.forEach((pixel, at) => {
    const y = Math.floor(at / columns), x = at % columns;
    if (y >= width && y < rows - width && x >= width && x < columns - width) {
      innerSum += pixel;
      innerCount += 1;
    } else {
      borderSum += pixel;
    }
  });
  const borderCount = rows * columns - innerCount;
  const paper = Math.floor((borderSum + Math.floor(borderCount / 2)) / borderCount);
  const isDark = innerSum * borderCount < borderSum * innerCount;
  const ink = grey.map(pixel => Math.max(0, isDark ? paper - pixel : pixel - paper));
  return maximum(ink) < LEAST_CONTRAST ? null : ink;
}

/** Box around all ink of at least a tenth of the strongest: first row, end, first column, end. */
function boundsOf(ink, rows, columns) {
  const least = Math.ceil(maximum(ink) / 10);
  let [top, bottom, left, right] = [rows, 0, columns, 0];
  ink.forEach((pixel, at) => {
    if (pixel < least) return;
    const y = Math.floor(at / columns), x = at % columns;
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
  });
  return [top, bottom, left, right];
}

/** Pixels that each of `count` scaled pixels covers between `first` and `end`, each with its share. */
function coverage(first, end, count) {
  const size = (end - first) / count;
  return Array.from({ length: count }, (_, index) => {
    const [from, to] = [size * index, size * (index + 1)];
    const covered = [];
    for (let place = Math.floor(from); place < Math.min(Math.ceil(to), end - first); place++) {
      const share = Math.max(0, Math.min(place + 1, to) - Math.max(place, from)) / size;
      covered.push([first + place, share]);
    }
    return covered;
  });
}

/** Image of `height` × `width` that the network gets of a grey picture; null if that is blank. */
function prepared(grey, rows, columns, height, width) {
  const ink = inkOf(grey, rows, columns);
  if (ink === null) return null;
  const [top, bottom, left, right] = boundsOf(ink, rows, columns);
  const longest = Math.max(1, Math.floor(Math.min(height, width) * 20 / 28));
  const scale = longest / Math.max(bottom - top, right - left);
  const scaledHeight = Math.max(1, Math.round((bottom - top) * scale));
  const scaledWidth = Math.max(1, Math.round((right - left) * scale));
  const ofRows = coverage(top, bottom, scaledHeight);
  const ofColumns = coverage(left, right, scaledWidth);
  const scaled = ofRows.flatMap(rows => ofColumns.map(places => rows.reduce((sum, [y, share]) => {
    const row = places.reduce((sum, [x, share]) => sum + share * ink[y * columns + x], 0);
    return sum + share * row;
  }, 0)));
  const strongest = maximum(scaled);
  const digit = scaled.map(value => Math.round(value * 255 / strongest));
  // The centre of mass goes to the centre of the image, by whole pixels.
  let mass = 0, down = 0, across = 0;
  digit.forEach((pixel, at) => {
    mass += pixel;
    down += pixel * Math.floor(at / scaledWidth);
    across += pixel * (at % scaledWidth);
  });
  const start = (side, size, moment) => {
    const centre = Math.floor((moment + Math.floor(mass / 2)) / mass);
    return Math.min(Math.max(Math.floor(side / 2) - centre, 0), side - size);
  };
  const firstRow = start(height, scaledHeight, down);
  const firstColumn = start(width, scaledWidth, across);
  const image = new Uint8Array(height * width);
  digit.forEach((pixel, at) => {
    const row = firstRow + Math.floor(at / scaledWidth);
    image[row * width + firstColumn + at % scaledWidth] = pixel;
  });
  return image;
}

// Drawing.

const pad = document.getElementById("pad");
const cursor = document.getElementById("cursor");
const paper = pad.getContext("2d", { willReadFrequently: true });
const seen = document.getElementById("seen").getContext("2d");
const answer = document.getElementById("answer");
const bars = document.getElementById("bars");
const pen = { x: pad.width / 2, y: pad.height / 2, isDown: false, byKeys: false };

/** Draws from the place of the pen to (x, y), and moves the pen there. */
function drawTo(x, y) {
  paper.beginPath();
  paper.moveTo(pen.x, pen.y);
  paper.lineTo(x, y);
  paper.stroke();
  [pen.x, pen.y] = [x, y];
  later();
}

function clearPad() {
  paper.fillStyle = "#000";
  paper.fillRect(0, 0, pad.width, pad.height);
  [paper.strokeStyle, paper.lineWidth] = ["#fff", PEN];
  [paper.lineCap, paper.lineJoin] = ["round", "round"];
  pen.isDown = false;
  showCursor();
  classify();
}

/** Shows where the pen of the keys is: a ring, which is full while the pen draws. */
function showCursor() {
  const marks = cursor.getContext("2d");
  marks.clearRect(0, 0, cursor.width, cursor.height);
  if (!pen.byKeys || document.activeElement !== pad) return;
  marks.beginPath();
  marks.arc(pen.x, pen.y, PEN / 2 + 3, 0, 2 * Math.PI);
  [marks.lineWidth, marks.strokeStyle, marks.fillStyle] = [3, "#ff9a57", "#ff9a57"];
  marks.stroke();
  if (pen.isDown) marks.fill();
}

/** Place of a pointer in pixels of the pad. */
function placeOf(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * pad.width, (event.clientY - box.top) / box.height * pad.height];
}

pad.addEventListener("pointerdown", event => {
  if (event.button !== 0) return;
  pad.setPointerCapture(event.pointerId);
  [pen.x, pen.y] = placeOf(event);
  [pen.isDown, pen.byKeys] = [true, false];
  showCursor();
  drawTo(pen.x, pen.y);
});
pad.addEventListener("pointermove", event => {
  if (!pen.isDown || pen.byKeys) return;
  // A fast hand makes several moves between two pictures of the screen.
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length > 0 ? moves : [event]) drawTo(...placeOf(move));
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, () => { pen.isDown = false; });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", event => {
  const arrow = ARROWS[event.key];
  if (event.key === "Escape") {
    clearPad();
  } else if (event.key === " ") {
    [pen.isDown, pen.byKeys] = [!(pen.isDown && pen.byKeys), true];
    if (pen.isDown) drawTo(pen.x, pen.y);
  } else if (arrow !== undefined) {
    pen.isDown &&= pen.byKeys;
    pen.byKeys = true;
    const step = event.shiftKey ? SMALL_STEP : STEP;
    const [x, y] = [pen.x + step * arrow[0], pen.y + step * arrow[1]];
    const within = (place, side) => Math.min(Math.max(place, PEN), side - PEN);
    const to = [within(x, pad.width), within(y, pad.height)];
    if (pen.isDown) drawTo(...to);
    else [pen.x, pen.y] = to;
  } else {
    return;
  }
  event.preventDefault();
  showCursor();
});
for (const change of ["focus", "blur"]) pad.addEventListener(change, showCursor);
document.getElementById("clear").addEventListener("click", clearPad);

// Answers.

let isWaiting = false;
let milliseconds = 0;

/** Classifies soon; the slower the network, the less often, so that the pen stays fast. */
function later() {
  if (isWaiting) return;
  isWaiting = true;
  setTimeout(() => { isWaiting = false; classify(); }, 2 * milliseconds);
}

/** Probability in percent, with as many digits as tell it from 0 and from 100. */
function percent(probability) {
  const value = 100 * probability;
  return (value > 99.9 && value < 100 ? "> 99.9" : value < 0.1 ? "< 0.1" : value.toFixed(1)) + " %";
}

/** Classifies what is on the pad, and shows it. Returns what the network got and answered. */
function classify() {
  const started = performance.now();
  const colours = paper.getImageData(0, 0, pad.width, pad.height).data;
  // All its pixels are grey.
  const grey = new Float64Array(pad.width * pad.height).map((_, at) => colours[4 * at]);
  const image = prepared(grey, pad.height, pad.width, imageHeight, imageWidth);
  show(image ?? new Uint8Array(imageHeight * imageWidth));
  bars.replaceChildren();
  if (image === null) {
    answer.textContent = "Draw a digit.";
    return null;
  }
  const logits = logitsOf(trained(), image);
  const probabilities = softmax(logits, logits.length);
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  answer.textContent = `${data.classes[order[0]]}, ${percent(probabilities[order[0]])}`;
  // The place of a class does not change while one draws, if all are shown.
  const shown = order.slice(0, SHOWN).sort((a, b) => a - b);
  for (const index of shown) bars.append(barOf(index, probabilities[index], index === order[0]));
  milliseconds = performance.now() - started;
  return { image, logits };
}

/** Row with the name of a class, a bar, and its probability. */
function barOf(index, probability, isFirst) {
  const row = document.createElement("li");
  if (isFirst) row.className = "first";
  for (const text of [data.classes[index], "", percent(probability)]) {
    const cell = document.createElement("span");
    cell.textContent = text;
    row.append(cell);
  }
  row.children[1].style.setProperty("--part", probability);
  return row;
}

/** Shows the image that the network sees. */
function show(image) {
  const picture = seen.createImageData(imageWidth, imageHeight);
  image.forEach((pixel, at) => picture.data.set([pixel, pixel, pixel, 255], 4 * at));
  seen.putImageData(picture, 0, 0);
}

/** Largest difference of this page's logits from the program's, as a share of an image's largest. */
function differenceFromProgram() {
  const images = bytesOf(data.tests.images);
  const size = imageHeight * imageWidth;
  const differences = data.tests.logits.map((expected, index) => {
    const found = logitsOf(trained(), images.subarray(index * size, (index + 1) * size));
    const largest = maximum(expected.map(Math.abs));
    return maximum(expected.map((logit, at) => Math.abs(logit - found[at]) / largest));
  });
  // Not a number is a difference too.
  return differences.every(Number.isFinite) ? maximum(differences) : Infinity;
}

/** Says at the end of the page whether this page computes what the program computes. */
function check() {
  const difference = differenceFromProgram();
  const count = data.tests.logits.length;
  const verb = difference <= 1e-4 ? "agrees" : "DOES NOT agree";
  const agreement = document.getElementById("agreement");
  agreement.dataset.difference = difference;
  agreement.textContent = `The network of this page ${verb} with the program on ${count} test images: `
    + `their logits differ by at most ${difference.toExponential(1)} of the largest logit of an image.`;
}

clearPad();
setTimeout(check, 100);
